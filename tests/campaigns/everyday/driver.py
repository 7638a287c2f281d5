"""Runs snoopsync during a campaign, and checks its promises."""

from __future__ import annotations

import hashlib
import os
import random
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.campaigns.everyday.conditions import (
    FOREIGN,
    MISSING_NOTICED_SECONDS,
    MOST_LINES_ALIKE,
    ORDER_SECONDS,
    RESCAN_SECONDS,
    UNHURRIED_SECONDS,
    Conditions,
    Story,
    Violation,
)
from tests.campaigns.everyday.ledger import Known, Ledger
from tests.campaigns.everyday.people import People
from tests.campaigns.everyday.site import Site
from tests.support.collection_server import SECRET_KEY
from tests.support.process import Done, Installation, Service


@dataclass
class Figures:
    """What a campaign did. ``certain``: IDs that had to be kept through an epoch, and were.
    ``proven``: how often ``status`` reported ``in sync`` during an epoch."""

    seconds: float = 0.0
    epochs: int = 0
    operations: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    certain: int = 0
    proven: int = 0

    def __str__(self) -> str:
        def counted(title: str, counter: Counter[str]) -> str:
            each = ", ".join(f"{count} {name}" for name, count in sorted(counter.items()))
            return f"{counter.total()} {title} ({each})"

        return "\n".join(
            (
                f"{self.seconds:.0f} s, {self.epochs} epochs, {self.certain} IDs that were certain,"
                f" {self.proven} times in sync in the midst of it",
                counted("operations", self.operations),
                counted("faults", self.faults),
                counted("requests", self.requests),
            )
        )


class Campaign:
    """One seed, from its beginning to its end. A context manager."""

    def __init__(self, home: Path, seed: int) -> None:
        self.conditions = Conditions.of(seed)
        self.story = Story()
        self.ledger = Ledger()
        self.figures = Figures()
        self._dice = random.Random(f"people {seed}")
        self._stack = ExitStack()
        self._installation = Installation(home)
        self._installation.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        self._site = Site(self.ledger, self.story, self.conditions)
        self._stack.callback(self._site.fall)
        self._people = People(home, self.conditions, self._dice, self.ledger, self.story)
        self._stack.callback(self._people.end_everything)
        self._commands: list[threading.Thread] = []
        self._run = ExitStack()
        self._stack.callback(self._run.close)
        self._service: Service | None = None
        self._is_stopped = False
        self._state_was_lost = False
        self._configure()

    def __enter__(self) -> Campaign:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._site.calm()
        self._wait_for_commands()
        self._stack.close()

    def _configure(self) -> None:
        text = self.conditions.configuration(
            f"http://127.0.0.1:{self._site.port}/api/v1", self._people.roots
        )
        self._installation.configure(text, folders="\n")

    def run(self, seconds: float) -> Figures:
        """Run epochs for ``seconds``. Raises ``Violation`` with the history."""
        began = time.monotonic()
        try:
            for _ in range(20):
                self._people.do("create")
            self._start()
            self._come_into_order()
            while time.monotonic() < began + seconds:
                self._epoch()
                self.figures.epochs += 1
        except Exception as error:
            raise Violation(
                f"{error}\n{self.conditions}\n{self.story}\n\nlog:\n{self._log()}"
            ) from error
        finally:
            self.figures.seconds = time.monotonic() - began
            self.figures.operations = self._people.operations
            self.figures.requests = self._site.requests
            self.figures.faults += self._site.faults
        return self.figures

    def _log(self) -> str:
        return "\n".join(self._service.lines[-200:]) if self._service else ""

    def _epoch(self) -> None:
        """People, faults, and then order."""
        self.story.tell("epoch")
        self._site.agitate(self.conditions.fault_rate)
        faults = list(_SERVICE_FAULTS)
        for _ in range(self._dice.randrange(5, 60)):
            chance = self._dice.random()
            if chance < 0.82:
                self._people.do_something()
            elif chance < 0.92:
                self._people.end_something()
            else:
                weights = [_SERVICE_FAULTS[each] for each in faults]
                name = self._dice.choices(faults, weights)[0]
                self.figures.faults[name] += 1
                getattr(self, name)()
            time.sleep(self._dice.choice((0.0, 0.0, 0.0, 0.01, 0.06, 0.2, 0.5)))
            self._check_violations()
        self._come_into_order()

    def _check_violations(self) -> None:
        if self._service is not None and _has_ended(self._service.pid):
            code = self._service.wait()
            raise Violation(f"the service ended by itself: {code}")
        if self.story.violations:
            raise Violation("; ".join(self.story.violations))

    # The service, and what happens to it.

    def _start(self) -> None:
        if self._service is not None:
            return
        self._wait_for_commands()
        self.story.tell("start")
        self._service = self._run.enter_context(self._installation.service())

    def _ended(self) -> None:
        """The service has ended; its log is looked at."""
        assert self._service is not None
        self._run.close()
        lines, self._service, self._is_stopped = self._service.lines, None, False
        self._check_lines(lines)
        self._site.wait_for_clients_to_leave()

    def _check_lines(self, lines: list[str]) -> None:
        if any("Traceback" in line for line in lines):
            raise Violation("a traceback:\n" + "\n".join(lines[-60:]))
        troubles = [line for line in lines if " info " not in line and " duplicate: " not in line]
        alike = Counter(map(_alike, troubles))
        for text, count in alike.items():
            if count > MOST_LINES_ALIKE:
                raise Violation(f"{count} lines in the log are alike: {text}")

    def kill_it(self) -> None:
        """kill -9, and perhaps a start."""
        if self._service is not None:
            self.story.tell("kill -9")
            self._service.kill()
            self._ended()
        self._start_sometimes()

    def end_it(self) -> None:
        """SIGTERM, and perhaps a start."""
        if self._service is not None:
            self.cont_it()
            self.story.tell("SIGTERM")
            self._end_well()
        self._start_sometimes()

    def _end_well(self) -> None:
        assert self._service is not None
        is_early = not self._service.lines
        code = self._service.end(seconds=20.0)
        if code != 0 and not (is_early and code == -signal.SIGTERM):
            raise Violation(f"the service ended with {code} after SIGTERM")
        self._ended()

    def stop_it(self) -> None:
        """SIGSTOP, until SIGCONT."""
        if self._service is not None and not self._is_stopped:
            self.story.tell("SIGSTOP")
            self._service.send(signal.SIGSTOP)
            self._is_stopped = True
            self._people.later.append(("stop", self.cont_it))

    def cont_it(self) -> None:
        """SIGCONT."""
        if self._service is not None and self._is_stopped:
            self.story.tell("SIGCONT")
            self._service.send(signal.SIGCONT)
            self._is_stopped = False

    def lose_state(self) -> None:
        """Remove the state file while no service uses it."""
        self.kill_it()
        if self._service is not None:
            self.story.tell("kill -9")
            self._service.kill()
            self._ended()
        self._wait_for_commands()
        self.story.tell("the state file is deleted")
        self.ledger.lose_state()
        self._state_was_lost = True
        shutil.rmtree(self._installation.state.parent, ignore_errors=True)
        self._start_sometimes()

    def _start_sometimes(self) -> None:
        self._start() if self._dice.random() < 0.8 else self._people.later.append(
            ("start", self._start)
        )

    def server_down(self) -> None:
        """The collection's port is closed, for a while."""
        if self._site.is_up:
            self.story.tell("the server is down")
            self._site.fall()

            def rise() -> None:
                self.story.tell("the server is up")
                self._site.rise()

            self._people.later.append(("down", rise))

    def refuse_keys(self) -> None:
        """401 or 403 for everything, for a while."""
        status = self._dice.choice((401, 403))
        self.story.tell(f"keys are refused: {status}")
        self._site.refuses_keys = status

        def accept() -> None:
            self.story.tell("keys are accepted")
            self._site.refuses_keys = None

        self._people.later.append(("keys", accept))

    def wait_a_while(self) -> None:
        """Wait, and change nothing."""
        time.sleep(self._dice.choice((0.5, 1.0, 3.0)))

    def resync_beside_it(self) -> None:
        """Run a resync beside everything else."""
        arguments = ["resync", "--json"] + (["--dry-run"] if self._dice.random() < 0.3 else [])
        self.story.tell(" ".join(arguments))

        def resync() -> None:
            try:
                done = self._installation.run_process(*arguments, timeout=150.0)
            except subprocess.TimeoutExpired:
                self.story.violate("a resync did not end in 150 s")
                return
            self.story.tell(f"resync ended with {done.code}")
            if done.code not in (0, 3, 4, 5, 6, 7) or "Traceback" in done.err:
                self.story.violate(f"resync: {done}")

        thread = threading.Thread(target=resync)
        thread.start()
        self._commands.append(thread)

    def _wait_for_commands(self) -> None:
        if self._commands and self._is_stopped:
            self.cont_it()
        while self._commands:
            self._commands.pop().join()

    def ask_for_status(self) -> None:
        """While nothing changes: if ``status`` reports ``in sync``, check that it is true."""
        if self._is_stopped:
            return
        hidden = self._people.has_hidden
        time.sleep(MISSING_NOTICED_SECONDS if hidden else self.conditions.noticed_seconds)
        status = self._installation.status()
        self.story.tell(f"status: {status['in_sync']}")
        if status["in_sync"]:
            self.figures.proven += 1
            self._check_in_sync()

    def _check_in_sync(self) -> None:
        if (
            self.conditions.only_rescans_find
            and time.monotonic() < self._people.last_unseen + RESCAN_SECONDS
        ):
            return
        # Without a state file, the service may see the new directory first, and cannot know better.
        is_unknown = self._state_was_lost and self._people.has_folder_replaced
        if self._people.has_folder_away and not is_unknown:
            raise Violation("status says that all is in order, and a folder is away")
        there = Counter(self._people.digests().values())
        remote = Counter(self._site.digests().values())
        if self._state_was_lost or self._people.has_hidden:
            remote &= there  # images of files that went meanwhile, or are hidden, are left alone
        if there != remote:
            raise Violation(
                f"status says that all is in order: not in the collection {there - remote},"
                f" not on the disk {remote - there}"
            )

    # Order.

    def _come_into_order(self) -> None:
        self.story.tell("calm")
        self._people.end_everything()
        self._site.calm()
        self._start()
        self._wait_for_commands()
        self._check_violations()
        files, bad = self._people.digests(), self._people.bad_files()
        began, hurried = time.monotonic(), 0
        while (trouble := self._disorder(files, bad)) is not None:
            self._check_violations()
            if time.monotonic() > began + ORDER_SECONDS:
                raise Violation(f"not in order after {ORDER_SECONDS} s: {trouble}")
            if time.monotonic() > began + UNHURRIED_SECONDS * (1 + 2 * hurried):
                hurried += 1
                self._hurry()
            time.sleep(0.2)
        self._check_violations()
        self._check_order(files, bad)

    def _hurry(self) -> None:
        """Retry everything that waits for its time, and approve held deletions."""
        if self._installation.status()["folders"][0]["held_deletes"] or self.conditions.hold:
            self._do("approve")
        arguments = ["resync"] + (["--prune"] if self._state_was_lost else [])
        self._do(*arguments)

    def _do(self, *arguments: str) -> Done:
        done = self._installation.run(*arguments)
        self.story.tell(f"{' '.join(arguments)}: {done.code} {done.out.strip()} {done.err.strip()}")
        return done

    def _rows(self) -> dict[Path, dict[str, Any]]:
        done = self._installation.json("list", "--json")
        return {self._people.roots[row["folder"]] / row["path"]: row for row in done}

    def _disorder(self, files: dict[Path, str], bad: set[Path]) -> str | None:
        """The first thing that is wrong, or ``None``."""
        good = {path: sha for path, sha in files.items() if path not in bad}
        remote = self._site.digests()
        if len(remote) < len(good):
            return f"{len(remote)} images for {len(good)} files"
        rows = self._rows()
        mirrored = {
            path: remote.get(row["image_id"]) for path, row in rows.items() if path not in bad
        }
        if mirrored != good:
            differ = mirrored.items() ^ good.items()
            return f"not mirrored: {sorted(map(str, {path for path, _ in differ}))}"
        orphans = remote.keys() - {row["image_id"] for row in rows.values()}
        if orphans:
            return f"images of no file: {orphans}"
        unconfirmed = [str(path) for path in good if rows[path]["state"] != "synced"]
        if unconfirmed:
            return f"not confirmed: {unconfirmed}"
        status = self._installation.status()
        if bad != {path for path, row in rows.items() if row["state"] == "failed"}:
            return f"listed as failed: {[r for r in rows.values() if r['state'] == 'failed']}"
        if not bad and not status["in_sync"]:
            return f"status: {status}"
        return None

    def _check_order(self, files: dict[Path, str], bad: set[Path]) -> None:
        rows = self._rows()
        ids = {path: row["image_id"] for path, row in rows.items()}
        if len(set(ids.values())) != len(ids):
            raise Violation(f"one ID for two files: {ids}")
        for path, image_id in self.ledger.expected().items():
            if ids.get(path) != image_id:
                raise Violation(f"{path} had {image_id}, and now {ids.get(path)}")
        self.figures.certain += len(self.ledger)
        for image_id, data in FOREIGN.items():
            if self._site.contents.get(image_id) != hashlib.sha256(data).hexdigest():
                raise Violation(f"{image_id} is not ours, and was changed")
        count = Counter(files.values())
        self.ledger.begin(
            {
                path: Known(ids[path], sha, is_twin=count[sha] > 1)
                for path, sha in files.items()
                if path not in bad
            }
        )
        self._state_was_lost = False
        assert self._service is not None
        self._check_lines(self._service.lines)
        self.story.tell(f"in order: {len(files)} files")


#: What happens to the service and around it, and how often.
_SERVICE_FAULTS: dict[str, int] = {
    "kill_it": 4,
    "end_it": 3,
    "stop_it": 3,
    "lose_state": 1,
    "server_down": 3,
    "refuse_keys": 1,
    "wait_a_while": 3,
    "resync_beside_it": 3,
    "ask_for_status": 6,
}


def _has_ended(pid: int) -> bool:
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _alike(line: str) -> str:
    """What a line has in common with others of its kind: words without names and numbers."""
    words = line.split()[2:]
    return " ".join(word for word in words if word.strip(":;,()").isalpha())


def run_campaign(seed: int, seconds: float) -> Figures:
    """A campaign in a directory of its own. Raises ``Violation``."""
    with tempfile.TemporaryDirectory() as home, Campaign(Path(home), seed) as campaign:
        return campaign.run(seconds)
