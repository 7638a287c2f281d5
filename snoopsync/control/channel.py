"""The socket next to the state file, on which commands send requests to a running service.

Each line is a JSON object. The client sends one line, and reads lines until the service closes the
connection. The last line has the key ``result`` or ``error``. While the service works on a request,
it sends ``ALIVE`` regularly, so that the client can time out if the service hangs. Only the owner
of the state file can connect, and the members of the configured group, if there is one.
"""

from __future__ import annotations

import grp
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

from snoopsync.control.group_access import group_obstacle
from snoopsync.core.errors import ServiceUnavailable, UnsafeDirectory
from snoopsync.runtime.owned_directory import opened_directory

log = logging.getLogger("snoopsync.control")

#: How long the service waits for the request, and how long the client waits for each message.
_TIMEOUT_SECONDS = 10.0

#: A list of groups names those that the person has decided about: 100,000 of them have 3 MB.
_MAX_REQUEST_BYTES = 4 << 20

#: The longest response, with all its messages. A plan for a million images and days of progress are
#: shorter.
_MAX_RESPONSE_BYTES = 512 << 20

#: The peer of a socket: the IDs of its process, user and group (unix(7), SO_PEERCRED).
_CREDENTIALS = struct.Struct("3i")

Message = dict[str, Any]

#: Handles a request. Yields the messages of the response.
RequestHandler = Callable[[Message], Iterator[Message]]

#: Sent regularly by a service that is still working on a request.
ALIVE: Message = {"alive": True}


def socket_path(state: Path) -> Path:
    """The path of the socket for this state file."""
    return state.with_name(state.name + ".sock")


class ControlServer:
    """Serves requests, each on a thread of its own, until it is closed."""

    def __init__(self, state: Path, handle: RequestHandler, group: str | None = None) -> None:
        """``handle`` is called on many threads. The members of ``group`` may connect too;
        ``group_error`` is why they cannot. Raises ``OSError`` if the socket can't be created, on a
        network file system for example."""
        self.group_error: str | None = None
        self._handle = handle
        self._path = socket_path(state)
        self._group = group
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._listen()
        except OSError:
            self._socket.close()
            raise
        self._thread = threading.Thread(target=self._accept, name="control", daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        # An existing socket is stale: a running service would hold the lock of the state file.
        self._path.unlink(missing_ok=True)
        with _short(self._path) as address:
            self._socket.bind(address)
        # The mode is set before listen(), since nobody can connect before that.
        self._path.chmod(0o600)
        if self._group is not None:
            self._open_to(self._group)
        self._identity = self._path.stat()
        self._socket.listen(8)

    def _open_to(self, group: str) -> None:
        try:
            os.chown(self._path, -1, grp.getgrnam(group).gr_gid, follow_symlinks=False)
            self._path.chmod(0o660)
            obstacle = group_obstacle(self._path.parent, group)
            self.group_error = None if obstacle is None else str(obstacle)
        except (OSError, KeyError) as error:
            reason = error.strerror if isinstance(error, OSError) else "there is no such group"
            self.group_error = f"the socket cannot be given to group {group}: {reason}"

    def close(self) -> None:
        """Accept no further requests."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        with suppress(OSError):
            # If the lock file was removed, another service may run. Its socket must stay.
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
                target=self._serve, args=(connection,), name="control-request", daemon=True
            ).start()

    def _serve(self, connection: socket.socket) -> None:
        # A client that disconnects or stops reading is not an error.
        with connection, suppress(OSError):
            connection.settimeout(_TIMEOUT_SECONDS)
            with connection.makefile("rwb") as lines:
                for message in self._respond(lines.readline(_MAX_REQUEST_BYTES)):
                    lines.write(json.dumps(message).encode() + b"\n")
                    lines.flush()

    def _respond(self, line: bytes) -> Iterator[Message]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            request = None
        if isinstance(request, dict):
            yield from self._handle(request)
        else:
            yield {"error": "the request is not a JSON object"}


def ask(
    state: Path,
    request: Message,
    timeout_seconds: float = _TIMEOUT_SECONDS,
    max_bytes: int = _MAX_RESPONSE_BYTES,
) -> Iterator[Message]:
    """Send a request to the service that holds this state file. Yields the messages of the
    response, without ``ALIVE``.

    ``timeout_seconds``: how long to wait for each message. ``max_bytes``: the longest response that
    is read. Raises ``ServiceUnavailable`` if no service responds, or if its response is invalid:
    the service may be another user's.
    """
    path = socket_path(state)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        try:
            connection.settimeout(timeout_seconds)
            _connect(connection, path)
            with connection.makefile("rwb") as lines:
                lines.write(json.dumps(request).encode() + b"\n")
                lines.flush()
                left = max_bytes
                while line := lines.readline(left + 1):
                    left -= len(line)
                    if left < 0:
                        raise ValueError(f"its response has more than {max_bytes} bytes")
                    message = json.loads(line)
                    if not isinstance(message, dict):
                        raise _no_response(path, "its response is not a JSON object")
                    if message != ALIVE:
                        yield message
        except RecursionError:
            raise _no_response(path, "its response is nested too deeply") from None
        except (OSError, ValueError, UnsafeDirectory) as error:
            raise _no_response(path, error) from None


def _no_response(path: Path, why: object) -> ServiceUnavailable:
    return ServiceUnavailable(f"the service does not respond on {path}: {why}")


def _connect(connection: socket.socket, path: Path) -> None:
    """Connect to the service of the directory's owner. Root can connect to every user's services.
    The owner must not be able to make root connect to another user's service, by a link or by
    replacing the directory. Raises ``OSError`` and ``UnsafeDirectory``."""
    with opened_directory(path.parent) as directory:
        connection.connect(f"/proc/self/fd/{directory}/{path.name}")
        option = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        _process, uid, _group = _CREDENTIALS.unpack(option)
        if uid != os.fstat(directory).st_uid:
            raise OSError("the listening process does not belong to the directory's owner")


@contextmanager
def _short(path: Path) -> Iterator[str]:
    """A path for this socket within the limit of 107 bytes. A longer path is replaced by a path
    through a descriptor of its directory, which Linux allows."""
    if len(os.fsencode(path)) <= 100:
        yield str(path)
        return
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{descriptor}/{path.name}"
    finally:
        os.close(descriptor)
