"""HTTP/1.1 on one connection: h11 parses it, an ASGI application answers.

What a client sends is parsed only when somebody waits for it, in slices. A client has to take an
answer before its next request is looked at.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from urllib.parse import unquote

import h11
from starlette.types import ASGIApp, Message, Scope

from snoopsync.core.errors import Refused
from snoopsync.server.wire import Wire

#: How large a head may be. The largest that a client of the collection sends has 2 KiB.
_HEAD_BYTES = 16 << 10

#: So many lines a head may have: h11 parses a whole head at once, and needs 5 µs for each line.
_HEAD_LINES = 200

#: So many bytes of a head or of a body in chunks are parsed in one turn of the loop: h11 needs some
#: 25 µs for a chunk.
_SLICE_BYTES = 4 << 10

#: A body in chunks may have this many, and one more for each so many bytes. Clients send chunks of
#: 8 KiB and more.
_FREE_CHUNKS = 256
_BYTES_OF_A_CHUNK = 256

#: So many bytes of a body with a length are taken at once: it is copied, not parsed.
_PIECE_BYTES = 64 << 10

#: An answer is sent in pieces of so many bytes; the client has the whole patience for each.
_SENT_AT_ONCE_BYTES = 64 << 10

#: What follows a refusal is read and thrown away for so long at most. A connection that is closed
#: with something unread is reset, and the client could lose the answer.
_LINGER_SECONDS = 30.0

#: The pause between two pieces that are thrown away: a flood costs next to no time.
_LINGER_PAUSE_SECONDS = 0.005

#: Headers that must not come twice: a proxy could believe one of them, and we the other. h11 sees
#: to Host, Content-Length and Transfer-Encoding.
_SINGLE_HEADERS = (b"authorization", b"date")


@dataclass(slots=True, eq=False)
class ConnectionState:
    """What the server has to know of a connection. ``waiting_since`` (``time.monotonic``): since
    when we wait for the client; ``None`` while the client waits for us."""

    waiting_since: float | None
    is_answering: bool = False
    is_last: bool = False


class Connection:
    """One connection, from its first request to its last."""

    def __init__(
        self,
        wire: Wire,
        app: ASGIApp,
        state: ConnectionState,
        *,
        patience_seconds: float,
        scheme: str,
    ) -> None:
        """``state`` is kept true; when its ``is_last`` is set, the connection ends after the answer
        under way. ``patience_seconds``: how long we wait for a request to begin, for the rest of
        its head, and for the client to take each piece of an answer."""
        self._wire = wire
        self._app = app
        self._state = state
        self._patience_seconds = patience_seconds
        self._scheme = scheme
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_HEAD_BYTES)
        self._is_read = self._is_told = True
        self._is_head_only = self._is_chunked = False
        self._chunks = self._size = 0
        self._start: Message | None = None

    async def run(self) -> None:
        """Answer its requests, one after the other. Raises ``ConnectionError`` and ``TimeoutError``
        when the client has gone, or was waited for too long."""
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
        """The next request, or ``None`` if the client has sent its last one."""
        self._is_read = self._is_told = self._is_head_only = False
        with self._waiting():
            if not self._http.trailing_data[0]:
                async with asyncio.timeout(self._patience_seconds):
                    piece = await self._wire.read(_SLICE_BYTES)
                self._http.receive_data(piece)
            self._state.waiting_since = time.monotonic()  # a head has begun
            async with asyncio.timeout(self._patience_seconds):
                await asyncio.sleep(0)  # one request of a pipeline in one turn of the loop
                while (event := self._http.next_event()) is h11.NEED_DATA:
                    if self._http.trailing_data[0].count(b"\n") > _HEAD_LINES:
                        raise h11.RemoteProtocolError("too many headers")
                    self._http.receive_data(await self._wire.read(_SLICE_BYTES))
        if not isinstance(event, h11.Request):
            self._is_read = True
            return None
        self._look_at(event)
        return event

    def _look_at(self, head: h11.Request) -> None:
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

    # What the application calls.

    async def _receive(self) -> Message:
        """The next piece of the body; after the last one, the news that the client has gone."""
        if self._is_told:
            await self._wire.gone.wait()
            return {"type": "http.disconnect"}
        try:
            body = b"" if self._is_read else await self._piece()
        except h11.RemoteProtocolError as error:
            if self._wire.gone.is_set():
                return {"type": "http.disconnect"}
            raise Refused(f"this is no HTTP request: {error}", status=400) from None
        self._is_told = self._is_read
        return {"type": "http.request", "body": body, "more_body": not self._is_read}

    async def _piece(self) -> bytes:
        if self._http.they_are_waiting_for_100_continue:
            await self._write(h11.InformationalResponse(status_code=100, headers=[]))
        pieces: list[bytes] = []
        while True:
            event = self._http.next_event()
            if isinstance(event, h11.Data):
                self._count(event)
                pieces.append(bytes(event.data))
            elif isinstance(event, h11.EndOfMessage):
                self._is_read = True
                break
            elif pieces:
                break
            else:
                most = _SLICE_BYTES if self._is_chunked else _PIECE_BYTES
                self._http.receive_data(await self._wire.read(most))
        return b"".join(pieces)

    def _count(self, data: h11.Data) -> None:
        self._size += len(data.data)
        self._chunks += data.chunk_start
        if self._chunks > _FREE_CHUNKS + self._size // _BYTES_OF_A_CHUNK:
            raise Refused("the body comes in too many small chunks", status=400)

    async def _send(self, message: Message) -> None:
        """Send an answer. Returns when the client has taken it."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        assert self._start is not None
        await self._answer(self._start["status"], self._start["headers"], message["body"])

    async def _answer(
        self, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes
    ) -> None:
        events: list[h11.Event] = [self._response(status, headers)]
        if not self._is_head_only:
            events.append(h11.Data(data=body))
        await self._write(*events, h11.EndOfMessage())

    def _response(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> h11.Response:
        headers = [*headers, (b"date", _http_date(int(time.time())))]
        if self._state.is_last or not self._is_read:
            headers.append((b"connection", b"close"))
        reason = HTTPStatus(status).phrase.encode()
        return h11.Response(status_code=status, headers=headers, reason=reason)

    async def _write(self, *events: h11.Event) -> None:
        data = b"".join(self._http.send(event) or b"" for event in events)
        with self._waiting():
            for at in range(0, len(data), _SENT_AT_ONCE_BYTES):
                async with asyncio.timeout(self._patience_seconds):
                    await self._wire.send(data[at : at + _SENT_AT_ONCE_BYTES])

    # The end.

    async def _refuse(self, reason: str) -> None:
        """Say that this is no HTTP."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return
        self._is_read = False
        answer = {"status": 400, "message": f"this is no HTTP request: {reason}"}
        body = json.dumps(answer).encode()
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
        ]
        await self._answer(400, headers, body)

    async def _linger(self) -> None:
        """Throw away what is still coming, for a while."""
        self._wire.end()
        with self._waiting(), suppress(TimeoutError):
            async with asyncio.timeout(min(_LINGER_SECONDS, self._patience_seconds)):
                while await self._wire.read(_PIECE_BYTES):
                    await asyncio.sleep(_LINGER_PAUSE_SECONDS)


@lru_cache(maxsize=2)
def _http_date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
