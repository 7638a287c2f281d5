"""A client that does not read: its answers wait in the network, not in memory."""

from __future__ import annotations

import logging
import select
import socket
from contextlib import ExitStack
from pathlib import Path

import pytest

from snoopsync.server.http import ConnectionLimits
from tests.server.helpers import answer_to, connect
from tests.support.hosted import Hosted, hosted
from tests.support.process import until


def slow_reader(port: int, stack: ExitStack) -> socket.socket:
    """A client that requests thousands of answers and reads none."""
    connection = stack.enter_context(connect(port, receive_bytes=2048))
    connection.setblocking(False)
    request = b"GET /api/v1/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    try:
        for _ in range(200):
            connection.send(request * 100)
    except BlockingIOError:
        pass
    return connection


def test_a_client_that_reads_no_answers_gets_few_and_is_disconnected(
    impatient: Hosted, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    with ExitStack() as stack:
        connection = slow_reader(impatient.port, stack)
        poll = select.poll()
        poll.register(connection, 0)  # errors are always reported
        [(_, event)] = poll.poll(20_000)
        assert event & select.POLLERR
    assert 0 < len(caplog.records) < 200


def test_clients_that_read_no_answers_make_room_for_others(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync.access")
    health = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    with (
        hosted(tmp_path / "data", connections=ConnectionLimits(connections=4)) as service,
        ExitStack() as stack,
    ):
        for _ in range(8):
            slow_reader(service.port, stack)

        def answers() -> int:
            return sum("openapi.json" in record.getMessage() for record in caplog.records)

        def others_are_answered() -> bool:
            """While the slow readers get no further answer."""
            before = answers()
            return {answer_to(service.port, health)[0] for _ in range(10)} == {200} and (
                answers() == before > 0
            )

        until(others_are_answered)
