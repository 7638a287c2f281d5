"""The HTTP server: takes connections, counts them, and ends them.

It is our own, on asyncio and h11, since its limits are what it is for. uvicorn and hypercorn parse
whatever a client sends as it comes, and neither limits the time that a client takes to read an
answer, pending TLS handshakes, or the connections it takes; granian runs the application in worker
processes of its own. Each of these would have to be changed in places that are private. A proxy in
front can do it, but nobody is made to have one.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import resource
import signal
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from snoopsync.core.addresses import Address
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.events import Event, log_event
from snoopsync.server.connection import Connection, ConnectionState
from snoopsync.server.wire import SCRATCH_BYTES, Wire

log = logging.getLogger("snoopsync.server")

#: So many new connections may wait to be taken.
_BACKLOG = 256

#: So much of an answer the kernel takes (it doubles that). It would grow to megabytes for a client
#: that reads nothing.
_UNREAD_ANSWER_BYTES = 64 << 10

#: When a client that found no room may come again.
_RETRY_AFTER_SECONDS = 5

#: The pause after the system had no room for another connection, and between two lines about it.
_FULL_PAUSE_SECONDS = 0.2
_FULL_LOG_SECONDS = 600.0

#: How long the requests under way may take to end when the service stops, and then their answers.
_STOP_SECONDS = 15.0
_LAST_ANSWERS_SECONDS = 3.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class Patience:
    """How much clients may ask of the server.

    ``seconds``: how long a connection may keep us waiting, each time. ``connections`` are kept at
    most, and no more than half of the files that may be open: the rest is for bodies and
    collections. There is no limit for an address: a proxy has only one. ``handshakes`` of TLS may
    be pending at once, for ``handshake_seconds``.
    """

    seconds: float = 30.0
    handshake_seconds: float = 10.0
    connections: int = 1000
    handshakes: int = 256


class RunningApplication(Protocol):
    """An ASGI application for ``http`` scopes that has to be begun and ended."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """What it does beside answering, for as long as the ``async with`` lasts."""
        ...


@dataclass(slots=True, eq=False)
class _Client:
    """A connection that was taken, from then on until its socket is closed."""

    socket: socket.socket
    state: ConnectionState
    is_pending: bool
    task: asyncio.Task[None] | None = None


class Server:
    """Serves an application on a socket until it is stopped."""

    def __init__(
        self,
        app: RunningApplication,
        tls: ssl.SSLContext | None = None,
        *,
        patience: Patience | None = None,
        stopping: Callable[[], None] = lambda: None,
    ) -> None:
        """With ``tls``, clients have to speak it. ``stopping`` is called when it begins to end."""
        self._app = app
        self._tls = tls
        self._patience = patience or Patience()
        self._stopping = stopping
        self._clients: set[_Client] = set()
        self._scratch = memoryview(bytearray(SCRATCH_BYTES))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_stopped = False
        self._said_full_at = -_FULL_LOG_SECONDS

    @property
    def has_started(self) -> bool:
        """Does it take connections?"""
        return self._loop is not None

    def hear_signals(self) -> None:
        """From now on SIGTERM and SIGINT stop it, also before it runs. Of the main thread only."""
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Begin to end. From any thread, and from a signal handler."""
        self._is_stopped = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # it has ended meanwhile
                loop.call_soon_threadsafe(stop.set)

    def run(self, listener: socket.socket) -> None:
        """Serve until ``stop``. Requests under way have some time to end."""
        asyncio.run(self._run(listener))

    async def _run(self, listener: socket.socket) -> None:
        listener.setblocking(False)
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        if self._is_stopped:
            self._stop.set()
        async with self._app.running():
            accepting = asyncio.create_task(self._accept_all(listener))
            stopped = asyncio.create_task(self._stop.wait())
            await asyncio.wait((accepting, stopped), return_when=asyncio.FIRST_COMPLETED)
            accepting.cancel()
            stopped.cancel()
            listener.close()
            self._stopping()
            await self._end_all()
            if accepting.done() and not accepting.cancelled():
                accepting.result()  # raises why it has ended

    # Connections come.

    async def _accept_all(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                accepted, _ = await loop.sock_accept(listener)
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    await self._pause(error.strerror)
                continue
            if accepted.fileno() >= _file_limit() * 7 // 8 and not self._make_room():
                # The kernel gives the lowest free number, so nearly all are in use.
                accepted.close()
                await self._pause("nearly all files that may be open are in use")
                continue
            self._take(accepted)
            await asyncio.sleep(0)  # those who are already connected have their turn

    async def _pause(self, reason: str | None) -> None:
        """Take no connection for a moment; say so once in a while."""
        now = time.monotonic()
        if now - self._said_full_at >= _FULL_LOG_SECONDS:
            self._said_full_at = now
            message = f"no more connections can be taken: {reason}"
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", message, error=message)
        await asyncio.sleep(_FULL_PAUSE_SECONDS)

    def _take(self, accepted: socket.socket) -> None:
        if self._tls is not None:
            pending = [each for each in self._clients if each.is_pending]
            if len(pending) >= min(self._patience.handshakes, self._most_connections // 2):
                self._drop(min(pending, key=_waits_since))
        has_room = len(self._clients) < self._most_connections or self._make_room()
        state = ConnectionState(waiting_since=time.monotonic())
        client = _Client(accepted, state, is_pending=self._tls is not None)
        # One too many is told so. Until it has a request it is the first to make room.
        app: ASGIApp = self._app if has_room else _no_room
        self._clients.add(client)
        client.task = asyncio.create_task(self._serve(client, app))
        client.task.add_done_callback(lambda _: self._forget(client))

    @property
    def _most_connections(self) -> int:
        return min(self._patience.connections, _file_limit() // 2)

    def _make_room(self) -> bool:
        """End the connection that keeps us waiting for longest, if any does."""
        waiting = [each for each in self._clients if each.state.waiting_since is not None]
        if not waiting:
            return False
        self._drop(min(waiting, key=_waits_since))
        return True

    def _drop(self, client: _Client) -> None:
        self._clients.discard(client)
        if client.task is not None:
            client.task.cancel()

    def _forget(self, client: _Client) -> None:
        self._clients.discard(client)
        client.socket.close()  # if asyncio never had it

    # Connections go on.

    async def _serve(self, client: _Client, app: ASGIApp) -> None:
        wire = Wire(self._scratch, is_tls=self._tls is not None)
        with suppress(OSError):  # of the client, and of TLS
            try:
                await self._connect(wire, client.socket)
                client.is_pending = False
                connection = Connection(
                    wire,
                    app,
                    client.state,
                    patience_seconds=self._patience.seconds,
                    scheme="http" if self._tls is None else "https",
                )
                await connection.run()
                client.state.waiting_since = time.monotonic()
                wire.transport.close()
                async with asyncio.timeout(self._patience.seconds):
                    await wire.lost.wait()
            finally:
                if wire.is_connected:
                    _reset_at_close(client.socket)
                    wire.transport.abort()

    async def _connect(self, wire: Wire, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(lambda: wire, accepted)
            return
        await loop.connect_accepted_socket(
            lambda: wire,
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=self._patience.handshake_seconds,
            ssl_shutdown_timeout=self._patience.seconds,
        )

    # And end.

    async def _end_all(self) -> None:
        """End the connections without a request at once, the others after their answer."""
        tasks = {each.task for each in self._clients if each.task is not None}
        for client in list(self._clients):
            client.state.is_last = True
            if not client.state.is_answering:
                self._drop(client)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for _ in range(2):  # the first time the application still answers
            for task in late:
                task.cancel()
            if late:
                _, late = await asyncio.wait(late, timeout=_LAST_ANSWERS_SECONDS)


def _reset_at_close(connected: socket.socket) -> None:
    """Else the kernel would keep for many minutes what the client does not take."""
    with suppress(OSError):  # it is closed
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _waits_since(client: _Client) -> float:
    since = client.state.waiting_since
    return time.monotonic() if since is None else since


def _file_limit() -> int:
    """The number of files that may be open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return files if files > 0 else 1 << 20


async def _no_room(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for a connection too many."""
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS), "Connection": "close"}
    answer = {"status": 503, "message": "the service has too many requests under way"}
    await JSONResponse(answer, 503, headers)(scope, receive, send)


def listening(address: Address) -> socket.socket:
    """A socket that waits for connections there. Raises ``SnoopsyncError``."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        # Its connections have both, too.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_ANSWER_BYTES)
        # asyncio would see to this one, but not where the socket was not made for TCP by name; and
        # then each answer's body waits for an acknowledgement of its head, which the other side
        # puts off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "that is no name of a host"
        raise SnoopsyncError(f"can't listen on {address}: {said}") from None


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """TLS with this certificate and its chain. Raises ``SnoopsyncError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise SnoopsyncError(f"{certificate}: {error}") from None
    return context
