"""The collection as a service, in a thread of the test: over real sockets."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from snoopsync.client.collection import Collection
from snoopsync.core.addresses import Address
from snoopsync.decoding.decoders import Decoders
from snoopsync.server import http
from snoopsync.server.app import Application
from snoopsync.server.master_key import MasterKey
from snoopsync.server.operations import BASE
from snoopsync.server.signature import Verifier
from snoopsync.server.storage import Location, open_storage
from snoopsync.server.tenants import Tenants
from snoopsync.server.uploads import RequestLimits
from snoopsync.storage.hosting import Hosting, Key
from tests.support.process import Installation, Service, until


@dataclass(frozen=True, slots=True)
class Hosted:
    """A service that runs."""

    hosting: Hosting
    master_key: MasterKey
    port: int
    data: Path
    decoders: Decoders
    application: Application
    server: http.Server
    tenants: Tenants

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE}"

    def keys(self, name: str) -> tuple[str, str]:
        """Add a key pair for the collection of this name, and return the public and secret key."""
        key: Key = self.hosting.add_key(name)
        return key.public_key, self.master_key.secret_of(key.public_key)

    def client(self, name: str) -> Collection:
        """A client with new keys for the collection of this name."""
        return Collection(*self.keys(name), self.endpoint)


@contextmanager
def hosted(
    data: Path | Location,
    limits: RequestLimits | None = None,
    work: str | None = None,
    connections: http.ConnectionLimits | None = None,
    tls: ssl.SSLContext | None = None,
    file_limit: Callable[[], int] = http.open_file_limit,
    *,
    is_ready: bool = True,
) -> Iterator[Hosted]:
    """Run the service on this directory or database as long as the ``with`` lasts. ``work`` names
    the function that decoders run. ``is_ready``: wait until the indexes are loaded."""
    location = Location(data) if isinstance(data, Path) else data
    with ExitStack() as stack:
        storage = stack.enter_context(open_storage(location))
        listener = stack.enter_context(closing(http.open_listener(Address("127.0.0.1", 0))))
        decoders = stack.enter_context(closing(Decoders(1, work=work) if work else Decoders(1)))
        verifier = Verifier(storage.master_key.secret_of, storage.hosting.signatures)
        tenants = Tenants(storage.incoming, storage.hosting, verifier, decoders, time.time)
        stack.enter_context(closing(tenants))
        application = Application(tenants, limits)
        server = http.Server(application, tls, limits=connections, file_limit=file_limit)
        thread = threading.Thread(target=server.run, args=(listener,))
        port = listener.getsockname()[1]
        thread.start()
        try:
            until(lambda: application.is_ready if is_ready else server.has_started)
            yield Hosted(
                storage.hosting,
                storage.master_key,
                port,
                location.data,
                decoders,
                application,
                server,
                tenants,
            )
        finally:
            server.stop()
            thread.join()


@contextmanager
def hosted_process(
    home: Installation,
    data: Path,
    *options: str | Path,
    under: Sequence[str] = (),
    **environment: str,
) -> Iterator[tuple[Service, str]]:
    """Run ``serve`` on this directory as a process, started ``under`` another command, as long as
    the ``with`` lasts. Yields the process and its endpoint."""
    arguments = ("serve", "--listen", "127.0.0.1:0", "--workers", "1", "--data", data, *options)
    with home.service(*arguments, environment=environment, under=under) as service:
        yield service, service.line_with(" serves ").rpartition(" ")[2]


def forked(process: psutil.Process) -> tuple[psutil.Process, list[psutil.Process]]:
    """Return the process that forks the decoders of a ``serve``, and the decoders."""
    (server,) = (
        each for each in process.children() if "snoopsync.decoding.zygote" in each.cmdline()
    )
    return server, server.children()


def lives(process: psutil.Process) -> bool:
    return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
