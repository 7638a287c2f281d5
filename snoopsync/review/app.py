"""The page as an ASGI application: its parts, its routes, and what becomes of errors."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.model import printable
from snoopsync.review.entry import Entry
from snoopsync.review.requests import BadRequest
from snoopsync.review.security import Guard, Hosts, content_policy

_HERE = Path(__file__).parent
STATIC = _HERE / "static"

#: The style of a page that is refused. It is in the page, because a browser that has not entered
#: gets no other file. The page's content policy allows this style alone, by its hash.
_REFUSED_STYLE = (_HERE / "templates" / "refused.css").read_text(encoding="utf-8")
_REFUSED_HASH = base64.b64encode(hashlib.sha256(_REFUSED_STYLE.encode()).digest()).decode()
_REFUSED_HEADERS = {"Content-Security-Policy": content_policy(f"'sha256-{_REFUSED_HASH}'")}

#: Does the work of a request on a thread, and returns what is sent as JSON.
Work = Callable[[], dict[str, Any]]
Endpoint = Callable[[Request], Awaitable[Response]]


class AsciiJSON(Response):
    """JSON in ASCII, which can carry every text, also half of a surrogate pair."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        """The JSON as bytes."""
        return json.dumps(content, separators=(",", ":")).encode("ascii")


class Pages:
    """Renders the templates. Every value is escaped."""

    def __init__(self, *, has_trash: bool) -> None:
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
        )
        self._has_trash = has_trash

    def render(self, template: str, request: Request, page: str) -> Response:
        """A page for the session of the request."""
        text = self._templates.get_template(template).render(
            csrf_token=request.scope["session"].csrf_token,
            page=page,
            has_trash=self._has_trash,
            # Where the script moves the marked files, unless the person names another directory.
            script_directory=printable(_script_directory()),
        )
        return HTMLResponse(text)

    def refuse(self, request: Request, status: int, title: str, message: str) -> Response:
        """The answer to a request that is refused: a page for a browser's window, otherwise
        JSON."""
        if "text/html" not in request.headers.get("accept", ""):
            return AsciiJSON({"error": message}, status)
        template = self._templates.get_template("refused.html")
        text = template.render(title=title, message=message, style=_REFUSED_STYLE)
        return HTMLResponse(text, status, _REFUSED_HEADERS)


def _script_directory() -> str:
    # Path.expanduser raises for a user without a home directory.
    return os.path.expanduser("~/duplicates")  # noqa: PTH111


async def answer(work: Work) -> Response:
    """Do the work on a thread, and answer with its JSON."""
    return AsciiJSON(await run_in_threadpool(work))


def guarded(inner: Starlette, entry: Entry, hosts: Hosts, pages: Pages) -> Guard:
    """The application with its guard in front of every route, and with its errors as sentences."""
    inner.add_exception_handler(BadRequest, _on_bad_request(pages))
    inner.add_exception_handler(SnoopsyncError, _on_snoopsync_error(pages))
    inner.add_exception_handler(HTTPException, _on_http_error(pages))
    inner.add_exception_handler(Exception, _on_bug(pages))
    return Guard(inner, entry, hosts, pages.refuse)


Handler = Callable[[Request, Exception], Response]


def _on_bad_request(pages: Pages) -> Handler:
    def handle(request: Request, error: Exception) -> Response:
        status = error.status if isinstance(error, BadRequest) else 400
        return pages.refuse(request, status, "Refused", str(error))

    return handle


def _on_snoopsync_error(pages: Pages) -> Handler:
    def handle(request: Request, error: Exception) -> Response:
        return pages.refuse(request, 503, "Not now", printable(str(error)))

    return handle


def _on_http_error(pages: Pages) -> Handler:
    def handle(request: Request, error: Exception) -> Response:
        status = error.status_code if isinstance(error, HTTPException) else 404
        message = "This page does not exist." if status == 404 else "This is not allowed here."
        return pages.refuse(request, status, "Not found" if status == 404 else "Refused", message)

    return handle


def _on_bug(pages: Pages) -> Handler:
    # Starlette raises the error again after this answer, and the server logs it.
    def handle(request: Request, error: Exception) -> Response:
        message = "This is a bug in snoopsync. The terminal shows more."
        return pages.refuse(request, 500, "A bug", message)

    return handle
