"""The wire protocol as an ASGI application: what is asked, by whom, and what is answered.

Whatever happens, the answer is JSON with ``status`` and ``message``.
"""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TypeVar

from anyio import CapacityLimiter, to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

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
from snoopsync.server.calls import BASE, Answer, Call, NoSuchCall, call_of, perform
from snoopsync.server.description import openapi
from snoopsync.server.hosting import Hosting
from snoopsync.server.receiving import Limits, Receiver
from snoopsync.supervisor import Supervisor

access = logging.getLogger("snoopsync.access")
log = logging.getLogger("snoopsync.server")

_STATUS_OF: dict[type[SnoopsyncError], int] = {
    NotFound: 404,
    Conflict: 409,
    Unauthorized: 401,
    Refused: 400,
}

_STOPPING = "the service is stopping"

#: Short questions to the registry, and pieces of bodies, never wait behind pictures.
_SHORT_AT_ONCE = 8

T = TypeVar("T")


@dataclass(slots=True)
class _Visit:
    """One request, and the key that it was admitted with (empty if it was not)."""

    request: Request
    public_key: str = ""


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
        limits = limits or Limits()
        self._supervisor = supervisor or Supervisor({})
        self._work = CapacityLimiter(limits.requests_at_once)
        self._short = CapacityLimiter(_SHORT_AT_ONCE)
        self._most_of_key = limits.requests_of_a_key
        self._of_key = Counter[str]()
        self._receiver = Receiver(hosting.incoming, limits, self._shortly)
        self._trouble = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        began = time.perf_counter()
        visit = _Visit(Request(scope, receive))
        response = await self._respond(visit)
        self._tell(visit, response.status_code, time.perf_counter() - began)
        await response(scope, receive, send)

    def _tell(self, visit: _Visit, status: int, seconds: float) -> None:
        method = visit.request.method
        path = visit.request.scope["raw_path"].decode("ascii", "backslashreplace")
        happened(
            access,
            logging.INFO,
            Event.REQUEST,
            "%s %s %d %s %.0f ms",
            method,
            path,
            status,
            visit.public_key or "-",
            1000 * seconds,
            method=method,
            path=path,
            status=status,
            public_key=visit.public_key or None,
            milliseconds=round(1000 * seconds),
        )

    async def _respond(self, visit: _Visit) -> Response:
        try:
            call = _call_of(visit.request)
            if call.is_open:
                return await self._open_call(call)
            answer = await self._answer(call, visit)
        except NoSuchCall as missing:
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

    async def _answer(self, call: Call, visit: _Visit) -> Answer:
        claim = call.claim(visit.request.headers)
        hosted = await self._shortly(partial(self._hosting.admit, claim))
        visit.public_key = claim.public_key
        with self._under_way(claim.public_key):
            body = await self._receiver.receive(visit.request) if call.has_body else None
            try:
                answer = await to_thread.run_sync(
                    lambda: perform(call, self._hosting.collection(hosted), hosted.name, body),
                    limiter=self._work,
                    abandon_on_cancel=True,
                )
            finally:
                if body is not None:
                    body.unlink(missing_ok=True)
        self._trouble = ""
        return answer

    @contextmanager
    def _under_way(self, public_key: str) -> Iterator[None]:
        if self._of_key[public_key] >= self._most_of_key:
            raise Unavailable(
                f"this key has {self._most_of_key} requests under way", status=429, retry_after=1.0
            )
        self._of_key[public_key] += 1
        try:
            yield
        finally:
            self._of_key[public_key] -= 1
            if not self._of_key[public_key]:
                del self._of_key[public_key]

    async def _open_call(self, call: Call) -> Response:
        """What anybody may ask."""
        if call.name == "openapi.json":
            return JSONResponse(openapi(BASE))
        await self._shortly(self._hosting.check)
        return JSONResponse({"status": 200, "message": "OK"})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        heart = asyncio.create_task(self._beat())
        await send({"type": "lifespan.startup.complete"})
        warming = asyncio.create_task(self._warm_up())
        await receive()
        warming.cancel()
        heart.cancel()
        await send({"type": "lifespan.shutdown.complete"})

    async def _warm_up(self) -> None:
        """It listens meanwhile, and what needs no decoder is answered."""
        try:
            await self._shortly(self._hosting.warm_up)
        except SnoopsyncError as error:
            self._own_trouble(error)
        else:
            self._supervisor.ready()

    async def _beat(self) -> None:
        while self._supervisor.heartbeat_seconds is not None:
            self._supervisor.alive()
            await asyncio.sleep(self._supervisor.heartbeat_seconds)

    async def _shortly(self, work: Callable[[], T]) -> T:
        return await to_thread.run_sync(work, limiter=self._short, abandon_on_cancel=True)

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


def _call_of(request: Request) -> Call:
    path = request.scope["raw_path"].decode("ascii", "replace")
    query = request.scope["query_string"].decode("ascii", "replace")
    return call_of(request.method, path, query)


def _not_a_call(missing: NoSuchCall) -> Response:
    if not missing.allowed:
        return _refusal(404, "there is no such call")
    response = _refusal(405, f"this call takes {missing.allowed}")
    response.headers["Allow"] = missing.allowed
    return response


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"status": status, "message": message or HTTPStatus(status).phrase}, status)
