"""Puts the service together, runs it, and takes it apart again."""

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
from snoopsync.runtime.owned_directory import own_directory
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.server import http
from snoopsync.server.app import Application
from snoopsync.server.calls import BASE
from snoopsync.server.certificate import certificate_warning
from snoopsync.server.master_key import load_master_key
from snoopsync.server.registry import Registry
from snoopsync.server.signature import Verifier
from snoopsync.server.tenants import Hosting
from snoopsync.server.uploads import Limits
from snoopsync.state.lock import locked
from snoopsync.version import __version__

log = logging.getLogger("snoopsync.server")

#: Connections, bodies, and some nine for each collection that is open.
_FILES = 16384


def serve(
    data: Path,
    address: Address,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    decoders: int,
) -> None:
    """Serve the collections of this directory until SIGTERM or SIGINT. Raises
    ``SnoopsyncError``: ``UnsafeDirectory`` if the directory is not this user's alone."""
    data = own_directory(data)
    systemd = SystemdNotifier(os.environ)
    _allow_files()
    with ExitStack() as stack:
        # Two on one directory would not know of each other's signatures.
        stack.enter_context(locked(data / "keys.sqlite3"))
        registry = stack.enter_context(closing(Registry(data)))
        master = load_master_key(data, os.environ)
        listener = stack.enter_context(closing(http.listening(address)))
        pool = stack.enter_context(closing(Decoders(decoders)))
        verifier = Verifier(master.secret_of, time.time())
        hosting = Hosting(data, registry, verifier, pool, time.time)
        stack.enter_context(closing(hosting))
        limits = Limits(pictures_at_once=decoders)
        application = Application(hosting, limits, systemd)
        tls = None if certificate is None else http.tls_context(certificate, key)
        server = http.Server(application, tls, stopping=systemd.stopping)
        server.hear_signals()
        _warn(address, certificate, tls)
        scheme = "https" if certificate else "http"
        endpoint = f"{scheme}://{Address(address.host, listener.getsockname()[1])}{BASE}"
        log_event(
            log,
            logging.INFO,
            Event.HOSTING,
            "snoopsync %s serves %s on %s",
            __version__,
            data,
            endpoint,
            path=str(data),
            endpoint=endpoint,
        )
        _hear_asyncio()
        server.run(listener)
    log_event(log, logging.INFO, Event.STOPPED, "stopped")


def _warn(address: Address, certificate: Path | None, context: ssl.SSLContext | None) -> None:
    """Warn of what clients would suffer from, and can't see themselves."""
    if certificate is None or context is None:
        if not is_loopback(address.host):
            log_event(
                log,
                logging.WARNING,
                Event.NOT_ENCRYPTED,
                "--listen %s without TLS: whoever is on the way can read and change pictures. Use"
                " --certificate and --key, or listen on 127.0.0.1 behind a proxy that has TLS",
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


def _allow_files() -> None:
    """Open as many files as we may, up to what we can use: the usual limit is for programs that
    call select(2)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES if hard == resource.RLIM_INFINITY else min(hard, _FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError):  # it works with what it has
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _hear_asyncio() -> None:
    """What goes wrong in asyncio is written like all else. What clients do wrong is not: anybody
    could fill the log with it."""
    logging.getLogger("asyncio").setLevel(logging.ERROR)
