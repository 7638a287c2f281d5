"""What each request has to pass before any route sees it, and the headers of each answer.

The order is: the Host header, against DNS rebinding; the cookie, for every route but the entrance,
from the user who entered; and for a request that changes something, its origin and its CSRF token.
All of it is in one place, so that no route can be added without it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from snoopsync.review.entry import Entry, is_csrf_token
from snoopsync.review.peer import user_of_peer

ENTRANCE = "/enter"

#: Methods that change nothing.
_SAFE_METHODS = frozenset({"GET", "HEAD"})


def content_policy(style: str = "'self'") -> str:
    """The content policy of a page. ``style``: the source of its styles."""
    return "; ".join(
        (
            "default-src 'none'",
            "script-src 'self'",
            f"style-src {style}",
            "img-src 'self' blob:",
            "connect-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
        )
    )


#: The headers of every answer. A route may set another value.
_HEADERS = {
    "Content-Security-Policy": content_policy(),
    "X-Content-Type-Options": "nosniff",
    # "no-referrer" would make browsers send "Origin: null".
    "Referrer-Policy": "same-origin",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

#: Makes the answer to a request that is refused: the request, the status, a title, a sentence.
Refuse = Callable[[Request, int, str, str], Response]


class Guard:
    """An ASGI application that passes on what may reach ``app``."""

    def __init__(self, app: ASGIApp, entry: Entry, hosts: Hosts, refuse: Refuse) -> None:
        self._app = app
        self._entry = entry
        self._hosts = hosts
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request of the type ``http``. Nothing else is answered."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        answer = self._refusal(request)
        await (answer or self._app)(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        """The answer to a request that may not pass. Otherwise its session is in the scope."""
        if not self._hosts.allow(request.headers.getlist("host")):
            return self._refuse(
                request,
                421,
                "Unknown host",
                "This page is not served under this name. Add it with --allow-host NAME.",
            )
        session = self._entry.session_of(request.cookies.get(self._entry.cookie_name))
        if session is not None and session.user != user_of(request):
            session = None
        request.scope["session"] = session
        if session is None:
            is_entrance = request.scope["path"] == ENTRANCE and request.method == "GET"
            return None if is_entrance else no_session(self._refuse, request)
        if request.method in _SAFE_METHODS:
            return None
        if not _is_same_origin(request):
            message = "This request comes from another site."
            return self._refuse(request, 403, "Refused", message)
        if not is_csrf_token(session, request.headers.get("x-csrf-token")):
            message = "This request lacks the page's token. Load the page again."
            return self._refuse(request, 403, "Refused", message)
        return None


def user_of(request: Request) -> int | None:
    """The user whose browser sent the request, by number; ``None`` if that is not known."""
    client, server = request.scope["client"], request.scope["server"]
    return None if client is None or server is None else user_of_peer(client, server)


def no_session(refuse: Refuse, request: Request) -> Response:
    """The answer to a browser that has not entered."""
    message = (
        "The address is valid for 60 seconds and works once. Stop “snoopsync review” with Ctrl-C,"
        " start it again, and open the new address."
    )
    return refuse(request, 401, "No access", message)


class Hosts:
    """The values of the Host header under which the page is served: the names of loopback with its
    port, and the ``allowed`` names, each with its port, or with any port if it has none."""

    def __init__(self, port: int, allowed: Sequence[str] = ()) -> None:
        self._exact = {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        self._exact |= {each.lower() for each in allowed}
        self._names = {each.lower() for each in allowed if not _has_port(each)}

    def allow(self, given: Sequence[str]) -> bool:
        """Returns whether there is one Host header, with one of these values."""
        if len(given) != 1:
            return False
        host = given[0].lower()
        return host in self._exact or (_has_port(host) and host.rpartition(":")[0] in self._names)


def _has_port(host: str) -> bool:
    _, colon, port = host.rpartition(":")
    return bool(colon) and port.isascii() and port.isdecimal()


def _is_same_origin(request: Request) -> bool:
    """Returns whether the browser says that the page itself sent the request. Older browsers send
    only one of the two headers."""
    origin, site = request.headers.get("origin"), request.headers.get("sec-fetch-site")
    if origin is None and site is None:
        return False
    host = request.headers["host"].lower()
    # A proxy in front of the page may add TLS.
    is_own = origin is None or origin.lower() in (f"http://{host}", f"https://{host}")
    return is_own and site in (None, "same-origin")


def _with_headers(send: Send) -> Send:
    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            message["headers"] = headers.raw
        await send(message)

    return send_with_headers
