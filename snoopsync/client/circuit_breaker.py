"""A circuit breaker for a service that can be down.

During an outage, calls wait in a queue. Only the first call in the queue is sent, as a probe, and
the pauses between probes grow. A call whose probe failed goes to the end of the queue, so a request
that itself takes the service down can't block the others.
"""

from __future__ import annotations

import copy
import logging
import math
import random
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, Stopped
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Clock

logger = logging.getLogger("snoopsync.collection")

#: How often a call that is not the next probe checks the stop event and the time.
_POLL_SECONDS = 0.1

#: How many outages in a row are logged. Further outages are only counted.
_MOST_LOGGED_OUTAGES = 5


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often a call is sent, and how long it waits.

    A call is sent at most ``attempts`` times. The delay before the next attempt is random between 0
    and a limit. The limit is ``base_seconds``, doubles with every failure, and is at most
    ``cap_seconds``. The delay is never shorter than the service asks for. During an outage, calls
    wait until the outage has lasted ``max_outage_seconds``; ``None``: they wait without a limit.
    """

    attempts: int = 5
    base_seconds: float = 0.5
    cap_seconds: float = 60.0
    max_outage_seconds: float | None = 60.0

    def delay(self, failures: int, fraction: float) -> float:
        """The seconds to wait after ``failures`` failures. ``fraction`` is a random number from 0
        to 1."""
        return Backoff(self.base_seconds, self.cap_seconds).pause(failures, fraction)


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage of the service. ``since``: when it began (Unix seconds, for people). ``attempts``:
    the number of failed probes. ``seconds``: how long it has lasted."""

    since: float
    attempts: int
    last_error: str
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Permit:
    """Permission to send one request. ``outages``: how many outages had ended when it was given."""

    is_probe: bool
    outages: int


@dataclass(slots=True)
class _OngoingOutage:
    """``began``, ``deadline`` and ``probe_at`` are boot time, ``since`` is Unix seconds."""

    since: float
    began: float
    deadline: float
    probe_at: float
    last_error: CollectionError
    is_logged: bool
    attempts: int = 0


class CircuitBreaker:
    """Decides when a call may send a request to the service. All threads that call the service
    share it.

    ``service``: the service's name in log lines. ``stop``: when it is set, waiting calls and all
    new calls raise ``Stopped``. ``parent``: during an outage of this other breaker, calls of this
    one wait and send no probes. An outage of this breaker does not affect the parent. ``random``
    returns a number from 0 to 1.
    """

    def __init__(
        self,
        policy: RetryPolicy | None = None,
        *,
        stop: threading.Event | None = None,
        clock: Clock | None = None,
        random: Callable[[], float] = random.random,
        service: str = "the collection",
        parent: CircuitBreaker | None = None,
    ) -> None:
        self.policy = policy or RetryPolicy()
        self.clock = clock or Clock()
        self._stop = stop or threading.Event()
        self._random = random
        self._service = service
        self._parent = parent
        self._changed = threading.Condition()
        self._ongoing: _OngoingOutage | None = None
        self._outages = 0
        self._queue: deque[object] = deque()
        self._throttle = LogThrottle(logger, _MOST_LOGGED_OUTAGES)

    @property
    def outage(self) -> Outage | None:
        """The current outage; ``None`` if there is none."""
        with self._changed:
            ongoing = self._ongoing
            if ongoing is None:
                return None
            seconds = self.clock.boottime() - ongoing.began
            return Outage(ongoing.since, ongoing.attempts, str(ongoing.last_error), seconds)

    @contextmanager
    def permit(self) -> Iterator[Permit]:
        """Wait until the caller may send a request. In the ``with`` block, the caller sends the
        request and calls ``record_answer`` or ``record_failure``.

        Raises ``Stopped``. If the outage lasts longer than the policy allows, raises the outage's
        last error with ``outage`` set.
        """
        ticket = object()
        try:
            permit = self._wait_for_permit(ticket)
            if self._parent is not None:
                self._parent.wait_for_recovery()
            yield permit
        finally:
            with self._changed:
                self._leave_queue(ticket)

    def wait_for_recovery(self) -> None:
        """Wait until the outage is over, without sending a probe. Raises the same errors as
        ``permit``."""
        with self._changed:
            while (ongoing := self._ongoing) is not None:
                self._check_stop()
                if self.clock.boottime() >= ongoing.deadline:
                    raise _outage_error(ongoing)
                self._changed.wait(_POLL_SECONDS)

    def delay(self, failures: int) -> float:
        """The seconds to wait after ``failures`` failures, by the policy."""
        return self.policy.delay(failures, self._random())

    def pause(self, seconds: float) -> None:
        """Wait for this many seconds, whether or not there is an outage. Raises ``Stopped``."""
        self._check_stop()
        if seconds > 0:
            self.clock.wait_until(self._stop, self.clock.boottime() + seconds)
            self._check_stop()

    def record_answer(self, permit: Permit) -> None:
        """Record that the service answered the request of this permit. If the request was a probe,
        the outage ends.

        An answer to a request that was sent before the outage does not end the outage. Otherwise a
        service that fails every second request would begin and end an outage each time.
        """
        with deferred_events(), self._changed:
            now = self.clock.boottime()
            self._throttle.log_suppressed(now)
            ended = self._ongoing
            if ended is None or not permit.is_probe:
                return
            self._ongoing = None
            self._outages += 1
            self._changed.notify_all()
            if ended.is_logged:
                seconds = now - ended.began
                message = "%s answers again after %.0f s"
                log_event(
                    logger,
                    logging.INFO,
                    Event.OUTAGE_OVER,
                    message,
                    *(self._service, seconds),
                    seconds=round(seconds, 3),
                )

    def record_failure(self, error: CollectionError, permit: Permit) -> None:
        """Record that the service did not answer the request of this permit. An outage begins, or
        the next probe is delayed."""
        now = self.clock.boottime()
        retry_at = now + (error.retry_after or 0.0)
        with deferred_events(), self._changed:
            ongoing = self._ongoing
            if ongoing is None:
                if permit.outages != self._outages:
                    return  # the request failed during an outage that has ended since
                ongoing = self._ongoing = self._begun(error, now)
            elif not permit.is_probe:
                # The request was sent before the outage, so this is not a failed probe.
                ongoing.probe_at = max(ongoing.probe_at, retry_at)
                return
            ongoing.attempts += 1
            ongoing.last_error = error
            probe_at = now + self.delay(ongoing.attempts)
            if now < ongoing.deadline:
                probe_at = min(probe_at, ongoing.deadline)  # one last probe before calls give up
            ongoing.probe_at = max(probe_at, retry_at)
            self._changed.notify_all()

    def log_suppressed(self) -> None:
        """Log how many outages were counted and not logged."""
        with deferred_events(), self._changed:
            self._throttle.close()

    def _begun(self, error: CollectionError, now: float) -> _OngoingOutage:
        longest = self.policy.max_outage_seconds
        is_logged = self._throttle.log(
            now,
            f"{self._service} was down and recovered",
            logging.WARNING,
            Event.OUTAGE,
            "%s is down, calls wait: %s",
            *(self._service, error),
            error=str(error),
        )
        return _OngoingOutage(
            since=self.clock.now(),
            began=now,
            deadline=math.inf if longest is None else now + longest,
            probe_at=now,
            last_error=error,
            is_logged=is_logged,
        )

    def _wait_for_permit(self, ticket: object) -> Permit:
        while True:
            self._check_stop()
            with self._changed:
                ongoing = self._ongoing
                if ongoing is None:
                    self._leave_queue(ticket)
                    return Permit(is_probe=False, outages=self._outages)
                if ticket not in self._queue:
                    self._queue.append(ticket)
                now, probe_at = self.clock.boottime(), ongoing.probe_at
                is_first = self._queue[0] is ticket
                if is_first and now >= probe_at:
                    return Permit(is_probe=True, outages=self._outages)
                if max(now, probe_at) > ongoing.deadline:
                    raise _outage_error(ongoing)
                if not is_first:
                    self._changed.wait(_POLL_SECONDS)
            if is_first:
                # Only a probe ends an outage, and the first call in the queue sends the next probe.
                self.clock.wait_until(self._stop, probe_at)

    def _leave_queue(self, ticket: object) -> None:
        if ticket in self._queue:
            self._queue.remove(ticket)
            self._changed.notify_all()

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise Stopped("snoopsync is stopping")


def _outage_error(ongoing: _OngoingOutage) -> CollectionError:
    # The error is copied, because several threads raise it and each needs its own traceback.
    error = copy.copy(ongoing.last_error)
    error.outage = True
    return error
