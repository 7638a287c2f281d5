"""How long to wait before a failed operation is retried."""

from __future__ import annotations

from dataclasses import dataclass

#: The pauses after each refusal of an image, in seconds, without jitter. The last one is repeated.
IMAGE_RETRY_SECONDS = (25.0, 120.0, 600.0, 3600.0, 18_000.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Backoff:
    """Exponential backoff with full jitter: the pause is random between 0 and a limit. The limit is
    ``base_seconds`` after the first failure, doubles with every failure after it, and never exceeds
    ``cap_seconds``.

    With full jitter, clients that failed at the same time do not retry at the same time. See
    "Exponential Backoff And Jitter" in the AWS Architecture Blog.
    """

    base_seconds: float
    cap_seconds: float

    def pause(self, failures: int, fraction: float) -> float:
        """Seconds to wait after this many failures in a row, counted from 1. ``fraction`` is a
        random number from 0 to 1."""
        limit = self.base_seconds * 2.0 ** min(failures - 1, 60)
        return fraction * min(self.cap_seconds, limit)
