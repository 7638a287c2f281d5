"""A place on loopback that notifications are sent to, as Apprise's ``json://`` does."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


class Postbox:
    """A context manager. ``letters`` are the messages that came; ``status`` is what it answers;
    while ``is_open`` is cleared, it does not answer at all."""

    def __init__(self, port: int = 0) -> None:
        self.letters: list[dict[str, Any]] = []
        self.status = 200
        self.tries = 0
        self.is_open = threading.Event()
        self.is_open.set()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._server.daemon_threads = False
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, name="postbox"
        )

    @property
    def port(self) -> int:
        return self._server.server_port

    @property
    def url(self) -> str:
        """Its address, with a password, and a token in the path."""
        return f"json://ada:correct-horse@127.0.0.1:{self.port}/hook-4711-token"

    @property
    def titles(self) -> list[str]:
        return [letter["title"] for letter in self.letters]

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.is_open.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def receive(self, letter: dict[str, Any]) -> int:
        """Returns the status to answer with."""
        self.tries += 1
        self.is_open.wait()
        if self.status == 200:
            self.letters.append(letter)
        return self.status


#: What must not show of an address.
SECRETS = ("correct-horse", "hook-4711-token")


def _handler(postbox: Postbox) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            letter = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(postbox.receive(letter))
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
