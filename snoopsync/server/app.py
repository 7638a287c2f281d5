"""The wire protocol as an ASGI application: authorizes and performs each request, and responds.

Every response is JSON with ``status`` and ``message``.

Keys share the service fairly: requests with a picture take turns for a decoder, all others take
turns for a thread. Neither kind waits for the other.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
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
from snoopsync.core.labels import LABEL_HEADER
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.server.description import openapi
from snoopsync.server.operations import (
    BASE,
    HEALTH,
    Operation,
    UnknownOperation,
    find_operation,
    perform,
)
from snoopsync.server.request_counters import UNKNOWN_CALL, RequestCounters, call_of
from snoopsync.server.slots import FairSlots, Slot
from snoopsync.server.tenants import Tenants
from snoopsync.server.uploads import RequestLimits, UploadReceiver
from snoopsync.storage.hosting import HostedCollection

access = logging.getLogger("snoopsync.access")
log = logging.getLogger("snoopsync.server")

_STATUS_OF: dict[type[SnoopsyncError], int] = {
    NotFound: 404,
    Conflict: 409,
    Unauthorized: 401,
    Refused: 400,
}

_STOPPING = "the service is stopping"

#: The threads for short work: reading the registry, and writing pieces of bodies.
_SHORT_THREADS = 8

#: The pause before the indexes are loaded again if the database can't be read.
_RELOAD_SECONDS = 2.0

#: The most characters of a path in the log.
_LOGGED_PATH_CHARACTERS = 200

T = TypeVar("T")


@dataclass(slots=True)
class _Exchange:
    """One request, its call, and the key that it is authorized for (empty if it is not)."""

    request: Request
    call: str = UNKNOWN_CALL
    public_key: str = ""


class _WorkerPool:
    """Threads for one kind of work. Keys take turns for its ``slots``, one for each thread.

    Each kind has its own threads, because the allocator keeps the memory of each thread.
    """

    def __init__(self, name: str, count: int) -> None:
        self.slots = FairSlots(count)
        self._threads = ThreadPoolExecutor(count, name)

    async def run(self, work: Callable[[], T]) -> T:
        """Run ``work`` in a thread. Work that has begun continues to its end even if this call is
        cancelled."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def close(self) -> None:
        """Accept no more work, and do not wait for the work in progress."""
        self._threads.shutdown(wait=False, cancel_futures=True)


class Application:
    """The ASGI application for the collections of a service."""

    def __init__(
        self,
        tenants: Tenants,
        limits: RequestLimits | None = None,
        systemd: SystemdNotifier | None = None,
    ) -> None:
        """``systemd`` is notified when the service is ready, and regularly while its event loop
        runs."""
        self._tenants = tenants
        limits = limits or RequestLimits()
        self._systemd = systemd or SystemdNotifier({})
        self._picture_pool = _WorkerPool("pictures", limits.pictures_at_once)
        self._other_pool = _WorkerPool("others", limits.requests_at_once)
        self._short_pool = _WorkerPool("short", _SHORT_THREADS)
        self._loading_pool = _WorkerPool("loading", 1)
        self._is_ready = False
        self.requests = RequestCounters()
        self._unauthenticated = asyncio.Lock()
        self._health_check: asyncio.Task[None] | None = None
        self._in_progress = Counter[str]()
        self._limits = limits
        self._last_error = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the type ``http``."""
        began = time.perf_counter()
        exchange = _Exchange(Request(scope, receive))
        with self.requests.in_progress():
            response = await self._respond(exchange)
            if not exchange.public_key:
                # Only one unauthorized response in each iteration of the loop, so that authorized
                # requests come first.
                async with self._unauthenticated:
                    await asyncio.sleep(0)
            seconds = time.perf_counter() - began
            self.requests.answered(exchange.call, response.status_code, seconds)
            self._log_request(exchange, response.status_code, seconds)
            await response(scope, receive, send)

    @property
    def is_ready(self) -> bool:
        """Whether the indexes are loaded, so that no search has to wait for that."""
        return self._is_ready

    def waiting(self) -> dict[str, int]:
        """How many requests wait for their turn, by queue. Any thread may ask."""
        queues = {"pictures": self._picture_pool, "others": self._other_pool}
        return {name: pool.slots.waiting for name, pool in queues.items()}

    def _log_request(self, exchange: _Exchange, status: int, seconds: float) -> None:
        method = exchange.request.method
        path = exchange.request.scope["raw_path"].decode("ascii", "backslashreplace")
        if len(path) > _LOGGED_PATH_CHARACTERS:
            path = f"{path[:_LOGGED_PATH_CHARACTERS]}..."
        # A load balancer asks every second. Only the answer that something is wrong is news.
        is_health = path == HEALTH and status == HTTPStatus.OK
        log_event(
            access,
            logging.DEBUG if is_health else logging.INFO,
            Event.REQUEST,
            "%s %s %d %s %.0f ms",
            method,
            path,
            status,
            exchange.public_key or "-",
            1000 * seconds,
            method=method,
            path=path,
            status=status,
            public_key=exchange.public_key or None,
            milliseconds=round(1000 * seconds),
        )

    async def _respond(self, exchange: _Exchange) -> Response:
        try:
            operation = _operation_of(exchange.request)
            exchange.call = call_of(operation)
            if operation.is_public:
                return await self._public_response(operation)
            return await self._answer(operation, exchange)
        except UnknownOperation as unknown:
            return _unknown_operation(unknown)
        except ClientDisconnect:
            return _error_json(400, "the client closed the connection before the response")
        except SnoopsyncError as error:
            return self._error_response(error)
        except asyncio.CancelledError:
            # The stopping service cancels the request, but the client still gets a response.
            if (task := asyncio.current_task()) is not None:
                task.uncancel()
            return _error_json(503, _STOPPING)
        except Exception as error:
            trace = "".join(traceback.format_exception(error))
            message = "a bug in snoopsync, please report it: %s"
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, message, trace, error=repr(error))
            return _error_json(500, "internal error")

    async def _answer(self, operation: Operation, exchange: _Exchange) -> Response:
        signed = operation.signed_request(exchange.request.headers)
        key = signed.public_key
        self._tenants.require_signature(signed)  # before any other request can wait for this one
        hosted = await self._run_briefly(partial(self._tenants.authorize, signed), key)
        exchange.public_key = key
        pool = self._picture_pool if operation.has_body else self._other_pool
        with self._count_in_progress(key):
            body = await self._receive_body(exchange) if operation.has_body else None
            try:
                with pool.slots.request(key) as slot:
                    await _wait_until_granted(slot, exchange.request)
                    response = await pool.run(
                        partial(_perform, operation, self._tenants, hosted, body)
                    )
            finally:
                if body is not None:
                    body.unlink(missing_ok=True)
        self._last_error = ""
        return response

    @contextmanager
    def _count_in_progress(self, public_key: str) -> Iterator[None]:
        if self._in_progress[public_key] >= self._limits.requests_per_key:
            raise Unavailable(
                f"this key has {self._limits.requests_per_key} requests in progress",
                status=429,
                retry_after=1.0,
            )
        self._in_progress[public_key] += 1
        try:
            yield
        finally:
            self._in_progress[public_key] -= 1
            if not self._in_progress[public_key]:
                del self._in_progress[public_key]

    async def _public_response(self, operation: Operation) -> Response:
        """Answer an operation that needs no key."""
        if operation.name == "openapi.json":
            return Response(_description(), media_type="application/json")
        if not self._is_ready:
            raise Unavailable("the index is being loaded", status=503, retry_after=1.0)
        await self._check()
        return JSONResponse({"status": 200, "message": "OK"})

    async def _check(self) -> None:
        """Raise the error that stops the service from working. Requests at the same time share one
        check, because it needs no key."""
        if self._health_check is None:
            self._health_check = asyncio.create_task(self._run_briefly(self._tenants.check))
            self._health_check.add_done_callback(self._end_check)
        await asyncio.shield(self._health_check)

    def _end_check(self, task: asyncio.Task[None]) -> None:
        self._health_check = None
        if not task.cancelled():
            task.exception()  # any waiting requests raise this error

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Load the indexes, start the decoders, and send heartbeats during the ``async with``
        block. Requests are answered from the beginning."""
        tasks = [asyncio.create_task(self._send_heartbeats()), asyncio.create_task(self._warm_up())]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            pools = (self._picture_pool, self._other_pool, self._short_pool, self._loading_pool)
            for pool in pools:
                pool.close()

    async def _warm_up(self) -> None:
        while not self._is_ready:
            try:
                errors = await self._loading_pool.run(self._tenants.load_indexes)
            except SnoopsyncError as error:
                self._server_error(error)
                await asyncio.sleep(_RELOAD_SECONDS)
            else:
                _log_failed(errors)
                self._is_ready = True
        try:
            await self._run_briefly(self._tenants.warm_up)
        except SnoopsyncError as error:
            self._server_error(error)
        else:
            self._systemd.ready()

    async def _send_heartbeats(self) -> None:
        while self._systemd.heartbeat_seconds is not None:
            self._systemd.alive()
            await asyncio.sleep(self._systemd.heartbeat_seconds)

    async def _receive_body(self, exchange: _Exchange) -> Path:
        in_thread = partial(self._run_briefly, key=exchange.public_key)
        receiver = UploadReceiver(self._tenants.incoming, self._limits, in_thread)
        return await receiver.receive(exchange.request)

    async def _run_briefly(self, work: Callable[[], T], key: str = "") -> T:
        """Run short work in a thread. Keys take turns for that too."""
        with self._short_pool.slots.request(key) as slot:
            await slot.granted
            return await self._short_pool.run(work)

    def _error_response(self, error: SnoopsyncError) -> Response:
        """Return the response for an error. An error of the client is explained to the client; an
        error of the service, which may name paths, goes to the log."""
        status = error.status if isinstance(error, CollectionError) else None
        if status is None:
            kinds = (code for kind, code in _STATUS_OF.items() if isinstance(error, kind))
            status = next(kinds, None)
        if status is None or not isinstance(error, CollectionError):
            return self._server_error(error)
        response = _error_json(status, error.message)
        if error.retry_after is not None:
            response.headers["Retry-After"] = f"{error.retry_after:.0f}"
        return response

    def _server_error(self, error: SnoopsyncError) -> Response:
        if str(error) != self._last_error:  # each error once, until a request succeeds
            self._last_error = str(error)
            log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", error, error=str(error))
        if isinstance(error, Unwritable):
            return _error_json(507, "the service can't store more images")
        response = _error_json(503, "the service can't do this now")
        response.headers["Retry-After"] = "2"
        return response


def _log_failed(errors: Mapping[str, Exception]) -> None:
    for name, error in errors.items():
        reason = str(error) if isinstance(error, SnoopsyncError) else repr(error)
        message = f"the index of the collection {name} can't be loaded: {reason}"
        log_event(log, logging.ERROR, Event.HOSTING_TROUBLE, "%s", message, error=message)


async def _wait_until_granted(slot: Slot, request: Request) -> None:
    """Wait for the slot. Raises ``ClientDisconnect`` if the client disconnects first."""
    if slot.granted.done():
        return
    disconnected = asyncio.create_task(_wait_for_disconnect(request))
    try:
        await asyncio.wait((slot.granted, disconnected), return_when=asyncio.FIRST_COMPLETED)
    finally:
        disconnected.cancel()
    if not slot.granted.done():
        raise ClientDisconnect


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _perform(
    operation: Operation, tenants: Tenants, hosted: HostedCollection, body: Path | None
) -> Response:
    """Perform the operation and encode the response. Both can take long, so this runs in a
    thread."""
    answer = perform(operation, tenants.collection(hosted), hosted.name, body)
    return JSONResponse(answer, answer["status"])


@cache
def _description() -> bytes:
    return json.dumps(openapi(BASE)).encode()


def _operation_of(request: Request) -> Operation:
    path = request.scope["raw_path"].decode("ascii", "replace")
    query = request.scope["query_string"].decode("ascii", "replace")
    label = request.headers.get(LABEL_HEADER, "")
    return find_operation(request.method, path, query, label)


def _unknown_operation(unknown: UnknownOperation) -> Response:
    if not unknown.allowed:
        return _error_json(404, "unknown call")
    response = _error_json(405, f"this call allows only {unknown.allowed}")
    response.headers["Allow"] = unknown.allowed
    return response


def _error_json(status: int, message: str) -> Response:
    return JSONResponse({"status": status, "message": message or HTTPStatus(status).phrase}, status)
