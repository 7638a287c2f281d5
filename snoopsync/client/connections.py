"""Connections that can be cut from another thread, answers that can't dawdle, and what went wrong
with either in plain words.

A timeout on a socket starts anew with every byte that arrives, so that a service which sends one
byte now and then would hold a call for ever. Here the whole answer has that time, once.
"""

from __future__ import annotations

import errno
import http.client
import io
import os
import socket
import ssl
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from urllib3 import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import ConnectTimeoutError, DecodeError, NewConnectionError, ProxyError

from snoopsync.errors import BadAnswer, CollectionError, NotConnected, Unreachable

#: Errors after which it is certain that no request was sent.
_BEFORE_THE_REQUEST = (
    ConnectTimeoutError,
    NewConnectionError,
    ProxyError,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)


#: The one status below 200 that nothing comes after, in this protocol.
_SWITCHED = 101


class OpenSockets:
    """The sockets that are open, so that calls under way can be ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.cut_off = False

    def add(self, sock: socket.socket) -> None:
        """Count a socket that was just connected. It is cut at once if all are."""
        with self._lock:
            self._sockets.add(sock)
            if self.cut_off:
                _cut(sock)

    def cut(self) -> None:
        """End every connection there is, and every one that is still being made."""
        with self._lock:
            self.cut_off = True
            for sock in self._sockets:
                _cut(sock)


def _cut(sock: socket.socket) -> None:
    # Not closed: the thread that reads from it would be left with a number that is soon another's.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def pool_classes(sockets: OpenSockets) -> dict[str, type[HTTPConnectionPool]]:
    """urllib3's pools by URL scheme, with connections that have both properties."""

    class Http(HTTPConnection):
        response_class = PromptResponse

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class Https(HTTPSConnection):
        response_class = PromptResponse

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    class HttpPool(HTTPConnectionPool):
        ConnectionCls = Http

    class HttpsPool(HTTPSConnectionPool):
        ConnectionCls = Https

    return {"http": HttpPool, "https": HttpsPool}


class PromptResponse(http.client.HTTPResponse):
    """An answer that has the socket's timeout to arrive in, from its status line to its end."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        timeout = sock.gettimeout()
        if timeout is not None:
            reader = _DeadlineReader(sock, self.fp.detach(), time.monotonic() + timeout)
            self.fp = io.BufferedReader(reader)

    def begin(self) -> None:
        """Read the status and the headers of the answer itself.

        Of what may come before it Python skips 100 only. Another (early hints, say) would be taken
        for the answer, and the answer for that to the next request on this connection.
        """
        super().begin()
        while 100 <= self.status < 200 and self.status != _SWITCHED:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first time
            super().begin()


class _DeadlineReader(io.RawIOBase):
    def __init__(self, sock: socket.socket, raw: io.RawIOBase, deadline: float) -> None:
        self._sock = sock
        self._raw = raw
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self._sock.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def trouble(error: Exception, host: str, timeout: float) -> CollectionError:
    """What a foreign error of a request to ``host`` means, on one line."""
    chain = list(_chain(error))
    if any(isinstance(link, DecodeError) for link in chain):
        return BadAnswer(f"{host}: the answer can't be unpacked")
    what = next(filter(None, (_plainly(link, timeout) for link in chain)), type(chain[-1]).__name__)
    if any(isinstance(link, _BEFORE_THE_REQUEST) for link in chain):
        return NotConnected(f"{host}: {what}")
    return Unreachable(f"{host}: {what}")


def _plainly(error: BaseException, timeout: float) -> str | None:
    match error:
        case ConnectTimeoutError() if not isinstance(error, NewConnectionError):
            return f"no connection within {timeout:g} s"
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case ssl.SSLCertVerificationError():
            return f"its certificate is not trusted: {error.verify_message}"
        case socket.gaierror():
            return f"its name is not found: {error.strerror}"
        case http.client.RemoteDisconnected():
            return "the connection was closed without an answer"
        case http.client.IncompleteRead():
            return "the connection was closed in the middle of the answer"
        case http.client.HTTPException():
            return f"the answer is not HTTP ({type(error).__name__})"
        case OSError(errno=int(number)) if number in errno.errorcode:
            return os.strerror(number)
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it was made from, outermost first: the libraries wrap them as causes,
    as contexts, as arguments and as reasons."""
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        parts = (*link.args, getattr(link, "reason", None), link.__cause__, link.__context__)
        waiting.extend(part for part in parts if isinstance(part, BaseException))
