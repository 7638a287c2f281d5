"""Faults between a client and a collection, for ``tests.support.collection_server``."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Reply:
    """A reply. ``drip_seconds`` is the pause before every byte of the body."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    drip_seconds: float = 0.0


class Lost(Exception):
    """Raised by a fault instead of a reply: the connection is reset."""


#: Takes the function that performs the request, calls it or not, and returns the reply.
Fault = Callable[[Callable[[], Reply]], Reply]


def answers(status: int, body: bytes = b"", **headers: str) -> Fault:
    """Reply with this status, and do nothing. ``Retry_After="2"`` becomes a header."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda _do: Reply(status, body, named)


def reset_before() -> Fault:
    """Read the request, do nothing, and reset the connection."""

    def fault(_do: Callable[[], Reply]) -> Reply:
        raise Lost

    return fault


def reset_after() -> Fault:
    """Lose the answer: perform the request, and reset the connection."""

    def fault(do: Callable[[], Reply]) -> Reply:
        do()
        raise Lost

    return fault


def rewritten(body: Callable[[bytes], bytes]) -> Fault:
    """Perform the request, and change the body of the answer."""

    def fault(do: Callable[[], Reply]) -> Reply:
        reply = do()
        return Reply(reply.status, body(reply.body))

    return fault


def as_json(answer: object) -> Fault:
    """Reply with 200 and this JSON, and do nothing."""
    return answers(200, json.dumps(answer).encode())


def dripping(pause_seconds: float) -> Fault:
    """Perform the request, and send the answer byte by byte."""

    def fault(do: Callable[[], Reply]) -> Reply:
        reply = do()
        return Reply(reply.status, reply.body, reply.headers, pause_seconds)

    return fault


class Hang:
    """A fault that holds the request until ``release``. ``reached`` is set when it has arrived."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.released = threading.Event()

    def release(self) -> None:
        self.released.set()

    def __call__(self, do: Callable[[], Reply]) -> Reply:
        self.reached.set()
        self.released.wait()
        return do()


#: The answers to every request when the endpoint is wrong, or a network shows a login page first.
NO_COLLECTION: dict[str, Fault] = {
    "HTML": answers(200, b"<html><title>Log in first</title></html>"),
    "empty": answers(200),
    "cut JSON": answers(200, b'{"status": 200, "message": "OK", "collection_id": "c'),
    "another JSON": as_json({"hello": "world"}),
    "a JSON list": as_json([]),
    "no content": answers(204),
    "elsewhere": answers(302, Location="http://login.test/"),
    "network login": answers(511, b"<html>Log in first</html>"),
    "404 page": answers(404, b"<html>404 page not found</html>"),
    "another 404": answers(404, b'{"detail": "Not Found"}'),
    "405": answers(405),
    "500": answers(500, b"<html>Internal Server Error</html>"),
}
