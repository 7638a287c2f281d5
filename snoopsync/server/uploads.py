"""The body of a request, from the network into a file: no larger, and no slower, than it may be."""

from __future__ import annotations

import asyncio
import errno
import os
import tempfile
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

from starlette.requests import Request

from snoopsync.core.errors import Refused, Unavailable, Unwritable

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a request may cost. ``pause_seconds``: between two pieces of a body.
    ``requests_of_a_key`` may be under way. Of all keys, ``pictures_at_once`` are decoded, and
    ``requests_at_once`` without a picture are worked on; the others wait in turn."""

    body_bytes: int = 64 << 20
    body_seconds: float = 600.0
    pause_seconds: float = 30.0
    requests_of_a_key: int = 64
    pictures_at_once: int = 1
    requests_at_once: int = 8


class Receiver:
    """Takes bodies in."""

    def __init__(
        self,
        folder: Path,
        limits: Limits,
        in_thread: Callable[[Callable[[], object]], Awaitable[object]],
    ) -> None:
        """Bodies become files in ``folder``; what waits for the disk is done ``in_thread``."""
        self._folder = folder
        self._limits = limits
        self._in_thread = in_thread

    async def receive(self, request: Request) -> Path:
        """The body, in a file that is the caller's. Raises ``Refused`` for one that is too large
        or too slow, ``Unavailable`` if there is no place for it."""
        announced = request.headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > self._limits.body_bytes:
            raise self._too_large()
        path: Path | None = None
        try:
            descriptor, name = tempfile.mkstemp(dir=self._folder)
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
                raise kind(f"{self._folder}: {error.strerror}") from None
            raise
        return path

    async def _copy(self, request: Request, file: IO[bytes]) -> None:
        size, pieces = 0, request.stream().__aiter__()
        while piece := await self._next(pieces):
            size += len(piece)
            if size > self._limits.body_bytes:
                raise self._too_large()
            await self._in_thread(partial(file.write, piece))

    async def _next(self, pieces: Any) -> bytes:
        with suppress(StopAsyncIteration):
            while True:
                # Not ``wait_for``: before Python 3.12 it takes a piece that comes at the moment at
                # which all of the time is over for a reason to go on.
                async with asyncio.timeout(self._limits.pause_seconds):
                    piece: bytes = await anext(pieces)
                if piece:
                    return piece
        return b""

    def _too_large(self) -> Refused:
        return Refused(f"larger than {self._limits.body_bytes >> 20} MiB", status=413)
