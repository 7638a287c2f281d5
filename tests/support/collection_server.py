"""A collection over HTTP on loopback, for the tests: the whole wire protocol, and faults.

It serves any ``ImageCollection`` under ``/api/v1`` and records the requests.
``server.faults.append(reset_after())`` makes the next request fail, ``server.fault_for`` decides
about every request, and ``server.get_page`` replaces the listing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import socket
import struct
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, BinaryIO, Self, cast
from urllib.parse import parse_qs, unquote, urlsplit

from snoopsync.core.errors import (
    CollectionError,
    Conflict,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
)
from snoopsync.core.labels import LABEL_HEADER, decode_label
from snoopsync.core.protocol import ImageCollection, Labelled, ListAnswer, ReportsChanges
from tests.support.faults import Fault, Hang, Lost, Reply

PUBLIC_KEY = "24d337fe0ed9427cb512"
SECRET_KEY = "test-secret-sUGSL96ZvNxqHix"
BASE = "/api/v1"

_STATUS_OF = {NotFound: 404, Conflict: 409, Unauthorized: 401, Refused: 400, Unavailable: 503}
_PIECE_BYTES = 64 * 1024


@dataclass(slots=True)
class Seen:
    """One request as it arrived. ``status`` is the answer's, or ``None`` for a lost answer."""

    method: str
    path: str
    image_id: str | None
    headers: Mapping[str, str]
    peer_port: int
    query: dict[str, str] = field(default_factory=dict)
    sha256: str = ""
    length: int = 0
    whole: bool = True
    status: int | None = None


class CollectionServer:
    """The server: a context manager that runs it on a free port of loopback.

    ``requests`` has all requests in the order of their arrival. ``contents`` has the SHA-256 of the
    bytes that are stored under each ID. With ``keeps_halves``, the server stores an incomplete body
    as if it were complete.
    """

    def __init__(
        self,
        collection: ImageCollection,
        keys: Mapping[str, str] | None = None,
        port: int = 0,
    ) -> None:
        self.collection = collection
        self.keys = dict(keys or {PUBLIC_KEY: SECRET_KEY})
        self.requests: list[Seen] = []
        self.contents: dict[str, str] = {}
        self.faults: deque[Fault | None] = deque()
        self.fault_for: Callable[[Seen], Fault | None] = lambda _seen: None
        self.keeps_halves = False
        self.get_page: Callable[[str | None, int | None], ListAnswer] | None = None
        self.stopping = threading.Event()
        self._hangs: list[Hang] = []
        self._lock = threading.Lock()
        self._http = _Http(self, port)
        self._thread = threading.Thread(
            target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, name="test server"
        )

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}{BASE}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stopping.set()
        for hang in self._hangs:
            hang.release()
        self._http.shutdown()
        self._thread.join()
        self.drop_connections()
        self._http.server_close()

    def hang_next(self) -> Hang:
        """Make the next request hang until it is released, or the server stops."""
        hang = Hang()
        self._hangs.append(hang)
        self.faults.append(hang)
        return hang

    @property
    def is_busy(self) -> bool:
        """Whether a client is connected, or a request in progress."""
        return self._http.is_busy

    def drop_connections(self) -> None:
        """Reset every connection, also in the middle of a request."""
        self._http.drop_connections()

    def sent(self, method: str) -> list[Seen]:
        """Return the requests with this method."""
        return [seen for seen in self.requests if seen.method == method]

    def arrived(self, seen: Seen) -> Fault | None:
        """Record a request, and return the fault for it, if there is one."""
        with self._lock:
            self.requests.append(seen)
            if self.faults:
                return self.faults.popleft()
        return self.fault_for(seen)

    def perform(self, seen: Seen, body: BinaryIO) -> Reply:
        """Perform the request. The collection changes only here."""
        try:
            self._check_signature(seen)
            answer = self._route(seen, body)
        except CollectionError as error:
            status = error.status or _status_of(error)
            return Reply(status, _json({"status": status, "message": error.message}))
        return Reply(answer.get("status", 200), _json(answer))

    def _check_signature(self, seen: Seen) -> None:
        given = seen.headers.get("Authorization", "")
        public_key = given.removeprefix("VSHMAC ").partition(":")[0]
        text = f"{seen.method}\n{seen.path}\n{seen.headers.get('Date', '')}"
        digest = hmac.digest(self.keys.get(public_key, "").encode(), text.encode(), "sha1")
        right = f"VSHMAC {public_key}:{base64.b64encode(digest).decode()}"
        if public_key not in self.keys or not hmac.compare_digest(given.encode(), right.encode()):
            raise Unauthorized("the signature is wrong", status=401)

    def _route(self, seen: Seen, body: BinaryIO) -> Mapping[str, Any]:
        what = seen.path.removeprefix(BASE).split("/")[1]
        image_id, collection = seen.image_id, self.collection
        limit = [int(seen.query["limit"])] if "limit" in seen.query else []
        if seen.path.endswith("/label"):
            return self._set_label(seen)
        match seen.method, what:
            case "GET", "collection":
                return {
                    "status": 200,
                    "message": "OK",
                    "collection_id": collection.id,
                    "collection_name": collection.name,
                    "user": collection.user,
                }
            case "GET", "changes" if isinstance(collection, ReportsChanges):
                since = seen.query.get("since")
                owner = seen.query.get("owner", "")
                return collection.changes(None if since is None else int(since), owner)
            case "GET", "images":
                count = seen.query.get("count")
                get_page = self.get_page or collection.get_images
                return get_page(seen.query.get("start"), int(count) if count else None)
            case "POST" | "PUT" as method, "image" if method == "POST" or image_id is not None:
                return self._stored(seen, body)
            case "GET", "image" if image_id is not None:
                return collection.get_image(image_id)
            case "DELETE", "image" if image_id is not None:
                deleted = collection.delete_image(image_id)
                self.contents.pop(image_id, None)
                return deleted
            case "GET", "search" if image_id is not None:
                return collection.search_images_by_id(image_id, *limit)
            case "POST", "search":
                return collection.search_images(body, *limit)
        raise Refused("no such call", status=405)

    def _set_label(self, seen: Seen) -> Mapping[str, Any]:
        if not isinstance(self.collection, Labelled):
            raise NotFound("unknown call")
        image_id = unquote(seen.path.removeprefix(BASE).split("/")[2])
        return self.collection.set_label(image_id, _label_of(seen))

    def _stored(self, seen: Seen, body: BinaryIO) -> Mapping[str, Any]:
        is_update = seen.method == "PUT"
        answer = self.collection.add_image(body, seen.image_id, is_update, _label_of(seen))
        self.contents[answer["image_id"]] = seen.sha256
        return answer


def _label_of(seen: Seen) -> str | None:
    return decode_label(seen.headers.get(LABEL_HEADER, ""))


def _status_of(error: CollectionError) -> int:
    return next((status for kind, status in _STATUS_OF.items() if isinstance(error, kind)), 500)


def _json(answer: Mapping[str, Any]) -> bytes:
    return json.dumps(answer).encode()


class _Http(ThreadingHTTPServer):
    daemon_threads = False  # so that closing waits for every handler
    request_queue_size = 64

    def __init__(self, owner: CollectionServer, port: int) -> None:
        self.owner = owner
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        with self._lock:
            self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        with self._lock:
            self._open.discard(request)
        super().shutdown_request(request)

    @property
    def is_busy(self) -> bool:
        with self._lock:
            return bool(self._open)

    def drop_connections(self) -> None:
        with self._lock:
            for connection in self._open:
                with suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that disconnected, as some tests need


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Http

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - http.server's name
        pass

    def answer(self) -> None:
        """Handle any method: read the request, apply the fault, reply."""
        owner = self.server.owner
        seen = self._seen()
        with tempfile.SpooledTemporaryFile(1024 * 1024) as spool:
            body = cast(BinaryIO, spool)
            self._read_body(seen, body)
            fault = owner.arrived(seen)
            if not seen.whole:
                self.close_connection = True
                if owner.keeps_halves:
                    owner.perform(seen, body)
                return
            try:
                reply = (fault or _do)(lambda: owner.perform(seen, body))
            except Lost:
                self._reset()
                return
        seen.status = reply.status
        self._send(reply)

    do_GET = do_POST = do_PUT = do_DELETE = answer  # noqa: N815 - http.server's names

    def _seen(self) -> Seen:
        parts = urlsplit(self.path)
        steps = parts.path.removeprefix(BASE).split("/")
        image_id = unquote(steps[2]) if len(steps) == 3 else None
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers, port = dict(self.headers.items()), self.client_address[1]
        return Seen(self.command, parts.path, image_id, headers, port, query)

    def _read_body(self, seen: Seen, body: BinaryIO) -> None:
        left = int(self.headers.get("Content-Length", 0))
        digest = hashlib.sha256()
        while left and (piece := self.rfile.read1(min(left, _PIECE_BYTES))):
            digest.update(piece)
            body.write(piece)
            left -= len(piece)
        seen.sha256, seen.length, seen.whole = digest.hexdigest(), body.tell(), not left
        body.seek(0, os.SEEK_SET)

    def _reset(self) -> None:
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        # Close the descriptor itself, because http.server would end the connection properly.
        os.close(self.connection.detach())

    def _send(self, reply: Reply) -> None:
        self.send_response_only(reply.status)
        if "Date" not in reply.headers:
            self.send_header("Date", self.date_time_string())
        for name, value in reply.headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply.body)))
        if not reply.drip_seconds:
            self._headers_buffer.append(b"\r\n" + reply.body)  # type: ignore[attr-defined]  # one packet, not two
            self.flush_headers()
            return
        self.end_headers()
        for byte in reply.body:
            if self.server.owner.stopping.wait(reply.drip_seconds):
                break
            self.wfile.write(bytes((byte,)))


def _do(do: Callable[[], Reply]) -> Reply:
    return do()
