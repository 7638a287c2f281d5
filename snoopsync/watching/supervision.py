"""Replaces the engine of a folder when the engine fails.

An engine gathers hints: ``InotifyEngine`` on Linux, ``GenericEngine`` elsewhere. A thread that has
died or hangs looks like a folder without changes. So this module checks that the threads are alive,
that the reader makes progress, and that a test event arrives through the same descriptor. It
replaces an engine that fails, and has the folder scanned, because the old engine may have missed
changes. There is no other recovery from an engine's error.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from snoopsync.watching.hints import HintBox, Hints

#: A reader that does not read for this long hangs. Usually it reads every second.
_MAX_SILENT_SECONDS = 10.0

#: The longest pause before an engine that failed soon after its start is replaced.
_MAX_RESTART_PAUSE_SECONDS = 60.0

#: Why a directory is not watched. It can't be listed either, and the scanner reports that.
NO_PERMISSION = "no permission to read this directory"

#: Why a folder that does not exist is not watched. The monitor reports the folder.
NOT_FOUND = "it does not exist"

#: How long to wait for a thread to end.
_PATIENCE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Restart:
    """The engine of a folder was replaced, for the ``count``-th time."""

    folder: str
    reason: str
    count: int


class Engine(Protocol):
    """Gathers the hints of one folder. A failed engine is replaced, never repaired."""

    @property
    def failure(self) -> Exception | None:
        """The exception that ended a thread, or ``None``."""

    @property
    def alive(self) -> bool:
        """Whether all threads run."""

    @property
    def read_count(self) -> int:
        """A number that changes at least every second while the reader makes progress."""

    @property
    def test_event_count(self) -> int:
        """The number of test events that arrived. It grows soon after ``prove``."""

    @property
    def behind(self) -> bool:
        """As in ``HintSource``."""

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """As in ``HintSource``."""

    def cover(self, directory: bytes) -> bool:
        """As in ``HintSource``."""

    def forget(self, directory: bytes) -> None:
        """As in ``HintSource``."""

    def prove(self) -> None:
        """Raise a test event. Raises ``OSError``."""

    def stop(self, patience: float) -> None:
        """End the threads, waiting at most ``patience`` seconds for each."""


#: Creates an engine from the folder's real path, the box to fill, and the function to call when the
#: box has hints. Raises ``OSError``.
EngineMaker = Callable[[bytes, HintBox, Callable[[], None]], Engine]


class _StallTimer:
    """Measures for how many seconds a number has not changed.

    The time between two looks counts as at most two seconds: if the machine was suspended or a scan
    took long, the reader may not have run either.
    """

    def __init__(self) -> None:
        self._mark: int | None = None
        self._looked = 0.0
        self._seconds = 0.0

    def look(self, mark: int, now: float) -> float:
        still = mark == self._mark
        self._seconds = self._seconds + min(now - self._looked, 2.0) if still else 0.0
        self._mark, self._looked = mark, now
        return self._seconds


class _Health:
    """Checks one engine."""

    def __init__(self, engine: Engine, canary_interval: float) -> None:
        self._engine = engine
        self._canary_interval = canary_interval
        self._read_stall = _StallTimer()
        self._test_stall = _StallTimer()
        self._tested_at = -math.inf
        self._count_before_test: int | None = None  # set while a test event is outstanding
        self.last_proof: float | None = None

    def trouble(self, now: float) -> str | None:
        """What is wrong with the engine, or ``None``. Raises a test event when one is due."""
        if self._engine.failure is not None:
            return f"its thread ended: {self._engine.failure!r}"
        if not self._engine.alive:
            return "its thread ended"
        if self._read_stall.look(self._engine.read_count, now) > _MAX_SILENT_SECONDS:
            return "its thread hangs"
        try:
            return self._canary_trouble(now)
        except OSError as error:
            return f"it can't be tested: {error.strerror}"

    def _canary_trouble(self, now: float) -> str | None:
        if self._count_before_test is not None:
            if self._engine.test_event_count == self._count_before_test:
                silent = self._test_stall.look(self._count_before_test, now) > _MAX_SILENT_SECONDS
                return "a test event did not arrive" if silent else None
            self.last_proof = now
            self._count_before_test = None
        if now - self._tested_at >= self._canary_interval:
            self._tested_at = now
            self._count_before_test = self._engine.test_event_count
            self._test_stall = _StallTimer()
            self._engine.prove()
        return None


class EngineWatch:
    """A ``HintSource`` that replaces its engine when it fails."""

    def __init__(
        self,
        name: str,
        root: bytes,
        wake: Callable[[], None],
        make_engine: EngineMaker,
        canary_interval: float,
    ) -> None:
        self._name = name
        self._root = root
        self._wake = wake
        self._make_engine = make_engine
        self._canary_interval = canary_interval
        self._box = HintBox()
        self._engine: Engine | None = None
        self._health: _Health | None = None
        self._refusal = ""
        self._last_proof: float | None = None
        self._restart_not_before = -math.inf
        self._restarts_unproven = 0
        self.restarts = 0
        self._arm()

    def _arm(self) -> None:
        self._real_root = os.path.realpath(self._root)
        try:
            self._engine = self._make_engine(self._real_root, self._box, self._wake)
        except OSError as error:
            self._refusal = f"can't be watched: {error.strerror or error}"
        else:
            self._health = _Health(self._engine, self._canary_interval)
            # The old proof was about the old engine.
            self._last_proof = None

    @property
    def alive(self) -> bool:
        return self._engine is not None and self._engine.alive

    @property
    def last_proof(self) -> float | None:
        return self._last_proof

    @property
    def behind(self) -> bool:
        # The engine comes first: what it gathers meanwhile is in the box.
        return (self._engine is not None and self._engine.behind) or self._box.waiting

    @property
    def overflows(self) -> int:
        """How many times events were lost because the system's queue was full."""
        return self._box.overflows

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        if self._engine is None:
            return {b"": self._refusal}
        return self._engine.unwatched

    def cover(self, directory: bytes) -> bool:
        return self._engine is not None and self._engine.cover(directory)

    def forget(self, directory: bytes) -> None:
        if self._engine is not None:
            self._engine.forget(directory)

    def take(self) -> Hints:
        return self._box.take(self._is_gone)

    def _is_gone(self, directory: bytes, name: bytes) -> bool:
        parts = [self._real_root, directory, name] if directory else [self._real_root, name]
        try:
            os.lstat(b"/".join(parts))
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False  # the scanner meets the same error and reports it
        return False

    def check(self, now: float) -> Restart | None:
        """Replace the engine if it does not work. ``now`` is monotonic seconds. Returns the
        restart, or ``None``."""
        reason = self._trouble(now)
        if reason is None or now < self._restart_not_before:
            return None
        self.stop()
        self._arm()
        self._box.everything()
        self.restarts += 1
        self._restarts_unproven += 1
        wait = min(2.0**self._restarts_unproven, _MAX_RESTART_PAUSE_SECONDS)
        self._restart_not_before = now + wait
        return Restart(self._name, reason, self.restarts)

    def _trouble(self, now: float) -> str | None:
        if self._health is None:
            return self._refusal
        if self._has_moved():
            return "its path leads to another directory than before"
        reason = self._health.trouble(now)
        if self._health.last_proof is not None and self._health.last_proof != self._last_proof:
            self._last_proof = self._health.last_proof
            self._restarts_unproven = 0
        return reason

    def _has_moved(self) -> bool:
        """Whether a symbolic link in the folder's path now leads to another directory. The engine
        would still watch the old directory."""
        real_root = os.path.realpath(self._root)
        return real_root != self._real_root and os.path.isdir(real_root)  # noqa: PTH112 - bytes

    def stop(self) -> None:
        """End the engine's threads."""
        if self._engine is not None:
            self._engine.stop(_PATIENCE_SECONDS)
        self._engine = self._health = None
