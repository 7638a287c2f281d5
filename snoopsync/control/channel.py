"""The socket beside the state file: how a command asks a running service.

One JSON object a line. The asker sends one line and reads lines until the service closes; the last
one has the key ``result`` or ``error``. While there is nothing to say the service says that it is
alive, so that the asker need not wait for one that is not. Only the owner of the state file may
connect.
"""

from __future__ import annotations

import json
import logging
import os
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from snoopsync.core.errors import ServiceUnavailable, UnsafeDirectory
from snoopsync.runtime.owned_directory import opened_directory

log = logging.getLogger("snoopsync.control")

#: How long the service waits for a question, and a command for the service's next message.
_TIMEOUT_SECONDS = 10.0

_LONGEST_QUESTION_BYTES = 1 << 20

#: The longest answer, with all its messages: a plan for a million images, and days of progress.
_LONGEST_ANSWER_BYTES = 512 << 20

#: The other side of a socket: process, user, group (unix(7), SO_PEERCRED).
_CREDENTIALS = struct.Struct("3i")

Message = dict[str, Any]

#: Answers a question: yields any number of messages.
Answer = Callable[[Message], Iterator[Message]]

#: What a service says that is at work and has nothing to tell.
ALIVE: Message = {"alive": True}


def socket_path(state: Path) -> Path:
    """Where the socket of this state file is."""
    return state.with_name(state.name + ".sock")


class ControlServer:
    """Answers questions, each on a thread of its own, until it is closed."""

    def __init__(self, state: Path, answer: Answer) -> None:
        """``answer`` is called on many threads. Raises ``OSError`` if there can't be a socket
        beside the state file, on a network's file system for example."""
        self._answer = answer
        self._path = socket_path(state)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listen()
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        # One that is there was left behind: its service was killed, or the lock would be held.
        self._path.unlink(missing_ok=True)
        with _short(self._path) as address:
            self._socket.bind(address)
        # Nobody can connect before listen(), by when the mode is right.
        self._path.chmod(0o600)
        self._identity = self._path.stat()
        self._socket.listen(8)

    def close(self) -> None:
        """Take no more questions."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with suppress(OSError):
            # Not that of a service which has begun meanwhile, since the lock's file was removed.
            if os.path.samestat(self._path.stat(), self._identity):
                self._path.unlink()
        self._thread.join(_TIMEOUT_SECONDS)

    def __enter__(self) -> ControlServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return  # closed
            threading.Thread(
                target=self._serve, args=(connection,), name="control-answer", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        # An asker that goes away, or does not read on, has had its answer.
        with connection, suppress(OSError):
            connection.settimeout(_TIMEOUT_SECONDS)
            with connection.makefile("rwb") as lines:
                for message in self._answers(lines.readline(_LONGEST_QUESTION_BYTES)):
                    lines.write(json.dumps(message).encode() + b"\n")
                    lines.flush()

    def _answers(self, line: bytes) -> Iterator[Message]:
        try:
            question = json.loads(line)
        except (ValueError, RecursionError):
            question = None
        if isinstance(question, dict):
            yield from self._answer(question)
        else:
            yield {"error": "that is no question"}


def ask(
    state: Path,
    question: Message,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    most_bytes: int = _LONGEST_ANSWER_BYTES,
) -> Iterator[Message]:
    """Ask the service that holds this state file; what it answers, message by message.

    ``timeout_seconds``: how long to wait for each message. ``most_bytes``: no longer answer is
    read. Raises ``ServiceUnavailable`` if no service answers, or its answer is none: it may be
    another user's.
    """
    path = socket_path(state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout_seconds)
            _connect(connection, path)
            with connection.makefile("rwb") as lines:
                lines.write(json.dumps(question).encode() + b"\n")
                lines.flush()
                left = most_bytes
                while line := lines.readline(left + 1):
                    left -= len(line)
                    if left < 0:
                        raise ValueError(f"its answer has more than {most_bytes} bytes")
                    message = json.loads(line)
                    if not isinstance(message, dict):
                        raise _no_answer(path, "its answer is not a JSON object")
                    if message != ALIVE:
                        yield message
        except RecursionError:
            raise _no_answer(path, "its answer is nested too deeply") from None
        except (OSError, ValueError, UnsafeDirectory) as error:
            raise _no_answer(path, error) from None


def _no_answer(path: Path, why: object) -> ServiceUnavailable:
    return ServiceUnavailable(f"the service does not answer on {path}: {why}")


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect to the service of the directory's owner. Root may connect to the services of others,
    which this owner may not: so neither a link to one of them nor a directory that is put into the
    place of this one leads there. Raises ``OSError`` and ``UnsafeDirectory``."""
    with opened_directory(path.parent) as directory:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
        option = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _process, uid, _group = _CREDENTIALS.unpack(option)
        if uid != os.fstat(directory).st_uid:
            raise OSError("another user than its directory's owner listens there")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """The path of a socket may have 107 bytes. A longer one is named through its directory's
    descriptor, which Linux allows."""
    if len(os.fsencode(path)) <= 100:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
