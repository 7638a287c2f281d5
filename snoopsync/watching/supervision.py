"""Keeps one folder's engine working.

An engine gathers hints: ``InotifyEngine`` on Linux, ``GenericEngine`` elsewhere. A thread that died
or hangs looks like a folder in which nothing happens. So this module checks that the threads are
alive, that the reader makes progress, and that a test event comes back through the same descriptor.
An engine that fails is replaced, and its folder is scanned, since the old engine may have missed
anything. This is the only way to recover from an engine's error.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from snoopsync.watching.hints import HintBox, Hints

#: A reader that makes no round for this long hangs; usually it makes one every second.
_MOST_SECONDS_SILENT = 10.0

#: The longest wait before a new engine replaces one that failed soon after its start.
_MOST_SECONDS_BETWEEN_RESTARTS = 60.0

#: The reason for a directory that can't be listed either. The scanner reports it.
NO_PERMISSION = "no permission to read this directory"

#: The reason for a folder that does not exist. The monitor reports it.
NOT_THERE = "it is not there"

#: How long a thread may take to end.
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
        """What ended its thread."""

    @property
    def alive(self) -> bool:
        """Do its threads run?"""

    @property
    def beats(self) -> int:
        """A number that changes at least every second while the reader makes progress."""

    @property
    def echoes(self) -> int:
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
        """Make a test event. Raises ``OSError``."""

    def stop(self, patience: float) -> None:
        """End its threads, waiting ``patience`` seconds for each."""


#: Makes an engine from the folder's real path, the box to fill and what to call then. Raises
#: ``OSError``.
EngineMaker = Callable[[bytes, HintBox, Callable[[], None]], Engine]


class _Silence:
    """Measures for how many seconds a number has not changed.

    The time between two looks counts as two seconds at most: if the machine was suspended or a scan
    took long, the other thread may not have run either.
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
        self._beat = _Silence()
        self._echo = _Silence()
        self._asked_at = -math.inf
        self._echoes_then: int | None = None  # while we wait for the canary
        self.last_proof: float | None = None

    def trouble(self, now: float) -> str | None:
        """What is wrong with the engine; ``None`` if nothing is. Makes a test event when one is
        due."""
        if self._engine.failure is not None:
            return f"its thread ended: {self._engine.failure!r}"
        if not self._engine.alive:
            return "its thread ended"
        if self._beat.look(self._engine.beats, now) > _MOST_SECONDS_SILENT:
            return "its thread hangs"
        try:
            return self._canary_trouble(now)
        except OSError as error:
            return f"it can't be tested: {error.strerror}"

    def _canary_trouble(self, now: float) -> str | None:
        if self._echoes_then is not None:
            if self._engine.echoes == self._echoes_then:
                silent = self._echo.look(self._echoes_then, now) > _MOST_SECONDS_SILENT
                return "a test event did not arrive" if silent else None
            self.last_proof = now
            self._echoes_then = None
        if now - self._asked_at >= self._canary_interval:
            self._asked_at = now
            self._echoes_then = self._engine.echoes
            self._echo = _Silence()
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
            # The proof was for another engine.
            self._last_proof = None

    @property
    def alive(self) -> bool:
        return self._engine is not None and self._engine.alive

    @property
    def last_proof(self) -> float | None:
        return self._last_proof

    @property
    def behind(self) -> bool:
        # The engine is asked first: what it has gathered by then is in the box.
        return (self._engine is not None and self._engine.behind) or self._box.waiting

    @property
    def overflows(self) -> int:
        """How many times events were lost, because the system's queue was full."""
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
        """Replace the engine if it does not work. ``now`` is monotonic seconds."""
        reason = self._trouble(now)
        if reason is None or now < self._restart_not_before:
            return None
        self.stop()
        self._arm()
        self._box.everything()
        self.restarts += 1
        self._restarts_unproven += 1
        wait = min(2.0**self._restarts_unproven, _MOST_SECONDS_BETWEEN_RESTARTS)
        self._restart_not_before = now + wait
        return Restart(self._name, reason, self.restarts)

    def _trouble(self, now: float) -> str | None:
        if self._health is None:
            return self._refusal
        if self._leads_elsewhere():
            return "its path leads to another directory than before"
        reason = self._health.trouble(now)
        if self._health.last_proof is not None and self._health.last_proof != self._last_proof:
            self._last_proof = self._health.last_proof
            self._restarts_unproven = 0
        return reason

    def _leads_elsewhere(self) -> bool:
        """Does a symbolic link in the folder's path lead to another directory now? The engine would
        still watch the former one."""
        real_root = os.path.realpath(self._root)
        return real_root != self._real_root and os.path.isdir(real_root)  # noqa: PTH112 - bytes

    def stop(self) -> None:
        """End the engine's threads."""
        if self._engine is not None:
            self._engine.stop(_PATIENCE_SECONDS)
        self._engine = self._health = None
