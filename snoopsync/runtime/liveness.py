"""Whether all parts of the service make progress, and how many images are left to send.

A live thread may hang, for example on a disk that does not respond. A part makes progress if its
mark changes while it has something to do. Marks and times are arguments.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

from snoopsync.core.durations import describe_duration
from snoopsync.core.text import images

#: A part that has something to do is stalled after this time without progress.
PATIENCE_SECONDS = 60.0


@dataclass(slots=True)
class _Part:
    mark: Hashable
    since: float
    patience: float


class Liveness:
    """The last progress of each part. Times are seconds of one monotonic clock."""

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
        """Record the state of a part. ``mark``: any value that changes with its progress.
        ``at_rest``: the part has nothing to do, or waits for another part."""
        known = self._parts.get(part)
        if known is None or at_rest or known.mark != mark:
            self._parts[part] = _Part(mark, now, patience_seconds)
        else:
            known.patience = patience_seconds

    def stalled(self, now: float) -> list[str]:
        """The names of the parts that have made no progress for longer than their patience."""
        return [name for name, part in self._parts.items() if now - part.since > part.patience]


@dataclass(frozen=True, slots=True)
class SendProgress:
    """The progress of sending: images done since it began, images left, and seconds since it
    began."""

    done: int
    left: int
    seconds: float

    @property
    def total(self) -> int:
        """The number of images that are done or left."""
        return self.done + self.left

    @property
    def per_second(self) -> float:
        """Images per second since sending began; 0 while the rate is unknown."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def seconds_left(self) -> float | None:
        """The seconds that the images left take at this rate; ``None`` while it is unknown."""
        return self.left / self.per_second if self.per_second else None

    def as_message(self) -> dict[str, Any]:
        """The value of ``progress`` in ``status --json``."""
        left = self.seconds_left
        return {
            "done": self.done,
            "total": self.total,
            "per_second": round(self.per_second, 3),
            "seconds_left": None if left is None else round(left, 3),
        }

    def __str__(self) -> str:
        """The progress in words: ``5 of 20 images, 2.5/s, 6 s left``."""
        words = f"{self.done} of {images(self.total)}"
        left, rate = self.seconds_left, self.per_second
        if left is None:
            return words
        shown = f"{rate:.0f}" if rate >= 10 else f"{rate:.1f}"
        return f"{words}, {shown}/s, {describe_duration(left)} left"


class SendProgressTracker:
    """Tracks the progress of sending. A run begins when an image is left to send, and ends when
    none is."""

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None

    def look(self, done: int, left: int, now: float) -> SendProgress | None:
        """The progress of this run; ``None`` if no image is left. ``done``: the number of images
        sent so far, in this run and before it."""
        if not left:
            self._began = None
            return None
        if self._began is None:
            self._began = now, done
        since, before = self._began
        return SendProgress(done - before, left, now - since)
