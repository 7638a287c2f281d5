"""The service's socket: only for its owner, and no client blocks the service."""

from __future__ import annotations

import json
import socket
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.control.channel import ALIVE, ControlServer, Message, ask, socket_path
from snoopsync.core.errors import ServiceUnavailable
from tests.support.process import until


def echo(request: Message) -> Iterator[Message]:
    yield {"echo": request}
    yield ALIVE
    yield {"result": "said"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def raw(state: Path, data: bytes) -> list[object]:
    """The response to these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path(state)))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in connection.makefile("rb")]


def test_a_response_arrives_message_by_message(state: Path) -> None:
    with ControlServer(state, echo):
        assert list(ask(state, {"a": "\udcff"})) == [
            {"echo": {"a": "\udcff"}},
            {"result": "said"},
        ]
    assert not socket_path(state).exists()


def test_only_the_owner_can_connect(state: Path) -> None:
    with ControlServer(state, echo):
        assert stat.S_IMODE(socket_path(state).stat().st_mode) == 0o600


def test_a_long_path_can_have_a_socket(tmp_path: Path) -> None:
    state = tmp_path / ("d" * 100) / ("e" * 100) / "state.sqlite3"
    state.parent.mkdir(parents=True)
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000, b"x" * (1 << 21)],
)
def test_garbage_is_refused_and_the_next_request_is_served(state: Path, garbage: bytes) -> None:
    with ControlServer(state, echo):
        try:
            assert raw(state, garbage) == [{"error": "the request is not a JSON object"}]
        except OSError:
            assert len(garbage) > 1 << 20  # the server did not read all of it
        assert {"result": "said"} in list(ask(state, {}))


def test_a_disconnect_ends_the_response(state: Path) -> None:
    ended = threading.Event()

    def endless(_request: Message) -> Iterator[Message]:
        try:
            while True:
                yield {"much": "x" * 10_000}
        finally:
            ended.set()

    with ControlServer(state, endless):
        next(ask(state, {}))
        assert ended.wait(5.0)


def test_requests_are_served_concurrently(state: Path) -> None:
    """Each request waits for the other one."""
    both = threading.Barrier(2)

    def together(_request: Message) -> Iterator[Message]:
        yield {"result": both.wait(5.0) >= 0}

    replies: list[Message] = []
    with ControlServer(state, together):
        clients = [
            threading.Thread(target=lambda: replies.extend(ask(state, {}))) for _ in range(2)
        ]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
    assert replies == [{"result": True}] * 2


def test_a_stale_socket_is_replaced(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(state)))
    with pytest.raises(ServiceUnavailable):
        list(ask(state, {}))
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


def test_closing_leaves_the_socket_of_another_service(state: Path) -> None:
    first = ControlServer(state, echo)
    with ControlServer(state, echo):
        first.close()
        assert {"result": "said"} in list(ask(state, {}))
    assert not socket_path(state).exists()


def test_a_silent_service_times_out(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_path(state)))
        silent.listen(1)
        with pytest.raises(ServiceUnavailable):
            list(ask(state, {}, 0.1))


def test_closing_ends_all_threads(state: Path) -> None:
    with ControlServer(state, echo):
        list(ask(state, {}))
    until(lambda: not any(each.name.startswith("control") for each in threading.enumerate()))
