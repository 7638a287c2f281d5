"""What a decoder gives up before it reads a picture: user, files, network, memory, time.

``Restriction`` names each restriction. The kernel may lack a restriction, or an earlier system call
filter may refuse it. The others still apply. ``Outcome`` describes which restrictions are in force,
and why the others are not.
"""

from __future__ import annotations

import ctypes
import errno
import os
import resource
import signal
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

from snoopsync.decoding import landlock, seccomp

# linux/prctl.h
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_GET_SECCOMP = 21
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAPBSET_DROP = 24
_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL = 47, 4

#: From linux/capability.h: version 3, whose data are two structs of three 32-bit sets.
_CAPABILITY_VERSION, _CAPABILITY_BYTES = 0x20080522, 24

#: The IDs of the user and the group ``nobody`` on Linux.
_NOBODY = 65534

#: Standard input, output and error, the socket, the picture, a codec's copy of its descriptor, and
#: a few more.
_MOST_DESCRIPTORS = 10

_LAST_CAPABILITY = 63

#: A decoder has a lower priority than its parent, which also answers other requests.
_NICENESS = 5

#: When memory runs out, the kernel first kills the process with the highest score.
_OOM_SCORE = "1000"


class Restriction(IntFlag):
    """A restriction that may be in force in a decoder."""

    USER = 1  # no capabilities; and the user nobody if the parent is root
    NO_NEW_PRIVILEGES = 2
    LANDLOCK = 4
    SECCOMP = 8
    LIMITS = 16


#: The names of the restrictions, for people.
NAMES = {
    Restriction.USER: "no privileges",
    Restriction.NO_NEW_PRIVILEGES: "no_new_privs",
    Restriction.LANDLOCK: "Landlock",
    Restriction.SECCOMP: "seccomp",
    Restriction.LIMITS: "resource limits",
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """The restrictions that are in force (``applied``), and those that a system call filter of the
    service's unit or of a container ``refused``. The kernel lacks the others."""

    applied: Restriction
    refused: Restriction

    @property
    def missing(self) -> list[str]:
        """The names of the restrictions that are not in force."""
        return [name for each, name in NAMES.items() if each not in self.applied]

    @property
    def refused_names(self) -> list[str]:
        """The names of the restrictions that a filter refused."""
        return [name for each, name in NAMES.items() if each in self.refused]

    @property
    def lacking_names(self) -> list[str]:
        """The names of the restrictions that the kernel lacks."""
        return [name for name in self.missing if name not in self.refused_names]

    def __str__(self) -> str:
        """What is missing, and why, on one line; empty if nothing is missing."""
        parts = []
        if self.lacking_names:
            parts.append(f"{', '.join(self.lacking_names)} (this kernel does not offer it)")
        if self.refused_names:
            names = ", ".join(self.refused_names)
            parts.append(f"{names} (a system call filter of the service or container refuses it)")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class DecoderLimits:
    """The limits for one picture. ``memory_bytes`` is in addition to the memory of an idle decoder.
    A decoder is replaced after ``pictures`` pictures."""

    memory_bytes: int = 1 << 30
    cpu_seconds: int = 10
    wall_seconds: float = 60.0
    pictures: int = 200


def enter(limits: DecoderLimits, parent: int) -> Outcome:
    """Apply all restrictions to this process, permanently. Returns which are in force.

    This process ends when the process ``parent`` ends, or immediately if ``parent`` has ended.
    """
    applied = refused = Restriction(0)
    is_filtered = _is_filtered()
    steps: tuple[tuple[Restriction, Callable[[], object]], ...] = (
        (Restriction.USER, _become_nobody),
        (Restriction.NO_NEW_PRIVILEGES, lambda: _prctl(_PR_SET_NO_NEW_PRIVS, 1)),
        (Restriction.LIMITS, lambda: _limit(limits)),
        (Restriction.LANDLOCK, landlock.give_up_all),
        # This must be the last step, because it refuses the system calls of the others.
        (Restriction.SECCOMP, seccomp.install),
    )
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE, encoding="ascii")
    with suppress(OSError):  # the systemd units forbid this call
        os.nice(_NICENESS)
    for restriction, apply in steps:
        try:
            apply()
            applied |= restriction
        except OSError as error:
            # If the kernel lacks a restriction, it returns other errors. A filter that returns one
            # of those errors can't be distinguished from such a kernel.
            if is_filtered and error.errno == errno.EPERM:
                refused |= restriction
        if restriction is Restriction.USER:
            # A change of the user resets this setting, so it is set after the change. If the parent
            # ended before this call, no signal is sent.
            _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(0)
    return Outcome(applied, refused)


def _is_filtered() -> bool:
    """Whether a system call filter is already in force."""
    mode: int = ctypes.CDLL(None).prctl(_PR_GET_SECCOMP, 0, 0, 0, 0)
    return mode == seccomp.MODE_FILTER


def allow_cpu(seconds: int) -> None:
    """Let this process use ``seconds`` more of processor time before the kernel ends it."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # The kernel compares whole seconds of user time plus system time.
    used = int(usage.ru_utime + usage.ru_stime) + 1
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    resource.setrlimit(resource.RLIMIT_CPU, (min(used + seconds, most), most))


def _become_nobody() -> None:
    _prctl(_PR_SET_DUMPABLE, 0)  # no other process of this user may trace this one
    if os.geteuid() == 0:
        for capability in range(_LAST_CAPABILITY + 1):
            with suppress(OSError):  # the kernel has fewer capabilities
                _prctl(_PR_CAPBSET_DROP, capability)
        with suppress(OSError):  # a user namespace without this user
            os.setgroups([])
            os.setresgid(_NOBODY, _NOBODY, _NOBODY)
            os.setresuid(_NOBODY, _NOBODY, _NOBODY)
    # A service that does not run as root may have ambient capabilities.
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    sets = ctypes.create_string_buffer(_CAPABILITY_BYTES)
    if libc.capget(header, sets) == 0 and not any(sets.raw):
        return  # the units refuse capset, and their services have no capability to give up
    if libc.capset(header, bytes(_CAPABILITY_BYTES)):
        raise OSError(ctypes.get_errno(), "the capabilities can't be given up")


def _limit(limits: DecoderLimits) -> None:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
    memory = pages * resource.getpagesize() + limits.memory_bytes
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
        # The limit is not 0, because a descriptor that is passed in needs a number.
        (resource.RLIMIT_NOFILE, _MOST_DESCRIPTORS),
        (resource.RLIMIT_AS, memory),
        # This limit is for all pictures together. ``allow_cpu`` sets the limit for one.
        (resource.RLIMIT_CPU, limits.pictures * limits.cpu_seconds),
    ):
        _, hard = resource.getrlimit(what)
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        try:
            resource.setrlimit(what, (most, most))
        except ValueError as error:  # Python raises this for EPERM
            raise PermissionError(errno.EPERM, str(error)) from None


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
