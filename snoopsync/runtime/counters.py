"""Counts what the process does, for metrics. The counts begin at 0 when the process starts, and
continue when the service within the process restarts.
"""

from __future__ import annotations

import bisect
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    Conflict,
    NotConnected,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    Unreachable,
)

#: The upper bounds of the histogram of durations, in seconds. One more bucket has no bound.
BOUNDS_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Call(StrEnum):
    """The kinds of requests to a collection."""

    SESSION = "session"
    ADD = "add"
    UPDATE = "update"
    GET = "get"
    DELETE = "delete"
    LIST = "list"
    SEARCH = "search"


class RequestOutcome(StrEnum):
    """How a request ended. ``GIVEN_UP``: snoopsync abandoned the request because the file had
    changed."""

    OK = "ok"
    NOT_FOUND = "not_found"
    CONFLICT = "conflict"
    REFUSED = "refused"
    UNAUTHORIZED = "unauthorized"
    UNAVAILABLE = "unavailable"
    BAD_ANSWER = "bad_answer"
    NOT_CONNECTED = "not_connected"
    UNREACHABLE = "unreachable"
    GIVEN_UP = "given_up"

    @classmethod
    def of(cls, error: Exception) -> RequestOutcome:
        """The outcome of a request that raised this error."""
        return next((what for kind, what in _OUTCOMES if isinstance(error, kind)), cls.GIVEN_UP)


class Delivery(StrEnum):
    """How an attempt to deliver a notification ended. ``DROPPED``: it will not be retried."""

    SENT = "sent"
    FAILED = "failed"
    DROPPED = "dropped"


#: Subclasses come before their base classes.
_OUTCOMES: tuple[tuple[type[CollectionError], RequestOutcome], ...] = (
    (NotFound, RequestOutcome.NOT_FOUND),
    (Conflict, RequestOutcome.CONFLICT),
    (Refused, RequestOutcome.REFUSED),
    (Unauthorized, RequestOutcome.UNAUTHORIZED),
    (Unavailable, RequestOutcome.UNAVAILABLE),
    (BadAnswer, RequestOutcome.BAD_ANSWER),
    (NotConnected, RequestOutcome.NOT_CONNECTED),
    (Unreachable, RequestOutcome.UNREACHABLE),
)


@dataclass(slots=True)
class Durations:
    """A histogram of durations. ``counts``: for each bound, how many durations are at most this
    bound and above the previous one; the last count is for all longer durations."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_SECONDS) + 1))
    total_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Add one duration."""
        self.counts[bisect.bisect_left(BOUNDS_SECONDS, seconds)] += 1
        self.total_seconds += seconds

    def copy(self) -> Durations:
        """A copy."""
        return Durations(list(self.counts), self.total_seconds)


@dataclass(frozen=True, slots=True)
class Figures:
    """All counts at one moment."""

    requests: Mapping[tuple[Call, RequestOutcome], int]
    durations: Mapping[Call, Durations]
    retries: Mapping[Call, int]
    sent_bytes: int
    duplicates: int
    overflows: Mapping[str, int]
    messages: Mapping[Delivery, int]


class Counters:
    """The counters. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: defaultdict[tuple[Call, RequestOutcome], int] = defaultdict(int)
        self._durations: defaultdict[Call, Durations] = defaultdict(Durations)
        self._retries: defaultdict[Call, int] = defaultdict(int)
        self._sent_bytes = 0
        self._duplicates = 0
        self._overflows: defaultdict[str, int] = defaultdict(int)
        self._messages: defaultdict[Delivery, int] = defaultdict(int)

    @contextmanager
    def request(self, call: Call, monotonic: Callable[[], float], *, again: bool) -> Iterator[None]:
        """Count the request that the ``with`` block sends. ``again``: this is a retry."""
        began, outcome = monotonic(), RequestOutcome.OK
        try:
            yield
        except Exception as error:
            outcome = RequestOutcome.of(error)
            raise
        finally:
            with self._lock:
                self._requests[call, outcome] += 1
                self._durations[call].add(monotonic() - began)
                self._retries[call] += again

    def sent(self, count: int) -> None:
        """Count the bytes of an image that were sent."""
        with self._lock:
            self._sent_bytes += count

    def found_duplicates(self, count: int) -> None:
        """Count new pairs of duplicates."""
        with self._lock:
            self._duplicates += count

    def overflowed(self, folder: str, times: int) -> None:
        """Count how often events were lost because the kernel's queue for this folder was full."""
        with self._lock:
            self._overflows[folder] += times

    def message(self, outcome: Delivery) -> None:
        """Count an attempt to deliver a notification."""
        with self._lock:
            self._messages[outcome] += 1

    def figures(self) -> Figures:
        """A copy of all counts."""
        with self._lock:
            return Figures(
                requests=dict(self._requests),
                durations={call: each.copy() for call, each in self._durations.items()},
                retries=dict(self._retries),
                sent_bytes=self._sent_bytes,
                duplicates=self._duplicates,
                overflows=dict(self._overflows),
                messages=dict(self._messages),
            )
