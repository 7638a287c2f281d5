"""sd_notify(3), for units of ``Type=notify``: ready, alive, reloading, stopping.

Without a service manager nothing is sent. No maintained library on PyPI supports ``RELOADING`` or
``STOPPING``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

#: How many heartbeats are sent within the unit's ``WatchdogSec``.
_HEARTBEATS = 3


class SystemdNotifier:
    """Sends messages to the service manager that started this process. Thread-safe."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """``environ``: the manager sets ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and ``WATCHDOG_PID``
        in it."""
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract socket address is written with an @.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.heartbeat_seconds = _heartbeat_seconds(environ)
        self._status = ""

    def ready(self) -> None:
        """Report that the service has started, or that a reload has ended."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """Report what the service is doing, if the text has changed."""
        if text != self._status:
            self._status = text
            self._send(f"STATUS={' '.join(text.splitlines())}")

    def alive(self) -> None:
        """Report that every part of the service makes progress. Call this every
        ``heartbeat_seconds``."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """Report that the service reloads its configuration, until ``ready`` is called."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """Report that the service is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that is restarting misses a message, which is harmless.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(errors="backslashreplace"), self._address)


def _heartbeat_seconds(environ: Mapping[str, str]) -> float | None:
    """How often to send a heartbeat; ``None`` if the manager does not expect any."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    pid = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or int(microseconds) == 0 or pid != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 / _HEARTBEATS
