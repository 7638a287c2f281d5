"""The wire protocol as an ASGI application: what is asked, by whom, and what is answered.

The router of a framework would take an encoded slash in an ID for a step of the path, so the calls
are told apart here. Whatever happens, the answer is JSON with ``status`` and ``message``.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import IO, Any, TypeVar
from urllib.parse import parse_qs, unquote_to_bytes

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from snoopsync.embedded import EmbeddedCollection
from snoopsync.errors import (
    CollectionError,
    Conflict,
    NotFound,
    Refused,
    SnoopsyncError,
    Unauthorized,
    Unavailable,
    Unwritable,
)
from snoopsync.events import Event, happened
from snoopsync.server.description import openapi
from snoopsync.server.hosting import Hosting
from snoopsync.server.signature import Claim
from snoopsync.supervisor import Supervisor

BASE = "/api/v1"

access = logging.getLogger("snoopsync.access")
log = logging.getLogger("snoopsync.server")

_STATUS_OF: dict[type[SnoopsyncError], int] = {
    NotFound: 404,
    Conflict: 409,
    Unauthorized: 401,
    Refused: 400,
}

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})

_STOPPING = "the service is stopping"

#: Short questions to the registry, and pieces of bodies, never wait behind pictures.
_SHORT_AT_ONCE = 8

Answer = Mapping[str, Any]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost. ``pause_seconds``: between two pieces of a body."""

    body_bytes: int = 64 << 20
    body_seconds: float = 600.0
    pause_seconds: float = 30.0
    requests_at_once: int = 16


@dataclass(slots=True)
class _Call:
    """One request: its method, the call's name and, if it has one, the image's ID."""

    request: Request
    method: str
    name: str
    image_id: str | None = None
    public_key: str = ""
    body: Path | None = None
    query: dict[str, str] = field(default_factory=dict)


class _Missing(Exception):
    """There is no such call (``allowed`` is empty), or none with this method."""

    def __init__(self, allowed: str = "") -> None:
        self.allowed = allowed


#: The methods of each call: without an ID, and with one.
_METHODS = {
    ("collection", False): ("GET", "HEAD"),
    ("image", False): ("POST",),
    ("image", True): ("GET", "HEAD", "POST", "PUT", "DELETE"),
    ("images", False): ("GET", "HEAD"),
    ("search", False): ("POST",),
    ("search", True): ("GET", "HEAD"),
}


class Application:
    """The ASGI application over what is hosted."""

    def __init__(
        self,
        hosting: Hosting,
        limits: Limits | None = None,
        supervisor: Supervisor | None = None,
    ) -> None:
        """``supervisor`` hears that it is up, and that its loop turns."""
        self._hosting = hosting
        self._limits = limits or Limits()
        self._supervisor = supervisor or Supervisor({})
        self._work = CapacityLimiter(self._limits.requests_at_once)
        self._short = CapacityLimiter(_SHORT_AT_ONCE)
        self._trouble = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        call = _Call(Request(scope, receive), scope["method"], "")
        response = await self._respond(call)
        self._tell(call, response.status_code, time.perf_counter() - began)
        await response(scope, receive, send)

    def _tell(self, call: _Call, status: int, seconds: float) -> None:
        path = call.request.scope["raw_path"].decode("ascii", "backslashreplace")
        happened(
            access,
            logging.INFO,
            Event.REQUEST,
            "%s %s %d %s %.0f ms",
            call.method,
            path,
            status,
            call.public_key or "-",
            1000 * seconds,
            method=call.method,
            path=path,
            status=status,
            public_key=call.public_key or None,
            milliseconds=round(1000 * seconds),
        )

    async def _respond(self, call: _Call) -> Response:
        try:
            _route(call)
            if call.name in _OPEN:
                return await self._open_call(call)
            answer = await self._answer(call)
        except _Missing as missing:
            return _not_a_call(missing)
        except ClientDisconnect:
            return _refusal(400, "the request ended before its body did")
        except SnoopsyncError as error:
            return self._error(error)
        except asyncio.CancelledError:
            # It was given up, since the service stops: that is an answer too.
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return _refusal(503, _STOPPING)
        except Exception as error:
            where = "".join(traceback.format_exception(error))
            message = "a bug in snoopsync, please report it: %s"
            happened(log, logging.ERROR, Event.HOSTING_TROUBLE, message, where, error=repr(error))
            return _refusal(500, "the service has failed")
        return JSONResponse(answer, answer["status"])

    async def _answer(self, call: _Call) -> Answer:
        claim = _claim(call)
        hosted = await self._shortly(partial(self._hosting.admit, claim))
        call.public_key = claim.public_key
        try:
            if call.method in ("POST", "PUT"):
                call.body = await self._receive(call.request)
            answer = await to_thread.run_sync(
                lambda: _perform(call, self._hosting.collection(hosted), hosted.name),
                limiter=self._work,
                abandon_on_cancel=True,
            )
            self._trouble = ""
            return answer
        finally:
            if call.body is not None:
                call.body.unlink(missing_ok=True)

    async def _open_call(self, call: _Call) -> Response:
        """What anybody may ask."""
        if call.name == "openapi.json":
            return JSONResponse(openapi(BASE))
        await self._shortly(self._hosting.check)
        return JSONResponse({"status": 200, "message": "OK"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        heart = asyncio.create_task(self._beat())
        await send({"type": "lifespan.startup.complete"})
        self._supervisor.ready()
        await receive()
        heart.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _beat(self) -> None:
        while self._supervisor.heartbeat_seconds is not None:
            self._supervisor.alive()
            await asyncio.sleep(self._supervisor.heartbeat_seconds)

    async def _shortly(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._short, abandon_on_cancel=True)

    async def _receive(self, request: Request) -> Path:
        """The body, in a file. Raises ``Refused`` for one that is too large or too slow."""
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limits.body_bytes:
            raise self._too_large()
        path: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(dir=self._hosting.incoming)
            path = Path(name)
            with os.fdopen(descriptor, "wb") as file:
                async with asyncio.timeout(self._limits.body_seconds):
                    await self._copy(request, file)
        except BaseException as error:
            if path is not None:
                path.unlink(missing_ok=True)
            if isinstance(error, TimeoutError):
                raise Refused("the body comes too slowly", status=408) from None
            if isinstance(error, OSError):
                kind = Unwritable if error.errno in _NO_ROOM else Unavailable
                raise kind(f"{self._hosting.incoming}: {error.strerror}") from None
            raise
        return path

    async def _copy(self, request: Request, file: IO[bytes]) -> None:
        size, pieces = 0, request.stream().__aiter__()
        while piece := await self._next(pieces):
            size += len(piece)
            if size > self._limits.body_bytes:
                raise self._too_large()
            await self._shortly(partial(file.write, piece))

    async def _next(self, pieces: Any) -> bytes:
        with suppress(StopAsyncIteration):
            while True:
                piece: bytes = await asyncio.wait_for(anext(pieces), self._limits.pause_seconds)
                if piece:
                    return piece
        return b""

    def _error(self, error: SnoopsyncError) -> Response:
        """What went wrong here, with its paths, is for our log; what they did wrong is for them."""
        status = error.status if isinstance(error, CollectionError) else None
        if status is None:
            kinds = (code for kind, code in _STATUS_OF.items() if isinstance(error, kind))
            status = next(kinds, None)
        if status is None or not isinstance(error, CollectionError):
            return self._own_trouble(error)
        response = _refusal(status, error.message)
        if error.retry_after is not None:
            response.headers["Retry-After"] = f"{error.retry_after:.0f}"
        return response

    def _own_trouble(self, error: SnoopsyncError) -> Response:
        if str(error) != self._trouble:  # once, until something works again
            self._trouble = str(error)
            happened(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", error, error=str(error))
        if isinstance(error, Unwritable):
            return _refusal(507, "the service has no room for more")
        response = _refusal(503, "the service can't do that now")
        response.headers["Retry-After"] = "5"
        return response

    def _too_large(self) -> Refused:
        return Refused(f"larger than {self._limits.body_bytes >> 20} MiB", status=413)


#: The calls that need no key.
_OPEN = frozenset({"healthz", "openapi.json"})


def _route(call: _Call) -> None:
    """Which call is it? Raises ``_Missing``."""
    path = call.request.scope["raw_path"].decode("ascii", "replace")
    if path in ("/healthz", f"{BASE}/openapi.json"):
        call.name = path.rpartition("/")[2]
        if call.method not in ("GET", "HEAD"):
            raise _Missing("GET, HEAD")
        return
    if not path.startswith(BASE + "/"):
        raise _Missing
    name, *rest = path.removeprefix(BASE + "/").split("/")
    methods = _METHODS.get((name, bool(rest)))
    if methods is None or len(rest) > 1:
        raise _Missing
    if call.method not in methods:
        raise _Missing(", ".join(methods))
    call.name = name
    query = parse_qs(call.request.scope["query_string"].decode("ascii", "replace"))
    call.query = {key: values[0] for key, values in query.items()}
    if rest:
        call.image_id = _decoded(rest[0])


def _decoded(segment: str) -> str:
    try:
        image_id = unquote_to_bytes(segment).decode()
    except UnicodeDecodeError:
        image_id = ""
    if not 1 <= len(image_id) <= 100:
        raise Refused("an image's ID is a text of 1 to 100 characters, in UTF-8", status=400)
    return image_id


def _claim(call: _Call) -> Claim:
    headers = call.request.headers
    return Claim(
        method=call.method,
        path=call.request.scope["raw_path"].decode("ascii", "replace"),
        date=headers.get("date", ""),
        authorization=headers.get("authorization", ""),
        changes=call.name == "image" and call.method in ("POST", "PUT", "DELETE"),
        once=call.image_id is not None,
    )


def _perform(call: _Call, collection: EmbeddedCollection, name: str) -> Answer:
    if call.image_id is not None:
        return _about_image(call, collection, call.image_id)
    match call.name, call.method:
        case "collection", _:
            return {
                "status": 200,
                "message": "OK",
                "collection_id": collection.id,
                "collection_name": name,
                "user": name,
            }
        case "images", _:
            return collection.get_images(call.query.get("start"), _count(call.query.get("count")))
        case "image", _:
            return collection.add_image(_body(call))
    return collection.search_images(_body(call))


def _about_image(call: _Call, collection: EmbeddedCollection, image_id: str) -> Answer:
    match call.name, call.method:
        case "search", _:
            return collection.search_images_by_id(image_id)
        case _, "POST" | "PUT":
            return collection.add_image(_body(call), image_id, call.method == "PUT")
        case _, "DELETE":
            return collection.delete_image(image_id)
    return collection.get_image(image_id)


def _body(call: _Call) -> Path:
    assert call.body is not None  # every call of these methods has received one
    return call.body


def _count(text: str | None) -> int | None:
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 9:
        raise Refused("count is a number of images", status=400)
    return int(text)


def _not_a_call(missing: _Missing) -> Response:
    if not missing.allowed:
        return _refusal(404, "there is no such call")
    response = _refusal(405, f"this call takes {missing.allowed}")
    response.headers["Allow"] = missing.allowed
    return response


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"status": status, "message": message or HTTPStatus(status).phrase}, status)
