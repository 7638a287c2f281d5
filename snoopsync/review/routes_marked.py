"""The routes of the marked list."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snoopsync.review import requests
from snoopsync.review.app import Endpoint, answer
from snoopsync.review.parts import Parts


def marked_routes(parts: Parts) -> list[Route]:
    """The list itself, and what can be done with it."""
    return [
        Route("/api/marked", _list(parts)),
        Route("/api/marked/unmark", _unmark(parts), methods=["POST"]),
    ]


def _list(parts: Parts) -> Endpoint:
    async def list_marked(request: Request) -> Response:
        after = request.query_params.get("after")
        if after is not None:
            after = requests.image_id(after)
        trash = {"enabled": False, "reason": "Run snoopsync review with --trash to move files."}
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
