"""Which user a connection on this machine comes from, by sock_diag(7).

Browsers send the cookies of one host to all of its ports. So another user of this machine, who
serves a page of their own on loopback, can learn the cookie of the review page. It is of no use to
them, because the page also looks whose process has connected.
"""

from __future__ import annotations

import socket
import struct

_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST = 1

#: ``nlmsghdr``: length, type, flags, sequence, port.
_HEADER = struct.Struct("=IHHII")

#: ``inet_diag_req_v2`` up to its socket: family, protocol, extensions, padding, states.
_REQUEST = struct.Struct("=BBBBI")

#: ``inet_diag_sockid``: two ports, two addresses, the interface, a cookie.
_SOCKET = struct.Struct("!HH16s16sI8s")

#: ``inet_diag_msg`` after its header: family, state, timer, retransmits, the socket, when the timer
#: ends, the lengths of two queues, the user.
_ANSWER = struct.Struct(f"=4B{_SOCKET.size}sIIII")

_ANY_STATE = 0xFFFFFFFF
_NO_COOKIE = b"\xff" * 8
_WAIT_SECONDS = 1.0


def user_of_peer(client: tuple[str, int], server: tuple[str, int]) -> int | None:
    """The number of the user whose process connected from the address ``client`` to ``server``;
    ``None`` if the system does not tell, as for a process in another container."""
    family = socket.AF_INET6 if ":" in client[0] else socket.AF_INET
    try:
        addresses = [
            socket.inet_pton(family, each[0]).ljust(16, b"\0") for each in (client, server)
        ]
        end = _SOCKET.pack(client[1], server[1], *addresses, 0, _NO_COOKIE)
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, _ANY_STATE) + end
        length = _HEADER.size + len(request)
        header = _HEADER.pack(length, _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST, 0, 0)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, _NETLINK_SOCK_DIAG) as kernel:
            kernel.settimeout(_WAIT_SECONDS)
            kernel.sendto(header + request, (0, 0))
            answer = kernel.recv(4096)
        if _HEADER.unpack_from(answer)[1] != _SOCK_DIAG_BY_FAMILY:
            return None  # there is no such connection on this machine
        return int(_ANSWER.unpack_from(answer, _HEADER.size)[-1])
    except (OSError, struct.error):
        return None
