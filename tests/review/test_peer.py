"""Which user a connection comes from."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from snoopsync.review.peer import user_of_peer
from tests.support.users import OTHER, needs_root


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_user_of_an_own_connection_is_found(host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.create_server((host, 0), family=family) as listener:
        server = listener.getsockname()[:2]
        with socket.create_connection(server) as connection:
            client = connection.getsockname()[:2]
            assert user_of_peer(client, server) == os.geteuid()


@needs_root
def test_the_user_of_another_users_connection_is_found() -> None:
    program = (
        "import encodings.idna, os, socket, sys\n"
        "os.setuid(int(sys.argv[2]))\n"
        "connection = socket.create_connection(('127.0.0.1', int(sys.argv[1])))\n"
        "connection.recv(1)"
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = listener.getsockname()
        started = subprocess.Popen([sys.executable, "-c", program, str(server[1]), str(OTHER)])
        connection, client = listener.accept()
        with started, connection:
            user = user_of_peer(client, server)
            connection.sendall(b".")
    assert user == OTHER


@pytest.mark.parametrize("client", [("127.0.0.1", 1), ("testclient", 50000), ("::1", 1)])
def test_a_connection_that_does_not_exist_has_no_user(client: tuple[str, int]) -> None:
    assert user_of_peer(client, ("127.0.0.1", 2)) is None
