"""HTTP/1.1 on one connection: what is answered, refused and waited for."""

from __future__ import annotations

import http.client
import json
import re
import socket
import time
from contextlib import ExitStack, closing

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from snoopsync.core.addresses import Address
from snoopsync.core.errors import NotFound
from snoopsync.server.http import open_listener
from tests.server.helpers import (
    HEALTH,
    LENGTH,
    PICTURE,
    SHORT_SECONDS,
    answer_to,
    ask,
    connect,
    received,
    signed,
    signed_head,
)
from tests.support.hosted import Hosted


def test_a_head_request_gets_no_body(service: Hosted) -> None:
    path = "/api/v1/images"
    status, answer, headers = ask(service, "HEAD", path, **signed(service, "HEAD", path))
    assert (status, answer) == (200, {})
    assert int(headers["Content-Length"]) > 0


def test_a_chunked_body_is_accepted(service: Hosted) -> None:
    path = "/api/v1/image/chunks"
    pieces = (PICTURE[at : at + 1000] for at in range(0, len(PICTURE), 1000))
    assert ask(service, "POST", path, pieces, **signed(service, "POST", path))[0] == 201


def raw(service: Hosted, data: bytes, *, ends: bool = True) -> bytes:
    """What the service sends for these bytes, after which the client ``ends`` its side."""
    with connect(service.port) as connection:
        connection.sendall(data)
        if ends:
            connection.shutdown(socket.SHUT_WR)
        return received(connection)


def test_an_incomplete_body_is_not_an_image(service: Hosted, client: Collection) -> None:
    path = "/api/v1/image/short"
    head = signed_head(path, service.keys(client.name), LENGTH)
    raw(service, head + PICTURE[:-5])
    with pytest.raises(NotFound):
        client.get_image("short")
    assert list((service.data / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",  # no Host header
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: many\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nxxxxx",
    ],
)
def test_input_that_is_not_http_gets_an_answer_in_json(service: Hosted, data: bytes) -> None:
    head, _, body = raw(service, data).partition(b"\r\n\r\n")
    assert head.startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))
    assert json.loads(body)["status"] in (400, 431)
    assert ask(service, "GET", "/healthz")[0] == 200


@pytest.mark.integration
def test_an_incomplete_head_is_disconnected(service: Hosted) -> None:
    with connect(service.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n")
        with pytest.raises(ConnectionError):
            for _ in range(100_000):
                connection.sendall(b"X: " + b"y" * 10_000 + b"\r\n")
    assert ask(service, "GET", "/healthz")[0] == 200


def test_pipelined_requests_are_answered_in_order(service: Hosted) -> None:
    last = b"GET /nothing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answers = raw(service, HEALTH + HEALTH + last, ends=False)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"200", b"404"]


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    with (
        closing(open_listener(Address("127.0.0.1", 0))) as listener,
        closing(socket.create_connection(listener.getsockname())),
    ):
        connection, _ = listener.accept()
        with closing(connection):
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_an_endless_head_is_disconnected(impatient: Hosted) -> None:
    with connect(impatient.port) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert received(connection) == b""


def test_a_slow_head_is_disconnected(impatient: Hosted) -> None:
    with connect(impatient.port) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        connection.settimeout(SHORT_SECONDS / 10)
        began = time.monotonic()
        with pytest.raises(ConnectionError):
            while time.monotonic() - began < 20.0:
                connection.sendall(b"x")
                try:
                    assert connection.recv(100) == b""
                    raise ConnectionError
                except TimeoutError:
                    continue


def test_a_connection_without_a_request_is_disconnected(impatient: Hosted) -> None:
    with connect(impatient.port) as connection:
        assert received(connection) == b""


@pytest.mark.parametrize("drops", [False, True])
def test_a_slow_body_is_refused_and_leaves_no_file(impatient: Hosted, drops: bool) -> None:
    request = signed_head("/api/v1/image/a", impatient.keys("slow"), LENGTH) + PICTURE[:100]
    with connect(impatient.port) as connection:
        connection.sendall(request)
        connection.settimeout(SHORT_SECONDS / 4)
        answer, began = b"", time.monotonic()
        while b"\r\n\r\n" not in answer and time.monotonic() - began < 20.0:
            if drops:  # each piece in time, but not all together
                connection.sendall(b"x")
            try:
                answer += connection.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 408")
        connection.settimeout(20.0)
        assert json.loads((answer + received(connection)).partition(b"\r\n\r\n")[2]) == {
            "status": 408,
            "message": "the body arrives too slowly",
        }
    assert list((impatient.data / "incoming").iterdir()) == []


def test_input_after_a_refusal_is_not_waited_for(impatient: Hosted) -> None:
    request = signed_head("/api/v1/image/a", impatient.keys("slow"), f"Content-Length: {2 << 20}")
    with connect(impatient.port) as connection:
        connection.sendall(request)
        assert received(connection).startswith(b"HTTP/1.1 413")


def test_an_answer_that_takes_longer_than_the_timeout_keeps_its_connection(
    impatient: Hosted,
) -> None:
    """The timeout runs only while the service waits for the client."""
    path = "/api/v1/image/a"
    public, secret = impatient.keys("slow")
    headers = Signer(public, secret).headers("POST", path, time.time())
    connection = http.client.HTTPConnection("127.0.0.1", impatient.port, timeout=20.0)
    with closing(connection):
        connection.request("POST", path, PICTURE, headers)
        ours = connection.sock
        response = connection.getresponse()
        assert (response.status, response.read()[:1]) == (201, b"{")
        connection.request("GET", "/healthz")
        assert connection.getresponse().status == 200
        assert connection.sock is ours


@pytest.mark.parametrize("framing", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_a_refusal_before_the_body_was_read_closes_the_connection(
    service: Hosted, framing: str
) -> None:
    request = f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    status, headers, _ = answer_to(service.port, request.encode())
    assert (status, headers["connection"]) == (401, "close")


def test_a_client_that_sends_its_whole_body_first_gets_the_refusal(service: Hosted) -> None:
    with ExitStack() as stack:
        connection = stack.enter_context(connect(service.port))
        body = bytes(8 << 20)
        head = f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert connection.recv(65536).startswith(b"HTTP/1.1 401")


def test_no_body_is_parsed_before_its_signature_is_checked(service: Hosted) -> None:
    """Otherwise the service would refuse the broken chunk."""
    head = b"POST /api/v1/search HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    assert answer_to(service.port, head + b"no chunk\r\n" * 100)[0] == 401
    path = "/api/v1/search"
    proven = signed_head(path, service.keys("chunks"), "Transfer-Encoding: chunked")
    assert answer_to(service.port, proven + b"no chunk\r\n" * 100)[0] == 400


def test_a_body_of_thousands_of_tiny_chunks_is_refused_and_leaves_no_file(
    service: Hosted,
) -> None:
    path = "/api/v1/image/tiny"
    head = signed_head(path, service.keys("tiny"), "Transfer-Encoding: chunked")
    status, headers, body = answer_to(service.port, head + b"1\r\na\r\n" * 5000)
    assert (status, headers["connection"]) == (400, "close")
    assert "too many small chunks" in json.loads(body)["message"]
    assert list((service.data / "incoming").iterdir()) == []


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (("Content-Length: 1", "Transfer-Encoding: chunked"), "both"),
        (("Authorization: VSHMAC a:b",), "more than one authorization"),
        (("Date: Thu, 01 Jan 1970 00:00:00 GMT",), "more than one date"),
    ],
)
def test_an_ambiguous_request_is_refused(
    service: Hosted, lines: tuple[str, ...], said: str
) -> None:
    request = signed_head("/api/v1/search", service.keys("two"), *lines)
    status, headers, body = answer_to(service.port, request)
    assert (status, headers["connection"]) == (400, "close")
    assert said in json.loads(body)["message"]


def test_a_refused_head_request_gets_no_body(service: Hosted) -> None:
    request = signed_head("/healthz", service.keys("head"), "Date: today", method="HEAD")
    status, headers, body = answer_to(service.port, request)
    assert (status, body, headers["connection"]) == (400, b"", "close")


def test_a_head_of_thousands_of_headers_is_refused(service: Hosted) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + b"a:b\r\n" * 2500 + b"\r\n"
    status, _, body = answer_to(service.port, head)
    assert (status, "too many headers" in json.loads(body)["message"]) == (400, True)
