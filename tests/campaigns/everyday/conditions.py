"""The conditions and limits of a campaign, and its history."""

from __future__ import annotations

import random
import time
from dataclasses import dataclass
from pathlib import Path

from snoopsync.core.model import printable
from tests.support.collection_server import PUBLIC_KEY

OWNER = "tests"
FOLDERS = ("pictures", "scans")
FOREIGN = {"somebody.else": b"picture of theirs", "tests-too.1": b"picture, too"}

#: How long snoopsync may take to come into order, with a resync to hurry it after a while. On its
#: own it is right to wait for a minute (for refused keys) or two (for a refused picture).
ORDER_SECONDS = 90.0
UNHURRIED_SECONDS = 6.0

#: After this time, changes without events have been found.
RESCAN_SECONDS = 14.0

#: How soon a change must be noticed: after that, ``status`` must not report ``in sync``.
NOTICED_SECONDS = 1.5
MISSING_NOTICED_SECONDS = 4.0

#: A service logs the same problem twenty times, and then counts it.
MOST_LINES_ALIKE = 25

#: How many lines of the history a failure prints.
_TOLD_LINES = 600


class Violation(AssertionError):
    """A promise was broken."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """What is decided by the seed before anything happens. ``only_rescans_find``: people
    also make changes without events, and rescans find them every few seconds."""

    seed: int
    delete_after: str
    watch: str
    only_rescans_find: bool
    hold: str
    fault_rate: float
    with_bad_files: bool

    @classmethod
    def of(cls, seed: int) -> Conditions:
        """The conditions of this seed."""
        dice = random.Random(f"conditions {seed}")
        watch = dice.choice(("events", "events", "poll"))
        return cls(
            seed=seed,
            delete_after=dice.choice(("0s", "200ms", "1s")),
            watch=watch,
            only_rescans_find=watch == "poll" or dice.random() < 0.5,
            hold=dice.choice(("never", "never", "{count: 5, percent: 10}")),
            fault_rate=dice.choice((0.0, 0.05, 0.2, 0.5)),
            with_bad_files=dice.random() < 0.4,
        )

    @property
    def noticed_seconds(self) -> float:
        """After how long everything that was done must be known."""
        if self.watch == "poll":
            return NOTICED_SECONDS + 1.5
        return NOTICED_SECONDS

    def configuration(self, endpoint: str, roots: dict[str, Path]) -> str:
        """The text of the configuration file."""
        rescan = "10s" if self.only_rescans_find else "24h"
        folders = "".join(
            f"  - {{path: {root}, name: {name}, watch: {self.watch}, poll_interval: 1s}}\n"
            for name, root in roots.items()
        )
        return (
            f"collection: {{endpoint: '{endpoint}', public_key: {PUBLIC_KEY}, owner: {OWNER},"
            f" timeout: 2s}}\n"
            f"sync: {{settle: 50ms, delete_after: {self.delete_after}, rescan_interval: {rescan},"
            f" hold_deletes_over: {self.hold}}}\n"
            f"folders:\n{folders}"
        )


class Story:
    """What happened, in order, with the seconds since the beginning; from any thread."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._lines: list[str] = []
        self.violations: list[str] = []

    def tell(self, text: str) -> None:
        """Something happens now."""
        text = printable(text).encode("ascii", "backslashreplace").decode()
        self._lines.append(f"{time.monotonic() - self._began:9.3f} {text}")

    def violate(self, text: str) -> None:
        """A promise was broken just now."""
        self.tell(f"VIOLATION: {text}")
        self.violations.append(text)

    def __str__(self) -> str:
        return "\n".join(self._lines[-_TOLD_LINES:])
