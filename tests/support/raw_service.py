"""A service on loopback that need not be a correct HTTP server."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def raw_service(behave: Callable[[socket.socket], None]) -> Iterator[str]:
    """Run a service that calls ``behave`` with each connection. Yields its endpoint."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                connection, _ = listener.accept()
                with connection:
                    if stopped.is_set():
                        return
                    try:
                        behave(connection)
                    except OSError:
                        continue  # the client has disconnected

        stopped = threading.Event()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            stopped.set()
            socket.create_connection(listener.getsockname()).close()
            thread.join()
