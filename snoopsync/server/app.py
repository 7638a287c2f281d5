"""The wire protocol as an ASGI application: what is asked, by whom, and what is answered.

Whatever happens, the answer is JSON with ``status`` and ``message``.

Keys share the service fairly: requests that decode a picture wait in turn for a decoder, all others
in turn for a thread. Neither waits behind the other kind.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from pathlib import Path
from typing import TypeVar

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from snoopsync.core.errors import (
    CollectionError,
    Conflict,
    NotFound,
    Refused,
    SnoopsyncError,
    Unauthorized,
    Unavailable,
    Unwritable,
)
from snoopsync.core.events import Event, log_event
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.server.calls import BASE, Call, NoSuchCall, call_of, perform
from snoopsync.server.description import openapi
from snoopsync.server.registry import HostedCollection
from snoopsync.server.slots import FairSlots, Slot
from snoopsync.server.tenants import Hosting
from snoopsync.server.uploads import Limits, Receiver

access = logging.getLogger("snoopsync.access")
log = logging.getLogger("snoopsync.server")

_STATUS_OF: dict[type[SnoopsyncError], int] = {
    NotFound: 404,
    Conflict: 409,
    Unauthorized: 401,
    Refused: 400,
}

_STOPPING = "the service is stopping"

#: Questions to the registry, and pieces of bodies.
_SHORT_AT_ONCE = 8

#: So much of a path is logged.
_LOGGED_CHARACTERS = 200

T = TypeVar("T")


@dataclass(slots=True)
class _Visit:
    """One request, and the key that it was admitted with (empty if it was not)."""

    request: Request
    public_key: str = ""


class _Lane:
    """Threads for one kind of work. Keys take turns for its ``slots``; who has one has a thread.

    Each kind has threads of its own: what a thread has once used, the allocator keeps for it.
    """

    def __init__(self, name: str, count: int) -> None:
        self.slots = FairSlots(count)
        self._threads = ThreadPoolExecutor(count, name)

    async def run(self, work: Callable[[], T]) -> T:
        """Do it in a thread. Work that has begun is done, also if nobody waits any more."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Take no more work, and do not wait for what is under way."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Application:
    """The ASGI application over what is hosted."""

    def __init__(
        self,
        hosting: Hosting,
        limits: Limits | None = None,
        systemd: SystemdNotifier | None = None,
    ) -> None:
        """``systemd`` hears that it is up, and that its loop turns."""
        self._hosting = hosting
        limits = limits or Limits()
        self._systemd = systemd or SystemdNotifier({})
        self._pictures = _Lane("pictures", limits.pictures_at_once)
        self._others = _Lane("others", limits.requests_at_once)
        self._short = _Lane("short", _SHORT_AT_ONCE)
        self._strangers = asyncio.Lock()
        self._checking: asyncio.Task[None] | None = None
        self._of_key = Counter[str]()
        self._limits = limits
        self._trouble = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, of the type ``http``."""
        began = time.perf_counter()
        visit = _Visit(Request(scope, receive))
        response = await self._respond(visit)
        if not visit.public_key:
            # One in a turn of the loop, for nobody knows how many ask.
            async with self._strangers:
                await asyncio.sleep(0)
        self._tell(visit, response.status_code, time.perf_counter() - began)
        await response(scope, receive, send)

    def _tell(self, visit: _Visit, status: int, seconds: float) -> None:
        method = visit.request.method
        path = visit.request.scope["raw_path"].decode("ascii", "backslashreplace")
        if len(path) > _LOGGED_CHARACTERS:
            path = f"{path[:_LOGGED_CHARACTERS]}..."
        log_event(
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
            return await self._answer(call, visit)
        except NoSuchCall as missing:
            return _not_a_call(missing)
        except ClientDisconnect:
            return _refusal(400, "the client closed the connection before the answer")
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
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, message, where, error=repr(error))
            return _refusal(500, "the service has failed")

    async def _answer(self, call: Call, visit: _Visit) -> Response:
        claim = call.claim(visit.request.headers)
        self._hosting.require_signature(claim)  # before anybody else could have to wait
        hosted = await self._shortly(partial(self._hosting.admit, claim), claim.public_key)
        visit.public_key = claim.public_key
        lane = self._pictures if call.has_body else self._others
        with self._under_way(claim.public_key):
            body = await self._received(visit) if call.has_body else None
            try:
                with lane.slots.ask(claim.public_key) as slot:
                    await _granted(slot, visit.request)
                    response = await lane.run(
                        partial(_performed, call, self._hosting, hosted, body)
                    )
            finally:
                if body is not None:
                    body.unlink(missing_ok=True)
        self._trouble = ""
        return response

    @contextmanager
    def _under_way(self, public_key: str) -> Iterator[None]:
        if self._of_key[public_key] >= self._limits.requests_of_a_key:
            raise Unavailable(
                f"this key has {self._limits.requests_of_a_key} requests under way",
                status=429,
                retry_after=1.0,
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
            return Response(_description(), media_type="application/json")
        await self._check()
        return JSONResponse({"status": 200, "message": "OK"})

    async def _check(self) -> None:
        """All who ask at one time get the result of one check: it needs no key."""
        if self._checking is None:
            self._checking = asyncio.create_task(self._shortly(self._hosting.check))
            self._checking.add_done_callback(self._checked)
        await asyncio.shield(self._checking)

    def _checked(self, task: asyncio.Task[None]) -> None:
        self._checking = None
        if not task.cancelled():
            task.exception()  # whoever asked has it, if they are still there

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Start the decoders and beat the heart, as long as the ``async with`` lasts. It can answer
        from the begin: what needs no decoder does not wait for one."""
        tasks = [asyncio.create_task(self._beat()), asyncio.create_task(self._warm_up())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            for lane in (self._pictures, self._others, self._short):
                lane.close()

    async def _warm_up(self) -> None:
        try:
            await self._shortly(self._hosting.warm_up)
        except SnoopsyncError as error:
            self._own_trouble(error)
        else:
            self._systemd.ready()

    async def _beat(self) -> None:
        while self._systemd.heartbeat_seconds is not None:
            self._systemd.alive()
            await asyncio.sleep(self._systemd.heartbeat_seconds)

    async def _received(self, visit: _Visit) -> Path:
        in_thread = partial(self._shortly, key=visit.public_key)
        receiver = Receiver(self._hosting.incoming, self._limits, in_thread)
        return await receiver.receive(visit.request)

    async def _shortly(self, work: Callable[[], T], key: str = "") -> T:
        """Do in a thread what takes a moment. Keys take turns for that, too: many moments are a
        long time."""
        with self._short.slots.ask(key) as slot:
            await slot.granted
            return await self._short.run(work)

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
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", error, error=str(error))
        if isinstance(error, Unwritable):
            return _refusal(507, "the service has no room for more")
        response = _refusal(503, "the service can't do that now")
        response.headers["Retry-After"] = "5"
        return response


async def _granted(slot: Slot, request: Request) -> None:
    """Wait for the slot. Raises ``ClientDisconnect`` if the client goes before that."""
    if slot.granted.done():
        return
    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.wait((slot.granted, gone), return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
    if not slot.granted.done():
        raise ClientDisconnect


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _performed(
    call: Call, hosting: Hosting, hosted: HostedCollection, body: Path | None
) -> Response:
    """The answer, as it is sent: writing a long one takes time, which is not the loop's."""
    answer = perform(call, hosting.collection(hosted), hosted.name, body)
    return JSONResponse(answer, answer["status"])


@cache
def _description() -> bytes:
    return json.dumps(openapi(BASE)).encode()


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
