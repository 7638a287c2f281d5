"""The state file as the disk has it, without SQLite: which file it is, what is beside it, and
whether it is as it was left.

A file that was left in order, and has not changed a byte since, need not be checked when it is
opened next: to read all of it takes a twentieth of the time.
"""

from __future__ import annotations

import hashlib
import os
import time
from contextlib import suppress
from pathlib import Path

from snoopsync.core.errors import StateError

#: For how long a file that is as it was left need not be checked.
_CHECK_SECONDS = 24 * 3600.0


def beside(path: Path, ending: str) -> Path:
    """The file beside this one whose name ends so."""
    return path.with_name(path.name + ending)


def identity(path: Path) -> tuple[int, int] | None:
    """Which file is there (device, inode)?"""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def move_aside(path: Path, suffix: str) -> Path:
    """Put a damaged state file, with its journal, out of the way; where it is now. Raises
    ``StateError``."""
    target = path.with_name(f"{path.name}.{suffix}")
    try:
        for ending in ("-wal", "-shm"):
            journal = beside(path, ending)
            if journal.exists():
                journal.rename(beside(target, ending))
        path.rename(target)
    except OSError as error:
        raise StateError(f"{path} is damaged, and can't be moved aside: {error.strerror}") from None
    forget_order(path)
    return target


# Was it left in order, and is it as it was left?


def left_in_order(path: Path) -> float | None:
    """When it was last checked whole (Unix time), if it is as snoopsync left it then."""
    try:
        left, _, checked_at = _mark(path).read_text("ascii").strip().rpartition(" ")
        age = time.time() - float(checked_at)
        if left == _as_left(path) and 0 <= age < _CHECK_SECONDS:
            return float(checked_at)
    except (OSError, ValueError):
        pass
    return None


def leave_in_order(path: Path, checked_at: float) -> None:
    """Note that the file is in order as it is now, if it has no journal; it was checked whole
    then (Unix time)."""
    with suppress(OSError):
        left = _as_left(path)
        if left is not None:
            descriptor = os.open(_mark(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.truncate()
                file.write(f"{left} {checked_at}\n")


def forget_order(path: Path) -> None:
    """The file has to be checked when it is opened next."""
    with suppress(OSError):
        _mark(path).unlink()


def _mark(path: Path) -> Path:
    return beside(path, ".checked")


def _as_left(path: Path) -> str | None:
    """A digest of the file; ``None`` while it has a journal. Raises ``OSError``."""
    with suppress(FileNotFoundError):
        if beside(path, "-wal").stat().st_size:
            return None
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha1").hexdigest()
