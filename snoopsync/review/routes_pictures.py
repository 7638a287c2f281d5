"""The routes that send pictures. A picture is named by its image ID, never by a path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from snoopsync.core.errors import PictureRefused
from snoopsync.review import requests
from snoopsync.review.app import AsciiJSON, Endpoint
from snoopsync.review.parts import Parts
from snoopsync.review.pictures import (
    SHOWN_BY_BROWSERS,
    KnownPicture,
    media_type_of,
    open_known,
)

#: Even if a browser took a picture for a page, the page could do nothing.
_POLICY = "sandbox; default-src 'none'"

#: Pictures wait for one of these threads, so that they never take all threads of the page.
_THREADS = 4

_PIECE_BYTES = 256 << 10

_YEAR_SECONDS = 365 * 86400

#: The status for the log of a proxy: the browser has closed the connection.
_NOBODY_WAITS = 499


def picture_routes(parts: Parts) -> list[Route]:
    """Thumbnails, and pictures in full."""
    threads = ThreadPoolExecutor(_THREADS, "pictures")
    slots = asyncio.Semaphore(_THREADS)

    def endpoint(make: Callable[[Parts, KnownPicture], Response]) -> Endpoint:
        async def send(request: Request) -> Response:
            async with slots:
                # A fast scroll leaves requests that nobody waits for.
                if await request.is_disconnected():
                    return Response(status_code=_NOBODY_WAITS)
                loop = asyncio.get_running_loop()
                return await loop.run_in_executor(threads, _answer, parts, request, make)

        return send

    return [
        Route("/thumb/{image_id}", endpoint(_thumbnail)),
        Route("/picture/{image_id}", endpoint(_full)),
    ]


def _answer(
    parts: Parts, request: Request, send: Callable[[Parts, KnownPicture], Response]
) -> Response:
    image_id = requests.image_id(request.path_params["image_id"])
    picture = parts.source.pictures([image_id]).get(image_id)
    if picture is None:
        return AsciiJSON({"error": "This picture is not on this machine."}, 404)
    try:
        response = send(parts, picture)
    except PictureRefused as refusal:
        return AsciiJSON({"error": f"Not shown: {refusal}."}, 404)
    response.headers["Content-Security-Policy"] = _POLICY
    wanted = request.query_params.get("v")
    if wanted and picture.sha256 is not None and picture.sha256.hex().startswith(wanted):
        # The address contains the content, so the answer to it never changes.
        response.headers["Cache-Control"] = f"private, max-age={_YEAR_SECONDS}, immutable"
    return response


def _thumbnail(parts: Parts, picture: KnownPicture) -> Response:
    content = parts.thumbnails.get(picture)
    return Response(content, media_type=media_type_of(content))


def _full(parts: Parts, picture: KnownPicture) -> Response:
    opened = open_known(picture)
    if opened.media_type in SHOWN_BY_BROWSERS:
        return FileResponse(opened.file, opened.size_bytes, opened.media_type)
    opened.file.close()
    content = parts.thumbnails.full_size(picture)
    return Response(content, media_type=media_type_of(content))


class FileResponse(StreamingResponse):
    """Sends an open file, at most so many bytes of it: the file may grow. A file that has shrunk
    ends the answer early, which the browser notices."""

    def __init__(self, file: BinaryIO, size_bytes: int, media_type: str) -> None:
        super().__init__(
            _pieces(file, size_bytes),
            media_type=media_type,
            headers={"Content-Length": str(size_bytes)},
        )
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the file, and close it, also if the browser has gone before the first byte."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()


def _pieces(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    left = size_bytes
    while left and (piece := file.read(min(left, _PIECE_BYTES))):
        left -= len(piece)
        yield piece
