"""Unusual and invalid HTTP responses: each is understood or is a typed error, within limits of time
and memory, and belongs to its own request."""

from __future__ import annotations

import gzip
import io
import json
import random
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.errors import BadAnswer, CollectionError
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import answers
from tests.support.raw_service import raw_service
from tests.support.world import Shelf, fake_picture

#: The delay of the final response: long enough for a client that does not wait for it.
_LATE_SECONDS = 0.1

_MOST_MEMORY_BYTES = 40 * 1024 * 1024


def whole(body: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """Return the bytes of a response."""
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n%s\r\n%s" % (status, len(body), headers, body)


def naming(image_id: str) -> bytes:
    """Return a listing with only this image."""
    return json.dumps({"images": [{"id": image_id, "image_time": ""}]}).encode()


def listed(client: Collection) -> list[str]:
    return [image["id"] for image in client.get_images()["images"]]


# Interim responses.


def answering(before: bytes) -> Callable[[socket.socket], None]:
    """Send ``before``, and the numbered answer later."""
    numbers = iter(range(1000))

    def behave(connection: socket.socket) -> None:
        while connection.recv(65536):
            connection.sendall(before)
            threading.Event().wait(_LATE_SECONDS)
            connection.sendall(whole(naming(f"{next(numbers)}")))

    return behave


@pytest.mark.parametrize("status", [100, 102, 103, 199])
@pytest.mark.parametrize("count", [1, 3])
def test_an_interim_response_is_not_the_answer(status: int, count: int) -> None:
    """Otherwise the answer would be taken for that to the next request on the connection."""
    before = b"HTTP/1.1 %d Soon\r\nLink: </a.css>\r\n\r\n" % status * count
    with raw_service(answering(before)) as endpoint, Collection("k", "s", endpoint) as client:
        assert [listed(client) for _ in range(3)] == [["0"], ["1"], ["2"]]


def test_a_connection_that_switches_protocols_is_not_used_again() -> None:
    before = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"
    with raw_service(answering(before)) as endpoint, Collection("k", "s", endpoint) as client:
        for _ in range(3):
            with pytest.raises(BadAnswer, match="101"):
                client.get_images()


# Redirects.


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_never_gets_a_signature(status: int) -> None:
    def calls(client: Collection) -> Iterator[Callable[[], Any]]:
        yield lambda: client.id
        yield client.get_images
        yield lambda: client.get_image("a")
        yield lambda: client.add_image(io.BytesIO(fake_picture(1)), "a")
        yield lambda: client.add_image(io.BytesIO(fake_picture(1)), "a", update_existing=True)
        yield lambda: client.delete_image("a")
        yield lambda: client.search_images(io.BytesIO(fake_picture(1)))

    with (
        CollectionServer(Shelf()) as server,
        CollectionServer(Shelf()) as elsewhere,
        Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as client,
    ):
        moved = answers(status, Location=f"{elsewhere.endpoint}/images")
        server.fault_for = lambda _seen: moved
        for call in calls(client):
            with pytest.raises(BadAnswer, match=elsewhere.endpoint):
                call()
        assert elsewhere.requests == []
        assert not elsewhere.is_busy
        assert len(server.requests) == 7


# Large responses.


def bomb(layers: int) -> bytes:
    """Return much data, compressed several times."""
    data = bytes(64 * 1024 * 1024)
    for _ in range(layers):
        data = gzip.compress(data)
    return data


@pytest.mark.parametrize("layers", [1, 2, 3])
@pytest.mark.parametrize("status", [b"200 OK", b"500 Internal Server Error"])
def test_a_decompression_bomb_is_not_decompressed(layers: int, status: bytes) -> None:
    headers = b"Content-Encoding: %s\r\n" % b", ".join([b"gzip"] * layers)
    answer = whole(bomb(layers), headers, status)

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with raw_service(behave) as endpoint, Collection("k", "s", endpoint) as client:
        tracemalloc.start()
        try:
            with pytest.raises(CollectionError):
                client.get_images()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak < _MOST_MEMORY_BYTES


def test_only_the_beginning_of_an_endless_refusal_is_read() -> None:
    sent = 0

    def flood(connection: socket.socket) -> None:
        nonlocal sent
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 500 Internal Server Error\r\n\r\n")
        while True:
            connection.sendall(bytes(64 * 1024))
            sent += 64 * 1024

    with (
        raw_service(flood) as endpoint,
        Collection("k", "s", endpoint) as client,
        pytest.raises(CollectionError, match="500 Internal Server Error"),
    ):
        client.get_images()
    # The rest is in the buffers of the sockets.
    assert sent < 16 * 1024 * 1024


# Garbage.


def garbage(dice: random.Random) -> bytes:
    """Return a response with random errors."""
    junk = [
        b"Content-Length: %d" % dice.randint(-5, 500),
        b"Content-Length: 5, 7",
        b"Content-Length: x",
        b"Transfer-Encoding: chunked",
        b"Content-Encoding: gzip",
        b"Content-Encoding: gzip, br, what",
        b"Content-Type: text/html; charset=what\xff",
        b"Set-Cookie: a=\xff; expires=never; domain=\x00",
        b"Retry-After: " + dice.randbytes(8).replace(b"\n", b""),
        b"Date: " + dice.choice((b"yesterday", b"Mon, 99 Xxx 99999 99:99:99 GMT", b"\xff")),
        b"Location: " + dice.choice((b"http://[", b"//\xff", b"", b"http://a b/")),
        b"Connection: " + dice.choice((b"close", b"upgrade", b"\x00")),
        b" folded",
        b"no colon",
        b": no name",
        dice.randbytes(20).replace(b"\n", b""),
        b"X: " + b"y" * dice.choice((10, 70_000)),
    ]
    status = dice.choice((b"200 OK", b"200", b"404 \xff", b"503 Later", b"302 Found", b"204 x"))
    version = dice.choice((b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/0.9", b"HTTP/7"))
    lines = dice.sample(junk, dice.randint(0, 5))
    body = dice.choice((naming("a"), b"5\r\nhello\r\n0\r\n\r\n", gzip.compress(b"{}"), b"\xff"))
    answer = b"\r\n".join((version + b" " + status, *lines, b"", body))
    return answer[: dice.randint(0, len(answer))] if dice.random() < 0.2 else answer


@pytest.mark.parametrize("seed", range(5))
def test_garbage_is_an_answer_or_a_typed_error(seed: int) -> None:
    dice = random.Random(f"garbage {seed}")

    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(garbage(dice))

    raised = 0
    with raw_service(behave) as endpoint, Collection("k", "s", endpoint, timeout=5) as client:
        for _ in range(60):
            try:
                client.get_images()
            except CollectionError as error:
                raised += 1
                assert "\n" not in str(error)
                str(error).encode()
    assert raised
