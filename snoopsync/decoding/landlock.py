"""Landlock: denies a process access to files by name, to TCP, and to other processes.

The calls and numbers are those of Linux's ``linux/landlock.h`` and
``Documentation/userspace-api/landlock.rst``. If a ruleset handles a right and has no rule for it,
the right is denied everywhere.
"""

from __future__ import annotations

import ctypes
import os
import struct

# The same numbers on all processors.
_CREATE_RULESET = 444
_RESTRICT_SELF = 446
_ASK_VERSION = 1

#: Rights to files by ABI version: each version handles the bits below ``1 << n``.
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}

#: Since version 4: to bind and to connect TCP sockets.
_NETWORK_VERSION, _NETWORK_RIGHTS = 4, 0b11

#: Since version 6: abstract Unix sockets, and signals to processes outside of the sandbox.
_SCOPE_VERSION, _SCOPES = 6, 0b11


def version() -> int:
    """The ABI version of the kernel's Landlock; 0 if the kernel has none, or if a filter refuses
    the call."""
    found: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), _ASK_VERSION)
    return max(0, found)


def give_up_all() -> int:
    """Permanently deny this process all rights that the kernel's version of Landlock can deny. The
    process must have set no_new_privs. Returns the ABI version. Raises ``OSError`` if the kernel
    has no Landlock or refuses the call."""
    found = version()
    if not found:
        number = ctypes.get_errno()
        raise OSError(number, f"there is no Landlock: {os.strerror(number)}")
    files = (1 << _FILE_RIGHTS[min(found, max(_FILE_RIGHTS))]) - 1
    # struct landlock_ruleset_attr: older kernels know fewer of its members.
    attributes = struct.pack("<Q", files)
    if found >= _NETWORK_VERSION:
        attributes += struct.pack("<Q", _NETWORK_RIGHTS)
    if found >= _SCOPE_VERSION:
        attributes += struct.pack("<Q", _SCOPES)
    libc = _libc()
    ruleset = _checked(
        libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), 0)
    )
    try:
        _checked(libc.syscall(_RESTRICT_SELF, ruleset, 0))
    finally:
        os.close(ruleset)
    return found


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
