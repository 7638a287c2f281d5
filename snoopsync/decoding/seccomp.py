"""A seccomp filter for decoders, which allows a few system calls and refuses all others.

The list of calls is short, because a decoder only reads one descriptor, computes, and answers on
one socket. The list does not contain ``open``, ``socket``, ``execve``, ``ptrace`` or ``kill``, and
no memory can become executable. A refused call returns EPERM. If a codec makes an unusual call, it
fails like any other failing codec, and the picture is refused.

The filter is classic BPF, built here and installed by ``ctypes``. The maintained bindings
(``pyseccomp``, and those of libseccomp) need libseccomp on the machine, which a virtual environment
cannot install. A list of forty numbers does not. The numbers come from Linux's
``asm/unistd_64.h`` (x86-64) and ``asm-generic/unistd.h`` (ARM64). On any other processor there is
no filter, and ``install`` raises ``OSError``.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_PR_SET_SECCOMP = 22
#: The seccomp mode (see prctl(2)) of a process whose system calls are filtered.
MODE_FILTER = 2

# linux/seccomp.h
_RET_ALLOW = 0x7FFF0000
_RET_ERRNO = 0x00050000
_RET_KILL_PROCESS = 0x80000000

# The offsets of the members of struct seccomp_data. Both processors are little-endian, so the low
# half of an argument comes first.
_NUMBER_AT = 0
_PROCESSOR_AT = 4
_ARGUMENTS_AT = 16

# linux/bpf_common.h
_LOAD = 0x20  # BPF_LD | BPF_W | BPF_ABS
_JUMP_IF_EQUAL = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_IF_GREATER = 0x35  # BPF_JMP | BPF_JGE | BPF_K
_JUMP_IF_ANY_BIT = 0x45  # BPF_JMP | BPF_JSET | BPF_K
_RETURN = 0x06  # BPF_RET | BPF_K

_PROT_EXEC = 0x4

#: The flags that pthread_create of glibc and musl passes to clone(2): a thread that shares
#: everything.
_PTHREAD_FLAGS = 0x3D0F00

#: System calls of x86-64's other table (x32) have this bit.
_X32 = 0x40000000


class _Processor(NamedTuple):
    """A processor's AUDIT_ARCH value, and its column in the table."""

    audit: int
    column: int


_PROCESSORS = {
    "x86_64": _Processor(0xC000003E, 0),
    "aarch64": _Processor(0xC00000B7, 1),
}

#: The numbers of each call on x86-64 and on ARM64. ``None``: the processor does not have the call.
_ALLOWED: dict[str, tuple[int | None, int | None]] = {
    "read": (0, 63),
    "readv": (19, 65),
    "pread64": (17, 67),
    "write": (1, 64),  # only to descriptors that were passed in, since none can be opened
    "lseek": (8, 62),
    "close": (3, 57),
    "fstat": (5, 80),
    "dup": (32, 23),  # used by libtiff
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "futex": (202, 98),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "sigaltstack": (131, 132),
    "clock_gettime": (228, 113),
    "clock_nanosleep": (230, 115),
    "gettimeofday": (96, 169),
    "getrandom": (318, 278),
    "getrusage": (98, 165),
    "poll": (7, None),
    "ppoll": (271, 73),
    "recvmsg": (47, 212),
    "sendto": (44, 206),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "restart_syscall": (219, 128),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
}


class _Condition(NamedTuple):
    """A condition on the low 32 bits of an argument: they equal ``exactly``, or have none of the
    bits in ``without``."""

    argument: int
    without: int = 0
    exactly: int | None = None


#: Calls that are allowed only with some arguments.
_CONDITIONAL: dict[str, tuple[tuple[int | None, int | None], _Condition]] = {
    # Memory cannot become executable.
    "mmap": ((9, 222), _Condition(2, without=_PROT_EXEC)),
    "mprotect": ((10, 226), _Condition(2, without=_PROT_EXEC)),
    # Only threads can be created, not processes.
    "clone": ((56, 220), _Condition(0, exactly=_PTHREAD_FLAGS)),
    # Only the limits of this process can be read or changed.
    "prlimit64": ((302, 261), _Condition(0, exactly=0)),
}

#: This call returns ENOSYS, so that glibc falls back to ``clone``, whose flags a filter can check.
_CLONE3 = 435


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def supports(machine: str | None = None) -> bool:
    """Whether a filter exists for this processor, as ``platform.machine`` names it."""
    return (machine or platform.machine()) in _PROCESSORS


def install() -> None:
    """Permanently filter the system calls of this process. The process must have set no_new_privs.
    Raises ``OSError`` if the kernel refuses, or if there is no filter for this processor."""
    machine = platform.machine()
    if not supports(machine):
        raise OSError(errno.ENOSYS, f"there is no filter for {machine}")
    code = b"".join(program(machine))
    buffer = ctypes.create_string_buffer(code, len(code))
    filter_ = _Program(len(code) // 8, ctypes.addressof(buffer))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_SECCOMP, MODE_FILTER, ctypes.byref(filter_), 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def program(machine: str) -> list[bytes]:
    """The filter's instructions (``struct sock_filter``, 8 bytes each) for this processor."""
    processor = _PROCESSORS[machine]
    column = processor.column
    plain = [pair[column] for pair in _ALLOWED.values()]
    return [
        _instruction(_LOAD, _PROCESSOR_AT),
        _instruction(_JUMP_IF_EQUAL, processor.audit, if_true=1),
        _instruction(_RETURN, _RET_KILL_PROCESS),
        _instruction(_LOAD, _NUMBER_AT),
        _instruction(_JUMP_IF_GREATER, _X32, if_false=1),
        _instruction(_RETURN, _RET_KILL_PROCESS),
        *_each(number for number in plain if number is not None),
        *_conditions(column),
        _instruction(_JUMP_IF_EQUAL, _CLONE3, if_false=1),
        _instruction(_RETURN, _RET_ERRNO | errno.ENOSYS),
        _instruction(_RETURN, _RET_ERRNO | errno.EPERM),
    ]


def _each(numbers: Iterable[int]) -> Iterator[bytes]:
    for number in numbers:
        yield _instruction(_JUMP_IF_EQUAL, number, if_false=1)
        yield _instruction(_RETURN, _RET_ALLOW)


def _conditions(column: int) -> Iterator[bytes]:
    for numbers, condition in _CONDITIONAL.values():
        number = numbers[column]
        if number is None:
            continue
        # The filter ends here for a call with this number. For other calls, the number is still
        # loaded for the next rules.
        yield _instruction(_JUMP_IF_EQUAL, number, if_false=4)
        yield _instruction(_LOAD, _ARGUMENTS_AT + 8 * condition.argument)
        if condition.exactly is None:
            yield _instruction(_JUMP_IF_ANY_BIT, condition.without, if_true=1)
        else:
            yield _instruction(_JUMP_IF_EQUAL, condition.exactly, if_false=1)
        yield _instruction(_RETURN, _RET_ALLOW)
        yield _instruction(_RETURN, _RET_ERRNO | errno.EPERM)


def _instruction(code: int, value: int, *, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, if_true, if_false, value)
