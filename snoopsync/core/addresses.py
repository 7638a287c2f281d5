"""Hosts and ports."""

from __future__ import annotations

import ipaddress
from typing import NamedTuple
from urllib.parse import urlsplit


class Address(NamedTuple):
    """Where a service listens. ``host``: a name, or an IPv4 or IPv6 address."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str, *, lowest_port: int = 1) -> Address:
        """The address in a text ``HOST:PORT`` or ``[HOST]:PORT``. ``lowest_port=0`` allows port 0,
        which stands for any free port. Raises ``ValueError`` for any other text."""
        host, colon, port = text.rpartition(":")
        if host.startswith("[") and host.endswith("]"):
            host = str(ipaddress.IPv6Address(host[1:-1]))
        elif ":" in host:
            raise ValueError("an address with colons needs brackets")
        odd = any(char.isspace() or not char.isprintable() or char in "/@[]" for char in host)
        if not colon or not host or odd:
            raise ValueError("no host")
        if not (port.isascii() and port.isdecimal() and lowest_port <= int(port) < 1 << 16):
            raise ValueError("no port")
        return cls(host, int(port))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def is_loopback(host: str) -> bool:
    """Returns whether data that is sent to this host stays on this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def is_insecure(endpoint: str) -> bool:
    """Whether others on the network can read and change requests to this endpoint. The signature
    covers neither query nor body."""
    parts = urlsplit(endpoint)
    return parts.scheme == "http" and not is_loopback(parts.hostname or "")
