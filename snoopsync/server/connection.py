"""HTTP/1.1 on one connection: h11 parses the requests, and an ASGI application responds.

Input is parsed in slices, and only when the connection or the application waits for it. A client
must completely receive a response before its next request is parsed.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

import h11
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Scope

from snoopsync.core.errors import Refused
from snoopsync.server.stream import ByteStream

#: The largest head of a request. Clients of the collection send at most 2 KiB.
_HEAD_BYTES = 16 << 10

#: The most lines of a head. h11 parses a whole head at once and needs 5 µs for each line.
_HEAD_LINES = 200

#: How many bytes of a head or of a chunked body are parsed in one iteration of the loop. h11 needs
#: about 25 µs for a chunk.
_SLICE_BYTES = 4 << 10

#: A chunked body may have ``_FREE_CHUNKS``, and one more for each ``_BYTES_OF_A_CHUNK``. Clients
#: send chunks of 8 KiB and more.
_FREE_CHUNKS = 256
_BYTES_OF_A_CHUNK = 256

#: How many bytes of a body with a length are read at once. They are copied, not parsed.
_PIECE_BYTES = 64 << 10

#: A response is sent in pieces of this size, and the timeout applies to each piece.
_SENT_AT_ONCE_BYTES = 64 << 10

#: How long the rest of a refused request is read and discarded. Closing a connection with unread
#: input resets it, and the client could lose the response.
_LINGER_SECONDS = 30.0

#: The pause between two discarded pieces, so that a flood takes little CPU time.
_LINGER_PAUSE_SECONDS = 0.005

#: Headers that must not be repeated, because a proxy could use one of them and this server the
#: other. h11 checks Host, Content-Length and Transfer-Encoding.
_SINGLE_HEADERS = (b"authorization", b"date")


@dataclass(slots=True, eq=False)
class ConnectionState:
    """The state of a connection for the server. ``waiting_since`` (``time.monotonic``) is when the
    server began to wait for the client, or ``None`` while the client waits for the server. The
    server sets ``is_last`` to end the connection after the current response."""

    waiting_since: float | None
    is_answering: bool = False
    is_last: bool = False


class Connection:
    """Serves one connection from its first to its last request."""

    def __init__(
        self,
        stream: ByteStream,
        app: ASGIApp,
        state: ConnectionState,
        *,
        timeout_seconds: float,
        scheme: str,
    ) -> None:
        """The connection keeps ``state`` up to date. ``timeout_seconds`` applies to the beginning
        of a request, to the rest of its head, and to each piece of a response."""
        self._stream = stream
        self._app = app
        self._state = state
        self._timeout_seconds = timeout_seconds
        self._scheme = scheme
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._is_read = self._is_end_delivered = True
        self._is_head_only = self._is_chunked = False
        self._chunks = self._size = 0
        self._start: Message | None = None

    async def run(self) -> None:
        """Answer the requests one after another. Raises ``ConnectionError`` when the client has
        disconnected, and ``TimeoutError`` when it was too slow."""
        try:
            while not self._state.is_last and (head := await self._next_head()) is not None:
                self._state.is_answering = True
                await self._app(self._scope(head), self._receive, self._send)
                self._state.is_answering = False
                if {self._http.our_state, self._http.their_state} != {h11.DONE}:
                    break
                self._http.start_next_cycle()
        except h11.RemoteProtocolError as error:
            await self._refuse(str(error))
        if not self._is_read:
            await self._linger()

    async def _next_head(self) -> h11.Request | None:
        """Return the next request, or ``None`` if the client has sent its last one."""
        self._is_read = self._is_end_delivered = self._is_head_only = False
        with self._waiting():
            if not self._http.trailing_data[0]:
                async with asyncio.timeout(self._timeout_seconds):
                    piece = await self._stream.read(_SLICE_BYTES)
                self._http.receive_data(piece)
            self._state.waiting_since = time.monotonic()  # a head has begun
            async with asyncio.timeout(self._timeout_seconds):
                await asyncio.sleep(0)  # one pipelined request in each iteration of the loop
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    if self._http.trailing_data[0].count(b"\n") > _HEAD_LINES:
                        raise h11.RemoteProtocolError("too many headers")
                    self._http.receive_data(await self._stream.read(_SLICE_BYTES))
        if not isinstance(event, h11.Request):
            self._is_read = True
            return None
        self._check_head(event)
        return event

    def _check_head(self, head: h11.Request) -> None:
        self._is_head_only = head.method == b"HEAD"
        names = [name for name, _ in head.headers]
        for name in _SINGLE_HEADERS:
            if names.count(name) > 1:
                raise h11.RemoteProtocolError(f"more than one {name.decode()} header")
        self._is_chunked = b"transfer-encoding" in names
        if self._is_chunked and b"content-length" in names:
            raise h11.RemoteProtocolError("both Content-Length and Transfer-Encoding")
        self._chunks = self._size = 0
        if not self._is_chunked and dict(head.headers).get(b"content-length", b"0") == b"0":
            self._http.next_event()  # the end of a request without a body
            self._is_read = True

    @contextmanager
    def _waiting(self) -> Iterator[None]:
        self._state.waiting_since = time.monotonic()
        try:
            yield
        finally:
            self._state.waiting_since = None

    def _scope(self, head: h11.Request) -> Scope:
        raw_path, _, query = head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": head.http_version.decode("ascii"),
            "method": head.method.decode("ascii"),
            "scheme": self._scheme,
            "path": unquote(raw_path.decode("ascii", "replace")),
            "raw_path": raw_path,
            "query_string": query,
            "root_path": "",
            "headers": list(head.headers),
            "client": None,
            "server": None,
        }

    # Called by the application.

    async def _receive(self) -> Message:
        """Return the next piece of the body. After the last one, wait until the client
        disconnects."""
        if self._is_end_delivered:
            await self._stream.gone.wait()
            return {"type": "http.disconnect"}
        try:
            body = b"" if self._is_read else await self._next_piece()
        except h11.RemoteProtocolError as error:
            if self._stream.gone.is_set():
                return {"type": "http.disconnect"}
            raise Refused(f"not a valid HTTP request: {error}", status=400) from None
        self._is_end_delivered = self._is_read
        return {"type": "http.request", "body": body, "more_body": not self._is_read}

    async def _next_piece(self) -> bytes:
        if self._http.they_are_waiting_for_100_continue:
            await self._write(h11.InformationalResponse(status_code=100, headers=[]))
        pieces: list[bytes] = []
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                self._count_chunks(event)
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._is_read = True
                break
            elif pieces:
                break
            else:
                most = _SLICE_BYTES if self._is_chunked else _PIECE_BYTES
                self._http.receive_data(await self._stream.read(most))
        return b"".join(pieces)

    def _count_chunks(self, data: h11.Data) -> None:
        self._size += len(data.data)
        self._chunks += data.chunk_start
        if self._chunks > _FREE_CHUNKS + self._size // _BYTES_OF_A_CHUNK:
            raise Refused("the body has too many small chunks", status=400)

    async def _send(self, message: Message) -> None:
        """Send a response, and wait until the client has received it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        assert self._start is not None
        status = self._start["status"]
        headers = [*self._start["headers"], (b"date", _http_date(int(time.time())))]
        if self._state.is_last or not self._is_read:
            headers.append((b"connection", b"close"))
        reason = HTTPStatus(status).phrase.encode()
        events: list[h11.Event] = [h11.Response(status_code=status, headers=headers, reason=reason)]
        if not self._is_head_only:
            events.append(h11.Data(data=message["body"]))
        await self._write(*events, h11.EndOfMessage())

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        with self._waiting():
            for at in range(0, len(data), _SENT_AT_ONCE_BYTES):
                async with asyncio.timeout(self._timeout_seconds):
                    await self._stream.send(data[at : at + _SENT_AT_ONCE_BYTES])

    # Ending the connection.

    async def _refuse(self, reason: str) -> None:
        """Answer input that is not HTTP."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        self._is_read = False
        answer = {"status": 400, "message": f"not a valid HTTP request: {reason}"}
        await JSONResponse(answer, 400)({"type": "http"}, self._receive, self._send)

    async def _linger(self) -> None:
        """Discard further input for a while."""
        self._stream.send_eof()
        with self._waiting(), suppress(TimeoutError):
            async with asyncio.timeout(min(_LINGER_SECONDS, self._timeout_seconds)):
                while await self._stream.read(_PIECE_BYTES):
                    await asyncio.sleep(_LINGER_PAUSE_SECONDS)


@lru_cache(maxsize=2)
def _http_date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
