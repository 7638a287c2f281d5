"""A file that gets a line now and then, and that others read, rotate away and cut meanwhile."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path

#: For a file that is made here: paths of pictures are nobody else's business.
_MODE = 0o640

_LOCK_TRIES = 5
_LOCK_AGAIN_SECONDS = 0.01


def append_line(path: Path, line: str) -> None:
    """Append this line, and make the file and its directory if they are not there.

    It is written at once, and without waiting for others who have the file locked, or for whoever
    should read from a pipe. Where a part of a line was left behind, by a crash or a full disk, this
    one begins anew. Raises ``OSError``.
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
    """Lock the file, if that can be done soon.

    A service, and the commands beside it, may have one log, and of a line that another of them is
    just writing, one can see a part. They are done at once: who has the lock for longer is another
    program, which must not hold up this one. Not every network's file system has locks.
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
    """Raises ``OSError`` if no line can be appended to this file, for all one can tell now."""
    os.close(_open(path))


def _open(path: Path) -> int:
    # Each time anew, by its name: it may have been rotated away.
    # A pipe is full where nobody reads from it, which is an error and no reason to wait.
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
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
