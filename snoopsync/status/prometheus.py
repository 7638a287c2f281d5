"""Serves metrics for Prometheus and a health check. Only this module imports ``prometheus_client``.

``/metrics`` returns the counters and the current snapshot. ``/healthz`` returns 200 if the service
is healthy, else 503 with the problems.
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
from snoopsync.status.health import Snapshot, activity, problems
from snoopsync.status.model import FolderStatus
from snoopsync.status.snapshot import SnapshotReader
from snoopsync.version import __version__

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

#: How long a client may take to send its request and to read the response.
_CLIENT_SECONDS = 10.0


class _Collector:
    """Computes the metrics on each scrape."""

    def __init__(self, snapshot_reader: SnapshotReader, counters: Counters) -> None:
        self._snapshot_reader = snapshot_reader
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """All metrics of snoopsync."""
        snapshot, figures = self._snapshot_reader.look(), self._counters.figures()
        yield InfoMetricFamily("snoopsync_build", "The version.", {"version": __version__})
        yield from _service_metrics(snapshot)
        yield from _folder_metrics(snapshot, self._snapshot_reader)
        yield from _request_metrics(figures)
        yield from _event_metrics(snapshot, figures)


#: The values of a metric, each with the values of its labels.
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


def _service_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    is_healthy = not problems(snapshot)
    yield _gauge("healthy", "1 if the service is healthy.", is_healthy)
    report = snapshot.service.report
    if report is not None:
        reachable, authorized = report.reachable, not report.unauthorized
        yield _gauge("collection_reachable", "1 if the collection responds.", reachable)
        yield _gauge("collection_authorized", "1 if the keys are accepted.", authorized)
        yield _gauge("images_in_flight", "Images being sent or deleted.", report.in_flight)
        yield _gauge("unsettled_files", "Files that changed recently.", report.unsettled)
    stored = snapshot.stored
    if stored.error is None:
        yield _gauge("queued_images", "Images ready to be sent or deleted.", stored.due)
        yield _gauge("duplicates_open", "Pairs that are not dismissed.", stored.duplicates_open)


def _folder_metrics(snapshot: Snapshot, snapshot_reader: SnapshotReader) -> Iterator[Metric]:
    folders = {folder.row.name: folder for folder in snapshot.stored.folders}
    yield _gauges(
        "images",
        "Images by state.",
        ["folder", "state"],
        (
            ((name, state), count)
            for name, folder in folders.items()
            for state, count in _counts(folder).items()
        ),
    )
    yield _gauges(
        "folder_state",
        "1 for the current state of the folder.",
        ["folder", "state"],
        (
            ((name, state), folder.state is state)
            for name, folder in folders.items()
            for state in FolderState
        ),
    )
    yield _gauges(
        "folder_last_scan_timestamp_seconds",
        "Unix time of the last full scan; 0 if never.",
        ["folder"],
        (((name,), folder.row.last_scan or 0.0) for name, folder in folders.items()),
    )
    yield _gauges(
        "folder_last_success_timestamp_seconds",
        "Unix time when the folder was last completely mirrored; 0 if not since the start.",
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


def _request_metrics(figures: Figures) -> Iterator[Metric]:
    yield _counters(
        "requests",
        "Requests to the collection by outcome.",
        ["call", "outcome"],
        figures.requests.items(),
    )
    durations = HistogramMetricFamily(
        "snoopsync_request_duration_seconds", "Duration of requests.", labels=["call"]
    )
    for call, each in figures.durations.items():
        durations.add_metric([call], _buckets(each.counts), each.total_seconds)
    yield durations
    yield _counters(
        "request_retries",
        "Retried requests.",
        ["call"],
        (((call,), figures.retries.get(call, 0)) for call in Call),
    )
    yield _counters(
        "sent_bytes", "Bytes of images sent to a service.", (), [((), figures.sent_bytes)]
    )


def _buckets(counts: Iterable[int]) -> list[tuple[str, float]]:
    """The cumulative count for each upper bound, as Prometheus expects."""
    bounds = [*(str(bound) for bound in BOUNDS_SECONDS), "+Inf"]
    return list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True))


def _event_metrics(snapshot: Snapshot, figures: Figures) -> Iterator[Metric]:
    found = [((), figures.duplicates)]
    yield _counters("duplicates_found", "New duplicate pairs.", (), found)
    names = {folder.row.name for folder in snapshot.stored.folders} | figures.overflows.keys()
    yield _counters(
        "watch_overflows",
        "Overflows of the kernel's event queue.",
        ["folder"],
        (((name,), figures.overflows.get(name, 0)) for name in sorted(names)),
    )
    yield _counters(
        "notifications",
        "Notifications by outcome.",
        ["outcome"],
        (((outcome,), figures.messages.get(outcome, 0)) for outcome in Delivery),
    )


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True
    block_on_close = False
    allow_reuse_port = False  # otherwise two services could share the port

    def __init__(self, address: Address) -> None:
        self.address_family = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)[0][0]
        super().__init__((address.host, address.port), _RequestHandler)

    def server_bind(self) -> None:
        """Bind without a DNS lookup of this machine's name, which the library would do."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), self.server_address[1]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore it: a client that disconnects is not an error."""


class _RequestHandler(WSGIRequestHandler):
    timeout = _CLIENT_SECONDS

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the library's name
        """Do not log requests."""


class MetricsServer:
    """Serves metrics and health on one address until it is closed."""

    def __init__(
        self, address: Address, snapshot_reader: SnapshotReader, counters: Counters
    ) -> None:
        """Raises ``OSError`` if the address can't be used."""
        self._snapshot_reader = snapshot_reader
        registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        ProcessCollector(registry=registry)
        registry.register(_Collector(snapshot_reader, counters))
        self._metrics = make_wsgi_app(registry)
        self._server = _Server(address)
        self.address = Address(address.host, self._server.server_port)
        self._server.set_app(self._respond)
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        """Stop serving, and release the address."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _respond(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            response: Iterable[bytes] = self._metrics(environ, start)
            return response
        if path == "/healthz":
            snapshot = self._snapshot_reader.look()
            found = problems(snapshot)
            status = "503 Service Unavailable" if found else "200 OK"
            return _text(start, status, found or [activity(snapshot)])
        return _text(start, "404 Not Found", ["snoopsync serves /metrics and /healthz"])


def _text(start: StartResponse, status: str, lines: Iterable[str]) -> list[bytes]:
    body = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
    start(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
