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

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL, InvalidSchema
from urllib3 import HTTPConnectionPool, PoolManager, ProxyManager
from urllib3.exceptions import (
    ConnectTimeoutError,
    DecodeError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
)

from snoopsync.client import responses as answers
from snoopsync.client import tls
from snoopsync.client.proxies import Proxy
from snoopsync.core.errors import BadAnswer, CollectionError, NotConnected, Unreachable

#: What is wrong with the URL of a proxy, before anything is sent to it.
_PROXY_UNUSABLE = (InvalidProxyURL, InvalidSchema, ProxySchemeUnknown)

#: Errors after which it is certain that no request was sent.
_BEFORE_THE_REQUEST = (
    ConnectTimeoutError,
    NewConnectionError,
    ProxyError,
    *_PROXY_UNUSABLE,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)

#: Errors of the way to a proxy, where there is one.
_BEFORE_THE_PROXY = (ConnectTimeoutError, NewConnectionError, socket.gaierror, *_PROXY_UNUSABLE)

#: How Python's HTTP client says that a proxy refused to connect.
_TUNNEL_REFUSED = "Tunnel connection failed: "


#: Connections that are kept for the next call; calls at the same time may be more.
_KEPT_CONNECTIONS = 64

#: The longest line of an answer that is read: as long as that of a header may be.
_LONGEST_LINE_BYTES = 65536

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


def watch_connections(manager: PoolManager, sockets: OpenSockets) -> None:
    """Give the connections that this manager makes both properties, whatever they go through: a
    manager for a SOCKS proxy has connections of its own."""
    manager.pool_classes_by_scheme = {
        scheme: _watched(pool, sockets) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _watched(pool: type[HTTPConnectionPool], sockets: OpenSockets) -> type[HTTPConnectionPool]:
    base: Any = pool.ConnectionCls

    class Connection(base):  # type: ignore[misc]  # its base is only known when it is made
        response_class = PromptResponse

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    # Under its own name: urllib3 tells connections with TLS from others by their class's base.
    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


class Adapter(HTTPAdapter):
    """requests' connections to the service, without its retries, shared by all threads."""

    def __init__(self, sockets: OpenSockets) -> None:
        self._sockets = sockets
        super().__init__(pool_maxsize=_KEPT_CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        watch_connections(self.poolmanager, self._sockets)

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        is_new = proxy not in self.proxy_manager
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if is_new:
            watch_connections(manager, self._sockets)
        return manager


class PromptResponse(http.client.HTTPResponse):
    """An answer that has the socket's timeout to arrive in, from its status line to its end."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        timeout = sock.gettimeout()
        if timeout is not None:
            reader = _DeadlineReader(sock, self.fp.detach(), time.monotonic() + timeout)
            self.fp = _LimitedLines(reader)

    def begin(self) -> None:
        """Read the status and the headers of the answer itself.

        Of what may come before it Python skips 100 only. Another (early hints, say) would be taken
        for the answer, and the answer for that to the next request on this connection.
        """
        super().begin()
        while 100 <= self.status < 200 and self.status != _SWITCHED:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first time
            super().begin()


class _LimitedLines(io.BufferedReader):
    """Without this, the line that says how long a chunk is, which urllib3 reads, has no limit."""

    def readline(self, size: int | None = -1, /) -> bytes:
        limit = _LONGEST_LINE_BYTES + 1 if size is None or size < 0 else size
        line = super().readline(limit)
        if len(line) > _LONGEST_LINE_BYTES:
            raise http.client.LineTooLong("line")
        return line


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


def trouble(
    error: Exception, host: str, timeout: float, proxy: Proxy | None = None
) -> CollectionError:
    """What a foreign error of a request to ``host``, through ``proxy``, means, on one line."""
    chain = list(_chain(error))
    if any(isinstance(link, DecodeError) for link in chain):
        return BadAnswer(f"{host}: the answer can't be unpacked")
    what = next(filter(None, (_plainly(link, timeout) for link in chain)), type(chain[-1]).__name__)
    where = host
    if proxy is not None:
        # To the proxy itself no connection was made, or it has refused to make the other one.
        is_proxys = any(isinstance(link, (ProxyError, *_BEFORE_THE_PROXY)) for link in chain)
        where = str(proxy) if is_proxys else f"{host}, through {proxy}"
    if any(isinstance(link, _BEFORE_THE_REQUEST) for link in chain):
        return NotConnected(f"{where}: {what}")
    return Unreachable(f"{where}: {what}")


def _plainly(error: BaseException, timeout: float) -> str | None:
    match error:
        case ConnectTimeoutError() if not isinstance(error, NewConnectionError):
            return f"no connection within {timeout:g} s"
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case ssl.SSLError():  # an OSError whose number is OpenSSL's, and not the system's
            return tls.in_words(error)
        case InvalidSchema():
            return "a SOCKS proxy needs PySocks: pip install 'snoopsync[socks]'"
        case InvalidProxyURL() | ProxySchemeUnknown():
            return "that is not the URL of a proxy: it is like http://proxy.example:3128"
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
        case OSError() if str(error).startswith(_TUNNEL_REFUSED):
            return f"it refuses to connect: {answers.one_line(str(error)[len(_TUNNEL_REFUSED) :])}"
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
