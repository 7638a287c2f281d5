"""Reads the folders on disk. No other module does.

Every call takes an ``OpenFolder`` and a path below it, as ``bytes``; ``b""`` is the folder itself.
No call follows a symbolic link below the folder, because anyone with write access could replace a
directory on the path with a link at any moment. Hard links are read as ordinary files, and a mount
below the folder is part of the folder.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from operator import attrgetter
from typing import BinaryIO

from snoopsync.core.model import FingerprintKey, int64
from snoopsync.folders.directory_facts import DirectoryFacts, facts_of, mount_id_of
from snoopsync.folders.directory_stamp import DirectoryStamp, stamp_of
from snoopsync.folders.open_folder import OpenFolder, parent_and_name

#: FS_IOC_GETFSUUID of Linux 6.9: the length of the UUID, and the UUID.
_GET_UUID, _UUID_ANSWER_BYTES, _UUID_AT = 0x80111500, 17, 1

#: XFS_IOC_FSGEOMETRY_V1, for XFS on older kernels: the UUID is at the 64th byte of the result.
_XFS_GEOMETRY, _XFS_ANSWER_BYTES, _XFS_UUID_AT = 0x80705864, 112, 64


#: The numbers of a fingerprint, not wrapped to 64 bits.
_key_of = attrgetter("st_ino", "st_size", "st_mtime_ns", "st_ctime_ns")


class Disk:
    """Reads directories and files. Tests use subclasses that fail. Every method raises ``OSError``
    if it can't read its path."""

    def open_folder(self, path: bytes) -> OpenFolder:
        """Open a folder. Its own path may be a symbolic link."""
        return OpenFolder(path)

    def stat(self, root: OpenFolder, directory: bytes) -> os.stat_result:
        """The stat of a directory. Raises ``NotADirectoryError`` for anything else."""
        return os.fstat(root.directory(directory))

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        """``os.lstat`` of whatever is at this path."""
        parent, name = parent_and_name(path)
        return os.stat(name, dir_fd=root.directory(parent), follow_symlinks=False)

    def file_system(self, root: OpenFolder, directory: bytes) -> int:
        """The ID of the file system: a signed 64-bit number that does not depend on where the file
        system is mounted; 0 if it has no ID. A number that is derived from the device is not an
        ID."""
        descriptor = root.directory(directory)
        number = os.fstatvfs(descriptor).f_fsid
        if number in (0, _device_number(os.fstat(descriptor).st_dev)):
            number = _number_of_uuid(root, directory)
        return int64(number)

    def facts(self, root: OpenFolder, directory: bytes) -> DirectoryFacts:
        """The mount that a directory is on, and the directory's birth time."""
        return facts_of(root.directory(directory))

    def mount_id(self, root: OpenFolder, directory: bytes) -> int:
        """The ID of the mount that a directory is on now, or 0 if the system does not report it."""
        return mount_id_of(root.directory(directory))

    def now_ns(self) -> int:
        """The current time on the clock of the files' time stamps, in nanoseconds of Unix time."""
        return time.time_ns()

    def stamp(self, root: OpenFolder, directory: bytes) -> DirectoryStamp | None:
        """The stamp of a directory, or ``None`` if its ctime proves nothing."""
        now_ns = self.now_ns()
        return stamp_of(root.directory(directory), now_ns)

    def has_stamp(
        self, root: OpenFolder, directory: bytes, stamp: tuple[int, int, int] | None
    ) -> bool:
        """Does the directory still have this stamp, which proved something when it was taken?"""
        stat = os.fstat(root.directory(directory))
        return (int64(stat.st_dev), int64(stat.st_ino), int64(stat.st_ctime_ns)) == stamp

    def fingerprints(
        self, root: OpenFolder, directory: bytes, names: Sequence[bytes]
    ) -> dict[bytes, FingerprintKey]:
        """The fingerprints of these entries of a directory, not wrapped to 64 bits."""
        # This runs for every file of a scan: most of its time has to be the system's.
        descriptor, stat = root.directory(directory), os.stat
        keys = [_key_of(stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in names]
        return dict(zip(names, keys, strict=True))

    @contextmanager
    def entries(self, root: OpenFolder, directory: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        """The entries of a directory, to be read inside the ``with`` block. Their names are decoded
        as by ``os.fsdecode``."""
        descriptor = root.open_to_list(directory)
        try:
            with os.scandir(descriptor) as listing:
                yield listing
        finally:
            os.close(descriptor)

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        """Open a regular file for reading. This never follows a symbolic link and never blocks, as
        an ordinary open would if a FIFO had replaced the file."""
        parent, name = parent_and_name(path)
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(name, flags, dir_fd=root.directory(parent))
        try:
            return os.fdopen(descriptor, "rb")
        except BaseException:
            # For a directory, fdopen fails and leaves the descriptor open.
            os.close(descriptor)
            raise

    def may_read(self, root: OpenFolder, path: bytes) -> bool:
        """Whether this process may read the file. ``True`` if the file is gone. For a symbolic link
        the result is about the target, because not every system can check the link itself."""
        parent, name = parent_and_name(path)
        try:
            descriptor = root.directory(parent)
            if os.access(name, os.R_OK, dir_fd=descriptor):
                return True
            os.stat(name, dir_fd=descriptor, follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            return False
        return False


def _device_number(device: int) -> int:
    """The device as Linux encodes it (``new_encode_dev``). Some file systems, such as XFS, return
    this number from statfs(2)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _number_of_uuid(root: OpenFolder, directory: bytes) -> int:
    """The UUID of the file system, converted to a number as the kernel does it (``uuid_to_fsid``);
    0 if the file system does not report a UUID."""
    descriptor = root.open_to_list(directory)
    try:
        uuid = _read_uuid(descriptor, _GET_UUID, _UUID_ANSWER_BYTES, _UUID_AT) or _read_uuid(
            descriptor, _XFS_GEOMETRY, _XFS_ANSWER_BYTES, _XFS_UUID_AT
        )
    finally:
        os.close(descriptor)
    return int.from_bytes(uuid[:8], "little") ^ int.from_bytes(uuid[8:], "little")


def _read_uuid(descriptor: int, call: int, answer_bytes: int, at: int) -> bytes:
    answer = bytearray(answer_bytes)
    try:
        fcntl.ioctl(descriptor, call, answer)
    except OSError:
        return b""
    return bytes(answer[at : at + 16])
