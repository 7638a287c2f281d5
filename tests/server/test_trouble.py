"""The collection as a service: slow clients, dying decoders, and its own errors."""

from __future__ import annotations

import http.client
import io
import json
import logging
import os
import socket
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from snoopsync.core.errors import Unauthorized, Unavailable, Unwritable
from snoopsync.server.http import ConnectionLimits
from snoopsync.server.uploads import RequestLimits
from tests.support.hosted import Hosted, hosted, hosted_process
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

PICTURE = encode(photo(1))

#: Decoders that are slow for each picture.
SLOWLY = "tests.support.decoder_work:slowly"

#: The timeouts of the service for a client, in tests.
SHORT_SECONDS = 0.8


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Hosted]:
    """A service with short timeouts."""
    connections = ConnectionLimits(seconds=SHORT_SECONDS, handshake_seconds=SHORT_SECONDS)
    limits = RequestLimits(body_bytes=1 << 20, body_seconds=2.0, pause_seconds=SHORT_SECONDS)
    with hosted(tmp_path / "data", limits, SLOWLY, connections) as service:
        yield service


def connected(service: Hosted) -> socket.socket:
    return socket.create_connection(("127.0.0.1", service.port), 20.0)


def all_of(connection: socket.socket) -> bytes:
    """Return what the service sends until it closes the connection, which it must."""
    received = b""
    try:
        while piece := connection.recv(65536):
            received += piece
    except ConnectionResetError:
        pass
    return received


def head(service: Hosted, path: str, size: int, name: str = "slow") -> bytes:
    return head_of(path, size, *service.keys(name))


def head_of(path: str, size: int, public: str, secret: str) -> bytes:
    headers = Signer(public, secret).headers("POST", path, time.time())
    lines = [f"POST {path} HTTP/1.1", "Host: x", f"Content-Length: {size}"]
    lines += [f"{key}: {value}" for key, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def test_an_endless_head_is_disconnected(impatient: Hosted) -> None:
    with closing(connected(impatient)) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost:")
        assert all_of(connection) == b""


def test_a_slow_head_is_disconnected(impatient: Hosted) -> None:
    with closing(connected(impatient)) as connection:
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
    with closing(connected(impatient)) as connection:
        assert all_of(connection) == b""


@pytest.mark.parametrize("drops", [False, True])
def test_a_slow_body_is_refused_and_leaves_no_file(impatient: Hosted, drops: bool) -> None:
    request = head(impatient, "/api/v1/image/a", len(PICTURE)) + PICTURE[:100]
    with closing(connected(impatient)) as connection:
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
        assert json.loads((answer + all_of(connection)).partition(b"\r\n\r\n")[2]) == {
            "status": 408,
            "message": "the body arrives too slowly",
        }
    assert list((impatient.data / "incoming").iterdir()) == []


def test_input_after_a_refusal_is_not_waited_for(impatient: Hosted) -> None:
    request = head(impatient, "/api/v1/image/a", 2 << 20)
    with closing(connected(impatient)) as connection:
        connection.sendall(request)
        assert all_of(connection).startswith(b"HTTP/1.1 413")


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


def test_a_client_that_disconnects_stops_no_other(impatient: Hosted) -> None:
    request = head(impatient, "/api/v1/image/a", len(PICTURE), "away") + PICTURE
    with closing(connected(impatient)) as connection:
        connection.sendall(request)
        until(lambda: list((impatient.data / "incoming").iterdir()))
    with impatient.client("away") as client:
        until(lambda: [image["id"] for image in client.images()] == ["a"])
    assert list((impatient.data / "incoming").iterdir()) == []


# Many connections.


def idle(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Open so many connections that send nothing."""
    return [
        stack.enter_context(closing(socket.create_connection(("127.0.0.1", port), 20.0)))
        for _ in range(count)
    ]


def test_idle_connections_never_block_other_clients(tmp_path: Path) -> None:
    """The process may open 256 files."""
    home, data = Installation(tmp_path), tmp_path / "data"
    (key,) = home.json("keys", "add", "shop", "--data", data, "--json")
    with (
        ExitStack() as stack,
        hosted_process(home, data, under=("prlimit", "--nofile=256:256")) as (service, endpoint),
    ):
        port = urlsplit(endpoint).port
        assert port is not None
        # Their timeout would close these only after half a minute.
        client = Collection(key["public_key"], key["secret_key"], endpoint, timeout=10.0)
        with client:
            for turn in range(2):
                idle(port, 200, stack)
                client.add_image(io.BytesIO(PICTURE), str(turn))
                assert len(client.search_images(io.BytesIO(PICTURE))["results"]) == turn + 1
        assert service.end() == 0
        assert not any("Traceback" in line or "error" in line for line in service.lines)


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Hosted]:
    """A service with at most four connections, and three requests for each key."""
    connections = ConnectionLimits(connections=4)
    with hosted(
        tmp_path / "data", RequestLimits(requests_per_key=3), connections=connections
    ) as service:
        yield service


def assert_works(connection: socket.socket) -> None:
    connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    answer = b""
    while not answer.endswith(b"}"):
        piece = connection.recv(65536)
        assert piece
        answer += piece
    assert answer.startswith(b"HTTP/1.1 200")


def test_the_connection_that_is_idle_longest_makes_room(few: Hosted) -> None:
    with ExitStack() as stack:
        first, *others = idle(few.port, 4, stack)
        assert_works(first)
        (new,) = idle(few.port, 1, stack)
        assert all_of(others[0]) == b""
        for each in (first, *others[1:], new):
            assert_works(each)


def test_a_connection_with_a_request_is_kept_and_one_too_many_is_refused(
    few: Hosted,
) -> None:
    busy: list[socket.socket] = []
    with ExitStack() as stack:
        for name in ("a", "b"):
            public, secret = few.keys(name)
            for number in range(2):
                path = f"/api/v1/image/{number}"
                (connection,) = idle(few.port, 1, stack)
                connection.sendall(head_of(path, len(PICTURE), public, secret) + PICTURE[:100])
                busy.append(connection)
                until(lambda: len(list((few.data / "incoming").iterdir())) == len(busy))
        (new,) = idle(few.port, 1, stack)
        new.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        refused = all_of(new)
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 5\r\n" in refused.lower()
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["status"] == 503
        for connection in busy:
            connection.sendall(PICTURE[100:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201")


def test_a_key_may_have_a_limited_number_of_requests_in_progress(few: Hosted) -> None:
    public, secret = few.keys("greedy")
    with ExitStack() as stack:
        for number in range(3):
            path = f"/api/v1/image/{number}"
            (connection,) = idle(few.port, 1, stack)
            connection.sendall(head_of(path, len(PICTURE), public, secret) + PICTURE[:100])
        until(lambda: len(list((few.data / "incoming").iterdir())) == 3)
        with Collection(public, secret, few.endpoint) as greedy:
            with pytest.raises(Unavailable, match="3 requests in progress") as refused:
                greedy.get_images()
            assert (refused.value.status, refused.value.retry_after) == (429, 1.0)
        with few.client("other") as other:
            other.get_images()
        connection.sendall(PICTURE[100:])
        assert connection.recv(65536).startswith(b"HTTP/1.1 201")
        with Collection(public, secret, few.endpoint) as greedy:
            assert [image["id"] for image in greedy.images()] == ["2"]


def test_requests_without_a_picture_do_not_wait_for_pictures(tmp_path: Path) -> None:
    with hosted(tmp_path / "data", RequestLimits(requests_at_once=1), SLOWLY) as service:
        keys = service.keys("busy")
        done: list[str] = []

        def add(number: int) -> None:
            with Collection(*keys, service.endpoint) as client:
                client.add_image(io.BytesIO(PICTURE), str(number))
            done.append(str(number))

        adding = [threading.Thread(target=add, args=(number,)) for number in range(4)]
        for thread in adding:
            thread.start()
        until(lambda: len(list((service.data / "incoming").iterdir())) == 4)
        connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20.0)
        with closing(connection):
            connection.request("GET", "/healthz")
            assert connection.getresponse().status == 200
        assert len(done) < 4
        for thread in adding:
            thread.join()
        assert sorted(done) == ["0", "1", "2", "3"]


# Errors of the service.


def test_an_error_of_the_service_is_a_503_and_is_logged_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with hosted(tmp_path / "data") as service, service.client("x") as client:
        with closing(sqlite3.connect(service.data / "keys.sqlite3")) as other:
            other.execute("DROP TABLE key")
        for _ in range(2):
            with pytest.raises(Unavailable) as refused:
                client.get_images()
            assert (refused.value.status, refused.value.retry_after) == (503, 5.0)
            assert str(tmp_path) not in str(refused.value)
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert said == [f"{tmp_path / 'data' / 'keys.sqlite3'}: no such table: key"]


def _full() -> int:
    """Return a descriptor of a file on a full disk."""
    return os.open("/dev/full", os.O_WRONLY)


def test_a_body_that_can_not_be_stored_is_a_503_and_a_full_disk_a_507(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with hosted(tmp_path / "data") as service, service.client("x") as client:
        (service.data / "incoming").rmdir()
        with pytest.raises(Unavailable) as refused:
            client.add_image(io.BytesIO(PICTURE), "a")
        assert refused.value.status == 503
        monkeypatch.setattr("tempfile.mkstemp", lambda **_: (_full(), str(tmp_path / "x")))
        with pytest.raises(Unwritable) as unwritable:
            client.add_image(io.BytesIO(PICTURE), "b")
        assert unwritable.value.status == 507


def test_the_access_log_contains_the_keys_of_authorized_requests(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    with hosted(tmp_path / "data") as service:
        public, secret = service.keys("x")
        with Collection(public, secret, service.endpoint) as client:
            client.get_images(count=3)
        with Collection(public, "wrong", service.endpoint) as client, pytest.raises(Unauthorized):
            client.get_images()
    lines = [record.getMessage() for record in caplog.records if record.name == "snoopsync.access"]
    took, refused = lines
    assert took.startswith(f"GET /api/v1/images 200 {public} ")
    assert refused.startswith("GET /api/v1/images 401 - ")
    assert secret not in caplog.text
