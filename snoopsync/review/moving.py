"""Moves a file between two open directories of one file system, and never overwrites a file.

renameat2(2) does that in one call. Network file systems and some others do not offer it: there, one
of the two directories has to be one that nobody else can write to.
"""

from __future__ import annotations

import ctypes
import errno
import os
from functools import cache

_RENAME_NOREPLACE = 1

#: What the call answers where the kernel or the file system does not offer it.
_UNKNOWN = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP})


def move_in(source: int, name: bytes, own: int, new_name: bytes) -> None:
    """Move the file ``name`` from the directory ``source`` into the directory ``own``, which nobody
    else can write to. Both are descriptors.

    Raises ``FileExistsError`` if there is a file with the new name, and any other ``OSError``.
    """
    try:
        _rename(source, name, own, new_name)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        if _exists(own, new_name):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new_name) from None
        # Nobody else can create a file of that name now, and this moves whatever is at the source.
        os.rename(name, new_name, src_dir_fd=source, dst_dir_fd=own)


def move_out(own: int, name: bytes, target: int, new_name: bytes) -> None:
    """Move the file ``name`` out of the directory ``own``, which nobody else can write to, into the
    directory ``target``. Raises as ``move_in``."""
    try:
        _rename(own, name, target, new_name)
    except OSError as error:
        if error.errno not in _UNKNOWN:
            raise
        # A link never takes the place of a file.
        os.link(name, new_name, src_dir_fd=own, dst_dir_fd=target, follow_symlinks=False)
        os.unlink(name, dir_fd=own)


def _rename(source: int, name: bytes, target: int, new_name: bytes) -> None:
    call = _renameat2()
    if call is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if call(source, name, target, new_name, _RENAME_NOREPLACE):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)


def _exists(directory: int, name: bytes) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


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
