"""What keeps a file from being written, where the disk that it is on is why, and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

DISK_FULL = "its disk is full: make room there, or set `state:` to a file on another disk"
READ_ONLY = "its file system is read-only: make it writable, or set `state:` to another file"
_FORBIDDEN = "this user may not write there: change its owner, or run snoopsync as its owner"

#: What the system says when a disk takes no more. A quota that is used up is as good as full.
_SAID = {errno.ENOSPC: DISK_FULL, errno.EDQUOT: DISK_FULL, errno.EROFS: READ_ONLY}

#: What SQLite says when the disk took no more, or took nothing: the families of these codes.
_UNWRITTEN_FAMILIES = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)

#: A disk with less room than this (bytes) is full.
_LEAST_ROOM = 1 << 20


def why_unwritable(path: Path, *, trying: bool = False) -> str | None:
    """What keeps this file from being written, if its file system tells. ``trying``: or if another
    file can't be written beside it. That has no name, and is gone at once."""
    try:
        there = os.statvfs(path.parent)
    except OSError:
        return None
    if there.f_flag & os.ST_RDONLY:
        return READ_ONLY
    blocks = there.f_bavail if os.geteuid() else there.f_bfree
    if blocks * there.f_frsize < _LEAST_ROOM or (there.f_files and not there.f_favail):
        return DISK_FULL
    if not all(os.access(each, os.W_OK) for each in (path.parent, path) if each.exists()):
        return _FORBIDDEN
    return _tried(path.parent) if trying else None


def _tried(directory: Path) -> str | None:
    # No number shows a quota, nor that Linux took a damaged file system for read-only.
    try:
        with TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, _LEAST_ROOM)
    except OSError as error:
        return _SAID.get(error.errno or 0)
    return None


def cause(error: Exception, path: Path) -> str | None:
    """What kept this file from being written, if that is what an error of SQLite's, or of the
    system's, came from."""
    if isinstance(error, OSError):
        return _SAID.get(error.errno or 0) or why_unwritable(path)
    family = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if family == sqlite3.SQLITE_FULL:
        return DISK_FULL
    return why_unwritable(path, trying=True) if family in _UNWRITTEN_FAMILIES else None
