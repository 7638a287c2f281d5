"""Puts the service together, runs it, and takes it apart again."""

from __future__ import annotations

import logging
import os
import time
from contextlib import ExitStack, closing
from pathlib import Path

from snoopsync.server import http
from snoopsync.server.app import BASE, Application
from snoopsync.server.decoding import Decoders
from snoopsync.server.hosting import Hosting
from snoopsync.server.master import load_master_key
from snoopsync.server.registry import Registry
from snoopsync.server.signature import Verifier
from snoopsync.supervisor import Supervisor
from snoopsync.version import __version__

log = logging.getLogger("snoopsync.server")


def serve(
    data: Path,
    host: str,
    port: int,
    *,
    certificate: Path | None = None,
    key: Path | None = None,
    decoders: int,
) -> None:
    """Serve the collections of this directory until SIGTERM or SIGINT. Raises
    ``SnoopsyncError``."""
    supervisor = Supervisor(os.environ)
    with ExitStack() as stack:
        registry = stack.enter_context(closing(Registry(data)))
        master = load_master_key(data, os.environ)
        listener = stack.enter_context(closing(http.listening(host, port)))
        pool = stack.enter_context(closing(Decoders(decoders)))
        verifier = Verifier(master.secret_of, time.time())
        hosting = Hosting(data, registry, verifier, pool, time.time)
        stack.enter_context(closing(hosting))
        server = http.server(Application(hosting, supervisor=supervisor), certificate, key)
        scheme = "https" if certificate else "http"
        address = listener.getsockname()
        log.info(
            "snoopsync %s serves %d collections of %s on %s://%s:%d%s",
            __version__,
            len(registry.collections()),
            data,
            scheme,
            host,
            address[1],
            BASE,
        )
        stack.callback(supervisor.stopping)
        server.run(sockets=[listener])
    log.info("stopped")
