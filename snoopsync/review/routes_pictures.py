"""The routes that send pictures. A picture is named by its image ID, never by a path."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import BinaryIO, TypeVar

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from snoopsync.core.errors import PictureRefused
from snoopsync.review import requests
from snoopsync.review.app import AsciiJSON, Endpoint
from snoopsync.review.parts import Parts
from snoopsync.review.pictures import (
    SHOWN_BY_BROWSERS,
    KnownPicture,
    OpenPicture,
    media_type_of,
    open_known,
)

#: Even if a browser took a picture for a page, the page could do nothing.
_POLICY = "sandbox; default-src 'none'"

#: Pictures wait for one of these threads, so that they never take all threads of the page.
_THREADS = 4

_PIECE_BYTES = 256 << 10

_YEAR_SECONDS = 365 * 86400

_Result = TypeVar("_Result")


def picture_routes(parts: Parts) -> list[Route]:
    """Thumbnails, and pictures in full."""
    threads = ThreadPoolExecutor(_THREADS, "pictures")

    async def run(work: Callable[[], _Result]) -> _Result:
        return await asyncio.get_running_loop().run_in_executor(threads, work)

    async def thumb(request: Request) -> Response:
        return await run(lambda: _answer(parts, request, _thumbnail))

    async def picture(request: Request) -> Response:
        return await run(lambda: _answer(parts, request, _full))

    endpoints: tuple[Endpoint, Endpoint] = (thumb, picture)
    return [
        Route("/thumb/{image_id}", endpoints[0]),
        Route("/picture/{image_id}", endpoints[1]),
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
        return _streamed(opened)
    opened.file.close()
    content = parts.thumbnails.full_size(picture)
    return Response(content, media_type=media_type_of(content))


def _streamed(opened: OpenPicture) -> Response:
    headers = {"Content-Length": str(opened.size_bytes)}
    pieces = _pieces(opened.file, opened.size_bytes)
    return StreamingResponse(pieces, media_type=opened.media_type, headers=headers)


def _pieces(file: BinaryIO, size_bytes: int) -> Iterator[bytes]:
    """The bytes of the file, at most so many: it may grow. A file that has shrunk ends the
    answer early, which the browser notices."""
    left = size_bytes
    with file:
        while left and (piece := file.read(min(left, _PIECE_BYTES))):
            left -= len(piece)
            yield piece
