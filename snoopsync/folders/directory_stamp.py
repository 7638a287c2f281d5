"""Proves by a directory's ctime that its entries are still those of an earlier listing.

Adding, removing, renaming or replacing an entry changes the directory's ctime. Unlike an mtime, a
ctime can't be set back. This holds on the file systems named here, with two limits:

- Time stamps advance in steps of up to 10 ms. If the ctime was more recent than that at the
  listing, a change after the listing may have the same ctime.
- ext4 with small inodes stores whole seconds only. A ctime in whole seconds proves nothing.

A mount over an entry changes the stamp of the entry, not that of the directory.
"""

from __future__ import annotations

import ctypes
import os
import sys
from functools import cache
from typing import NamedTuple

from snoopsync.core.model import int64

#: The ``f_type`` of statfs(2), from linux/magic.h: ext4 (also ext2 and ext3), xfs, btrfs and tmpfs.
_FILE_SYSTEMS = frozenset({0xEF53, 0x58465342, 0x9123683E, 0x01021994})

#: A ctime proves something once it is older than this, in nanoseconds.
_LEAST_AGE_NS = 20_000_000

_SECOND_NS = 1_000_000_000

#: ``struct statfs`` begins with ``f_type``, a long. It has 120 bytes on 64-bit systems.
_STATFS_BYTES = 256


class DirectoryStamp(NamedTuple):
    """Which directory this is, and when its entries or permissions last changed. While all three
    values stay the same, the entries stay the same."""

    device: int
    inode: int
    ctime_ns: int


def stamp_of(descriptor: int, now_ns: int) -> DirectoryStamp | None:
    """The stamp of an opened directory, or ``None`` if its ctime proves nothing. ``now_ns`` is a
    Unix time before this call. Raises ``OSError``."""
    stat = os.fstat(descriptor)
    ctime_ns = stat.st_ctime_ns
    if ctime_ns > now_ns - _LEAST_AGE_NS or ctime_ns % _SECOND_NS == 0:
        return None
    if _file_system_type(descriptor) not in _FILE_SYSTEMS:
        return None
    return DirectoryStamp(int64(stat.st_dev), int64(stat.st_ino), int64(ctime_ns))


def _file_system_type(descriptor: int) -> int:
    """The ``f_type`` of the file system, or 0 if the system does not report it."""
    call = _fstatfs_call()
    if call is None:
        return 0
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if call(descriptor, buffer):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return ctypes.c_long.from_buffer(buffer).value & 0xFFFFFFFF


@cache
def _fstatfs_call() -> ctypes._NamedFuncPointer | None:
    if sys.platform != "linux":
        return None
    try:
        call = ctypes.CDLL(None, use_errno=True).fstatfs
    except (AttributeError, OSError):
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_void_p)
    return call
