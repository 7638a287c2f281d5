"""The filter of system calls, as the kernel runs it."""

from __future__ import annotations

import errno
import struct

import pytest

from snoopsync.decoding.seccomp import program, supports

# From linux/bpf_common.h and linux/seccomp.h.
LOAD, JUMP_EQUAL, JUMP_AT_LEAST, JUMP_ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, ERRNO, KILL_PROCESS = 0x7FFF0000, 0x00050000, 0x80000000

#: The processors, as the kernel names them in ``seccomp_data.arch``.
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine: str, number: int, *arguments: int, audit: int | None = None) -> int:
    """What the filter returns for this system call."""
    given = (*arguments, *(0 for _ in range(6 - len(arguments))))
    data = struct.pack("<iIQ6Q", number, audit or AUDIT[machine], 0, *given)
    code = [struct.unpack("<HBBI", each) for each in program(machine)]
    at = loaded = 0
    while True:
        kind, if_true, if_false, value = code[at]
        at += 1
        if kind == LOAD:
            (loaded,) = struct.unpack_from("<I", data, value)
        elif kind == RETURN:
            return int(value)
        else:
            holds = {
                JUMP_EQUAL: loaded == value,
                JUMP_AT_LEAST: loaded >= value,
                JUMP_ANY_BIT: bool(loaded & value),
            }[kind]
            at += if_true if holds else if_false


def test_a_processor_without_a_filter_is_reported() -> None:
    assert supports("x86_64")
    assert supports("aarch64")
    assert not supports("sparc")


@pytest.mark.parametrize(("machine", "read", "write"), [("x86_64", 0, 1), ("aarch64", 63, 64)])
def test_a_decoder_may_read_and_write_open_files(machine: str, read: int, write: int) -> None:
    assert verdict(machine, read) == verdict(machine, write) == ALLOW


@pytest.mark.parametrize(
    ("machine", "number"),
    [
        ("x86_64", 2),  # open
        ("x86_64", 257),  # openat
        ("x86_64", 41),  # socket
        ("x86_64", 57),  # fork
        ("x86_64", 59),  # execve
        ("x86_64", 101),  # ptrace
        ("x86_64", 62),  # kill
        ("aarch64", 56),  # openat
        ("aarch64", 198),  # socket
        ("aarch64", 221),  # execve
        ("aarch64", 117),  # ptrace
        ("aarch64", 129),  # kill
    ],
)
def test_files_sockets_programs_and_other_processes_are_refused(machine: str, number: int) -> None:
    assert verdict(machine, number) == ERRNO | errno.EPERM


@pytest.mark.parametrize(
    ("machine", "mmap", "mprotect"), [("x86_64", 9, 10), ("aarch64", 222, 226)]
)
def test_memory_can_be_writable_and_not_executable(machine: str, mmap: int, mprotect: int) -> None:
    for number in (mmap, mprotect):
        assert verdict(machine, number, 0, 4096, 3) == ALLOW
        assert verdict(machine, number, 0, 4096, 5) == ERRNO | errno.EPERM


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_a_decoder_can_start_threads_and_no_processes(machine: str, clone: int) -> None:
    assert verdict(machine, clone, 0x3D0F00) == ALLOW  # the flags of pthread_create
    assert verdict(machine, clone, 17) == ERRNO | errno.EPERM  # those of fork
    assert verdict(machine, 435) == ERRNO | errno.ENOSYS  # clone3, whose flags no filter sees


def test_the_calls_of_another_processor_end_the_process() -> None:
    assert verdict("x86_64", 0, audit=0x40000003) == KILL_PROCESS  # 32 bits
    assert verdict("x86_64", 0x40000000 | 1) == KILL_PROCESS  # x32
