"""Do all parts of the service make progress? Pure: what they have done and the time are given.

A thread that lives may hang all the same, in a disk that does not answer for example. What counts
is that something about a part changes as long as it has something to do.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from snoopsync.core.durations import describe_duration
from snoopsync.core.text import images

#: A part that has something to do may go without progress for so long.
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Part:
    mark: Hashable
    since: float
    patience: float


class Vitals:
    """What each part has shown of itself. Times are seconds of one clock that never goes back."""

    def __init__(self) -> None:
        self._parts: dict[str, _Part] = {}

    def look(
        self,
        part: str,
        mark: Hashable,
        now: float,
        patience_seconds: float = PATIENCE_SECONDS,
        *,
        at_rest: bool = False,
    ) -> None:
        """A look at a part: ``mark`` changes with its progress. One that is ``at_rest`` has nothing
        to do, or waits for somebody else."""
        known = self._parts.get(part)
        if known is None or at_rest or known.mark != mark:
            self._parts[part] = _Part(mark, now, patience_seconds)
        else:
            known.patience = patience_seconds

    def stalled(self, now: float) -> list[str]:
        """The parts that have made no progress for too long."""
        return [name for name, part in self._parts.items() if now - part.since > part.patience]


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the sending is: images done since it began, images left, and for how long it goes on
    by now."""

    done: int
    left: int
    seconds: float

    @property
    def total(self) -> int:
        """All images of it."""
        return self.done + self.left

    @property
    def per_second(self) -> float:
        """The rate since it began; 0 if nothing can be said of it yet."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """How long the rest takes at that rate, if it is known."""
        return self.left / self.per_second if self.per_second else None

    def as_message(self) -> dict[str, Any]:
        """The progress as ``status --json`` has it."""
        left = self.seconds_left
        return {
            "done": self.done,
            "total": self.total,
            "per_second": round(self.per_second, 3),
            "seconds_left": None if left is None else round(left, 3),
        }

    def __str__(self) -> str:
        """In words, with the rate since it began and the time that is left at that rate."""
        words = f"{self.done} of {images(self.total)}"
        left, rate = self.seconds_left, self.per_second
        if left is None:
            return words
        shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"{words}, {shown}/s, {describe_duration(left)} left"


class Activity:
    """Follows the sending from its begin, when something is left, to its end."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def look(self, done: int, left: int, now: float) -> Progress | None:
        """``done``: images done until now, which never gets less. ``None`` if nothing is left."""
        if not left:
            self._began = None
            return None
        if self._began is None:
            self._began = now, done
        since, before = self._began
        return Progress(done - before, left, now - since)
