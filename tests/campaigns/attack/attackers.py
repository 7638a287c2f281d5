"""Hostile clients. Each keeps to loopback, and has limited means.

``python -m tests.campaigns.attack.attackers NAME PORT PUBLIC SECRET SEED`` runs one until its
standard input ends, in a process of its own: it would slow down those who measure.
"""

from __future__ import annotations

import os
import random
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field

from snoopsync.client.signing import Signer
from tests.support.hostile_pictures import bombs
from tests.support.pictures import encode, photo

#: The pause between two pieces of an attack that could send faster than it gets answers.
_PAUSE_SECONDS = 0.001

#: A picture that is honest, and takes about a second.
_LARGE = (6000, 4000)

#: How long an attacker waits for an answer about such a picture while the service has many.
_ANSWER_SECONDS = 60.0


@dataclass(frozen=True, slots=True)
class Means:
    """What an attacker has: a port, a key of its own, and an event that is set when the attack
    ends."""

    port: int
    over: threading.Event
    signer: Signer
    dice: random.Random = field(default_factory=lambda: random.Random(1))

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def connected(self, receive_bytes: int = 0) -> socket.socket:
        connection = socket.socket()
        if receive_bytes:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        connection.settimeout(5.0)
        try:
            connection.connect(("127.0.0.1", self.port))
        except OSError:
            connection.close()
            raise
        return connection

    def head(self, method: str, path: str, *lines: str, signed: bool = True) -> bytes:
        headers = self.signer.headers(method, path, time.time()) if signed else {}
        all_ = [f"{method} {path} HTTP/1.1", "Host: x", *lines]
        all_ += [f"{name}: {value}" for name, value in headers.items()]
        return "\r\n".join([*all_, "", ""]).encode()


def _in_threads(count: int, means: Means, turn: Callable[[Means], None]) -> None:
    """``turn`` again and again, whatever the service does to its connection."""

    def work() -> None:
        while not means.is_over:
            with suppress(OSError):
                turn(means)
            means.over.wait(_PAUSE_SECONDS)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    for thread in threads:
        thread.start()
    means.over.wait()  # a thread that waits for an answer ends with the process


def _pour(means: Means, begin: bytes, piece: bytes) -> None:
    with closing(means.connected()) as connection:
        connection.sendall(begin)
        while not means.is_over:
            connection.sendall(piece)


def chunks_without_key(means: Means) -> None:
    """Bodies in chunks of one byte that do not end, from somebody without a key."""
    head = means.head("POST", "/api/v1/search", "Transfer-Encoding: chunked", signed=False)
    _in_threads(20, means, lambda _: _pour(means, head, b"1\r\na\r\n" * 1000))


def chunks_with_key(means: Means) -> None:
    """The same, signed."""

    def turn(_: Means) -> None:
        head = means.head("POST", "/api/v1/search", "Transfer-Encoding: chunked")
        _pour(means, head, b"1\r\na\r\n" * 1000)

    _in_threads(20, means, turn)


def huge_heads(means: Means) -> None:
    """Heads of thousands of small headers, each of which ends just before it is too large."""
    head = means.head("GET", "/", *["a:b"] * 3000, signed=False)
    _in_threads(20, means, lambda _: _pour(means, head, head))


def slow_heads(means: Means) -> None:
    """Heads that come byte by byte, on many connections."""
    with ExitStack() as stack:
        connections: list[socket.socket] = []
        while not means.is_over:
            if len(connections) < 400:
                with suppress(OSError):
                    connections.append(stack.enter_context(closing(means.connected())))
                    connections[-1].send(b"GET / HTTP/1.1\r\nX: ")
            for connection in means.dice.sample(connections, min(50, len(connections))):
                with suppress(OSError):
                    connection.send(b"x")
            means.over.wait(10 * _PAUSE_SECONDS)


def slow_readers(means: Means) -> None:
    """Thousands of requests in pipelines, whose answers are not read."""
    request = means.head("GET", "/api/v1/openapi.json", signed=False) * 1200
    with ExitStack() as stack:
        opened = 0
        while not means.is_over:
            if opened < 400:
                with suppress(OSError):
                    connection = stack.enter_context(closing(means.connected(2048)))
                    opened += 1
                    connection.setblocking(False)
                    connection.send(request)
            means.over.wait(_PAUSE_SECONDS)


def idle_handshakes(means: Means) -> None:
    """Silent connections to a TLS listener, three times as many as the files that it may open."""
    with ExitStack() as stack:
        for _ in range(900):
            if not means.is_over:
                with suppress(OSError):
                    stack.enter_context(closing(means.connected()))
        means.over.wait()


def pictures(means: Means) -> None:
    """Forty large pictures at once, again and again."""
    body = encode(photo(1).resize(_LARGE), quality=90)
    _in_threads(40, means, lambda _: _search(means, body))


def _search(means: Means, body: bytes) -> None:
    head = means.head("POST", "/api/v1/search", f"Content-Length: {len(body)}")
    with closing(means.connected()) as connection:
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(head + body)
        connection.recv(100)


def picture_bombs(means: Means) -> None:
    """Small files that claim to be huge, or that expand to hundreds of megabytes."""
    all_ = [body for _, body in bombs()]
    _in_threads(40, means, lambda _: _search(means, means.dice.choice(all_)))


def uploads_that_leave(means: Means) -> None:
    """Whole pictures whose senders are gone before the answer."""
    body = encode(photo(2))

    def turn(_: Means) -> None:
        path = f"/api/v1/image/{means.dice.getrandbits(64)}"
        head = means.head("POST", path, f"Content-Length: {len(body)}")
        with closing(means.connected()) as connection:
            connection.sendall(head + body)

    _in_threads(8, means, turn)


def half_bodies(means: Means) -> None:
    """Bodies that begin and never continue, as many as one key may have."""
    with ExitStack() as stack:
        for number in range(100):
            with suppress(OSError):
                head = means.head("POST", f"/api/v1/image/half{number}", "Content-Length: 9999")
                stack.enter_context(closing(means.connected())).sendall(head + b"x")
        means.over.wait()


def _answered(connection: socket.socket, requests: Iterator[bytes]) -> None:
    for request in requests:
        connection.sendall(request)
        if not connection.recv(1 << 20):
            return


def replays(means: Means) -> None:
    """One signed deletion over and over, and new ones, each of which has to be remembered."""
    again = means.head("DELETE", "/api/v1/image/again")

    def requests() -> Iterator[bytes]:
        while not means.is_over:
            yield again
            yield means.head("DELETE", f"/api/v1/image/{means.dice.getrandbits(64)}")

    def turn(_: Means) -> None:
        with closing(means.connected()) as connection:
            _answered(connection, requests())

    _in_threads(8, means, turn)


def listings(means: Means) -> None:
    """One listing after the other, sixteen at once, with one key."""

    def requests() -> Iterator[bytes]:
        while not means.is_over:
            yield means.head("GET", "/api/v1/images")

    def turn(_: Means) -> None:
        with closing(means.connected()) as connection:
            _answered(connection, requests())

    _in_threads(16, means, turn)


PLAIN = (
    chunks_without_key,
    chunks_with_key,
    huge_heads,
    slow_heads,
    slow_readers,
    pictures,
    picture_bombs,
    uploads_that_leave,
    half_bodies,
    replays,
    listings,
)

#: Those for a listener with TLS.
TLS = (idle_handshakes,)


def main() -> None:
    """Run one, from the command line."""
    name, port, public, secret, seed = sys.argv[1:]
    os.nice(10)  # what is measured is the service, not how the machine is shared
    (attack,) = (each for each in (*PLAIN, *TLS) if each.__name__ == name)
    over = threading.Event()
    threading.Thread(target=_set_at_end_of_input, args=(over,), daemon=True).start()
    attack(Means(int(port), over, Signer(public, secret), random.Random(int(seed))))


def _set_at_end_of_input(over: threading.Event) -> None:
    os.read(sys.stdin.fileno(), 1)
    over.set()


if __name__ == "__main__":
    main()
