"""An answer of a decoder as messages: it arrives whole, within a limit of bytes and of time."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from snoopsync.decoding.messages import MESSAGE_BYTES, receive_answer, send_answer

LIMIT = 1 << 20


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The decoder's end, and the end of the process that asks."""
    decoder, asking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with closing(decoder), closing(asking):
        asking.settimeout(30.0)
        yield decoder, asking


@pytest.mark.parametrize("size", [0, 1, MESSAGE_BYTES - 1, MESSAGE_BYTES, 5 * MESSAGE_BYTES])
def test_an_answer_of_any_length_arrives_whole(
    ends: tuple[socket.socket, socket.socket], size: int
) -> None:
    decoder, asking = ends
    answer = bytes(number % 251 for number in range(size))
    sender = threading.Thread(target=send_answer, args=(decoder, answer))
    sender.start()
    assert receive_answer(asking, LIMIT) == answer
    sender.join()


def test_the_timeout_of_the_socket_is_as_before_after_an_answer(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    decoder, asking = ends
    decoder.send(b"+a")
    send_answer(decoder, b"b")
    assert receive_answer(asking, LIMIT) == b"ab"
    assert asking.gettimeout() == 30.0


@pytest.mark.parametrize("message", [b"", b"?unknown", b"." + bytes(LIMIT // 64 + 1)])
def test_an_unknown_or_too_long_message_ends_the_connection(
    ends: tuple[socket.socket, socket.socket], message: bytes
) -> None:
    decoder, asking = ends
    decoder.send(message)
    with pytest.raises(ConnectionResetError):
        receive_answer(asking, LIMIT // 64)


def test_many_messages_may_not_have_more_bytes_than_one_answer(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    decoder, asking = ends
    for _ in range(4):
        decoder.send(b"+" + bytes(10))
    with pytest.raises(ConnectionResetError):
        receive_answer(asking, 35)


def test_the_whole_answer_has_to_arrive_in_time(
    ends: tuple[socket.socket, socket.socket],
) -> None:
    decoder, asking = ends
    asking.settimeout(0.2)
    decoder.send(b"+a")
    with pytest.raises(TimeoutError):
        receive_answer(asking, LIMIT)
