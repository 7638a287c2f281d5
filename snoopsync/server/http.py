"""The HTTP server: accepts connections, limits their number, and closes them.

The server uses asyncio and h11 directly, because it needs limits that other servers do not have.
uvicorn and hypercorn parse all input as it arrives. They limit neither the time in which a client
reads a response, nor pending TLS handshakes, nor connections, and adding these limits would require
changing their private code. granian runs the application in its own worker processes. A proxy in
front of the service can set such limits too, but is not required.
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
from snoopsync.server.stream import RECEIVE_BUFFER_BYTES, ByteStream

log = logging.getLogger("snoopsync.server")

#: How many new connections may wait to be accepted.
_BACKLOG = 256

#: How much of a response the kernel buffers (it doubles this value). Without a limit, the buffer
#: grows to megabytes for a client that reads nothing.
_UNREAD_RESPONSE_BYTES = 64 << 10

#: When a client that was refused because of too many connections may try again.
_RETRY_AFTER_SECONDS = 5

#: The pause when no connection can be accepted, and the time between two log lines about it.
_FULL_PAUSE_SECONDS = 0.2
_FULL_LOG_SECONDS = 600.0

#: How long requests may take to finish when the service stops, and then the last responses.
_STOP_SECONDS = 15.0
_LAST_RESPONSES_SECONDS = 3.0

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """Limits for connections.

    ``seconds``: how long the server waits for a client each time. ``connections``: how many
    connections may be open. They also use at most half of the files that the process may open,
    because bodies and collections need the rest. There is no limit per address, because all clients
    of a proxy share one address. ``handshakes``: how many TLS handshakes may be pending, each for
    ``handshake_seconds``.
    """

    seconds: float = 30.0
    handshake_seconds: float = 10.0
    connections: int = 1000
    handshakes: int = 256


class RunningApplication(Protocol):
    """An ASGI application for ``http`` scopes that is started and stopped."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def running(self) -> AbstractAsyncContextManager[None]:
        """Run the application's background work as long as the ``async with`` lasts."""
        ...


@dataclass(slots=True, eq=False)
class _Client:
    """An accepted connection, until its socket is closed."""

    socket: socket.socket
    state: ConnectionState
    is_pending: bool
    task: asyncio.Task[None] | None = None


def open_file_limit() -> int:
    """Return the number of files that the process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return files if files > 0 else 1 << 20


class Server:
    """Serves an application on a socket until it is stopped."""

    def __init__(
        self,
        app: RunningApplication,
        tls: ssl.SSLContext | None = None,
        *,
        limits: ConnectionLimits | None = None,
        on_stop: Callable[[], None] = lambda: None,
        file_limit: Callable[[], int] = open_file_limit,
    ) -> None:
        """With ``tls``, clients must use it. ``on_stop`` is called when the server begins to stop.
        ``file_limit`` returns the number of files that the process may open."""
        self._app = app
        self._tls = tls
        self._limits = limits or ConnectionLimits()
        self._on_stop = on_stop
        self._file_limit = file_limit
        self._clients: set[_Client] = set()
        self._receive_buffer = memoryview(bytearray(RECEIVE_BUFFER_BYTES))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._is_stopped = False
        self._logged_full_at = -_FULL_LOG_SECONDS
        #: How many connections were refused because there were too many.
        self.refused_connections = 0

    @property
    def has_started(self) -> bool:
        """Whether the server accepts connections."""
        return self._loop is not None

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._clients)

    def stop_on_signals(self) -> None:
        """Stop on SIGTERM and SIGINT, even before ``run``. For the main thread only."""
        for number in _SIGNALS:
            signal.signal(number, lambda *_: self.stop())

    def stop(self) -> None:
        """Begin to stop. For any thread, and for signal handlers."""
        self._is_stopped = True
        loop, stop = self._loop, self._stop
        if loop is not None and stop is not None:
            with suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(stop.set)

    def run(self, listener: socket.socket) -> None:
        """Serve until ``stop``. Requests in progress have some time to finish."""
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
            self._on_stop()
            await self._stop_clients()
            if accepting.done() and not accepting.cancelled():
                accepting.result()  # raises its error

    # Accepting connections.

    async def _accept_all(self, listener: socket.socket) -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except BlockingIOError:
                await _until_readable(listener)
                continue
            except OSError as error:
                if error.errno != errno.ECONNABORTED:
                    await self._pause(error.strerror)
                continue
            if accepted.fileno() >= self._file_limit() * 7 // 8 and not self._make_room():
                # The kernel assigns the lowest free number, so nearly all files are in use.
                self.refused_connections += 1
                accepted.close()
                await self._pause("nearly all files that the process may open are in use")
                continue
            accepted.setblocking(False)
            self._add_client(accepted)
            await asyncio.sleep(0)  # let the open connections run

    async def _pause(self, reason: str | None) -> None:
        """Accept no connection for a moment, and log it from time to time."""
        now = time.monotonic()
        if now - self._logged_full_at >= _FULL_LOG_SECONDS:
            self._logged_full_at = now
            message = f"no more connections can be accepted: {reason}"
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", message, error=message)
        await asyncio.sleep(_FULL_PAUSE_SECONDS)

    def _add_client(self, accepted: socket.socket) -> None:
        if self._tls is not None:
            pending = [each for each in self._clients if each.is_pending]
            if len(pending) >= min(self._limits.handshakes, self._most_connections // 2):
                self._disconnect(min(pending, key=_waiting_since))
        has_room = len(self._clients) < self._most_connections or self._make_room()
        state = ConnectionState(waiting_since=time.monotonic())
        client = _Client(accepted, state, is_pending=self._tls is not None)
        # A connection over the limit also gets a response to its request.
        self.refused_connections += not has_room
        app: ASGIApp = self._app if has_room else _respond_full
        self._clients.add(client)
        client.task = asyncio.create_task(self._serve(client, app))
        client.task.add_done_callback(lambda _: self._remove(client))

    @property
    def _most_connections(self) -> int:
        return min(self._limits.connections, self._file_limit() // 2)

    def _make_room(self) -> bool:
        """Close the connection for which the server has waited longest. Returns whether there was
        one."""
        waiting = [each for each in self._clients if each.state.waiting_since is not None]
        if not waiting:
            return False
        self._disconnect(min(waiting, key=_waiting_since))
        return True

    def _disconnect(self, client: _Client) -> None:
        self._clients.discard(client)
        if client.task is not None:
            client.task.cancel()

    def _remove(self, client: _Client) -> None:
        self._clients.discard(client)
        client.socket.close()  # asyncio may never have received the socket

    # Serving connections.

    async def _serve(self, client: _Client, app: ASGIApp) -> None:
        stream = ByteStream(self._receive_buffer, is_tls=self._tls is not None)
        with suppress(OSError):  # errors of the connection and of TLS
            try:
                await self._connect(stream, client.socket)
                client.is_pending = False
                connection = Connection(
                    stream,
                    app,
                    client.state,
                    timeout_seconds=self._limits.seconds,
                    scheme="http" if self._tls is None else "https",
                )
                await connection.run()
                client.state.waiting_since = time.monotonic()
                stream.transport.close()
                async with asyncio.timeout(self._limits.seconds):
                    await stream.lost.wait()
            finally:
                if stream.is_connected:
                    _reset_at_close(client.socket)
                    stream.transport.abort()

    async def _connect(self, stream: ByteStream, accepted: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        if self._tls is None:
            await loop.connect_accepted_socket(lambda: stream, accepted)
            return
        await loop.connect_accepted_socket(
            lambda: stream,
            accepted,
            ssl=self._tls,
            ssl_handshake_timeout=self._limits.handshake_seconds,
            ssl_shutdown_timeout=self._limits.seconds,
        )

    # Stopping.

    async def _stop_clients(self) -> None:
        """Close the connections without a request at once, the others after their responses."""
        tasks = {each.task for each in self._clients if each.task is not None}
        for client in list(self._clients):
            client.state.is_last = True
            if not client.state.is_answering:
                self._disconnect(client)
        if not tasks:
            return
        _, late = await asyncio.wait(tasks, timeout=_STOP_SECONDS)
        for _ in range(2):  # after the first cancellation the application still answers
            for task in late:
                task.cancel()
            if late:
                _, late = await asyncio.wait(late, timeout=_LAST_RESPONSES_SECONDS)


async def _until_readable(listener: socket.socket) -> None:
    # ``loop.sock_accept`` loses a connection that it accepts while the server stops.
    loop = asyncio.get_running_loop()
    is_readable = asyncio.Event()
    loop.add_reader(listener, is_readable.set)
    try:
        await is_readable.wait()
    finally:
        loop.remove_reader(listener)


def _reset_at_close(connected: socket.socket) -> None:
    """Discard what the client has not received, which the kernel would keep for many minutes."""
    with suppress(OSError):  # the socket is already closed
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _waiting_since(client: _Client) -> float:
    since = client.state.waiting_since
    return time.monotonic() if since is None else since


async def _respond_full(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for connections over the limit."""
    headers = {"Retry-After": str(_RETRY_AFTER_SECONDS), "Connection": "close"}
    answer = {"status": 503, "message": "the service has too many requests in progress"}
    await JSONResponse(answer, 503, headers)(scope, receive, send)


def open_listener(address: Address) -> socket.socket:
    """Open a socket that accepts connections. Raises ``SnoopsyncError``."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        listener = socket.create_server(address, family=family, backlog=_BACKLOG)
        # The accepted connections inherit both options.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _UNREAD_RESPONSE_BYTES)
        # asyncio sets this only on sockets that were created with the TCP protocol number. Without
        # it, the body of each response waits for the acknowledgement of its head, up to 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, UnicodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "invalid host name"
        # Python appends the address.
        reason = str(reason).partition(" (while ")[0]
        raise SnoopsyncError(f"can't listen on {address}: {reason}") from None


def tls_context(certificate: Path, key: Path | None) -> ssl.SSLContext:
    """Return a TLS context with this certificate and its chain. Raises ``SnoopsyncError``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except ssl.SSLError:
        names = f"{certificate}" if key is None else f"{certificate} and {key}"
        raise SnoopsyncError(f"{names}: not a PEM certificate with its private key") from None
    except OSError as error:
        names = f"{certificate}" if key is None else f"{certificate} or {key}"
        raise SnoopsyncError(f"{names}: {error.strerror}") from None
    return context
