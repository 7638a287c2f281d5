"""Serves metrics for Prometheus over HTTP, and builds them. Importing this module imports
``prometheus_client``, which is an extra.
"""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
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
from snoopsync.runtime.counters import BOUNDS_SECONDS, Durations
from snoopsync.version import __version__

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

    from prometheus_client.registry import Collector

#: How long a client may take to send its request and to read the response.
_CLIENT_SECONDS = 10.0

#: The values of a metric, each with the values of its labels.
Values = Iterable[tuple[Sequence[str], float]]

#: Returns the status and the lines of the body.
Page = Callable[[], tuple[str, Iterable[str]]]


def build_info() -> Metric:
    """The version of snoopsync."""
    return InfoMetricFamily("snoopsync_build", "The version.", {"version": __version__})


def gauge(name: str, text: str, value: float) -> Metric:
    """A gauge without labels. ``name`` is without the prefix."""
    return GaugeMetricFamily(f"snoopsync_{name}", text, value)


def gauges(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """A gauge with labels."""
    family = GaugeMetricFamily(f"snoopsync_{name}", text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def counters(name: str, text: str, labels: Sequence[str], values: Values) -> Metric:
    """A counter with labels. ``name`` is without ``_total``."""
    family = CounterMetricFamily(f"snoopsync_{name}", text, labels=labels)
    for of, value in values:
        family.add_metric(of, value)
    return family


def histogram(name: str, text: str, label: str, values: Iterable[tuple[str, Durations]]) -> Metric:
    """A histogram of durations for each value of a label."""
    family = HistogramMetricFamily(f"snoopsync_{name}", text, labels=[label])
    for of, durations in values:
        family.add_metric([of], _buckets(durations.counts), durations.total_seconds)
    return family


def _buckets(counts: Iterable[int]) -> list[tuple[str, float]]:
    """The cumulative count for each upper bound, as Prometheus expects."""
    bounds = [*(str(bound) for bound in BOUNDS_SECONDS), "+Inf"]
    return list(zip(bounds, map(float, itertools.accumulate(counts)), strict=True))


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


class MetricsListener:
    """Serves ``/metrics``, and other pages, on one address until it is closed."""

    def __init__(self, address: Address, collector: Collector, pages: Mapping[str, Page]) -> None:
        """``collector`` computes the metrics on each scrape. ``pages``: the other pages by their
        paths. Raises ``OSError`` if the address can't be used."""
        registry = CollectorRegistry()
        PlatformCollector(registry=registry)
        ProcessCollector(registry=registry)
        registry.register(collector)
        self._metrics = make_wsgi_app(registry)
        self._pages = pages
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
        page = self._pages.get(path)
        if page is not None:
            return _text(start, *page())
        paths = " and ".join(["/metrics", *self._pages])
        return _text(start, "404 Not Found", [f"snoopsync serves {paths}"])


def _text(start: StartResponse, status: str, lines: Iterable[str]) -> list[bytes]:
    body = "".join(f"{line}\n" for line in lines).encode(errors="backslashreplace")
    start(
        status,
        [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))],
    )
    return [body]
