"""Why a file can't be written because of its disk or its permissions, and what to do."""

from __future__ import annotations

import errno
import os
import sqlite3
from pathlib import Path
from tempfile import TemporaryFile

DISK_FULL = "its disk is full: free some space, or set `state:` to a file on another disk"
READ_ONLY = "its file system is read-only: make it writable, or set `state:` to another file"
_FORBIDDEN = "this user has no write permission: change its owner, or run snoopsync as its owner"

#: The reasons for error numbers. If this user's quota is used up, the disk counts as full.
_REASONS = {errno.ENOSPC: DISK_FULL, errno.EDQUOT: DISK_FULL, errno.EROFS: READ_ONLY}

#: SQLite's primary result codes for a file that could not be written.
_UNWRITTEN_FAMILIES = frozenset(
    {sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY}
)

#: A disk with less free space than this counts as full.
_LEAST_FREE_BYTES = 1 << 20


def why_unwritable(path: Path, *, trying: bool = False) -> str | None:
    """Why this file can't be written; ``None`` if no reason is found. ``trying``: also try to write
    a temporary file in its directory."""
    try:
        file_system = os.statvfs(path.parent)
    except OSError:
        return None
    if file_system.f_flag & os.ST_RDONLY:
        return READ_ONLY
    blocks = file_system.f_bavail if os.geteuid() else file_system.f_bfree
    if blocks * file_system.f_frsize < _LEAST_FREE_BYTES or (
        file_system.f_files and not file_system.f_favail
    ):
        return DISK_FULL
    existing = [each for each in (path.parent, path) if os.path.lexists(each)]
    if not all(os.access(each, os.W_OK) for each in existing):
        return _FORBIDDEN
    return _try_to_write(path.parent) if trying else None


def _try_to_write(directory: Path) -> str | None:
    # Only a write shows that a quota is used up, or that Linux treats a damaged file system as
    # read-only.
    try:
        with TemporaryFile(dir=directory) as file:
            os.posix_fallocate(file.fileno(), 0, _LEAST_FREE_BYTES)
    except OSError as error:
        return _REASONS.get(error.errno or 0)
    return None


def cause(error: Exception, path: Path) -> str | None:
    """Why this file could not be written; ``None`` if this error of SQLite or of the system has
    another cause."""
    if isinstance(error, OSError):
        return _REASONS.get(error.errno or 0) or why_unwritable(path)
    family = (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF
    if family == sqlite3.SQLITE_FULL:
        return DISK_FULL
    return why_unwritable(path, trying=True) if family in _UNWRITTEN_FAMILIES else None
