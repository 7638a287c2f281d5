"""The metrics of ``serve`` for Prometheus. Importing this module imports ``prometheus_client``.

No metric waits for the database or for a lock that is held during slow work: metrics are needed
most when something hangs. No label names a key, a collection or an image, because a service may
have thousands of them.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from prometheus_client.metrics_core import Metric

from snoopsync.core.addresses import Address, is_loopback
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.events import Event, log_event
from snoopsync.decoding.decoders import Decoders
from snoopsync.runtime.prometheus import (
    MetricsListener,
    build_info,
    counters,
    gauge,
    gauges,
    histogram,
)
from snoopsync.server.app import Application
from snoopsync.server.http import Server
from snoopsync.server.request_counters import RequestFigures
from snoopsync.server.tenants import Tenants
from snoopsync.storage.hosting import Hosting, PoolStatistics

log = logging.getLogger("snoopsync.server")


@dataclass(frozen=True, slots=True)
class ServeCollector:
    """Computes the metrics of a service on each scrape."""

    application: Application
    server: Server
    tenants: Tenants
    hosting: Hosting
    decoders: Decoders

    def collect(self) -> Iterator[Metric]:
        """All metrics of the service."""
        yield build_info()
        yield gauge("serve_ready", "1 if the index is loaded.", self.application.is_ready)
        yield from _request_metrics(self.application.requests.figures())
        yield from self._load_metrics()
        yield from _index_metrics(self.tenants)
        yield from _decoder_metrics(self.decoders)
        pool = self.hosting.pool_statistics()
        if pool is not None:
            yield from _database_metrics(pool)

    def _load_metrics(self) -> Iterator[Metric]:
        waiting = self.application.waiting()
        yield gauges(
            "serve_requests_waiting",
            "Requests that wait for their turn.",
            ["queue"],
            (((queue,), count) for queue, count in waiting.items()),
        )
        yield gauge("serve_connections", "Open connections.", self.server.connections)
        refused = [((), self.server.refused_connections)]
        text = "Connections that were refused because there were too many."
        yield counters("serve_connections_refused", text, (), refused)


def _request_metrics(figures: RequestFigures) -> Iterator[Metric]:
    yield counters(
        "serve_requests",
        "Requests by status of the response.",
        ["call", "status"],
        (((call, str(status)), count) for (call, status), count in figures.requests.items()),
    )
    yield histogram(
        "serve_request_duration_seconds",
        "Time from the head of a request to the beginning of its response.",
        "call",
        figures.durations.items(),
    )
    yield gauge("serve_requests_in_progress", "Requests in progress.", figures.in_progress)


def _index_metrics(tenants: Tenants) -> Iterator[Metric]:
    sizes = [collection.index_size() for collection in tenants.open_collections()]
    yield gauge("serve_collections_open", "Collections that were used or loaded.", len(sizes))
    failed = len(tenants.failed)
    yield gauge("serve_collections_failed", "Collections that could not be loaded.", failed)
    yield gauge("serve_index_codes", "Codes in memory.", sum(codes for codes, _ in sizes))
    yield gauge("serve_index_bytes", "Size of the indexes.", sum(size for _, size in sizes))


def _decoder_metrics(decoders: Decoders) -> Iterator[Metric]:
    figures = decoders.statistics()
    yield gauge("serve_decoders", "Decoders, at most.", figures.count)
    yield gauge("serve_decoders_busy", "Decoders that have a picture.", figures.busy)
    deaths = [((), figures.deaths)]
    yield counters("serve_decoder_deaths", "Decoders that died or were killed.", (), deaths)
    refused = [((), figures.refused)]
    yield counters("serve_pictures_refused", "Pictures that can't be decoded.", (), refused)


def _database_metrics(pool: PoolStatistics) -> Iterator[Metric]:
    for name, text, figure in (
        ("connections", "Connections to the database.", pool.size),
        ("connections_max", "Connections to the database, at most.", pool.most),
        ("connections_in_use", "Connections to the database that are in use.", pool.in_use),
        ("requests_waiting", "Requests that wait for a connection to the database.", pool.waiting),
    ):
        yield gauge(f"serve_database_{name}", text, figure)
    failed = [((), pool.failed)]
    text = "Requests that waited for a connection to the database in vain."
    yield counters("serve_database_requests_failed", text, (), failed)


def serve_metrics(address: Address, collector: ServeCollector) -> MetricsListener:
    """Serve the metrics at this address until the result is closed. Raises ``SnoopsyncError`` if
    the address can't be used."""
    try:
        listener = MetricsListener(address, collector, {})
    except OSError as error:
        raise SnoopsyncError(f"can't listen on {address}: {error.strerror}") from None
    if not is_loopback(address.host):
        log_event(
            log,
            logging.WARNING,
            Event.METRICS_EXPOSED,
            "--metrics %s: anyone who can reach this address can read how much the service is used",
            address,
            address=str(address),
        )
    message = "metrics are at http://%s/metrics"
    log_event(
        log, logging.INFO, Event.METRICS, message, listener.address, address=str(listener.address)
    )
    return listener
