"""Connections that another thread can shut down, responses with a deadline, the parts of an
endpoint, and the translation of errors.

The timeout of a socket starts again with every byte that arrives, so a service that occasionally
sends a byte could block a call forever. Here the timeout applies to the whole response.
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
from urllib.parse import quote, urlsplit

from requests import Request
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

from snoopsync.client import responses, tls
from snoopsync.client.proxies import Proxy
from snoopsync.core.errors import BadAnswer, CollectionError, NotConnected, Unreachable

#: Errors that mean that the URL of a proxy is invalid.
_INVALID_PROXY = (InvalidProxyURL, InvalidSchema, ProxySchemeUnknown)

#: Errors that prove that no request was sent.
_BEFORE_THE_REQUEST = (
    ConnectTimeoutError,
    NewConnectionError,
    ProxyError,
    *_INVALID_PROXY,
    socket.gaierror,
    ssl.SSLCertVerificationError,
)

#: If there is a proxy, these errors mean that it was not reached.
_BEFORE_THE_PROXY = (ConnectTimeoutError, NewConnectionError, socket.gaierror, *_INVALID_PROXY)

#: How Python's HTTP client begins its error message when a proxy refuses to connect.
_TUNNEL_REFUSED = "Tunnel connection failed: "

#: How many idle connections are kept for later calls.
_KEPT_CONNECTIONS = 64

#: The largest size of a line in a response, which is Python's limit for a header.
_LONGEST_LINE_BYTES = 65536

#: The only status below 200 that ends a response.
_SWITCHED = 101


class OpenSockets:
    """The open sockets. Another thread can shut them down to end the calls in progress."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: weakref.WeakSet[socket.socket] = weakref.WeakSet()
        self.is_shut = False

    def add(self, sock: socket.socket) -> None:
        """Add a connected socket. After ``shut_all``, the socket is shut down at once."""
        with self._lock:
            self._sockets.add(sock)
            if self.is_shut:
                _shut(sock)

    def shut_all(self) -> None:
        """Shut down every connection, including those that are added later."""
        with self._lock:
            self.is_shut = True
            for sock in self._sockets:
                _shut(sock)


def _shut(sock: socket.socket) -> None:
    # The socket is not closed: another socket could get the file descriptor while a thread still
    # reads from it.
    with suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)


def track_connections(manager: PoolManager, sockets: OpenSockets) -> None:
    """Make all connections of this manager add their socket to ``sockets`` and use
    ``DeadlineResponse``. This keeps the special connection classes of a manager for a SOCKS
    proxy."""
    manager.pool_classes_by_scheme = {
        scheme: _tracked(pool, sockets) for scheme, pool in manager.pool_classes_by_scheme.items()
    }


def _tracked(pool: type[HTTPConnectionPool], sockets: OpenSockets) -> type[HTTPConnectionPool]:
    base: Any = pool.ConnectionCls

    class Connection(base):  # type: ignore[misc]  # the base class is a variable
        response_class = DeadlineResponse

        def connect(self) -> None:
            super().connect()
            sockets.add(self.sock)

    # The pool keeps its class name. urllib3 recognises TLS connections by their base class.
    return type(pool.__name__, (pool,), {"ConnectionCls": Connection})


class Adapter(HTTPAdapter):
    """The connections of requests, without its retries. Thread-safe."""

    def __init__(self, sockets: OpenSockets) -> None:
        self._sockets = sockets
        super().__init__(pool_maxsize=_KEPT_CONNECTIONS, max_retries=0)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        track_connections(self.poolmanager, self._sockets)

    def proxy_manager_for(self, proxy: str, **options: Any) -> ProxyManager:
        is_new = proxy not in self.proxy_manager
        manager: ProxyManager = super().proxy_manager_for(proxy, **options)
        if is_new:
            track_connections(manager, self._sockets)
        return manager


class DeadlineResponse(http.client.HTTPResponse):
    """A response that must arrive completely within the socket's timeout."""

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        timeout = sock.gettimeout()
        if timeout is not None:
            reader = _DeadlineReader(sock, self.fp.detach(), time.monotonic() + timeout)
            self.fp = _LimitedLines(reader)

    def begin(self) -> None:
        """Read the status and the headers of the final response.

        Python only skips the status 100. It would mistake any other interim response (early hints,
        for example) for the final one, and then the final response for the response to the next
        request on this connection.
        """
        super().begin()
        while 100 <= self.status < 200 and self.status != _SWITCHED:
            self.headers = self.msg = None  # type: ignore[assignment]  # as before the first call
            super().begin()


class _LimitedLines(io.BufferedReader):
    """Limits the length of lines that urllib3 reads without a limit, such as the size of a
    chunk."""

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


def translate_error(
    error: Exception, host: str, timeout: float, proxy: Proxy | None = None
) -> CollectionError:
    """Translate a library's error of a request to ``host``, through ``proxy`` if it is given."""
    chain = list(_chain(error))
    if any(isinstance(link, DecodeError) for link in chain):
        return BadAnswer(f"{host}: the answer can't be decompressed")
    what = next(
        filter(None, (_describe(link, timeout) for link in chain)), type(chain[-1]).__name__
    )
    where = host
    if proxy is not None:
        # The proxy was not reached, or it refused to connect to the host.
        is_of_proxy = any(isinstance(link, (ProxyError, *_BEFORE_THE_PROXY)) for link in chain)
        where = str(proxy) if is_of_proxy else f"{host}, through {proxy}"
    if any(isinstance(link, _BEFORE_THE_REQUEST) for link in chain):
        return NotConnected(f"{where}: {what}")
    return Unreachable(f"{where}: {what}")


def _describe(error: BaseException, timeout: float) -> str | None:
    match error:
        case ConnectTimeoutError() if not isinstance(error, NewConnectionError):
            return f"no connection within {timeout:g} s"
        case TimeoutError():
            return f"no answer within {timeout:g} s"
        case ssl.SSLError():  # an OSError whose number is OpenSSL's, and not the system's
            return tls.describe_tls_error(error)
        case InvalidSchema():
            return "a SOCKS proxy needs PySocks: pip install 'snoopsync[socks]'"
        case InvalidProxyURL() | ProxySchemeUnknown():
            return "invalid URL: a proxy's URL must be like http://proxy.example:3128"
        case socket.gaierror():
            return f"the name can't be resolved: {error.strerror}"
        case http.client.RemoteDisconnected():
            return "the connection was closed without an answer"
        case http.client.IncompleteRead():
            return "the connection was closed during the answer"
        case http.client.HTTPException():
            return f"the answer is not HTTP ({type(error).__name__})"
        case OSError(errno=int(number)) if number in errno.errorcode:
            return os.strerror(number)
        case OSError() if str(error).startswith(_TUNNEL_REFUSED):
            return (
                f"it refuses to connect: {responses.one_line(str(error)[len(_TUNNEL_REFUSED) :])}"
            )
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the error and all errors inside it, outermost first. The libraries store inner errors
    as causes, contexts, arguments and reasons."""
    waiting, seen = [error], set()
    while waiting:
        link = waiting.pop(0)
        if id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        parts = (*link.args, getattr(link, "reason", None), link.__cause__, link.__context__)
        waiting.extend(part for part in parts if isinstance(part, BaseException))


def split_endpoint(endpoint: str) -> tuple[str, str]:
    """Return the origin (scheme and host) and the path without a trailing ``/``, as they are
    sent."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"an endpoint must be a URL like https://host/api/v1, not {endpoint!r}")
    if parts.username is not None or parts.query or parts.fragment:
        raise ValueError("an endpoint must not contain a user, a query or a fragment")
    # requests encodes a host name that is not ASCII.
    url = Request("GET", f"{parts.scheme}://{parts.netloc}/").prepare().url
    path = quote(parts.path.strip("/"), safe="/%:@!$&'()*+,;=")
    return str(url).rstrip("/"), f"/{path}" if path else ""
