"""Counts the requests to the service, for metrics. Needs no library."""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from snoopsync.runtime.counters import Durations
from snoopsync.server.operations import Operation

#: The call of a request that no operation has.
UNKNOWN_CALL = "unknown"

#: The names of calls that differ from the name of their operation. Searches by a picture take much
#: longer than those by an ID.
_CALLS = {
    ("collection", "GET"): "session",
    ("image", "POST"): "add",
    ("image", "PUT"): "update",
    ("image", "GET"): "get",
    ("image", "DELETE"): "delete",
    ("images", "GET"): "list",
    ("search", "GET"): "search_by_id",
    ("search", "POST"): "search_by_picture",
    ("openapi.json", "GET"): "openapi",
}


def call_of(operation: Operation) -> str:
    """The name of this call in metrics. It depends neither on the image nor on the collection, so
    that there are few names."""
    method = "GET" if operation.method == "HEAD" else operation.method
    return _CALLS.get((operation.name, method), operation.name)


@dataclass(frozen=True, slots=True)
class RequestFigures:
    """All counts at one moment. ``requests``: by call and status of the response."""

    requests: Mapping[tuple[str, int], int]
    durations: Mapping[str, Durations]
    in_progress: int


class RequestCounters:
    """The counts since the start. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests = Counter[tuple[str, int]]()
        self._durations: defaultdict[str, Durations] = defaultdict(Durations)
        self._in_progress = 0

    @contextmanager
    def in_progress(self) -> Iterator[None]:
        """Count a request as in progress during the ``with`` block."""
        with self._lock:
            self._in_progress += 1
        try:
            yield
        finally:
            with self._lock:
                self._in_progress -= 1

    def answered(self, call: str, status: int, seconds: float) -> None:
        """Count the response to a request."""
        with self._lock:
            self._requests[call, status] += 1
            self._durations[call].add(seconds)

    def figures(self) -> RequestFigures:
        """A copy of all counts."""
        with self._lock:
            return RequestFigures(
                requests=dict(self._requests),
                durations={call: each.copy() for call, each in self._durations.items()},
                in_progress=self._in_progress,
            )
