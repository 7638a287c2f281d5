"""Appends lines to a file that other programs may read, rotate and truncate at any time."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path

from snoopsync.core.errors import UnsafeDirectory
from snoopsync.runtime.owned_directory import require_no_other_owner

#: The mode of a new file. Paths of pictures are private.
_MODE = 0o640

_LOCK_TRIES = 5
_LOCK_AGAIN_SECONDS = 0.01


def append_line(path: Path, line: str) -> None:
    """Append this line. The file and its directory are created if they do not exist.

    This does not wait for a program that holds the file's lock, or for the reader of a pipe. If the
    file ends with an incomplete line, after a crash or on a full disk, this begins a new line.
    Raises ``OSError``.
    """
    descriptor = _open(path)
    try:
        _lock(descriptor)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if _ends_within_a_line(descriptor):
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    """Try to lock the file, for a short time.

    A service and commands may share one log, and must not mix their lines. They hold the lock only
    for a moment. If a program holds it for longer, or the file system has no locks, the line is
    written without the lock.
    """
    for _ in range(_LOCK_TRIES):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_LOCK_AGAIN_SECONDS)
        except OSError:
            return
        else:
            return


def require_appendable(path: Path) -> None:
    """Raises ``OSError`` if no line can be appended to this file now."""
    os.close(_open(path))


def _open(path: Path) -> int:
    if os.geteuid() == 0:
        _require_safe(path)
    # The file is opened for each line, because it may have been rotated. If a pipe is full because
    # nobody reads it, writing fails instead of waiting.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
    try:
        return os.open(path, flags, _MODE)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, _MODE)


def _require_safe(path: Path) -> None:
    """Raises ``PermissionError`` if another user could lead root to another file by a link."""
    try:
        require_no_other_owner(path.parent)
    except UnsafeDirectory as error:
        raise PermissionError(errno.EACCES, str(error), str(path)) from None


def _ends_within_a_line(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    return os.pread(descriptor, 1, found.st_size - 1) != b"\n"
