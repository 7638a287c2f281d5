"""Requests to ``serve``, as bytes or by a client, and their connections."""

from __future__ import annotations

import http.client
import json
import socket
import time
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

from snoopsync.client.collection import Collection
from snoopsync.client.signing import Signer
from tests.support.hosted import Hosted
from tests.support.pictures import encode, photo
from tests.support.process import Installation

PICTURE = encode(photo(1))

#: The header with the size of the picture.
LENGTH = f"Content-Length: {len(PICTURE)}"

#: Decoders that are slow for each picture.
SLOWLY = "tests.support.decoder_work:slowly"

#: The timeout of the service for a client, in tests.
SHORT_SECONDS = 0.8

HEALTH = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


def connect(port: int, receive_bytes: int = 0) -> socket.socket:
    """A connection to the service, with a receive buffer of this size, if any is given."""
    connection = socket.socket()
    if receive_bytes:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
    connection.settimeout(20.0)
    connection.connect(("127.0.0.1", port))
    return connection


def signed_head(path: str, keys: tuple[str, str], *more: str, method: str = "POST") -> bytes:
    """The head of a signed request, with these further headers."""
    headers = Signer(*keys).headers(method, path, time.time())
    lines = [f"{method} {path} HTTP/1.1", "Host: x", *more]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode()


def received(connection: socket.socket) -> bytes:
    """What the service sends until it closes the connection, which it must."""
    data = b""
    try:
        while piece := connection.recv(65536):
            data += piece
    except ConnectionResetError:
        pass
    return data


def answer_to(port: int, request: bytes) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body of the answer. The service must close the connection."""
    with connect(port) as connection:
        connection.sendall(request)
        head, _, body = received(connection).partition(b"\r\n\r\n")
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines)
    return int(first.split()[1]), headers, body


def ask(
    service: Hosted, method: str, path: str, body: Any = None, **headers: str
) -> tuple[int, dict[str, Any], http.client.HTTPMessage]:
    """The status, the JSON (``{}`` for an empty body) and the headers of the answer."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=20.0)
    with closing(connection):
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        data = response.read()
        return response.status, json.loads(data) if data else {}, response.headers


def signed(service: Hosted, method: str, path: str, name: str = "raw") -> dict[str, str]:
    """The headers of a signed request to the collection ``name``."""
    public, secret = service.keys(name)
    return Signer(public, secret).headers(method, path.partition("?")[0], time.time())


def idle(port: int, count: int, stack: ExitStack) -> list[socket.socket]:
    """Open so many connections that send nothing."""
    return [stack.enter_context(connect(port)) for _ in range(count)]


def added(home: Installation, data: Path, name: str = "shop") -> dict[str, Any]:
    """A new key for the collection of this name."""
    (key,) = home.json("keys", "add", name, "--data", data, "--json")
    return dict(key)


def client(key: dict[str, Any], endpoint: str) -> Collection:
    """A client with this key."""
    return Collection(key["public_key"], key["secret_key"], endpoint)
