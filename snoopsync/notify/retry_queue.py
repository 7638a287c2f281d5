"""The messages for one target, and when they are sent. Pure: the time is given.

They go one after the other, in their order: "missing" and "back" would mean the opposite the other
way round. After a failure all of them wait, for longer and longer. Nothing is kept for ever: not
more than a few, not for longer than a day, not after many attempts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from snoopsync.notify.digest import Message

#: How long to wait after the first failure, the second one after it..., and after all the others.
PAUSES_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)

#: A message is tried so often. Some services take it in part, and have it twice then.
MOST_ATTEMPTS = 10

#: More messages than these don't wait, and none for longer than this.
MOST_WAITING = 50
LONGEST_WAIT_SECONDS = 86_400.0


@dataclass(slots=True)
class _Waiting:
    message: Message
    since: float
    attempts: int = 0


class Outbox:
    """Times are seconds of one clock that never goes back. ``dropped`` counts what was given up."""

    def __init__(self) -> None:
        self.dropped = 0
        self._waiting: deque[_Waiting] = deque()
        self._failures = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_failing(self) -> bool:
        """Did the last attempt fail?"""
        return self._failures > 0

    def put(self, message: Message, now: float) -> None:
        """A message to be sent. The oldest one makes room for it, if there is none."""
        self._waiting.append(_Waiting(message, now))
        if len(self._waiting) > MOST_WAITING:
            self._drop()

    @property
    def next_due(self) -> float | None:
        """When the next attempt may be made, if anything waits."""
        return self._not_before if self._waiting else None

    def take(self, now: float) -> Message | None:
        """The message to try now, if there is one. What comes of it is told to ``sent`` or
        ``failed``, before the next one is taken."""
        while self._waiting and now - self._waiting[0].since > LONGEST_WAIT_SECONDS:
            self._drop()
        if not self._waiting or now < self._not_before:
            return None
        self._waiting[0].attempts += 1
        return self._waiting[0].message

    def sent(self, message: Message) -> None:
        """It was taken."""
        self._failures = 0
        self._not_before = 0.0
        if self._is_first(message):
            self._waiting.popleft()

    def failed(self, message: Message, now: float) -> None:
        """It was not."""
        pause = PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS) - 1)]
        self._failures += 1
        self._not_before = now + pause
        if self._is_first(message) and self._waiting[0].attempts >= MOST_ATTEMPTS:
            self._drop()

    def _is_first(self, message: Message) -> bool:
        # It may have made room for another one meanwhile.
        return bool(self._waiting) and self._waiting[0].message is message

    def _drop(self) -> None:
        self._waiting.popleft()
        self.dropped += 1
