"""The routes about the mirror itself: changes, held deletions, failed images, search, overview."""

from __future__ import annotations

import hashlib
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from snoopsync.core.model import printable
from snoopsync.review import requests
from snoopsync.review.app import Endpoint, answer
from snoopsync.review.marked import totals
from snoopsync.review.parts import Parts
from snoopsync.review.search import search
from snoopsync.review.view import image_view, printable_json


def state_routes(parts: Parts) -> list[Route]:
    """The routes about the mirror."""
    return [
        Route("/api/changes", _changes(parts)),
        Route("/api/overview", _overview(parts)),
        Route("/api/held", _held(parts)),
        Route("/api/held/approve", _decide_held(parts, discard=False), methods=["POST"]),
        Route("/api/held/discard", _decide_held(parts, discard=True), methods=["POST"]),
        Route("/api/failed", _failed(parts)),
        Route("/api/search", _search(parts), methods=["POST"]),
    ]


def _changes(parts: Parts) -> Endpoint:
    async def changes(request: Request) -> Response:
        since = request.query_params.get("since")

        def read() -> dict[str, Any]:
            marked = len(parts.marked.files())
            state = parts.source.ask({"command": "state_version"})["version"]
            seen = f"{state} {parts.marks.version} {parts.presence.version()}"
            version = hashlib.sha256(seen.encode()).hexdigest()[:16]
            return {
                "version": version,
                "changed": since is not None and since != version,
                "marked": marked,
            }

        return await answer(read)

    return changes


def _overview(parts: Parts) -> Endpoint:
    async def overview(_request: Request) -> Response:
        def read() -> dict[str, Any]:
            status = printable_json(parts.source.ask({"command": "overview"}))
            to_decide = parts.groups.page(requests.filters({}), None, 1)["total"]["groups"]
            return {
                **status,
                "groups_to_decide": to_decide,
                "marks": totals(parts.marked.files()),
            }

        return await answer(read)

    return overview


def _held(parts: Parts) -> Endpoint:
    async def held(_request: Request) -> Response:
        def read() -> dict[str, Any]:
            folders = parts.source.ask({"command": "held_images"})["folders"]
            return {
                "folders": [
                    {
                        "folder": printable(each["folder"]),
                        "count": each["count"],
                        "reason": each["reason"],
                        "images": list(map(image_view, each["images"])),
                    }
                    for each in folders
                ]
            }

        return await answer(read)

    return held


def _decide_held(parts: Parts, *, discard: bool) -> Endpoint:
    async def decide(request: Request) -> Response:
        given = await requests.read_json(request)
        folder = requests.folder_name(given.get("folder"))

        def carry_out() -> dict[str, Any]:
            command = {"command": "approve", "folder": folder, "discard": discard}
            return {"images": parts.source.ask(command)["images"]}

        return await answer(carry_out)

    return decide


def _failed(parts: Parts) -> Endpoint:
    async def failed(_request: Request) -> Response:
        def read() -> dict[str, Any]:
            found = parts.source.ask({"command": "failed_images"})
            images = [
                {
                    **image_view(each),
                    "error": printable_json(each["error"]),
                    "next_try": each["next_try"],
                }
                for each in found["images"]
            ]
            return {"images": images, "count": found["count"]}

        return await answer(read)

    return failed


def _search(parts: Parts) -> Endpoint:
    async def search_picture(request: Request) -> Response:
        body = await requests.read_body(request, requests.MAX_PICTURE_BYTES)
        return await answer(lambda: {"results": search(parts.config, parts.source, body)})

    return search_picture
