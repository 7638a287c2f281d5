"""What is killed while clients work, and what comes of it."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from tests.campaigns.nodes.clients import Answers, Client, all_work, losses
from tests.campaigns.nodes.site import Site, running_site
from tests.support import postgres

#: Waits for a share of the phase.
Rest = Callable[[float], None]

_CLIENTS = 3

#: HAProxy looks at each node once a second.
_SEEN_BY_BALANCER_SECONDS = 2.0

#: No client may wait longer for the service.
MOST_PAUSE_SECONDS = 15.0


def nothing(_site: Site, rest: Rest) -> str:
    """Nothing is killed, for comparison."""
    rest(1.0)
    return "nothing"


def kill_a_node(site: Site, rest: Rest) -> str:
    """kill -9 of a node, which is started again later."""
    rest(0.2)
    site.nodes[0].kill()
    rest(0.3)
    site.nodes[0].start()
    rest(0.5)
    return "kill -9 of a node"


def rolling_restart(site: Site, rest: Rest) -> str:
    """SIGTERM to one node after the other, as for an upgrade."""
    rest(0.1)
    for node in site.nodes:
        assert node.service.end(seconds=20.0) == 0, node.service.lines[-10:]
        node.start()
        time.sleep(_SEEN_BY_BALANCER_SECONDS)
    rest(0.1)
    return "rolling restart by SIGTERM"


def kill_postgresql(site: Site, rest: Rest) -> str:
    """kill -9 of all processes of PostgreSQL, which is started again a second later."""
    rest(0.2)
    began = time.monotonic()
    site.primary.kill()
    time.sleep(1.0)
    site.primary.start()
    away = time.monotonic() - began
    rest(0.7)
    return f"kill -9 of PostgreSQL (away for {away:.1f} s)"


def fail_over(site: Site, rest: Rest) -> str:
    """kill -9 of the primary. Its synchronous standby is promoted."""
    rest(0.2)
    began = time.monotonic()
    site.primary.kill()
    site.standby.promote()
    away = time.monotonic() - began
    rest(0.8)
    return f"failover to the standby (promoted after {away:.1f} s)"


#: Each returns what happened, for people. The last one ends the primary for good.
FAULTS = (nothing, kill_a_node, rolling_restart, kill_postgresql, fail_over)


@dataclass(frozen=True, slots=True)
class Row:
    """What came of one fault: of the clients with retries, and of the one without."""

    name: str
    seconds: float
    retrying: Answers
    plain: Answers
    lost: list[str]

    @property
    def longest_pause(self) -> float:
        """The longest time in which no client got an answer."""
        moments = sorted(self.retrying.answered_at + self.plain.answered_at)
        return max((later - earlier for earlier, later in pairwise(moments)), default=self.seconds)

    def cells(self) -> tuple[str, ...]:
        """For the table."""
        answered = len(self.retrying.answered_at) + len(self.plain.answered_at)
        changes = self.retrying.changes + self.plain.changes
        errors = ", ".join(f"{count} x {name}" for name, count in self.plain.errors.most_common())
        return (
            self.name,
            str(answered),
            f"{changes / self.seconds:.0f}",
            str(len(self.lost)),
            str(len(self.retrying.stale + self.plain.stale)),
            str(self.retrying.errors.total()),
            errors or "0",
            f"{self.longest_pause:.1f}",
            f"{self.retrying.slowest_seconds:.1f}",
        )


@dataclass(slots=True)
class Report:
    """What came of all faults. ``wrong``: everything that should not be."""

    rows: list[Row] = field(default_factory=list)

    @property
    def wrong(self) -> list[str]:
        found = []
        for row in self.rows:
            found += [f"{row.name}: lost: {each}" for each in row.lost]
            found += [f"{row.name}: stale: {each}" for each in row.retrying.stale + row.plain.stale]
            found += [
                f"{row.name}: a client with retries saw {each}" for each in row.retrying.errors
            ]
            if row.longest_pause > MOST_PAUSE_SECONDS:
                found.append(f"{row.name}: no answer for {row.longest_pause:.1f} s")
        return found

    def table(self) -> str:
        """In Markdown."""
        head = (
            *("during", "answered", "changes/s", "lost", "stale", "errors with retries"),
            *("errors without retries", "longest pause s", "slowest call s"),
        )
        rows = (head, tuple("---" for _ in head), *(row.cells() for row in self.rows))
        return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def why_not() -> str | None:
    """Why the campaign cannot run here; ``None`` if it can."""
    return postgres.why_not() or (None if shutil.which("haproxy") else "HAProxy is not installed")


def run(seed: int, seconds: float, samples: int, only: str | None = None) -> Report:
    """All faults, each during ``seconds`` of work; or ``only`` the one of this name. After each,
    the pictures of up to ``samples`` images are searched for on each node."""
    report = Report()
    with running_site() as site:
        clients = [
            Client(site.keys(), site.endpoint, number, seed, retries=number > 0)
            for number in range(_CLIENTS + 1)
        ]
        keys = site.keys()
        for fault in FAULTS:
            if only in (None, fault.__name__):
                report.rows.append(_phase(site, fault, clients, seconds))
                for node in site.nodes:
                    report.rows[-1].lost.extend(losses(node.endpoint, keys, clients, samples))
    return report


def _phase(
    site: Site, fault: Callable[[Site, Rest], str], clients: list[Client], seconds: float
) -> Row:
    name = ""

    def act(broken: threading.Event) -> None:
        nonlocal name

        def rest(share: float) -> None:
            broken.wait(share * seconds)

        name = fault(site, rest)

    began = time.monotonic()
    plain, *others = all_work(clients, act)
    retrying = Answers()
    for each in others:
        retrying.add(each)
    return Row(name, time.monotonic() - began, retrying, plain, [])
