"""Opens directories of a folder without following a symbolic link out of the folder.

Anyone with write access to a folder can replace a directory in it with a symbolic link at any
moment, even between two system calls. So each lookup starts at the folder's descriptor, and neither
follows a link nor leaves the folder. openat2(2) does that in one call. Python has no function for
it, so this module calls the C library's ``syscall``. Before Linux 5.6, or under a seccomp filter
that does not know openat2, this module opens a path directory by directory.
"""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from functools import cache
from types import TracebackType

#: The flags for a directory in which names are looked up. They need no permission to list it.
_LOOKUP = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC

#: The number of openat2 on every architecture.
_OPENAT2 = 437

#: RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS and RESOLVE_NO_MAGICLINKS of linux/openat2.h.
_RESOLVE = 0x08 | 0x04 | 0x02

#: Below Linux's PATH_MAX of 4,096.
_MAX_PATH_BYTES = 4000

_AT_FDCWD = -100


def open_directory(anchor: int, path: bytes, flags: int = _LOOKUP) -> int:
    """Open the directory at this path, of any length, below the directory with the descriptor
    ``anchor``. Returns a descriptor that the caller closes. Raises ``OSError``:
    ``NotADirectoryError`` if a component of the path is a symbolic link."""
    step, most_bytes = (_openat2, _MAX_PATH_BYTES) if _has_openat2() else (_open_name, 0)
    at = anchor
    try:
        while len(path) > most_bytes:
            piece, path = _cut(path, most_bytes)
            deeper = step(at, piece, _LOOKUP if path else flags)
            if not path:
                return deeper
            if at != anchor:
                os.close(at)
            at = deeper
        return step(at, path, flags)
    finally:
        if at != anchor:
            os.close(at)


def parent_and_name(path: bytes) -> tuple[bytes, bytes]:
    """The directory that a path is in, and its name in that directory. Raises ``OSError`` for the
    name ``..``, which leads out of the directory."""
    parent, _, name = path.rpartition(b"/")
    if name == b"..":
        raise _error(errno.EXDEV, path)
    return parent, name


class OpenFolder:
    """The directory of a folder, opened for one batch of calls. Used by one thread, in a ``with``
    statement.

    An open descriptor prevents the disk from being unmounted, and does not show a new mount over
    the folder's path. So it is closed as soon as the batch is done.
    """

    def __init__(self, path: bytes) -> None:
        """``path`` is the folder's own path, which may be a symbolic link. Raises ``OSError``."""
        self.path = path
        self._descriptor = os.open(path, _LOOKUP)
        self._last: tuple[bytes, int] | None = None

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below the folder, for messages."""
        return self.path.rstrip(b"/") + b"/" + path if path else self.path

    def directory(self, path: bytes) -> int:
        """A descriptor for looking up names in this directory. It stays open until the next call
        for another directory, because consecutive calls are mostly for the same directory. Raises
        ``OSError``."""
        if not path:
            return self._descriptor
        if self._last is None or self._last[0] != path:
            opened = open_directory(self._descriptor, path)
            self.forget()
            self._last = path, opened
        return self._last[1]

    def open_to_list(self, path: bytes) -> int:
        """A descriptor for listing this directory. The caller closes it. Raises ``OSError``."""
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        return open_directory(self._descriptor, path or b".", flags)

    def forget(self) -> None:
        """Look up the next directory again, even if it is the last one."""
        if self._last is not None:
            os.close(self._last[1])
            self._last = None

    def __enter__(self) -> OpenFolder:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.forget()
        os.close(self._descriptor)


class _OpenHow(ctypes.Structure):
    _fields_ = (
        ("flags", ctypes.c_uint64),
        ("mode", ctypes.c_uint64),
        ("resolve", ctypes.c_uint64),
    )


@cache
def _how(flags: int) -> _OpenHow:
    return _OpenHow(flags | os.O_NOFOLLOW, 0, _RESOLVE)


def _openat2(anchor: int, path: bytes, flags: int) -> int:
    how = _how(flags)
    while True:
        descriptor: int = _syscall()(_OPENAT2, anchor, path, ctypes.byref(how), ctypes.sizeof(how))
        if descriptor >= 0:
            return descriptor
        code = ctypes.get_errno()
        if code == errno.ELOOP:
            raise _error(errno.ENOTDIR, path)
        if code != errno.EINTR:
            raise _error(code, path)


def _open_name(anchor: int, name: bytes, flags: int) -> int:
    """Open one component. A symbolic link fails with ``ENOTDIR``."""
    parent_and_name(name)
    return os.open(name, flags | os.O_NOFOLLOW, dir_fd=anchor)


def _cut(path: bytes, most_bytes: int) -> tuple[bytes, bytes]:
    """The first directories of a path, at least one and at most ``most_bytes`` long, and the
    rest of the path."""
    end = path.rfind(b"/", 0, most_bytes + 1)
    if end <= 0:
        end = path.find(b"/")
    return (path, b"") if end < 0 else (path[:end], path[end + 1 :])


def _error(code: int, path: bytes) -> OSError:
    return OSError(code, os.strerror(code), path)


@cache
def _syscall() -> ctypes._NamedFuncPointer:
    call = ctypes.CDLL(None, use_errno=True).syscall
    call.restype = ctypes.c_long
    call.argtypes = (
        *(ctypes.c_long, ctypes.c_int, ctypes.c_char_p),
        *(ctypes.c_void_p, ctypes.c_size_t),
    )
    return call


@cache
def _has_openat2() -> bool:
    """Whether openat2 works. This tries it once on the working directory, because an error for
    another path could have other causes."""
    if sys.platform != "linux":
        return False
    try:
        os.close(_openat2(_AT_FDCWD, b".", _LOOKUP))
    except OSError:
        return False
    return True
