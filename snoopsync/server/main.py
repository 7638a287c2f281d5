"""Starts the service, runs it, and stops it."""

from __future__ import annotations

import logging
import os
import resource
import ssl
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path

from snoopsync.core.addresses import Address, is_loopback
from snoopsync.core.events import Event, log_event
from snoopsync.decoding.decoders import Decoders
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.server import http
from snoopsync.server.app import Application
from snoopsync.server.certificate import certificate_warning
from snoopsync.server.operations import BASE
from snoopsync.server.signature import Verifier
from snoopsync.server.storage import Location, open_storage_to_serve
from snoopsync.server.tenants import Tenants
from snoopsync.server.uploads import RequestLimits
from snoopsync.version import __version__

log = logging.getLogger("snoopsync.server")

#: For connections, bodies, and about nine files for each open collection.
_WANTED_FILES = 16384


def serve(
    location: Location,
    address: Address,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    decoders: int,
    metrics: Address | None = None,
) -> None:
    """Serve the collections until SIGTERM or SIGINT, and their metrics at the address ``metrics``.
    Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if other users can write in the data
    directory."""
    systemd = SystemdNotifier(os.environ)
    _raise_file_limit()
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage_to_serve(location))
        listener = stack.enter_context(closing(http.open_listener(address)))
        pool = stack.enter_context(closing(Decoders(decoders)))
        verifier = Verifier(storage.master_key.secret_of, storage.hosting.signatures)
        tenants = Tenants(storage.incoming, storage.hosting, verifier, pool, time.time)
        stack.enter_context(closing(tenants))
        limits = RequestLimits(pictures_at_once=decoders)
        application = Application(tenants, limits, systemd)
        tls = None if certificate is None else http.tls_context(certificate, key)
        server = http.Server(application, tls, on_stop=systemd.stopping)
        server.stop_on_signals()
        if metrics is not None:
            # Imported late, because it is an extra.
            from snoopsync.server.metrics import ServeCollector, serve_metrics

            collector = ServeCollector(application, server, tenants, storage.hosting, pool)
            stack.enter_context(closing(serve_metrics(metrics, collector)))
        _log_warnings(address, certificate, tls)
        if (warning := storage.hosting.warning) is not None:
            log_event(
                log,
                logging.WARNING,
                Event.NOT_ENCRYPTED,
                "%s",
                warning,
                endpoint=storage.hosting.description,
            )
        scheme = "https" if certificate else "http"
        endpoint = f"{scheme}://{Address(address.host, listener.getsockname()[1])}{BASE}"
        log_event(
            log,
            logging.INFO,
            Event.HOSTING,
            "snoopsync %s serves %s on %s",
            __version__,
            storage.hosting.description,
            endpoint,
            path=storage.hosting.description,
            endpoint=endpoint,
        )
        _quiet_libraries()
        server.run(listener)
    log_event(log, logging.INFO, Event.STOPPED, "stopped")


def _log_warnings(
    address: Address, certificate: Path | None, context: ssl.SSLContext | None
) -> None:
    """Log problems of the configuration that only clients would notice."""
    if certificate is None or context is None:
        if not is_loopback(address.host):
            log_event(
                log,
                logging.WARNING,
                Event.NOT_ENCRYPTED,
                "--listen %s without TLS: others on the network can read and change pictures. Use"
                " --certificate and --key, or listen on 127.0.0.1 behind a proxy with TLS",
                address,
                endpoint=address.host,
            )
        return
    warning = certificate_warning(context, certificate, time.time())
    if warning is not None:
        log_event(
            log,
            logging.WARNING,
            Event.CERTIFICATE_EXPIRES,
            "%s",
            warning,
            path=str(certificate),
        )


def _raise_file_limit() -> None:
    """Raise the limit of open files. The usual soft limit is for programs that call select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, _WANTED_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError):  # the service also works with fewer files
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _quiet_libraries() -> None:
    """Leave warnings of libraries out of the log. Those of asyncio are about what clients do, and
    any client could fill the log with them. The pool of connections logs each attempt to connect,
    while the service logs the problem once."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    logging.getLogger("psycopg").setLevel(logging.CRITICAL)
