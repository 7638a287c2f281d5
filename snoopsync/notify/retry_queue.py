"""The queue of notifications for one target. Pure: the caller passes the time.

Notifications are sent one at a time and in order, because "missing" and "back" in the wrong order
would mean the opposite. After a failure the whole queue waits, longer after each further failure.
The queue is bounded in length, age and number of attempts.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from snoopsync.notify.digest import Notification

#: The pause after the first failure in a row, the second, ..., and after all further ones.
PAUSES_SECONDS = (5.0, 30.0, 120.0, 600.0, 1800.0, 3600.0)

#: A notification is dropped after this many attempts, because some services deliver it to some of
#: their recipients at each attempt.
MAX_ATTEMPTS = 10

#: The oldest notification is dropped if the queue is longer than this, and any notification that is
#: older than this.
MAX_WAITING = 50
LONGEST_WAIT_SECONDS = 86_400.0


@dataclass(slots=True)
class _Entry:
    notification: Notification
    since: float
    attempts: int = 0


class RetryQueue:
    """A queue with retries. Times are seconds of one monotonic clock. ``dropped`` counts the
    dropped notifications."""

    def __init__(self) -> None:
        self.dropped = 0
        self._entries: deque[_Entry] = deque()
        self._failures = 0
        self._not_before = 0.0

    def __len__(self) -> int:
        return len(self._entries)

    def put(self, notification: Notification, now: float) -> None:
        """Append a notification. A full queue drops its oldest one."""
        self._entries.append(_Entry(notification, now))
        if len(self._entries) > MAX_WAITING:
            self._drop_oldest()

    @property
    def next_due(self) -> float | None:
        """When the next attempt is due, or ``None`` if the queue is empty."""
        return self._not_before if self._entries else None

    def next_attempt(self, now: float) -> Notification | None:
        """The notification to send now, or ``None``. It stays in the queue: report the result with
        ``succeeded`` or ``failed`` before the next attempt."""
        while self._entries and now - self._entries[0].since > LONGEST_WAIT_SECONDS:
            self._drop_oldest()
        if not self._entries or now < self._not_before:
            return None
        self._entries[0].attempts += 1
        return self._entries[0].notification

    def succeeded(self, notification: Notification) -> None:
        """Note that the target accepted this notification."""
        self._failures = 0
        self._not_before = 0.0
        if self._is_oldest(notification):
            self._entries.popleft()

    def failed(self, notification: Notification, now: float) -> None:
        """Note that the attempt to send this notification failed."""
        pause = PAUSES_SECONDS[min(self._failures, len(PAUSES_SECONDS) - 1)]
        self._failures += 1
        self._not_before = now + pause
        if self._is_oldest(notification) and self._entries[0].attempts >= MAX_ATTEMPTS:
            self._drop_oldest()

    def _is_oldest(self, notification: Notification) -> bool:
        # A full queue may have dropped the notification during the attempt.
        return bool(self._entries) and self._entries[0].notification is notification

    def _drop_oldest(self) -> None:
        self._entries.popleft()
        self.dropped += 1
