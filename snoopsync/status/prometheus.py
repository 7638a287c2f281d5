"""The metrics of the daemon for Prometheus, and its health check.

``/metrics`` returns the counters and the current snapshot. ``/healthz`` returns 200 if the service
is healthy, else 503 with the problems.
"""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.metrics_core import Metric

from snoopsync.core.addresses import Address
from snoopsync.core.model import FolderState, ImageState
from snoopsync.runtime.counters import Call, Counters, Delivery, Figures
from snoopsync.runtime.prometheus import (
    MetricsListener,
    build_info,
    counters,
    gauge,
    gauges,
    histogram,
)
from snoopsync.status.health import Snapshot, activity, problems
from snoopsync.status.model import FolderStatus
from snoopsync.status.snapshot import SnapshotReader


class _Collector:
    """Computes the metrics on each scrape."""

    def __init__(self, snapshot_reader: SnapshotReader, counters: Counters) -> None:
        self._snapshot_reader = snapshot_reader
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """All metrics of snoopsync."""
        snapshot, figures = self._snapshot_reader.look(), self._counters.figures()
        yield build_info()
        yield from _service_metrics(snapshot)
        yield from _folder_metrics(snapshot, self._snapshot_reader)
        yield from _request_metrics(figures)
        yield from _event_metrics(snapshot, figures)


def _service_metrics(snapshot: Snapshot) -> Iterator[Metric]:
    is_healthy = not problems(snapshot)
    yield gauge("healthy", "1 if the service is healthy.", is_healthy)
    report = snapshot.service.report
    if report is not None:
        reachable, authorized = report.reachable, not report.unauthorized
        yield gauge("collection_reachable", "1 if the collection responds.", reachable)
        yield gauge("collection_authorized", "1 if the keys are accepted.", authorized)
        yield gauge("images_in_flight", "Images being sent or deleted.", report.in_flight)
        yield gauge("unsettled_files", "Files that changed recently.", report.unsettled)
    stored = snapshot.stored
    if stored.error is None:
        yield gauge("queued_images", "Images ready to be sent or deleted.", stored.due)
        yield gauge("duplicates_open", "Pairs that are not dismissed.", stored.duplicates_open)


def _folder_metrics(snapshot: Snapshot, snapshot_reader: SnapshotReader) -> Iterator[Metric]:
    folders = {folder.row.name: folder for folder in snapshot.stored.folders}
    yield gauges(
        "images",
        "Images by state.",
        ["folder", "state"],
        (
            ((name, state), count)
            for name, folder in folders.items()
            for state, count in _counts(folder).items()
        ),
    )
    yield gauges(
        "folder_state",
        "1 for the current state of the folder.",
        ["folder", "state"],
        (
            ((name, state), folder.state is state)
            for name, folder in folders.items()
            for state in FolderState
        ),
    )
    yield gauges(
        "folder_last_scan_timestamp_seconds",
        "Unix time of the last full scan; 0 if never.",
        ["folder"],
        (((name,), folder.row.last_scan or 0.0) for name, folder in folders.items()),
    )
    yield gauges(
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
    yield counters(
        "requests",
        "Requests to the collection by outcome.",
        ["call", "outcome"],
        figures.requests.items(),
    )
    yield histogram(
        "request_duration_seconds", "Duration of requests.", "call", figures.durations.items()
    )
    yield counters(
        "request_retries",
        "Retried requests.",
        ["call"],
        (((call,), figures.retries.get(call, 0)) for call in Call),
    )
    yield counters(
        "sent_bytes", "Bytes of images sent to a service.", (), [((), figures.sent_bytes)]
    )


def _event_metrics(snapshot: Snapshot, figures: Figures) -> Iterator[Metric]:
    found = [((), figures.duplicates)]
    yield counters("duplicates_found", "New duplicate pairs.", (), found)
    names = {folder.row.name for folder in snapshot.stored.folders} | figures.overflows.keys()
    yield counters(
        "watch_overflows",
        "Overflows of the kernel's event queue.",
        ["folder"],
        (((name,), figures.overflows.get(name, 0)) for name in sorted(names)),
    )
    yield counters(
        "notifications",
        "Notifications by outcome.",
        ["outcome"],
        (((outcome,), figures.messages.get(outcome, 0)) for outcome in Delivery),
    )


class MetricsServer(MetricsListener):
    """Serves metrics and health on one address until it is closed."""

    def __init__(
        self, address: Address, snapshot_reader: SnapshotReader, counters: Counters
    ) -> None:
        """Raises ``OSError`` if the address can't be used."""
        self._snapshot_reader = snapshot_reader
        collector = _Collector(snapshot_reader, counters)
        super().__init__(address, collector, {"/healthz": self._health})

    def _health(self) -> tuple[str, list[str]]:
        snapshot = self._snapshot_reader.look()
        found = problems(snapshot)
        return "503 Service Unavailable" if found else "200 OK", found or [activity(snapshot)]
