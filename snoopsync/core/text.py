"""Counts and times in words, the same way everywhere."""

from __future__ import annotations

from contextlib import suppress
from datetime import UTC, datetime


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """The number with its noun: ``1 image``, ``2 images``. ``plural``: the noun's plural if it is
    irregular."""
    return f"{number} {noun if number == 1 else plural or f'{noun}s'}"


def images(number: int) -> str:
    """The number of images: ``1 image``, ``2 images``."""
    return counted(number, "image")


def iso(seconds: float | None) -> str | None:
    """Unix time as ISO 8601 in UTC; ``None`` for ``None``, and for a time out of range."""
    if seconds is None:
        return None
    with suppress(OverflowError, ValueError, OSError):  # the file may be damaged
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    return None


def ago(then: float | None, now: float) -> str:
    """A time in the past, in words. ``then`` and ``now`` are Unix times."""
    if then is None:
        return "never"
    seconds = max(0.0, now - then)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name} ago"
    with suppress(OverflowError, ValueError, OSError):  # a time in a damaged file
        return datetime.fromtimestamp(then).astimezone().strftime("%Y-%m-%d %H:%M")
    return "unknown"
