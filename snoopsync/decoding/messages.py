"""An answer of a decoder as messages on its socket, which are of a limited length.

The first byte of each message tells whether more messages of the same answer follow.
"""

from __future__ import annotations

import socket
import time

#: The longest message.
MESSAGE_BYTES = 64 << 10

#: The length of the token that begins each question. The answer begins with the same token, so that
#: a late answer is never mistaken for the answer about the next picture.
TOKEN_BYTES = 8

_MORE, _LAST = b"+", b"."


def send_answer(to: socket.socket, answer: bytes) -> None:
    """Send an answer of any length. Raises ``OSError``."""
    step = MESSAGE_BYTES - 1
    last = max(0, len(answer) - 1) // step * step
    view = memoryview(answer)
    for at in range(0, last, step):
        to.send(_MORE + view[at : at + step])
    to.send(_LAST + view[last:])


def receive_answer(decoder: socket.socket, most_bytes: int) -> bytes:
    """The answer of at most ``most_bytes`` that this decoder sends, all of it within the timeout of
    the socket. Raises ``TimeoutError``, or another ``OSError`` if the decoder ended or the answer
    is not valid."""
    wall_seconds = decoder.gettimeout()
    assert wall_seconds is not None
    # For the whole answer: a decoder could send each message just in time.
    deadline = time.monotonic() + wall_seconds
    answer = bytearray()
    try:
        while True:
            # Not ``recv_fds``: the kernel closes any descriptors that come with the answer.
            message = decoder.recv(MESSAGE_BYTES)
            answer += message[1:]
            if message[:1] not in (_MORE, _LAST) or len(answer) > most_bytes:
                raise ConnectionResetError
            if message[:1] == _LAST:
                return bytes(answer)
            left_seconds = deadline - time.monotonic()
            if left_seconds <= 0:
                raise TimeoutError
            decoder.settimeout(left_seconds)
    finally:
        decoder.settimeout(wall_seconds)
