"""What systemd hears of the service, by sd_notify(3)."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.runtime.systemd import SystemdNotifier
from tests.support.process import until


class Manager:
    """The other side: it keeps what it was told."""

    def __init__(self, address: str) -> None:
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while message := self._socket.recv(4096):
            self.heard.append(message.decode())

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@contextmanager
def manager(address: str) -> Iterator[Manager]:
    """A service manager that listens at this address."""
    listening = Manager(address)
    try:
        yield listening
    finally:
        listening.close()


def test_every_message_arrives(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as systemd:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
        notifier.ready()
        notifier.status("comparing\nfolders")
        notifier.alive()
        notifier.reloading()
        notifier.stopping()
        until(lambda: len(systemd.heard) == 5)
    ready, status, alive, reloading, stopping = systemd.heard
    assert (ready, status, alive) == ("READY=1", "STATUS=comparing folders", "WATCHDOG=1")
    assert reloading.startswith("RELOADING=1\nMONOTONIC_USEC=")
    assert int(reloading.rpartition("=")[2]) > 0
    assert stopping == "STOPPING=1"


def test_an_abstract_socket_address_works() -> None:
    name = f"snoopsync-test-{os.getpid()}"
    with manager(f"\0{name}") as systemd:
        SystemdNotifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        until(lambda: systemd.heard == ["READY=1"])


def test_an_unchanged_status_is_sent_once(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    with manager(address) as systemd:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": address})
        for text in ("one", "one", "two"):
            notifier.status(text)
        until(lambda: systemd.heard == ["STATUS=one", "STATUS=two"])


def test_a_missing_manager_is_not_an_error(tmp_path: Path) -> None:
    SystemdNotifier({}).ready()
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),  # another process's
        ({"WATCHDOG_USEC": "30000000"}, 10.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
    ],
)
def test_the_heartbeat_is_a_third_of_the_watchdog_time(
    environ: dict[str, str], seconds: float | None
) -> None:
    assert SystemdNotifier(environ).heartbeat_seconds == seconds
