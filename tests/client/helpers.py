"""What services in a thread send and read."""

from __future__ import annotations

import json
import socket

SESSION = json.dumps(
    {"status": 200, "message": "OK", "collection_id": "c", "collection_name": "n", "user": "u"}
).encode()
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(SESSION) + SESSION


def heard(connection: socket.socket) -> bytes:
    """The head of a request."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            break
        data += piece
    return data
