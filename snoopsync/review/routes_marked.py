"""The routes of the marked list."""

from __future__ import annotations

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snoopsync.review import requests
from snoopsync.review.app import Endpoint, answer
from snoopsync.review.parts import Parts
from snoopsync.review.removal import Removal
from snoopsync.review.requests import BadRequest

_NO_TRASH = "To move files to the trash, run “snoopsync review --trash”."


def marked_routes(parts: Parts) -> list[Route]:
    """The list itself, and what can be done with it."""
    return [
        Route("/api/marked", _list(parts)),
        Route("/api/marked/unmark", _unmark(parts), methods=["POST"]),
        Route("/api/marked/paths", _paths(parts.removal)),
        Route("/api/marked/script", _script(parts.removal)),
        Route("/api/marked/trash", _trash(parts), methods=["POST"]),
    ]


def _list(parts: Parts) -> Endpoint:
    async def list_marked(request: Request) -> Response:
        after = request.query_params.get("after")
        if after is not None:
            after = requests.image_id(after)
        reason = None if parts.has_trash else _NO_TRASH
        trash = {"enabled": parts.has_trash, "reason": reason}
        return await answer(lambda: {**parts.marked.page(after), "trash": trash})

    return list_marked


def _unmark(parts: Parts) -> Endpoint:
    async def unmark(request: Request) -> Response:
        given = await requests.read_json(request)
        ids = None if given.get("all") is True else requests.image_ids(given.get("image_ids"))

        def carry_out() -> dict[str, object]:
            wanted = [each.image_id for each in parts.marks.marks()] if ids is None else ids
            return parts.decider.unmark(wanted).as_message()

        return await answer(carry_out)

    return unmark


def _paths(removal: Removal) -> Endpoint:
    async def paths(request: Request) -> Response:
        null = request.query_params.get("null") == "1"
        text, left_out = await run_in_threadpool(lambda: removal.paths(null=null))
        return _text(text, {"X-Left-Out": str(left_out)})

    return paths


def _script(removal: Removal) -> Endpoint:
    async def script(request: Request) -> Response:
        into = requests.absolute_path(request.query_params.get("into"))
        return _text(await run_in_threadpool(lambda: removal.script(into)), {})

    return script


def _text(text: bytes, headers: dict[str, str]) -> Response:
    # Names of files are bytes, so the text need not be UTF-8.
    return Response(text, headers=headers, media_type="text/plain")


def _trash(parts: Parts) -> Endpoint:
    async def trash(request: Request) -> Response:
        given = await requests.read_json(request)
        if not parts.has_trash:
            raise BadRequest(_NO_TRASH, 403)
        wanted = given.get("image_ids")
        ids = None if wanted is None else requests.image_ids(wanted)
        return await answer(lambda: parts.removal.move_to_trash(ids))

    return trash
