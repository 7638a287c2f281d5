"""The HTTP server: uvicorn, with a limit to its patience, and JSON for what it can't understand."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h11
import uvicorn
from starlette.responses import JSONResponse
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

from snoopsync.errors import SnoopsyncError

#: How long we wait for a client: for a whole head, for the next request, for the rest of a body
#: that was refused, and for it to take our answer. (A body that is wanted has times of its own.)
_PATIENCE_SECONDS = 30.0

#: How long a connection without a request is kept.
_IDLE_SECONDS = 30

#: So many connections are kept at most, and no more than half of the files that may be open: the
#: rest is for bodies and collections. There is no limit for an address: a proxy has only one.
_MOST_CONNECTIONS = 1000

#: So many new ones are taken in one turn of the loop; room is made for them a few turns later.
#: asyncio would take all that there are, and when no more files may be open, only says so.
_TAKEN_AT_ONCE = 16

#: So many new ones may wait for that.
_WAITING = 256

#: When somebody who found no room may come again.
_COME_AGAIN_SECONDS = 5

#: How large a head may be.
_HEAD_BYTES = 64 << 10

#: How long the requests under way may take to end when the service stops.
_STOP_SECONDS = 15

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class _Protocol(H11Protocol):
    """One connection. uvicorn would wait for ever for a head, and for an answer to be taken; and it
    would keep any number of connections, until there is no file left for one that has a request."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._since = time.monotonic()
        self._watch = self.loop.call_later(_PATIENCE_SECONDS, self._look)
        if len(self.connections) > _most_connections():
            self._make_room()

    def data_received(self, data: bytes) -> None:
        if self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]:
            self._since = time.monotonic()  # a head begins
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._since = time.monotonic()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    @property
    def _is_its_turn(self) -> bool:
        """Do we wait for this client, though it has no request that is being answered?"""
        return bool(
            self.conn.their_state is h11.IDLE  # a head
            or self.conn.our_state is h11.DONE  # the rest of a body that nobody wants
            or self.transport.is_closing()  # what we have written
        )

    def _make_room(self) -> None:
        """Hang up on whoever keeps us waiting for longest. If all the others have a request, this
        one's is refused; should it have none, it is the one to go when the next one comes."""
        others = (each for each in self.connections if isinstance(each, _Protocol))
        waiting = [each for each in others if each is not self and each._is_its_turn]
        if not waiting:
            self.app = _no_room
            return
        longest = min(waiting, key=lambda each: each._since)
        longest.transport.abort()
        self.connections.discard(longest)  # not only when the loop comes to it

    def _look(self) -> None:
        left = self._since + _PATIENCE_SECONDS - time.monotonic()
        if self._is_its_turn and left <= 0:
            self.transport.abort()
            return
        pause = left if left > 0 else _PATIENCE_SECONDS / 4
        self._watch = self.loop.call_later(pause, self._look)

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, and hang up."""
        body = json.dumps({"status": 400, "message": "this is no HTTP request"}).encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events = (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                output = self.conn.send(event)
                if output:
                    self.transport.write(output)
        self.transport.close()


def _most_connections() -> int:
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(_MOST_CONNECTIONS, files // 2) if files > 0 else _MOST_CONNECTIONS


async def _no_room(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for a connection too many."""
    headers = {"Retry-After": str(_COME_AGAIN_SECONDS), "Connection": "close"}
    answer = {"status": 503, "message": "the service has too many requests under way"}
    await JSONResponse(answer, 503, headers)(scope, receive, send)


def listening(host: str, port: int) -> socket.socket:
    """A socket that waits for connections there. Raises ``SnoopsyncError``."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        listener = socket.create_server((host, port), family=family, backlog=_WAITING)
        # Its connections have it, too. asyncio would see to it, but not where, as here, the socket
        # was not made for TCP by name; and then each answer's body waits for an acknowledgement of
        # its head, which the other side puts off for 40 ms.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listener
    except (OSError, UnicodeError) as error:
        said = error.strerror if isinstance(error, OSError) else "that is no name of a host"
        raise SnoopsyncError(f"can't listen on {in_url(host)}:{port}: {said}") from None


def in_url(host: str) -> str:
    """The host, as it is written before a port."""
    return f"[{host}]" if ":" in host else host


class Server(uvicorn.Server):
    """Ends when it is told to, by SIGTERM or SIGINT if it hears signals."""

    def __init__(self, config: uvicorn.Config, stopping: Callable[[], None]) -> None:
        """``stopping`` is called when it begins to end."""
        super().__init__(config)
        self._stopping = stopping

    def hear_signals(self) -> None:
        """From now on, also before it runs. Of the main thread only."""
        for number in _SIGNALS:
            signal.signal(number, self.handle_exit)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own sends the signal to the process again in the end: no clean end at all.
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        for each in sockets or ():  # asyncio has told the kernel how many it takes at once
            each.listen(_WAITING)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._stopping()
        await super().shutdown(sockets)


def server(
    app: Any,
    certificate: Path | None = None,
    key: Path | None = None,
    stopping: Callable[[], None] = lambda: None,
) -> Server:
    """A server for this application, with TLS if there is a certificate. Raises
    ``SnoopsyncError``."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        backlog=_TAKEN_AT_ONCE,
        server_header=False,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=_IDLE_SECONDS,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SnoopsyncError(f"{certificate}: {error}") from None
    return Server(config, stopping)
