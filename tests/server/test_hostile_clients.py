"""The collection as a service: no client can block another or use up its resources."""

from __future__ import annotations

import http.client
import io
import json
import logging
import re
import select
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from snoopsync.core.errors import Unavailable
from snoopsync.server.http import ConnectionLimits, open_file_limit
from snoopsync.server.signature import WINDOW_SECONDS, SignedRequest, Verifier
from snoopsync.server.uploads import RequestLimits
from tests.support.authority import Authority, Certificate
from tests.support.hosted import Hosted, hosted, hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

PICTURE = encode(photo(1))

#: The timeout of the service for a client, in tests.
SHORT_SECONDS = 0.8


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    with hosted(tmp_path_factory.mktemp("hosted")) as service:
        yield service


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("authority")).self_signed("own")


def connected(port: int, stack: ExitStack, receive_bytes: int = 0) -> socket.socket:
    connection = stack.enter_context(closing(socket.socket()))
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(20.0)
    connection.connect(("127.0.0.1", port))
    return connection


def answer_to(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """Return status, headers and body of the answer. The service must close the connection."""
    with ExitStack() as stack:
        connection = connected(port, stack)
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65536):
            received += piece
    head, _, body = received.partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def signed_head(path: str, keys: tuple[str, str], *more: str, method: str = "POST") -> bytes:
    headers = Signer(*keys).headers(method, path, time.time())
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *more]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


# Bodies.


@pytest.mark.parametrize("framing", ["Content-Length: 99999999", "Transfer-Encoding: chunked"])
def test_a_refusal_before_the_body_was_read_closes_the_connection(
    service: Hosted, framing: str
) -> None:
    request = f"POST /api/v1/search HTTP/1.1\r\nHost: x\r\n{framing}\r\n\r\n"
    status, headers, _ = answer_to(service.port, request.encode())
    assert (status, headers["connection"]) == (401, "close")


def test_a_client_that_sends_its_whole_body_first_gets_the_refusal(service: Hosted) -> None:
    with ExitStack() as stack:
        connection = connected(service.port, stack)
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


# Answers that are not read.


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Hosted]:
    connections = ConnectionLimits(seconds=SHORT_SECONDS, connections=4)
    with hosted(
        tmp_path / "data", RequestLimits(body_bytes=1 << 20), connections=connections
    ) as service:
        yield service


def slow_reader(port: int, stack: ExitStack) -> socket.socket:
    """A client that requests thousands of answers and reads none."""
    connection = connected(port, stack, receive_bytes=2048)
    connection.setblocking(False)
    request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        for _ in range(200):
            connection.send(request * 100)
    except BlockingIOError:
        pass
    return connection


def test_a_client_that_reads_no_answers_gets_few_and_is_disconnected(
    impatient: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    with ExitStack() as stack:
        connection = slow_reader(impatient.port, stack)
        poll = select.poll()
        poll.register(connection, 0)  # errors are always reported
        [(_, event)] = poll.poll(20_000)
        assert event & select.POLLERR
    assert 0 < len(caplog.records) < 200


def test_clients_that_read_no_answers_make_room_for_others(tmp_path: Path) -> None:
    with (
        hosted(tmp_path / "data", connections=ConnectionLimits(connections=4)) as service,
        ExitStack() as stack,
    ):
        for _ in range(8):
            slow_reader(service.port, stack)
        health = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        until(lambda: answer_to(service.port, health)[0] == 200)


# Connections.


def test_a_client_without_a_handshake_is_disconnected(
    tmp_path: Path, certificate: Certificate
) -> None:
    connections = ConnectionLimits(handshake_seconds=SHORT_SECONDS)
    tls = certificate.server_context()
    with (
        hosted(tmp_path / "data", connections=connections, tls=tls) as service,
        ExitStack() as stack,
    ):
        assert connected(service.port, stack).recv(100) == b""


def test_too_many_pending_handshakes_end_the_oldest(
    tmp_path: Path, certificate: Certificate
) -> None:
    connections, tls = ConnectionLimits(handshakes=2), certificate.server_context()
    with (
        hosted(tmp_path / "data", connections=connections, tls=tls) as service,
        ExitStack() as stack,
    ):
        first, second = (connected(service.port, stack) for _ in range(2))
        client = ssl.create_default_context(cafile=str(certificate.path))
        address = ("127.0.0.1", service.port)
        connection = stack.enter_context(closing(socket.create_connection(address, 20.0)))
        with client.wrap_socket(connection, server_hostname="127.0.0.1") as spoken:
            assert first.recv(100) == b""
            spoken.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert spoken.recv(100).startswith(b"HTTP/1.1 200")
        second.setblocking(False)
        with pytest.raises(BlockingIOError):
            second.recv(100)


@pytest.mark.integration
def test_idle_tls_connections_block_no_client_and_do_not_fill_the_log(
    tmp_path: Path, certificate: Certificate
) -> None:
    """The process may open 300 files."""
    home, data = Installation(tmp_path), tmp_path / "data"
    options = ("--certificate", certificate.path, "--key", certificate.key)
    limit = ("prlimit", "--nofile=300:300")
    with (
        ExitStack() as stack,
        hosted_process(home, data, *options, under=limit) as (service, endpoint),
    ):
        port = urlsplit(endpoint).port
        assert port is not None
        for _ in range(500):
            connected(port, stack)
        client = ssl.create_default_context(cafile=str(certificate.path))
        for _ in range(3):
            connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=10, context=client)
            with closing(connection):
                connection.request("GET", "/healthz")
                assert connection.getresponse().status == 200
        assert service.end() == 0
        assert len(service.lines) < 20
        assert not any("error" in line for line in service.lines)


def test_accepting_pauses_when_nearly_all_files_are_open_and_logs_it_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    is_low = True

    def file_limit() -> int:
        return 4 if is_low else open_file_limit()

    with (
        hosted(tmp_path / "data", file_limit=file_limit) as service,
        ExitStack() as stack,
    ):
        for _ in range(3):
            assert connected(service.port, stack).recv(100) == b""
        is_low = False
        health = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert answer_to(service.port, health)[0] == 200
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "no more connections can be accepted" in said[0]


def test_a_long_path_is_shortened_in_the_log(
    service: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    request = f"GET /{'x' * 10_000} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert answer_to(service.port, request.encode())[0] == 404
    [line] = [record.getMessage() for record in caplog.records if "/xxx" in record.getMessage()]
    assert re.fullmatch(r"GET /x{199}\.\.\. 404 - \d+ ms", line)


# Turns.


def test_a_key_with_many_waiting_pictures_does_not_block_another(
    tmp_path: Path,
) -> None:
    with hosted(
        tmp_path / "data",
        RequestLimits(pictures_at_once=1),
        "tests.support.decoder_work:slowly",
    ) as service:
        done: list[str] = []

        def add(keys: tuple[str, str], name: str) -> None:
            with Collection(*keys, service.endpoint) as client:
                client.add_image(io.BytesIO(PICTURE), name)
            done.append(name)

        incoming = service.data / "incoming"
        many, few = service.keys("many"), service.keys("few")
        adding = [threading.Thread(target=add, args=(many, f"many{n}")) for n in range(4)]
        for thread in adding:
            thread.start()
        until(lambda: len(list(incoming.iterdir())) == 4)
        adding.append(threading.Thread(target=add, args=(few, "few")))
        adding[-1].start()
        for thread in adding:
            thread.join()
        assert done.index("few") <= 2


def holds(folder: Path, count: int) -> bool:
    return len(list(folder.iterdir())) == count


def test_a_waiting_request_is_dropped_when_its_client_disconnects(tmp_path: Path) -> None:
    with hosted(
        tmp_path / "data",
        RequestLimits(pictures_at_once=1),
        "tests.support.decoder_work:slowly",
    ) as service:
        keys, incoming = service.keys("away"), service.data / "incoming"
        with ExitStack() as stack:
            for number in range(3):
                path = f"/api/v1/image/{number}"
                connection = connected(service.port, stack)
                head = signed_head(path, keys, f"Content-Length: {len(PICTURE)}")
                connection.sendall(head + PICTURE)
                until(partial(holds, incoming, number + 1))
            stack.close()
            until(lambda: len(list(incoming.iterdir())) == 1)
        until(lambda: not list(incoming.iterdir()))
        with Collection(*keys, service.endpoint) as client:
            until(lambda: [image["id"] for image in client.images()] == ["0"])


# Replays.

NOW = 1_800_000_000.0


def change(key: str, number: int, date: float) -> SignedRequest:
    path = f"/api/v1/image/{number}"
    headers = Signer(key, "s").headers("PUT", path, date)
    return SignedRequest(
        "PUT", path, headers["Date"], headers["Authorization"], changes=True, is_unique=True
    )


def test_only_a_key_with_too_many_changes_has_to_wait() -> None:
    verifier = Verifier(lambda _: "s", NOW - 3600.0, most_signatures=3)
    for number in range(3):
        verifier.check(change("greedy", number, NOW), NOW, key_exists=True)
    with pytest.raises(Unavailable) as refused:
        verifier.check(change("greedy", 3, NOW), NOW, key_exists=True)
    assert (refused.value.status, refused.value.retry_after) == (429, 60.0)
    verifier.check(change("other", 0, NOW), NOW, key_exists=True)
    with pytest.raises(Unavailable) as again:
        verifier.check(change("greedy", 0, NOW), NOW + WINDOW_SECONDS, key_exists=True)
    assert again.value.status == 425
    later = NOW + WINDOW_SECONDS + 2.0
    verifier.check(change("greedy", 3, later), later, key_exists=True)
