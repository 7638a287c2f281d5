"""The HTTP client when the service or the connection fails."""

from __future__ import annotations

import io
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.connections import OpenSockets
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    NotConnected,
    NotFound,
    Refused,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import (
    Fault,
    answers,
    as_json,
    dripping,
    reset_after,
    reset_before,
    rewritten,
)
from tests.support.pictures import encode, photo
from tests.support.raw_service import raw_service

PICTURE = encode(photo(1))
SESSION = {"collection_id": "c", "collection_name": "n", "user": "u"}


@pytest.fixture
def hasty(server: CollectionServer) -> Iterator[Collection]:
    """A client with a short timeout."""
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint, timeout=0.3) as collection:
        yield collection


@pytest.mark.parametrize("fault", [reset_before(), reset_after()])
def test_a_reset_connection_is_unreachable_and_explained(
    server: CollectionServer, client: Collection, fault: Fault
) -> None:
    server.faults.append(fault)
    with pytest.raises(Unreachable) as caught:
        client.add_image(io.BytesIO(PICTURE), "a")
    assert str(caught.value) == f"127.0.0.1:{server.port}: Connection reset by peer"
    assert not isinstance(caught.value, NotConnected)
    assert not caught.value.permanent


def test_a_refused_connection_has_sent_nothing() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with (
        Collection("k", "s", f"http://127.0.0.1:{port}/api") as client,
        pytest.raises(NotConnected) as caught,
    ):
        client.add_image(io.BytesIO(PICTURE), "a")
    assert str(caught.value) == f"127.0.0.1:{port}: Connection refused"


def test_a_service_that_hangs_is_unreachable_after_the_timeout(
    server: CollectionServer, hasty: Collection
) -> None:
    server.hang_next()
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        hasty.get_images()


def test_a_body_that_arrives_slowly_ends_with_the_timeout(
    server: CollectionServer, hasty: Collection
) -> None:
    server.faults.append(dripping(0.05))
    began = time.monotonic()
    with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
        hasty.get_images()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "piece", [b"HTTP/1.1 200 OK\r\nX-Long: ", b"HTTP/1.1 100 Continue\r\n\r\n"]
)
def test_headers_that_arrive_slowly_end_with_the_timeout(piece: bytes) -> None:
    done = threading.Event()

    def drip(connection: socket.socket) -> None:
        connection.recv(65536)
        while not done.wait(0.05):
            connection.sendall(piece if piece.startswith(b"HTTP/1.1 1") else b"x")

    def start(connection: socket.socket) -> None:
        connection.sendall(piece)
        drip(connection)

    with raw_service(start) as endpoint, Collection("k", "s", endpoint, timeout=0.3) as client:
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer within 0\.3 s"):
            client.get_images()
        assert time.monotonic() - began < 2
        done.set()


def test_an_endless_answer_is_a_bad_answer() -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while True:
            connection.sendall(b" " * 1024 * 1024)

    with (
        raw_service(flood) as endpoint,
        Collection("k", "s", endpoint) as client,
        pytest.raises(BadAnswer, match="more than 16 MB"),
    ):
        client.get_images()


@pytest.mark.parametrize(
    ("sent", "says"),
    [
        (b"", "closed without an answer"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "the answer is not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{}", "during the answer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "127.0.0.1"),
    ],
)
def test_an_incomplete_answer_is_unreachable(sent: bytes, says: str) -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(sent)

    with raw_service(behave) as endpoint, Collection("k", "s", endpoint) as client:
        with pytest.raises(Unreachable, match=says) as caught:
            client.get_images()
        assert "\n" not in str(caught.value)
        assert "object at 0x" not in str(caught.value)


def test_a_refusal_with_an_incomplete_body_is_recognised_by_its_status() -> None:
    def behave(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 503 Down\r\nRetry-After: 3\r\nContent-Length: 50\r\n\r\n{")

    with (
        raw_service(behave) as endpoint,
        Collection("k", "s", endpoint) as client,
        pytest.raises(Unavailable) as caught,
    ):
        client.get_images()
    assert (str(caught.value), caught.value.retry_after) == ("503 Down", 3.0)


def test_a_refusal_before_the_body_was_read_is_understood() -> None:
    def behave(connection: socket.socket) -> None:
        if connection.recv(1024).startswith(b"POST"):
            connection.sendall(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        else:
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n" + json.dumps(SESSION).encode())
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(65536):
            pass

    with (
        raw_service(behave) as endpoint,
        Collection("k", "s", endpoint) as client,
        pytest.raises(CollectionError, match="413 Too Large") as caught,
    ):
        client.add_image(io.BytesIO(bytes(4 * 1024 * 1024)), "a")
    assert caught.value.permanent


def test_a_redirect_is_not_followed(server: CollectionServer, client: Collection) -> None:
    elsewhere = f"{server.endpoint}/elsewhere"
    server.faults.append(answers(307, Location=elsewhere))
    with pytest.raises(BadAnswer, match=elsewhere):
        client.add_image(io.BytesIO(PICTURE), "a")
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [404, 409, 410, 400, 405])
def test_a_refusal_from_an_unknown_source_counts_if_a_collection_answers(
    server: CollectionServer, client: Collection, status: int
) -> None:
    """A proxy that does not know the collection yet answers every request with its own page."""
    page = answers(status, b"<html>no such thing here</html>")
    server.faults.append(page)
    with pytest.raises(Refused) as refused:
        client.get_image("a")
    assert (refused.value.status, refused.value.permanent) == (status, True)

    server.fault_for = lambda _seen: page
    with pytest.raises(BadAnswer, match=f"{status} .* no collection: is collection.endpoint"):
        client.get_image("a")
    assert len(server.requests) == 4
    with pytest.raises(BadAnswer, match="no collection"):
        client.id  # noqa: B018 - it is a request
    assert len(server.requests) == 5


def test_a_refusal_in_the_collections_format_needs_no_second_request(
    server: CollectionServer, client: Collection
) -> None:
    with pytest.raises(NotFound):
        client.get_image("a")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("then", "kind"),
    [(answers(503), Unavailable), (reset_before(), Unreachable), (answers(401), Unauthorized)],
)
def test_a_refusal_is_unconfirmed_while_the_collection_is_unreachable(
    server: CollectionServer, client: Collection, then: Fault, kind: type[CollectionError]
) -> None:
    server.faults.extend([answers(404), then])
    with pytest.raises(kind):
        client.delete_image("a")


@pytest.mark.parametrize(
    "fault",
    [
        answers(200, b"<html>log in first</html>"),
        rewritten(lambda body: body[:-3]),
        as_json([]),
        as_json({"images": None}),
    ],
)
def test_an_invalid_answer_with_status_200_is_a_bad_answer(
    server: CollectionServer, client: Collection, fault: Fault
) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: client.id,
        lambda: client.get_image("a"),
        client.get_images,
        lambda: list(client.images()),
        lambda: client.search_images(io.BytesIO(PICTURE)),
        lambda: client.search_images_by_id("a"),
    ]
    server.collection.add_image(io.BytesIO(PICTURE), "a")
    for call in calls:
        server.faults.append(fault)
        with pytest.raises(BadAnswer):
            call()


def test_a_connection_that_opens_while_the_client_closes_is_shut_too() -> None:
    here, there = socket.socketpair()
    with here, there:
        sockets = OpenSockets()
        sockets.shut_all()
        sockets.add(here)
        assert there.recv(1) == b""
