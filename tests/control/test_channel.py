"""The service's socket: for its owner only, and never in the way of the service."""

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


def echo(question: Message) -> Iterator[Message]:
    yield {"heard": question}
    yield ALIVE
    yield {"result": "said"}


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def raw(state: Path, data: bytes) -> list[object]:
    """What comes back for these bytes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(socket_path(state)))
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        return [json.loads(line) for line in connection.makefile("rb")]


def test_a_question_is_answered_message_by_message(state: Path) -> None:
    with ControlServer(state, echo):
        assert list(ask(state, {"a": "\udcff"})) == [{"heard": {"a": "\udcff"}}, {"result": "said"}]
    assert not socket_path(state).exists()


def test_nobody_but_its_owner_may_ask(state: Path) -> None:
    with ControlServer(state, echo):
        assert stat.S_IMODE(socket_path(state).stat().st_mode) == 0o600


def test_a_state_file_deep_down_has_a_socket_too(tmp_path: Path) -> None:
    state = tmp_path / ("d" * 100) / ("e" * 100) / "state.sqlite3"
    state.parent.mkdir(parents=True)
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\n", b"nonsense\n", b"[1]\n", b"\xff\xfe\n", b"[" * 100_000, b"x" * (1 << 21)],
)
def test_garbage_is_turned_down_and_the_next_is_answered(state: Path, garbage: bytes) -> None:
    with ControlServer(state, echo):
        try:
            assert raw(state, garbage) == [{"error": "that is no question"}]
        except OSError:
            assert len(garbage) > 1 << 20  # it did not even read it all
        assert {"result": "said"} in list(ask(state, {}))


def test_an_asker_that_hangs_up_in_the_middle_is_let_go(state: Path) -> None:
    ended = threading.Event()

    def endless(_question: Message) -> Iterator[Message]:
        try:
            while True:
                yield {"much": "x" * 10_000}
        finally:
            ended.set()

    with ControlServer(state, endless):
        next(ask(state, {}))
        assert ended.wait(5.0)


def test_several_are_answered_at_once(state: Path) -> None:
    """Each waits for the other's question."""
    both = threading.Barrier(2)

    def together(_question: Message) -> Iterator[Message]:
        yield {"result": both.wait(5.0) >= 0}

    answers: list[Message] = []
    with ControlServer(state, together):
        askers = [threading.Thread(target=lambda: answers.extend(ask(state, {}))) for _ in range(2)]
        for asker in askers:
            asker.start()
        for asker in askers:
            asker.join()
    assert answers == [{"result": True}] * 2


def test_a_socket_that_a_killed_service_left_behind_is_replaced(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(socket_path(state)))
    with pytest.raises(ServiceUnavailable):
        list(ask(state, {}))
    with ControlServer(state, echo):
        assert {"result": "said"} in list(ask(state, {}))


def test_the_end_of_one_service_leaves_the_socket_of_the_next_one(state: Path) -> None:
    first = ControlServer(state, echo)
    with ControlServer(state, echo):
        first.close()
        assert {"result": "said"} in list(ask(state, {}))
    assert not socket_path(state).exists()


def test_a_service_that_says_nothing_is_not_waited_for(state: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(socket_path(state)))
        silent.listen(1)
        with pytest.raises(ServiceUnavailable):
            list(ask(state, {}, 0.1))


def test_no_thread_is_left_behind(state: Path) -> None:
    with ControlServer(state, echo):
        list(ask(state, {}))
    until(lambda: not any(each.name.startswith("control") for each in threading.enumerate()))
