"""The state file on the disk, without SQLite: its identity, the files beside it, and whether it has
changed since it was closed.

A file that was sound and has not changed by a byte since need not be checked when it is opened
next. Reading all of it for a checksum takes a thirtieth of the time of the check.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from pathlib import Path

from snoopsync.core.errors import StateError

#: For how long an unchanged file need not be checked.
_CHECK_SECONDS = 24 * 3600.0

#: How much of the file is read at once.
_PIECE_BYTES = 1 << 17


def beside(path: Path, ending: str) -> Path:
    """The file in the same directory whose name is this one's with the ending."""
    return path.with_name(path.name + ending)


def identity(path: Path) -> tuple[int, int] | None:
    """Device and inode of the file; ``None`` if it can't be examined."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def move_aside(path: Path, suffix: str) -> Path:
    """Rename a damaged state file and its journal. Returns the new path. Raises ``StateError``."""
    target = path.with_name(f"{path.name}.{suffix}")
    try:
        for ending in ("-wal", "-shm"):
            journal = beside(path, ending)
            if journal.exists():
                journal.rename(beside(target, ending))
        path.rename(target)
    except OSError as error:
        raise StateError(f"{path} is damaged and can't be moved aside: {error.strerror}") from None
    require_check(path)
    return target


# When was the file checked, and is it unchanged since?


def last_checked_at(path: Path, now: float) -> float | None:
    """When the whole file was last checked (Unix time); ``None`` if that is too long ago, or if the
    file has changed since snoopsync closed it. ``now``: Unix time."""
    try:
        left, _, checked_at = _mark(path).read_text("ascii").strip().rpartition(" ")
        age = now - float(checked_at)
        if left == _checksum(path) and 0 <= age < _CHECK_SECONDS:
            return float(checked_at)
    except (OSError, ValueError):
        pass
    return None


def record_check(path: Path, checked_at: float) -> None:
    """Record that the file was checked at this time (Unix time), and what it contains now. A file
    with a journal is not recorded."""
    with suppress(OSError):
        left = _checksum(path)
        if left is not None:
            descriptor = os.open(_mark(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.truncate()
                file.write(f"{left} {checked_at}\n")


def require_check(path: Path) -> None:
    """Have the file checked when it is opened next."""
    with suppress(OSError):
        _mark(path).unlink()


def _mark(path: Path) -> Path:
    return beside(path, ".checked")


def _checksum(path: Path) -> str | None:
    """The CRC-32 of the file, which changes if the disk loses bytes; ``None`` while it has a
    journal. Raises ``OSError``."""
    with suppress(FileNotFoundError):
        if beside(path, "-wal").stat().st_size:
            return None
    checksum = 0
    with path.open("rb", buffering=0) as file:
        while piece := file.read(_PIECE_BYTES):
            checksum = zlib.crc32(piece, checksum)
    return f"{checksum:08x}"
