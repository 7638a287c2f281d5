"""Sends notifications about log events to any service that Apprise supports.

Logging never waits for notifications. A log handler puts events into a bounded queue. One thread
groups them into notifications, and each target has its own thread that sends them, so that a target
that hangs does not delay the others. Unsent notifications are lost when the process is killed.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import suppress

from snoopsync.config.settings import NotifyConfig
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.core.text import counted
from snoopsync.log.setup import NOTIFYING
from snoopsync.log.throttle import LogThrottle
from snoopsync.notify.apprise_target import Target
from snoopsync.notify.digest import Digest, LoggedEvent, Notification
from snoopsync.notify.retry_queue import RetryQueue
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.counters import Counters, Delivery
from snoopsync.runtime.workers import Workers

log = logging.getLogger("snoopsync.notify")

#: How many events the queue between the log and the notification thread holds.
_QUEUE_SIZE = 1000

#: A target that takes longer than this to respond is reported.
ATTEMPT_TIMEOUT_SECONDS = 30.0

#: The longest time that the notification thread sleeps.
_IDLE_SECONDS = 60.0


class _TargetSender:
    """Sends notifications to one target, one at a time. ``step`` is for one thread."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        throttle: LogThrottle,
        counters: Counters,
        wake: threading.Event,
    ) -> None:
        """``wake`` is set when an attempt ends."""
        self.target = target
        self.queue = RetryQueue()
        self._clock = clock
        self._throttle = throttle
        self._counters = counters
        self._wake = wake
        self._worker = Workers(1, NOTIFYING)
        self._attempt: tuple[Notification, Future[str | None]] | None = None
        self._times_out_at = 0.0
        self._failures = 0
        self._failure_was_logged = False
        self._dropped = 0

    @property
    def is_sending(self) -> bool:
        """Whether an attempt is running."""
        return self._attempt is not None

    @property
    def next_due(self) -> float | None:
        """When to call ``step`` again at the latest, or ``None``."""
        return self.queue.next_due if self._attempt is None else self._times_out_at

    def step(self, now: float) -> None:
        """Take the result of the running attempt, and start the next one if it is due."""
        if self._attempt is not None:
            notification, future = self._attempt
            if future.done():
                self._attempt = None
                self._finish(notification, future.result(), now)
            elif now >= self._times_out_at:
                self._times_out_at = float("inf")
                self._count_failure(f"no answer within {ATTEMPT_TIMEOUT_SECONDS:.0f} s", now)
        if self._attempt is None:
            self._start_next(now)
        self._report_dropped(now)

    def _start_next(self, now: float) -> None:
        notification = self.queue.next_attempt(now)
        if notification is None:
            return
        sent_at = self._clock.now()
        future = self._worker.submit(lambda: self.target.send(notification, sent_at))
        self._attempt = notification, future
        self._times_out_at = now + ATTEMPT_TIMEOUT_SECONDS
        future.add_done_callback(lambda _: self._wake.set())

    def _finish(self, notification: Notification, failure: str | None, now: float) -> None:
        if failure is not None:
            self._counters.message(Delivery.FAILED)
            self.queue.failed(notification, now)
            self._count_failure(failure, now)
            return
        self._counters.message(Delivery.SENT)
        self.queue.succeeded(notification)
        if self._failure_was_logged:
            log_event(
                log,
                logging.INFO,
                Event.NOTIFICATIONS_SENT_AGAIN,
                "notifications to %s are sent again (failures: %d)",
                *(self.target.label, self._failures),
                target=self.target.label,
                failures=self._failures,
            )
        self._failures, self._failure_was_logged = 0, False

    def _count_failure(self, reason: str, now: float) -> None:
        self._failures += 1
        if self._failures == 1:
            self._failure_was_logged = self._throttle.log(
                now,
                f"notifications to {self.target.label} keep failing and recovering",
                logging.WARNING,
                Event.NOTIFICATIONS_FAIL,
                "notifications to %s fail and will be retried: %s",
                *(self.target.label, reason),
                target=self.target.label,
                error=reason,
            )

    def _report_dropped(self, now: float) -> None:
        while self._dropped < self.queue.dropped:
            self._dropped += 1
            self._counters.message(Delivery.DROPPED)
            self._throttle.log(
                now,
                f"a notification to {self.target.label} was dropped",
                logging.WARNING,
                Event.NOTIFICATION_DROPPED,
                "a notification to %s was dropped because it could not be sent in time",
                self.target.label,
                target=self.target.label,
            )

    def close(self) -> None:
        """Start no further attempt."""
        self._worker.close(0.0)


class _QueueingHandler(logging.Handler):
    """Puts the events that a digest uses into a queue, and never waits. ``dropped`` counts the
    events that were dropped because the queue was full."""

    def __init__(
        self, digest: Digest, events: queue.Queue[LoggedEvent], wake: threading.Event
    ) -> None:
        super().__init__(logging.INFO)
        self.dropped = 0
        self._digest = digest
        self._events = events
        self._wake = wake

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the record's event, if the digest uses it."""
        fields = getattr(record, "fields", None)
        # A failing notification must not lead to another notification.
        if not fields or record.name == log.name or not self._digest.uses(fields.get("event")):
            return
        try:
            text = record.getMessage()
            self._events.put_nowait(LoggedEvent(fields, text, record.levelno, record.created))
        except queue.Full:
            self.dropped += 1
        except Exception:  # the other handlers report a record that can't be formatted
            return
        self._wake.set()


class Notifier:
    """Sends notifications about what is logged between its creation and ``close``."""

    def __init__(
        self, counters: Counters, clock: Clock | None = None, queue_size: int = _QUEUE_SIZE
    ) -> None:
        self._counters = counters
        self._clock = clock or Clock()
        self._wake = threading.Event()
        self._digest = Digest((), "")
        self._events: queue.Queue[LoggedEvent] = queue.Queue(queue_size)
        self._handler = _QueueingHandler(self._digest, self._events, self._wake)
        self._throttle = LogThrottle(log, 1)
        self._lock = threading.Lock()
        self._senders: list[_TargetSender] = []
        self._dropped = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        logging.getLogger("snoopsync").addHandler(self._handler)
        self._thread.start()

    def configure(self, config: NotifyConfig, owner: str, targets: Sequence[Target]) -> None:
        """From now on notify these targets. A target that stays keeps its queue."""
        with self._lock:
            known = {sender.target.url: sender for sender in self._senders}
            self._senders = [known.get(target.url) or self._sender(target) for target in targets]
            for sender in known.values():
                if sender not in self._senders:
                    sender.close()
            self._digest.configure(frozenset(config.events), owner)

    def _sender(self, target: Target) -> _TargetSender:
        return _TargetSender(target, self._clock, self._throttle, self._counters, self._wake)

    def close(self, timeout_seconds: float) -> None:
        """Send what is queued, for at most this long, and log how much was not sent."""
        logging.getLogger("snoopsync").removeHandler(self._handler)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        with deferred_events(), self._lock:
            unsent = sum(len(sender.queue) for sender in self._senders)
            for sender in self._senders:
                sender.close()
            self._throttle.close()
        if unsent:
            lost = counted(unsent, "notification was", "notifications were")
            message = f"{lost} not sent before the service stopped"
            log_event(log, logging.WARNING, Event.NOTIFICATIONS_LOST, message, count=unsent)

    def _run(self) -> None:
        while not self._is_done():
            with deferred_events(), self._lock:
                due = self._step(self._clock.monotonic())
            now = self._clock.monotonic()
            self._clock.wait(self._wake, max(0.0, min(due, now + _IDLE_SECONDS) - now))
            self._wake.clear()

    def _is_done(self) -> bool:
        """Whether ``close`` was called and everything was sent that can be sent."""
        if not self._closing.is_set():
            return False
        with deferred_events(), self._lock:
            self._step(self._clock.monotonic())
            return not any(sender.is_sending for sender in self._senders)

    def _step(self, now: float) -> float:
        """Do what is due. Returns when to call this again."""
        with suppress(queue.Empty):
            while True:
                self._digest.add(self._events.get_nowait(), now)
        is_closing = self._closing.is_set()
        notifications = self._digest.take_all(now) if is_closing else self._digest.take_due(now)
        due = [self._digest.next_due]
        for sender in self._senders:
            for notification in notifications:
                sender.queue.put(notification, now)
            sender.step(now)
            due.append(sender.next_due)
        self._report_dropped(now)
        self._throttle.log_suppressed(now)
        return min((each for each in due if each is not None), default=float("inf"))

    def _report_dropped(self, now: float) -> None:
        dropped = self._handler.dropped
        if dropped > self._dropped:
            self._throttle.log(
                now,
                "events were dropped: the notification queue is full",
                logging.WARNING,
                Event.NOTIFICATIONS_LOST,
                "%s dropped: the notification queue is full",
                counted(dropped - self._dropped, "event was", "events were"),
                count=dropped - self._dropped,
            )
            self._dropped = dropped
