"""Tells people what happened where they are: mail, chat, push, whatever Apprise can reach.

The log is the record; this is its messenger, and nothing waits for it. A line of the log that is to
be told goes into a queue that takes no more than it can hold. One thread makes messages of the
lines, and one more for each target sends them, so that a target that hangs keeps nobody waiting.
What waits when the process is killed is lost.
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
from snoopsync.notify.digest import Happening, Message, News
from snoopsync.notify.retry_queue import Outbox
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.counters import Counters, Delivery
from snoopsync.runtime.workers import Workers

log = logging.getLogger("snoopsync.notify")

#: So many lines may wait for the thread. It needs no time for one.
_MOST_HEARD = 1000

#: A target that has not answered for so long hangs.
HANGS_AFTER_SECONDS = 30.0

#: How often to wake up without a reason, in seconds.
_IDLE_SECONDS = 60.0


class _Courier:
    """Brings messages to one target. ``attend`` is for one thread."""

    def __init__(
        self,
        target: Target,
        clock: Clock,
        throttle: LogThrottle,
        counters: Counters,
        wake: threading.Event,
    ) -> None:
        self.target = target
        self.outbox = Outbox()
        self._clock = clock
        self._throttle = throttle
        self._counters = counters
        self._wake = wake
        self._worker = Workers(1, NOTIFYING)
        self._flying: tuple[Message, Future[str | None]] | None = None
        self._hangs_at = 0.0
        self._failures = 0
        self._was_said = False
        self._dropped = 0

    @property
    def is_flying(self) -> bool:
        """Is an attempt under way?"""
        return self._flying is not None

    @property
    def next_due(self) -> float | None:
        """When to attend to it again, at the latest."""
        if self._flying is not None:
            return self._hangs_at
        return self.outbox.next_due

    def attend(self, now: float) -> None:
        """See what came of the attempt under way, and begin the next one."""
        if self._flying is not None:
            message, future = self._flying
            if future.done():
                self._flying = None
                self._land(message, future.result(), now)
            elif now >= self._hangs_at:
                self._hangs_at = float("inf")
                self._fail(f"no answer within {HANGS_AFTER_SECONDS:.0f} s", now)
        if self._flying is None:
            self._fly(self.outbox.take(now), now)
        while self._dropped < self.outbox.dropped:
            self._dropped += 1
            self._counters.message(Delivery.DROPPED)
            self._throttle.log(
                now,
                f"a message to {self.target.label} was given up",
                logging.WARNING,
                Event.NOTIFICATION_DROPPED,
                "a message to %s was given up: it could not be sent for too long",
                self.target.label,
                target=self.target.label,
            )

    def _fly(self, message: Message | None, now: float) -> None:
        if message is None:
            return
        sent_at = self._clock.now()
        future = self._worker.submit(lambda: self.target.send(message, sent_at))
        self._flying = message, future
        self._hangs_at = now + HANGS_AFTER_SECONDS
        future.add_done_callback(lambda _: self._wake.set())

    def _land(self, message: Message, refusal: str | None, now: float) -> None:
        if refusal is not None:
            self._counters.message(Delivery.FAILED)
            self.outbox.failed(message, now)
            self._fail(refusal, now)
            return
        self._counters.message(Delivery.SENT)
        self.outbox.sent(message)
        if self._was_said:
            log_event(
                log,
                logging.INFO,
                Event.NOTIFICATIONS_SENT_AGAIN,
                "messages to %s are taken again (failures: %d)",
                *(self.target.label, self._failures),
                target=self.target.label,
                failures=self._failures,
            )
        self._failures, self._was_said = 0, False

    def _fail(self, reason: str, now: float) -> None:
        self._failures += 1
        if self._failures == 1:
            self._was_said = self._throttle.log(
                now,
                f"messages to {self.target.label} can't be sent, and can, in turns",
                logging.WARNING,
                Event.NOTIFICATIONS_FAIL,
                "messages to %s can't be sent, and are tried again: %s",
                *(self.target.label, reason),
                target=self.target.label,
                error=reason,
            )

    def close(self) -> None:
        """Begin nothing more."""
        self._worker.close(0.0)


class _Ears(logging.Handler):
    """Hands lines of the log on; never waits."""

    def __init__(self, news: News, heard: queue.Queue[Happening], wake: threading.Event) -> None:
        super().__init__(logging.INFO)
        self.missed = 0
        self._news = news
        self._heard = heard
        self._wake = wake

    def emit(self, record: logging.LogRecord) -> None:
        """Hand it on, if somebody may want to hear of it."""
        fields = getattr(record, "fields", None)
        # What is said of notifications can't be told by them.
        if not fields or record.name == log.name or not self._news.concerns(fields.get("event")):
            return
        try:
            text = record.getMessage()
            self._heard.put_nowait(Happening(fields, text, record.levelno, record.created))
        except queue.Full:
            self.missed += 1
        except Exception:  # of a record that can't be formatted: whoever writes it says so
            return
        self._wake.set()


class Notifier:
    """Listens to the log from when it is made until it is closed, and tells the targets."""

    def __init__(
        self, counters: Counters, clock: Clock | None = None, most_heard: int = _MOST_HEARD
    ) -> None:
        self._counters = counters
        self._clock = clock or Clock()
        self._wake = threading.Event()
        self._news = News((), "")
        self._heard: queue.Queue[Happening] = queue.Queue(most_heard)
        self._ears = _Ears(self._news, self._heard, self._wake)
        self._throttle = LogThrottle(log, 1)
        self._lock = threading.Lock()
        self._couriers: list[_Courier] = []
        self._missed = 0
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="notify", daemon=True)
        logging.getLogger("snoopsync").addHandler(self._ears)
        self._thread.start()

    def take(self, config: NotifyConfig, owner: str, targets: Sequence[Target]) -> None:
        """Tell these targets from now on. One that was there before keeps what waits for it."""
        with self._lock:
            known = {courier.target.url: courier for courier in self._couriers}
            self._couriers = [known.get(target.url) or self._courier(target) for target in targets]
            for courier in known.values():
                if courier not in self._couriers:
                    courier.close()
            self._news.want(frozenset(config.events), owner)

    def _courier(self, target: Target) -> _Courier:
        return _Courier(target, self._clock, self._throttle, self._counters, self._wake)

    def close(self, timeout_seconds: float) -> None:
        """Send what waits, for at most so long."""
        logging.getLogger("snoopsync").removeHandler(self._ears)
        self._closing.set()
        self._wake.set()
        self._thread.join(timeout_seconds)
        with deferred_events(), self._lock:
            left = sum(len(courier.outbox) for courier in self._couriers)
            for courier in self._couriers:
                courier.close()
            self._throttle.close()
        if left:
            message = counted(left, "message was", "messages were") + " not sent before the end"
            log_event(log, logging.WARNING, Event.NOTIFICATIONS_LOST, message, count=left)

    def _run(self) -> None:
        while not self._is_done():
            with deferred_events(), self._lock:
                due = self._step(self._clock.monotonic())
            now = self._clock.monotonic()
            self._clock.wait(self._wake, max(0.0, min(due, now + _IDLE_SECONDS) - now))
            self._wake.clear()

    def _is_done(self) -> bool:
        """Is it over, and everything sent that can be?"""
        if not self._closing.is_set():
            return False
        with deferred_events(), self._lock:
            self._step(self._clock.monotonic())
            return not any(courier.is_flying for courier in self._couriers)

    def _step(self, now: float) -> float:
        """Do what is due; when to do it again."""
        with suppress(queue.Empty):
            while True:
                self._news.hear(self._heard.get_nowait(), now)
        messages = self._news.rest(now) if self._closing.is_set() else self._news.due(now)
        due = [self._news.next_due]
        for courier in self._couriers:
            for message in messages:
                courier.outbox.put(message, now)
            courier.attend(now)
            due.append(courier.next_due)
        self._tell_missed(now)
        self._throttle.log_suppressed(now)
        return min((each for each in due if each is not None), default=float("inf"))

    def _tell_missed(self, now: float) -> None:
        missed = self._ears.missed
        if missed > self._missed:
            self._throttle.log(
                now,
                "events were dropped: the notification queue is full",
                logging.WARNING,
                Event.NOTIFICATIONS_LOST,
                "%s dropped: the notification queue is full",
                counted(missed - self._missed, "event was", "events were"),
                count=missed - self._missed,
            )
            self._missed = missed
