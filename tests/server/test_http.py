"""Connections: how many a service accepts, and which it closes."""

from __future__ import annotations

import asyncio
import gc
import http.client
import io
import json
import logging
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, closing, suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from starlette.types import Receive, Scope, Send

from snoopsync.client.collection import Collection
from snoopsync.core.addresses import Address
from snoopsync.server import http as http_server
from snoopsync.server.http import ConnectionLimits, open_file_limit
from tests.server.helpers import (
    HEALTH,
    LENGTH,
    PICTURE,
    SHORT_SECONDS,
    answer_to,
    connect,
    idle,
    received,
    signed_head,
)
from tests.support.authority import Authority, Certificate
from tests.support.hosted import Hosted, hosted, hosted_process
from tests.support.process import Installation, until


@pytest.mark.parametrize("turns", range(8))
def test_a_connection_that_arrives_while_the_server_stops_is_closed(
    caplog: pytest.LogCaptureFixture, turns: int
) -> None:
    """It arrives some turns of the event loop after the order to stop. A lost connection would be
    closed by the garbage collector, with a warning, which fails this test."""
    late = socket.socket()
    listener = http_server.open_listener(Address("127.0.0.1", 0))
    address = listener.getsockname()

    class Stopping:
        async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

        @asynccontextmanager
        async def running(self) -> AsyncIterator[None]:
            connecting = asyncio.create_task(stop_and_connect())
            yield
            await connecting

    async def stop_and_connect() -> None:
        for _ in range(4):  # until the server accepts connections
            await asyncio.sleep(0)
        server.stop()
        for _ in range(turns):
            await asyncio.sleep(0)
        with suppress(ConnectionRefusedError):
            late.connect(address)

    server = http_server.Server(Stopping(), None)
    with closing(late):
        server.run(listener)
    gc.collect()
    assert [each.message for each in caplog.records if each.levelno >= logging.WARNING] == []


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
        for turn in range(2):
            idle(port, 200, stack)
            # A connection of the turn before may be closed to make room at any moment.
            with Collection(key["public_key"], key["secret_key"], endpoint, timeout=10.0) as client:
                client.add_image(io.BytesIO(PICTURE), str(turn))
                assert len(client.search_images(io.BytesIO(PICTURE))["results"]) == turn + 1
        assert service.end() == 0
        assert not any("Traceback" in line or "error" in line for line in service.lines)


def assert_works(connection: socket.socket) -> None:
    connection.sendall(HEALTH)
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
        assert received(others[0]) == b""
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
                connection.sendall(signed_head(path, (public, secret), LENGTH) + PICTURE[:100])
                busy.append(connection)
                until(lambda: len(list((few.data / "incoming").iterdir())) == len(busy))
        (new,) = idle(few.port, 1, stack)
        new.sendall(HEALTH)
        refused = received(new)
        assert refused.startswith(b"HTTP/1.1 503")
        assert few.server.refused_connections == 1
        assert b"retry-after: 5\r\n" in refused.lower()
        assert json.loads(refused.partition(b"\r\n\r\n")[2])["status"] == 503
        for connection in busy:
            connection.sendall(PICTURE[100:])
            assert connection.recv(65536).startswith(b"HTTP/1.1 201")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return Authority(tmp_path_factory.mktemp("authority")).self_signed("own")


def test_a_client_without_a_handshake_is_disconnected(
    tmp_path: Path, certificate: Certificate
) -> None:
    connections = ConnectionLimits(handshake_seconds=SHORT_SECONDS)
    tls = certificate.server_context()
    with (
        hosted(tmp_path / "data", connections=connections, tls=tls) as service,
        ExitStack() as stack,
    ):
        assert stack.enter_context(connect(service.port)).recv(100) == b""


def test_too_many_pending_handshakes_end_the_oldest(
    tmp_path: Path, certificate: Certificate
) -> None:
    connections, tls = ConnectionLimits(handshakes=2), certificate.server_context()
    with (
        hosted(tmp_path / "data", connections=connections, tls=tls) as service,
        ExitStack() as stack,
    ):
        first, second = (stack.enter_context(connect(service.port)) for _ in range(2))
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
            stack.enter_context(connect(port))
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
            assert stack.enter_context(connect(service.port)).recv(100) == b""
        is_low = False
        health = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        assert answer_to(service.port, health)[0] == 200
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert len(said) == 1
    assert "no more connections can be accepted" in said[0]
