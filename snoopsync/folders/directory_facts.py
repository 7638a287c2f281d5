"""Reads a directory's mount and birth time, which ``os.stat`` does not return.

The system call is statx(2). Before version 3.15 Python has no ``os.statx``, so this module calls
the C library.
"""

from __future__ import annotations

import ctypes
import os
import select
import struct
import threading
from functools import cache
from pathlib import Path
from typing import NamedTuple

_AT_EMPTY_PATH = 0x1000
_STATX_BTIME, _STATX_MNT_ID, _STATX_MNT_ID_UNIQUE = 0x800, 0x1000, 0x4000

#: ``struct statx`` has 256 bytes; these are the offsets of ``stx_mask``, ``stx_btime`` (seconds and
#: nanoseconds) and ``stx_mnt_id``.
_STATX_BYTES, _MASK_AT, _BIRTH_AT, _MOUNT_AT = 256, 0, 80, 144

_MOUNT_TABLE = Path("/proc/self/mountinfo")


class DirectoryFacts(NamedTuple):
    """What the kernel reports about a directory.

    ``mount`` is a different number for every mount that this process sees, and 0 if the system does
    not report it. If ``is_unique`` is true, the kernel never uses the number again; else the number
    changes whenever anything is mounted or unmounted. ``birth_ns`` is Unix time in nanoseconds, and
    0 if the system does not report it."""

    mount: int
    birth_ns: int
    is_unique: bool


def facts_of(descriptor: int) -> DirectoryFacts:
    """The facts about an opened directory. Raises ``OSError``."""
    mask, birth_ns, mount = _statx(descriptor)
    if not mask & _STATX_BTIME:
        birth_ns = 0
    if mask & _STATX_MNT_ID_UNIQUE:
        return DirectoryFacts(mount, birth_ns, is_unique=True)
    return DirectoryFacts(_reused_mount(descriptor), birth_ns, is_unique=False)


def mount_id_of(descriptor: int) -> int:
    """The ID of the mount that an opened directory is on, or 0 if the system does not report it.
    Two directories have the same ID if they are on the same mount now. Before Linux 6.8 the kernel
    may give the ID to a later mount. Raises ``OSError``."""
    mask, _, mount = _statx(descriptor)
    if mask & (_STATX_MNT_ID | _STATX_MNT_ID_UNIQUE):
        return mount
    return _mount_id_of_descriptor(descriptor)  # before Linux 5.8


def _statx(descriptor: int) -> tuple[int, int, int]:
    """The mask of the fields that are filled in, the birth time (nanoseconds) and the mount ID."""
    call = _statx_call()
    if call is None:
        return 0, 0, 0
    buffer = ctypes.create_string_buffer(_STATX_BYTES)
    wanted = _STATX_BTIME | _STATX_MNT_ID | _STATX_MNT_ID_UNIQUE
    if call(descriptor, b"", _AT_EMPTY_PATH, wanted, buffer):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    (mask,) = struct.unpack_from("=I", buffer, _MASK_AT)
    seconds, nanoseconds = struct.unpack_from("=qI", buffer, _BIRTH_AT)
    (mount,) = struct.unpack_from("=Q", buffer, _MOUNT_AT)
    return mask, seconds * 1_000_000_000 + nanoseconds, mount


@cache
def _statx_call() -> ctypes._NamedFuncPointer | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).statx
    except (AttributeError, OSError):
        return None
    call.argtypes = (
        *(ctypes.c_int, ctypes.c_char_p, ctypes.c_int),
        *(ctypes.c_uint, ctypes.c_void_p),
    )
    return call


def _reused_mount(descriptor: int) -> int:
    """A number for the mount if mount IDs are not unique. Before Linux 6.8 the kernel reuses a
    mount ID, even for the next mount at the same path. So the number combines the ID with a count
    of the changes of the mount table. While the descriptor is open, no other mount gets the ID;
    every later mount changes the table."""
    table = _mount_table()
    if table is None:
        return 0
    changes = table.changes()
    mount = mount_id_of(descriptor)
    return changes << 32 | mount if mount else 0


def _mount_id_of_descriptor(descriptor: int) -> int:
    try:
        lines = Path(f"/proc/self/fdinfo/{descriptor}").read_text().splitlines()
    except OSError:
        return 0
    ids = [int(line.split()[1]) for line in lines if line.startswith("mnt_id:")]
    return ids[0] if ids else 0


class _MountTable:
    """Counts the changes of the mount table. poll(2) reports each change once."""

    def __init__(self) -> None:
        # This file stays open until the process ends.
        table = os.open(_MOUNT_TABLE, os.O_RDONLY | os.O_CLOEXEC)
        self._poll = select.poll()
        self._poll.register(table, select.POLLPRI)
        self._lock = threading.Lock()
        self._changes = 1

    def changes(self) -> int:
        with self._lock:
            self._changes += bool(self._poll.poll(0))
            return self._changes


@cache
def _mount_table() -> _MountTable | None:
    try:
        return _MountTable()
    except OSError:
        return None
