"""A file that gets a line now and then, and that others read, rotate away and cut meanwhile."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from contextlib import suppress
from pathlib import Path

#: For a file that is made here: paths of pictures are nobody else's business.
_MODE = 0o640


def append_line(path: Path, line: str) -> None:
    """Append this line, and make the file and its directory if they are not there.

    It is written at once. Where a part of one was left behind, by a crash or a full disk, this one
    begins anew. Raises ``OSError``.
    """
    descriptor = _open(path)
    try:
        # A service, and the commands beside it, may have one log. Of a line that another is just
        # writing, one can see a part; not every network's file system has locks.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        data = line.encode("utf-8", "backslashreplace") + b"\n"
        if _ends_within_a_line(descriptor):
            data = b"\n" + data
        if os.write(descriptor, data) < len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
    finally:
        os.close(descriptor)


def require_appendable(path: Path) -> None:
    """Raises ``OSError`` if no line can be appended to this file, for all one can tell now."""
    os.close(_open(path))


def _open(path: Path) -> int:
    # Each time anew, by its name: it may have been rotated away.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
    try:
        return os.open(path, flags, _MODE)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True)
        return os.open(path, flags, _MODE)


def _ends_within_a_line(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or not found.st_size:
        return False
    return os.pread(descriptor, 1, found.st_size - 1) != b"\n"
