"""Moves a file between two open directories of one file system, and never overwrites a file.

renameat2(2) does that in one call. Network file systems and old FUSE programs do not offer it.
"""

from __future__ import annotations

import ctypes
import errno
import os
from contextlib import suppress
from functools import cache

_RENAME_NOREPLACE = 1

#: What the call answers where the kernel or the file system does not offer it.
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def move_in(source: int, name: bytes, own: int, new_name: bytes) -> None:
    """Move the file ``name`` from the directory ``source`` into ``own``, a directory of this user
    where other programs create no file of the new name. Both are descriptors.

    Raises ``FileExistsError`` if there is a file with the new name, and any other ``OSError``.
    """
    try:
        _rename(source, name, own, new_name)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        # Not a link: removing the first name would remove whatever has that name by then.
        _rename_over_own(source, name, own, new_name)


def move_out(own: int, name: bytes, target: int, new_name: bytes) -> None:
    """Move the file ``name`` out of ``own``, as above, into the directory ``target``. Raises as
    ``move_in``."""
    try:
        _rename(own, name, target, new_name)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        try:
            os.link(name, new_name, src_dir_fd=own, dst_dir_fd=target, follow_symlinks=False)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            _rename_over_own(own, name, target, new_name)
        else:
            os.unlink(name, dir_fd=own)


def _rename(source: int, name: bytes, target: int, new_name: bytes) -> None:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(source, name, target, new_name, _RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


def _rename_over_own(source: int, name: bytes, target: int, new_name: bytes) -> None:
    """Create an empty file with the new name, if there is none, and rename the file over it."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    empty = os.open(new_name, flags, 0o600, dir_fd=target)
    try:
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=target)
    except OSError:
        with suppress(OSError):
            there = os.stat(new_name, dir_fd=target, follow_symlinks=False)
            if os.path.samestat(there, os.fstat(empty)) and not there.st_size:
                os.unlink(new_name, dir_fd=target)
        raise
    finally:
        os.close(empty)


@cache
def _renameat2() -> ctypes._NamedFuncPointer | None:
    try:
        call = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError):
        return None
    call.argtypes = (
        *(ctypes.c_int, ctypes.c_char_p),
        *(ctypes.c_int, ctypes.c_char_p, ctypes.c_uint),
    )
    return call
