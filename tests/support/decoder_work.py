"""The functions that decoders run in tests. They run in the sandbox of a decoder."""

from __future__ import annotations

import ctypes
import os
import resource
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from snoopsync.decoding import work

#: How long ``slowly`` takes.
SLOW_SECONDS = 1.6

slowly_prepare = work.extract_prepare


def slowly(picture: BinaryIO, sha256: bytes) -> bytes:
    """Decode the picture as if it were a large one."""
    time.sleep(SLOW_SECONDS)
    return work.extract(picture, sha256)


def by_its_content(picture: BinaryIO, _sha256: bytes) -> bytes:
    """Do what the content of the picture says."""
    content = picture.read()
    match content:
        case b"crashes":
            ctypes.string_at(0)
        case b"hangs":
            threading.Event().wait()
        case b"spins":
            while True:
                pass
        case b"leaves":
            os._exit(3)
        case b"leaves in order":
            os._exit(0)
        case b"much memory":
            bytearray(2 << 30)
        case b"lies":
            return b"F" + bytes(100)
        case b"talks":
            return bytes(200 << 10)
        case b"babbles":
            _babble()
        case b"drips":
            _drip()
        case b"attacks":
            return ", ".join(["answer", *_attack(picture.fileno())]).encode()
    return content


def _babble() -> None:
    """Send another answer."""
    _send(b".more")


def _drip() -> None:
    """Send an answer without an end, a byte now and then."""
    while True:
        _send(b"+x")
        threading.Event().wait(0.1)


def _send(message: bytes) -> None:
    for descriptor in range(3, 10):  # one of them is the socket
        with suppress(OSError):
            os.write(descriptor, message)


def _attack(picture: int) -> list[str]:
    """The names of the attempts that code in a decoder succeeds with."""
    parent = os.getppid()
    attempts: dict[str, Callable[[], object]] = {
        "read a file": lambda: Path("/etc/passwd").read_bytes(),
        "list a directory": lambda: os.listdir("/"),  # noqa: PTH208 - the plainest call
        "extract at a file": lambda: Path("/etc/passwd").stat(),
        "extract at a file by an empty path's flag": lambda: _called(
            "syscall", 262, -100, _PASSWD, _ROOM, 0x1000
        ),
        "write a file": lambda: Path("/tmp/by-a-decoder").write_bytes(b"x"),
        "make a socket": socket.socket,
        "make a pair of sockets": socket.socketpair,
        "fork": os.fork,
        "run a program": lambda: os.execv("/bin/true", ["true"]),
        "signal its parent": lambda: os.kill(parent, 0),
        "trace its parent": lambda: _called("ptrace", 16, parent, 0, 0),
        "change the picture": lambda: os.pwrite(picture, b"x", 0),
        "become root": lambda: os.setuid(0),
        "raise its limits": lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (99, 99)),
        "make memory executable": lambda: _called("mprotect", 0, 4096, 7),
        "call io_uring": lambda: _called("syscall", 425, 8, 0),
    }
    return [name for name, attempt in attempts.items() if _succeeds(attempt)]


def _succeeds(attempt: Callable[[], object]) -> bool:
    try:
        attempt()
    except (OSError, ValueError):
        return False
    return True


_libc = ctypes.CDLL(None, use_errno=True)


_PASSWD, _ROOM = ctypes.c_char_p(b"/etc/passwd"), ctypes.create_string_buffer(1024)


def _called(name: str, *arguments: Any) -> None:
    if getattr(_libc, name)(*arguments) < 0:
        raise OSError(ctypes.get_errno(), "refused")
