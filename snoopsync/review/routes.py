"""The routes of the page. Each reads its parameters, and leaves the work to another module."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from snoopsync.review import requests
from snoopsync.review.app import STATIC, Endpoint, answer
from snoopsync.review.details import add_details
from snoopsync.review.groups import GroupLists
from snoopsync.review.parts import Parts
from snoopsync.review.removal import TRASH
from snoopsync.review.requests import BadRequest
from snoopsync.review.routes_marked import marked_routes
from snoopsync.review.routes_pictures import picture_routes
from snoopsync.review.routes_state import state_routes
from snoopsync.review.security import ENTRANCE, no_session, user_of

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

#: Follows the entrance from a file. A redirect would not send the cookie, because the file is
#: another site.
_ENTERED = (
    "<!doctype html><title>snoopsync</title>"
    '<meta http-equiv="refresh" content="0; url=/"><a href="/">Open the review page</a>'
)

#: The pages: the name of each, and its template.
_PAGES = {
    "/": ("groups", "groups.html"),
    "/group/{group}": ("groups", "groups.html"),
    "/marked": ("marked", "marked.html"),
    "/held": ("held", "held.html"),
    "/failed": ("failed", "failed.html"),
    "/search": ("search", "search.html"),
    "/overview": ("overview", "overview.html"),
}

_MOST_GROUPS, _USUAL_GROUPS = 200, 50


def all_routes(parts: Parts) -> list[Route]:
    """All routes. Behind the guard, which lets requests without a session only to the entrance."""
    return [
        Route(ENTRANCE, _enter(parts), methods=["GET"]),
        *(Route(path, _page(parts, *of_page)) for path, of_page in _PAGES.items()),
        Route("/static/{name}", _static),
        Route("/api/groups", _list_groups(parts)),
        Route("/api/group/{group}", _one_group(parts)),
        Route("/api/decide", _decide(parts), methods=["POST"]),
        Route("/api/decide-all", _decide_all(parts.groups), methods=["POST"]),
        Route("/api/undo", _undo(parts), methods=["POST"]),
        *marked_routes(parts),
        *state_routes(parts),
        *picture_routes(parts),
    ]


def _enter(parts: Parts) -> Endpoint:
    async def enter(request: Request) -> Response:
        session = parts.entry.enter(request.query_params.get("token", ""), user_of(request))
        if session is None:
            return no_session(parts.pages.refuse, request)
        is_own_navigation = request.headers.get("sec-fetch-site") in (None, "none", "same-origin")
        response: Response = (
            RedirectResponse("/", 303) if is_own_navigation else HTMLResponse(_ENTERED)
        )
        response.set_cookie(
            parts.entry.cookie_name, session.cookie, path="/", httponly=True, samesite="strict"
        )
        return response

    return enter


def _page(parts: Parts, name: str, template: str) -> Endpoint:
    async def page(request: Request) -> Response:
        if "group" in request.path_params:
            requests.shown_group(request.path_params["group"])
        return parts.pages.render(template, request, name)

    return page


async def _static(request: Request) -> Response:
    # The name is looked up among the files that there are, never opened as a path.
    for path in STATIC.iterdir():
        if path.name == request.path_params["name"] and path.suffix in _MEDIA_TYPES:
            headers = {"Cache-Control": "no-cache", "Content-Type": _MEDIA_TYPES[path.suffix]}
            return Response(path.read_bytes(), headers=headers)
    raise BadRequest("This file does not exist.", 404)


def _list_groups(parts: Parts) -> Endpoint:
    async def list_groups(request: Request) -> Response:
        given = request.query_params
        if "ids" in given:
            ids = requests.group_ids(given["ids"])
            return await answer(lambda: {"groups": parts.groups.named(ids)})
        filters = requests.filters(given)
        count = requests.whole_number(given.get("count") or _USUAL_GROUPS, "count", 1, _MOST_GROUPS)
        after = requests.page_end(given.get("after"), filters["state"])
        return await answer(lambda: parts.groups.page(filters, after, count))

    return list_groups


def _one_group(parts: Parts) -> Endpoint:
    async def one_group(request: Request) -> Response:
        group = requests.shown_group(request.path_params["group"])

        def read() -> dict[str, Any]:
            found = parts.groups.named([group], whole=True, finder=parts.new_finder())
            if not found:
                raise BadRequest("This group does not exist any more.", 404)
            add_details(found[0]["images"], parts.source, parts.thumbnails)
            return found[0]

        return await answer(read)

    return one_group


def _decide(parts: Parts) -> Endpoint:
    async def decide(request: Request) -> Response:
        given = await requests.read_json(request)
        choice = requests.choice(given.get("decision"))
        groups = requests.decided_groups(given.get("groups"))
        return await answer(lambda: parts.decider.decide(choice, groups).as_message())

    return decide


def _decide_all(groups: GroupLists) -> Endpoint:
    async def decide_all(request: Request) -> Response:
        given = await requests.read_json(request)
        choice = requests.choice(given.get("decision"))
        filters = requests.filters(requests.mapping(given.get("filter") or {}, "filter"))
        is_preview = requests.boolean(given.get("preview"), "preview")
        digest = None if is_preview else requests.digest(given.get("digest"))
        return await answer(lambda: groups.decide_all(choice, filters, digest))

    return decide_all


def _undo(parts: Parts) -> Endpoint:
    async def undo(request: Request) -> Response:
        await requests.read_json(request)

        def carry_out() -> dict[str, Any]:
            with parts.marks.one_decision():
                action = parts.marks.last_action()
                if action is not None and action.kind == TRASH:
                    return parts.removal.put_back(action)
                return parts.decider.undo(action)

        return await answer(carry_out)

    return undo
