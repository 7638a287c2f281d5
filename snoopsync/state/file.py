"""The state file on the disk, without SQLite: its identity, the files beside it, and whether it has
changed since it was closed.

If the file was valid when it was closed and nothing has written to it since, it need not be checked
when it is opened again. The kernel reports writes by the file's ctime. After a power failure the
ctime may not be true, so the file is always checked after a boot.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from snoopsync.core.errors import StateError
from snoopsync.runtime.clock import Clock

#: How long an unchanged file need not be checked again.
_CHECK_SECONDS = 24 * 3600.0


def beside(path: Path, ending: str) -> Path:
    """The path with ``ending`` appended to its name."""
    return path.with_name(path.name + ending)


def identity(path: Path) -> tuple[int, int] | None:
    """The device and inode numbers of the file; ``None`` if it can't be examined."""
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


def last_checked_at(path: Path, clock: Clock) -> float | None:
    """When the whole file was last checked (Unix time); ``None`` if that was too long ago or before
    the last boot, or if anything has written to the file since snoopsync closed it."""
    try:
        stamp, _, checked_at = _mark(path).read_text("ascii").strip().rpartition(" ")
        age = clock.now() - float(checked_at)
        if stamp == _stamp(path, clock) and 0 <= age < _CHECK_SECONDS:
            return float(checked_at)
    except (OSError, ValueError):
        pass
    return None


def record_check(path: Path, checked_at: float, clock: Clock) -> None:
    """Record that the file was checked at this time (Unix time), and the file's present stamp. Does
    nothing while the file has a journal."""
    with suppress(OSError):
        stamp = _stamp(path, clock)
        if stamp is not None:
            descriptor = os.open(_mark(path), os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="ascii") as file:
                file.truncate()
                file.write(f"{stamp} {checked_at}\n")


def require_check(path: Path) -> None:
    """Require a check of the file the next time that it is opened."""
    with suppress(OSError):
        _mark(path).unlink()


def _mark(path: Path) -> Path:
    return beside(path, ".checked")


def _stamp(path: Path, clock: Clock) -> str | None:
    """What differs after any write to the file, and after a boot; ``None`` while the file has a
    journal, or if the kernel reports no boot. Raises ``OSError``."""
    with suppress(FileNotFoundError):
        if beside(path, "-wal").stat().st_size:
            return None
    boot_id = clock.boot_id()
    stat = path.stat()
    facts = (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)
    return " ".join([boot_id, *map(str, facts)]) if boot_id else None
