"""What a service tells systemd of itself: sd_notify(3), for units of ``Type=notify``.

Without a service manager that listens, nothing is sent. The libraries for it know neither
``RELOADING`` nor ``STOPPING``.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

#: How often the heart has to beat within the time that the unit gives it.
_BEATS = 3


class SystemdNotifier:
    """The service manager that has started us. For any thread."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """``environ`` has what the manager set: ``NOTIFY_SOCKET``, ``WATCHDOG_USEC`` and
        ``WATCHDOG_PID``."""
        address = environ.get("NOTIFY_SOCKET", "")
        # An abstract address is written with an @.
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.heartbeat_seconds = _heartbeat_seconds(environ)
        self._said = ""

    def ready(self) -> None:
        """It is up, or a reload has ended."""
        self._send("READY=1")

    def status(self, text: str) -> None:
        """What it is doing, in words; sent when it is news."""
        if text != self._said:
            self._said = text
            self._send(f"STATUS={' '.join(text.splitlines())}")

    def alive(self) -> None:
        """Every part of it makes progress. To be said every ``heartbeat_seconds``."""
        self._send("WATCHDOG=1")

    def reloading(self) -> None:
        """It takes a new configuration; ``ready`` ends that."""
        microseconds = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send(f"RELOADING=1\nMONOTONIC_USEC={microseconds}")

    def stopping(self) -> None:
        """It is about to end."""
        self._send("STOPPING=1")

    def _send(self, message: str) -> None:
        if not self._address:
            return
        # A manager that is being restarted itself misses a beat, and no more.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
            channel.setblocking(False)
            channel.sendto(message.encode(errors="backslashreplace"), self._address)


def _heartbeat_seconds(environ: Mapping[str, str]) -> float | None:
    """How often the manager has to hear of us, if it wants to."""
    microseconds = environ.get("WATCHDOG_USEC", "")
    meant = environ.get("WATCHDOG_PID", str(os.getpid()))
    if not microseconds.isdecimal() or int(microseconds) == 0 or meant != str(os.getpid()):
        return None
    return int(microseconds) / 1e6 / _BEATS
