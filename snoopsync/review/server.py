"""Runs the page: listens on loopback, prints the address, opens the browser, and stops."""

from __future__ import annotations

import errno
import html
import logging
import os
import socket
import tempfile
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp

from snoopsync.config.settings import Config
from snoopsync.core.addresses import Address
from snoopsync.core.errors import ServiceFailed, SnoopsyncError
from snoopsync.review.app import guarded
from snoopsync.review.entry import TOKEN_SECONDS, Entry
from snoopsync.review.parts import opened_parts
from snoopsync.review.routes import all_routes
from snoopsync.review.security import ENTRANCE, Hosts

_BACKLOG = 64

#: How long requests may take to finish when the page stops, in seconds.
_STOP_SECONDS = 2

#: One of these is set where a browser can open a window.
_WINDOWS = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")


class ReviewServer:
    """The page, on a thread of its own until it is stopped."""

    def __init__(self, app: ASGIApp, listener: socket.socket) -> None:
        settings = uvicorn.Config(
            app,
            # The address of the entrance contains the token, so no access is logged.
            access_log=False,
            log_config=None,
            http="h11",
            ws="none",
            lifespan="off",
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=_STOP_SECONDS,
        )
        # Otherwise any program on this machine could fill the terminal with what it sends.
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)
        self._server = uvicorn.Server(settings)
        # Not on the main thread: there it would handle signals itself.
        self._thread = threading.Thread(
            target=self._server.run, args=([listener],), name="review", daemon=True
        )
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Does its thread run?"""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop, and wait until the requests under way have ended."""
        self._server.should_exit = True
        self._thread.join(2 * _STOP_SECONDS)


def open_listener(address: Address) -> socket.socket:
    """A socket that accepts connections. Raises ``SnoopsyncError``."""
    try:
        family = socket.AF_INET6 if ":" in address.host else socket.AF_INET
        return socket.create_server(address, family=family, backlog=_BACKLOG)
    except OSError as error:
        reason, fix = os.strerror(error.errno or 0), "use another port with --listen"
        if error.errno == errno.EADDRINUSE:
            fix = f"another review page may be running: stop it with Ctrl-C, or {fix}"
        raise SnoopsyncError(f"can't listen on {address}: {reason}; {fix}") from None


@contextmanager
def serving(
    config: Config,
    listener: socket.socket,
    thumbnails: Path,
    *,
    allowed_hosts: Sequence[str] = (),
    has_trash: bool = False,
    monotonic: Callable[[], float] = time.monotonic,
) -> Iterator[tuple[ReviewServer, Entry]]:
    """The page on this socket, as long as the ``with`` lasts, and how it is entered. Raises
    ``StateError``, and ``ServiceUnavailable`` if the service does not respond."""
    port = listener.getsockname()[1]
    entry = Entry(port, monotonic)
    with opened_parts(config, entry, thumbnails, has_trash=has_trash) as parts:
        with suppress(ServiceFailed):  # the service is starting, or stopping
            # A state file that can't be read is told here, not in the browser.
            parts.source.ask({"command": "state_version"})
        inner = Starlette(routes=all_routes(parts))
        app = guarded(inner, entry, Hosts(port, allowed_hosts), parts.pages)
        with closing(ReviewServer(app, listener)) as server:
            yield server, entry


def entrance(listener: socket.socket, entry: Entry) -> str:
    """The address that is opened in a browser, with the token."""
    host, port = listener.getsockname()[:2]
    return f"http://{Address(host, port)}{ENTRANCE}?token={entry.token}"


@contextmanager
def opened_in_browser(address: str) -> Iterator[None]:
    """Open the address in the person's browser, if there is one with windows. The browser gets a
    private file that leads there, because everybody can see the arguments of a process. The file is
    removed when the token has ended, or with the ``with``."""
    if not any(os.environ.get(name) for name in _WINDOWS):
        yield
        return
    # The directory is this user's alone (mode 0700), and so is the file.
    with tempfile.TemporaryDirectory(prefix="snoopsync-review-") as directory:
        path = Path(directory) / "open.html"
        path.touch(0o600)
        target = html.escape(address, quote=True)
        path.write_text(
            '<!doctype html><meta charset="utf-8"><title>snoopsync</title>'
            f'<meta http-equiv="refresh" content="0; url={target}">'
            f'<a href="{target}">Open the review page</a>\n',
            encoding="utf-8",
        )
        remove = threading.Timer(TOKEN_SECONDS, path.unlink, kwargs={"missing_ok": True})
        remove.daemon = True
        remove.start()
        try:
            with suppress(webbrowser.Error):
                webbrowser.open(path.as_uri())
            yield
        finally:
            remove.cancel()
