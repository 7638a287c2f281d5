"""Receives the body of a request into a file, within limits of size and time."""

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
class RequestLimits:
    """Limits for requests. ``body_bytes`` and ``body_seconds`` are for a whole body,
    ``pause_seconds`` for the time between two pieces of it. Each key may have ``requests_per_key``
    in progress. Of all keys together, ``pictures_at_once`` and ``requests_at_once`` (those without
    a picture) are processed at the same time, and the others take turns."""

    body_bytes: int = 64 << 20
    body_seconds: float = 600.0
    pause_seconds: float = 30.0
    requests_per_key: int = 64
    pictures_at_once: int = 1
    requests_at_once: int = 8


class UploadReceiver:
    """Receives bodies into files."""

    def __init__(
        self,
        folder: Path,
        limits: RequestLimits,
        in_thread: Callable[[Callable[[], object]], Awaitable[object]],
    ) -> None:
        """``folder`` is for the files. ``in_thread`` runs a function that waits for the disk."""
        self._folder = folder
        self._limits = limits
        self._in_thread = in_thread

    async def receive(self, request: Request) -> Path:
        """Return the file with the body, which the caller deletes. Raises ``Refused`` for a body
        that is too large or too slow, and ``Unavailable`` if it can't be stored."""
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
                raise Refused("the body arrives too slowly", status=408) from None
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
                # Not ``wait_for``: before Python 3.12 it ignores the timeout of the whole body when
                # a piece arrives at the same moment.
                async with asyncio.timeout(self._limits.pause_seconds):
                    piece: bytes = await anext(pieces)
                if piece:
                    return piece
        return b""

    def _too_large(self) -> Refused:
        return Refused(f"larger than {self._limits.body_bytes >> 20} MiB", status=413)
