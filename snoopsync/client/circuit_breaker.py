"""The gate in front of a service that can be down.

While it is down nobody sends, but for one caller at a time: the probe. The pauses between probes
grow. Callers queue for the probe, and a failed one goes to the end of the queue: a request that
takes the service down by itself can't keep the others waiting.
"""

from __future__ import annotations

import copy
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, Stopped
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.log.throttle import LogThrottle

logger = logging.getLogger("snoopsync.collection")

#: How late a waiting thread may notice that everything is to stop.
_STOP_LATENCY_SECONDS = 0.1

#: A service that comes and goes is logged so many times, and then counted.
_MOST_OUTAGES_SAID = 5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often and how patiently a call is tried.

    A call is sent at most ``attempts`` times. The pause before the next time is random between 0
    and ``base_seconds``, doubled with every failure up to ``cap_seconds``, and never shorter than
    the service asks for. While the service is down calls wait, up to ``patience_seconds`` from the
    beginning of the outage, or without an end if that is ``None``.
    """

    attempts: int = 5
    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    patience_seconds: float | None = 60.0

    def pause(self, failures: int, fraction: float) -> float:
        """Seconds to wait after this many failures; ``fraction`` is random from 0 to 1."""
        return Backoff(self.base_seconds, self.cap_seconds).pause(failures, fraction)


@dataclass(frozen=True, slots=True)
class Outage:
    """The service is down: since when (Unix seconds, for people), how often it was tried, what it
    said, and how long it has been down."""

    since: float
    attempts: int
    last_error: str
    seconds: float = 0.0


class Clock:
    """Time and waiting. Tests have one of their own."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never jump, and go on while the machine is suspended: a pause that a service
        asks for is over then too."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        """Wait for a notification, for at most so long. May return early."""
        condition.wait(min(seconds, _STOP_LATENCY_SECONDS))


class OutOfPatience(Exception):
    """The outage has lasted for longer than a call waits. ``error`` is its last one."""

    def __init__(self, error: CollectionError) -> None:
        # Several threads raise it, each needs its own traceback.
        self.error = copy.copy(error)
        self.error.outage = True
        super().__init__(str(error))


@dataclass(frozen=True, slots=True)
class Pass:
    """Leave to send, given once: whether it is the outage's probe, and after how many outages."""

    probe: bool
    outages: int


@dataclass(slots=True)
class _Trouble:
    since: float
    began: float
    deadline: float
    attempts: int
    error: CollectionError
    probe_at: float
    was_said: bool


class Gate:
    """Open while the service answers. Shared by all threads that call it.

    ``service`` is its name for people. One gate may stand ``behind`` another: while that one is
    closed nobody passes this one, and the probes are left to it; the other way round it does not
    matter. So what fails behind this one alone holds up nobody at the other.
    """

    def __init__(
        self,
        policy: RetryPolicy,
        stop: threading.Event,
        clock: Clock,
        random: Callable[[], float],
        service: str = "the collection",
        behind: Gate | None = None,
    ) -> None:
        self._policy = policy
        self._stop = stop
        self._clock = clock
        self._random = random
        self._service = service
        self._behind = behind
        self._changed = threading.Condition()
        self._trouble: _Trouble | None = None
        self._outages = 0
        self._queue: deque[object] = deque()
        self._throttle = LogThrottle(logger, _MOST_OUTAGES_SAID)

    @property
    def outage(self) -> Outage | None:
        """The outage, while there is one."""
        with self._changed:
            trouble = self._trouble
            if trouble is None:
                return None
            seconds = self._clock.monotonic() - trouble.began
            return Outage(trouble.since, trouble.attempts, str(trouble.error), seconds)

    @contextmanager
    def passage(self) -> Iterator[Pass]:
        """Waits until the caller may send; what comes of it is told to ``answered`` or ``failed``.

        Raises ``Stopped``, and ``OutOfPatience``.
        """
        turn = object()
        try:
            given = self._wait_for(turn)
            if self._behind is not None:
                self._behind.wait_until_open()
            yield given
        finally:
            with self._changed:
                self._leave(turn)

    def wait_until_open(self) -> None:
        """Wait for the end of the outage, if there is one, and leave the probes to others. Raises
        ``Stopped``, and ``OutOfPatience``."""
        with self._changed:
            while (trouble := self._trouble) is not None:
                self._check_stop()
                left = trouble.deadline - self._clock.monotonic()
                if left <= 0:
                    raise OutOfPatience(trouble.error)
                self._clock.wait(self._changed, min(left, self._policy.cap_seconds))

    def pause(self, seconds: float) -> None:
        """Wait, whatever the gate does. Raises ``Stopped``."""
        until = self._clock.monotonic() + seconds
        with self._changed:
            while True:
                self._check_stop()
                left = until - self._clock.monotonic()
                if left <= 0:
                    return
                self._clock.wait(self._changed, left)

    def answered(self, sent: Pass) -> None:
        """The service has answered: the gate opens. Not for what was sent before it closed: a
        service that fails one of two would be said to come and go all the time."""
        with deferred_events(), self._changed:
            self._throttle.tell_counts(self._clock.monotonic())
            if self._trouble is not None and sent.probe:
                lasted = self._clock.monotonic() - self._trouble.began
                if self._trouble.was_said:
                    log_event(
                        logger,
                        logging.INFO,
                        Event.OUTAGE_OVER,
                        "%s answers again after %.0f s",
                        self._service,
                        lasted,
                        seconds=round(lasted, 3),
                    )
                self._trouble = None
                self._outages += 1
                self._changed.notify_all()

    def tell_counts(self) -> None:
        """Log how many outages were only counted."""
        with deferred_events(), self._changed:
            self._throttle.close()

    def failed(self, error: CollectionError, sent: Pass) -> None:
        """The service is down: the gate closes, or the next probe is put off."""
        now = self._clock.monotonic()
        with deferred_events(), self._changed:
            trouble = self._trouble
            if trouble is None:
                if sent.outages != self._outages:
                    return  # an outage that is over has lost this one
                patience = self._policy.patience_seconds
                deadline = math.inf if patience is None else now + patience
                said = self._throttle.say(
                    now,
                    f"{self._service} was down, and came back",
                    logging.WARNING,
                    Event.OUTAGE,
                    "%s is down, calls wait: %s",
                    self._service,
                    error,
                    error=str(error),
                )
                trouble = _Trouble(self._clock.now(), now, deadline, 0, error, now, said)
                self._trouble = trouble
            elif not sent.probe:
                # Sent before the gate closed: it says nothing new, but may ask for more time.
                trouble.probe_at = max(trouble.probe_at, now + (error.retry_after or 0.0))
                return
            trouble.attempts += 1
            trouble.error = error
            due = now + self._policy.pause(trouble.attempts, self._random())
            if now < trouble.deadline:
                due = min(due, trouble.deadline)  # the last chance is taken
            trouble.probe_at = max(due, now + (error.retry_after or 0.0))
            self._changed.notify_all()

    def _wait_for(self, turn: object) -> Pass:
        with self._changed:
            while True:
                self._check_stop()
                trouble = self._trouble
                if trouble is None:
                    self._leave(turn)
                    return Pass(probe=False, outages=self._outages)
                if turn not in self._queue:
                    self._queue.append(turn)
                now = self._clock.monotonic()
                first = self._queue[0] is turn
                if first and now >= trouble.probe_at:
                    return Pass(probe=True, outages=self._outages)
                if max(now, trouble.probe_at) > trouble.deadline:
                    raise OutOfPatience(trouble.error)
                until = trouble.probe_at if first else trouble.deadline
                self._clock.wait(self._changed, min(until - now, self._policy.cap_seconds))

    def _leave(self, turn: object) -> None:
        if turn in self._queue:
            self._queue.remove(turn)
            self._changed.notify_all()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped("snoopsync is stopping")
