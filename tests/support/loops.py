"""Loop devices and a mount namespace that belong to this process alone.

Each device is claimed with ``LOOP_CTL_ADD``, which fails for a number that exists. So two test
processes never get the same number, and a test can use one number again and again.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import stat
import struct
import threading
import time
from contextlib import suppress
from pathlib import Path

_CONTROL = "/dev/loop-control"
_LOOP_MAJOR = 7

# From <linux/loop.h>.
_CTL_ADD, _CTL_REMOVE = 0x4C80, 0x4C81
_CONFIGURE, _CLR_FD, _GET_STATUS64 = 0x4C0A, 0x4C01, 0x4C05
_READ_ONLY, _AUTOCLEAR = 1, 4

#: ``struct loop_config``: fd, block size, ``struct loop_info64`` (232 bytes), 64 bytes reserved.
_CONFIG_BYTES = 4 + 4 + 232 + 64
#: Where ``lo_flags`` is in it.
_FLAGS_AT = 8 + 52

#: The first number to claim: far above those that ``losetup --find`` returns.
_FIRST = 64
_LAST = 1024

_RELEASE_SECONDS = 2.0

# From <sched.h> and <sys/mount.h>.
_CLONE_NEWNS = 0x00020000
_MS_REC, _MS_PRIVATE = 0x4000, 1 << 18

#: Ends a while after its standard input does.
_LINGER = ("/bin/sh", "-c", "read -r _; sleep 2")

#: The writing end of that input, while this process lives.
_lifeline: int | None = None


def use_private_mounts() -> None:
    """Give this process a mount namespace of its own, once. Nothing that it mounts is seen outside,
    and all of it is gone when the process and its children have ended, however they end. Does
    nothing where that is not allowed, or on another thread than the main one."""
    global _lifeline
    if _lifeline is not None or threading.current_thread() is not threading.main_thread():
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNS) == 0:
        libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        _lifeline = _start_lingering()


def _start_lingering() -> int:
    """Start a process that leaves the namespace after this one. If a FUSE program were the last one
    in it, its own exit would unmount the disk that it serves, and wait for itself for ever."""
    reading, writing = os.pipe()
    to_null = [(os.POSIX_SPAWN_OPEN, each, os.devnull, os.O_WRONLY, 0) for each in (1, 2)]
    actions = [(os.POSIX_SPAWN_DUP2, reading, 0), *to_null]
    os.posix_spawn(_LINGER[0], _LINGER, os.environ, file_actions=actions, setsid=True)
    os.close(reading)
    return writing


class LoopDevice:
    """One loop device. ``path`` is its device node. Raises ``OSError`` where there are none."""

    def __init__(self, directory: Path) -> None:
        """``directory`` is where its node is made, if ``/dev`` does not get one by itself."""
        self.number = _claim()
        self.path = Path(f"/dev/loop{self.number}")
        if not self.path.exists():
            self.path = directory / f"loop{self.number}"
            os.mknod(self.path, stat.S_IFBLK | 0o600, os.makedev(_LOOP_MAJOR, self.number))

    def attach(self, image: Path, *, read_only: bool = False) -> int:
        """Put an image file behind the device. Returns a descriptor: when that and whatever has
        mounted the device are closed, the image is detached."""
        mode = os.O_RDONLY if read_only else os.O_RDWR
        device = os.open(self.path, mode | os.O_CLOEXEC)
        try:
            file = os.open(image, mode | os.O_CLOEXEC)
            try:
                config = bytearray(_CONFIG_BYTES)
                struct.pack_into("=II", config, 0, file, 0)
                flags = _AUTOCLEAR | (_READ_ONLY if read_only else 0)
                struct.pack_into("=I", config, _FLAGS_AT, flags)
                fcntl.ioctl(device, _CONFIGURE, bytes(config))
            finally:
                os.close(file)
        except BaseException:
            os.close(device)
            raise
        return device

    @property
    def is_attached(self) -> bool:
        """Is there an image behind it?"""
        device = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.ioctl(device, _GET_STATUS64, bytearray(232))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        finally:
            os.close(device)
        return True

    def wait_until_free(self) -> None:
        """Wait until the image is detached: a file system may let go of it a little late. Raises
        ``TimeoutError``."""
        deadline = time.monotonic() + _RELEASE_SECONDS
        while self.is_attached:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.path} is still in use")
            time.sleep(0.001)

    def release(self) -> None:
        """Give the number back."""
        with suppress(OSError):
            device = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.ioctl(device, _CLR_FD)
            finally:
                os.close(device)
        if self.path.parent != Path("/dev"):
            self.path.unlink(missing_ok=True)
        with suppress(OSError):
            _control(_CTL_REMOVE, self.number)


def _claim() -> int:
    for number in range(_FIRST, _LAST):
        try:
            return _control(_CTL_ADD, number)
        except FileExistsError:
            continue
    raise OSError(errno.EBUSY, "all loop devices are claimed")


def _control(call: int, number: int) -> int:
    control = os.open(_CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        return fcntl.ioctl(control, call, number)
    finally:
        os.close(control)
