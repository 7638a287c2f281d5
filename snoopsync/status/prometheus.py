"""Lets Prometheus ask how things are, and anybody whether the service is well: the only import of
``prometheus_client``.

``/metrics`` has the counters and the current snapshot. ``/healthz`` answers 200 if the service is
well, and 503 with the reasons if it is not.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Iterable, Iterator, Sequence
from socketserver import TCPServer, ThreadingMixIn
from typing import TYPE_CHECKING, Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import (
    CollectorRegistry,
    PlatformCollector,
    ProcessCollector,
    make_wsgi_app,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)

from snoopsync.core.addresses import Address
from snoopsync.core.model import FolderState, ImageState
from snoopsync.runtime.counters import BOUNDS_SECONDS, Call, Counters, Delivery, Figures
from snoopsync.status.health import Snapshot, ailments, words
from snoopsync.status.snapshot import SnapshotReader
from snoopsync.status.status import FolderStatus
from snoopsync.version import __version__

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: How long an asker may take to say what it wants, and to read the answer.
_ASKER_SECONDS = 10.0


class _Collector:
    """Makes metrics of what is so, whenever it is asked."""

    def __init__(self, snapshot_reader: SnapshotReader, counters: Counters) -> None:
        self._overview = snapshot_reader
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """All metrics of snoopsync."""
        snapshot, figures = self._overview.look(), self._counters.figures()
        yield InfoMetricFamily("snoopsync_build", "Its version.", {"version": __version__})
        yield from _of_service(snapshot)
        yield from _of_folders(snapshot, self._overview)
        yield from _of_requests(figures)
        yield from _of_the_rest(snapshot, figures)


#: The values of a metric, each with those of its labels.
_Values = Iterable[tuple[Sequence[str], float]]


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(f"snoopsync_{name}", text, value)


def _gauges(name: str, text: str, labels: Sequence[str], values: _Values) -> Metric:
    family = GaugeMetricFamily(f"snoopsync_{name}", text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _counters(name: str, text: str, labels: Sequence[str], values: _Values) -> Metric:
    family = CounterMetricFamily(f"snoopsync_{name}", text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def _of_service(snapshot: Snapshot) -> Iterator[Metric]:
    is_well = not ailments(snapshot)
    yield _gauge("healthy", "Does it work, with nothing to do for a person?", is_well)
    report = snapshot.service.report
    if report is not None:
        reachable, authorized = report.reachable, not report.unauthorized
        yield _gauge("collection_reachable", "Does the collection answer?", reachable)
        yield _gauge("collection_authorized", "Does it take the keys?", authorized)
        yield _gauge("images_in_flight", "Being sent or removed.", report.in_flight)
        yield _gauge("unsettled_files", "Changed, and not at rest yet.", report.unsettled)
    stored = snapshot.stored
    if stored.error is None:
        yield _gauge("queued_images", "To be sent or removed, and nothing waited for.", stored.due)
        yield _gauge("duplicates_open", "Pairs that are not dismissed.", stored.duplicates_open)


def _of_folders(snapshot: Snapshot, snapshot_reader: SnapshotReader) -> Iterator[Metric]:
    folders = {folder.row.name: folder for folder in snapshot.stored.folders}
    yield _gauges(
        "images",
        "Images by how far they are.",
        ["folder", "state"],
        (
            ((name, state), count)
            for name, folder in folders.items()
            for state, count in _counts(folder).items()
        ),
    )
    yield _gauges(
        "folder_state",
        "1 for the state that the folder is in.",
        ["folder", "state"],
        (
            ((name, state), folder.state is state)
            for name, folder in folders.items()
            for state in FolderState
        ),
    )
    yield _gauges(
        "folder_last_scan_timestamp_seconds",
        "When all of it was last looked through; 0 if never.",
        ["folder"],
        (((name,), folder.row.last_scan or 0.0) for name, folder in folders.items()),
    )
    yield _gauges(
        "folder_last_success_timestamp_seconds",
        "When it was last seen to be wholly mirrored; 0 if not since the start.",
        ["folder"],
        (((name,), snapshot_reader.mirrored_at(name)) for name in folders),
    )


def _counts(folder: FolderStatus) -> dict[ImageState, int]:
    counts = folder.counts
    return {
        ImageState.SYNCED: counts.images - counts.pending - counts.failed - counts.held,
        ImageState.PENDING: counts.pending,
        ImageState.FAILED: counts.failed,
        ImageState.HELD: counts.held,
    }


def _of_requests(figures: Figures) -> Iterator[Metric]:
    yield _counters(
        "requests",
        "Requests to the collection, by what came of them.",
        ["call", "outcome"],
        figures.requests.items(),
    )
    durations = HistogramMetricFamily(
        "snoopsync_request_duration_seconds", "How long requests took.", labels=["call"]
    )
    for call, each in figures.durations.items():
        durations.add_metric([call], _buckets(each.counts), each.total_seconds)
    yield durations
    yield _counters(
        "request_retries",
        "Requests that were sent once more.",
        ["call"],
        (((call,), figures.retries.get(call, 0)) for call in Call),
    )
    yield _counters(
        "sent_bytes", "Bytes of images, sent to a service.", (), [((), figures.sent_bytes)]
    )


def _buckets(counts: Iterable[int]) -> list[tuple[str, float]]:
    """How many up to each bound, as Prometheus counts: those below it too."""
    bounds = [*(str(bound) for bound in BOUNDS_SECONDS), "+Inf"]
    return list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True))


def _of_the_rest(snapshot: Snapshot, figures: Figures) -> Iterator[Metric]:
    found = [((), figures.duplicates)]
    yield _counters("duplicates_found", "New pairs of images that are alike.", (), found)
    names = {folder.row.name for folder in snapshot.stored.folders} | figures.overflows.keys()
    yield _counters(
        "watch_overflows",
        "How often the system had more events than could be read.",
        ["folder"],
        (((name,), figures.overflows.get(name, 0)) for name in sorted(names)),
    )
    yield _counters(
        "notifications",
        "Notifications, by what came of them.",
        ["outcome"],
        (((outcome,), figures.messages.get(outcome, 0)) for outcome in Delivery),
    )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # two services would share it, and each answer for the other

    def __init__(self, address: Address) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__((address.host, address.port), _Handler)

    def server_bind(self) -> None:
        """Bind, without asking the network for this machine's name, as the library does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """An asker that goes away has had its answer."""


class _Handler(WSGIRequestHandler):
    timeout = _ASKER_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Requests are not worth a line of the log."""


class MetricsServer:
    """Answers on one address until it is closed."""

    def __init__(
        self, address: Address, snapshot_reader: SnapshotReader, counters: Counters
    ) -> None:
        """Raises ``OSError`` if nothing can listen there."""
        self._overview = snapshot_reader
        registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        ProcessCollector(registry=registry)
        registry.register(_Collector(snapshot_reader, counters))
        self._metrics = make_wsgi_app(registry)
        self._server = _Server(address)
        self.address = Address(address.host, self._server.server_port)
        self._server.set_app(self._answer)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Take no more questions, and let go of the address."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _answer(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = self._metrics(environ, start)
            return answer
        if path == "/healthz":
            snapshot = self._overview.look()
            reasons = ailments(snapshot)
            status = "503 Service Unavailable" if reasons else "200 OK"
            return _text(start, status, reasons or [words(snapshot)])
        return _text(start, "404 Not Found", ["snoopsync answers at /metrics and /healthz"])


def _text(start: StartResponse, status: str, lines: Iterable[str]) -> list[bytes]:
    body = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
    start(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
