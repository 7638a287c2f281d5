"""The HTTP server: uvicorn, with a limit to its patience, and JSON for what it can't understand."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import ssl
import time
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from snoopsync.errors import SnoopsyncError

log = logging.getLogger("snoopsync.server")

#: How long the lines before a body may take to come.
_HEAD_SECONDS = 20.0

#: How large they may be.
_HEAD_BYTES = 64 << 10

#: How long the requests under way may take to end when the service stops.
_STOP_SECONDS = 15


class _Protocol(H11Protocol):
    """One connection. The head of a request has to come in time: uvicorn waits for it for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._head_since = time.monotonic()
        self._watch = self.loop.call_later(_HEAD_SECONDS, self._look)

    def data_received(self, data: bytes) -> None:
        was_idle = self.conn.their_state is h11.IDLE and not self.conn.trailing_data[0]
        if was_idle:
            self._head_since = time.monotonic()
        super().data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:
        self._watch.cancel()
        super().connection_lost(exc)

    def _look(self) -> None:
        is_waiting = self.conn.their_state is h11.IDLE
        if is_waiting and time.monotonic() - self._head_since >= _HEAD_SECONDS:
            self.transport.close()
            return
        self._watch = self.loop.call_later(_HEAD_SECONDS / 4, self._look)

    def send_400_response(self, msg: str) -> None:
        """Say that this is no HTTP, and hang up."""
        body = json.dumps({"status": 400, "message": "this is no HTTP request"}).encode()
        headers = [
            (b"Content-Type", b"application/json"),
            (b"Content-Length", str(len(body)).encode()),
            (b"Connection", b"close"),
        ]
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            events = (
                h11.Response(status_code=400, headers=headers, reason=b"Bad Request"),
                h11.Data(data=body),
                h11.EndOfMessage(),
            )
            for event in events:
                output = self.conn.send(event)
                if output:
                    self.transport.write(output)
        self.transport.close()


def listening(host: str, port: int) -> socket.socket:
    """A socket that waits for connections there. Raises ``SnoopsyncError``."""
    try:
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return socket.create_server((host, port), family=family, backlog=256)
    except OSError as error:
        raise SnoopsyncError(f"can't listen on {host}:{port}: {error.strerror}") from None


def server(app: Any, certificate: Path | None = None, key: Path | None = None) -> uvicorn.Server:
    """A server for this application, with TLS if there is a certificate. Raises
    ``SnoopsyncError``."""
    config = uvicorn.Config(
        app,
        http=_Protocol,
        ws="none",
        loop="asyncio",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        h11_max_incomplete_event_size=_HEAD_BYTES,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=_STOP_SECONDS,
        ssl_certfile=certificate,
        ssl_keyfile=key,
    )
    try:
        config.load()
    except (OSError, ssl.SSLError) as error:
        raise SnoopsyncError(f"{certificate}: {error}") from None
    return uvicorn.Server(config)
