"""The one place where the disk of the folders is read.

Paths are absolute ``bytes``. A path longer than the kernel takes in one call (4,096 bytes) is
reached through its directories, a piece at a time.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from snoopsync.kernel import DirectoryFacts, facts_of, mount_id_of
from snoopsync.model import int64

#: Below Linux's PATH_MAX of 4,096, with room for the last name.
_PIECE_BYTES = 3500

#: FS_IOC_GETFSUUID of Linux 6.9: the length of the UUID, and the UUID.
_GET_UUID, _UUID_ANSWER_BYTES, _UUID_AT = 0x80111500, 17, 1

#: XFS_IOC_FSGEOMETRY_V1, for XFS on older kernels: the UUID is at the 64th byte of the answer.
_XFS_GEOMETRY, _XFS_ANSWER_BYTES, _XFS_UUID_AT = 0x80705864, 112, 64

_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Disk:
    """Reads directories and files. A test's disk that fails is a subclass of this one."""

    def lstat(self, path: bytes) -> os.stat_result:
        """``os.lstat``, for a path of any length."""
        try:
            return os.lstat(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        with _anchored(path) as (anchor, name):
            return os.stat(name, dir_fd=anchor, follow_symlinks=False)

    def stat(self, path: bytes) -> os.stat_result:
        """``os.stat``: a folder's own path may be a symbolic link."""
        return os.stat(path)  # noqa: PTH116 - the path is bytes

    def file_system(self, path: bytes) -> int:
        """A number of the file system's own, with a sign, that it keeps wherever it is mounted; 0
        if it has none. One that it only has from its device is not its own."""
        try:
            number = os.statvfs(path).f_fsid
            if number in (0, _device_number(os.stat(path).st_dev)):  # noqa: PTH116 - bytes
                number = _number_of_uuid(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            number = 0
        return int64(number)

    def facts(self, path: bytes) -> DirectoryFacts:
        """The mount that a directory is on, and when the directory was made."""
        try:
            return facts_of(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        with _anchored(path) as (anchor, name):
            return facts_of(name, anchor)

    def mount_id(self, path: bytes) -> int:
        """Two directories have the same number if they are on the same mount now; 0 where the
        system does not tell it."""
        try:
            return mount_id_of(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        with _anchored(path) as (anchor, name):
            return mount_id_of(name, anchor)

    @contextmanager
    def entries(self, path: bytes) -> Iterator[Iterator[os.DirEntry[bytes] | os.DirEntry[str]]]:
        """The entries of a directory, to be looked at inside the ``with``. Where the path is too
        long for one call, their names are ``str``, as ``os.scandir`` has it for descriptors."""
        try:
            listing = os.scandir(path)
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        else:
            with listing:
                yield listing
            return
        with _anchored(path) as (anchor, name):
            descriptor = os.open(name, _DIRECTORY, dir_fd=anchor)
            try:
                with os.scandir(descriptor) as deep_listing:
                    yield deep_listing
            finally:
                os.close(descriptor)

    def open(self, path: bytes) -> BinaryIO:
        """Open a regular file for reading, never through a symbolic link, and never waiting: a
        FIFO that has taken the file's place would block an ordinary open."""
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            return _file(os.open(path, flags))
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
        with _anchored(path) as (anchor, name):
            return _file(os.open(name, flags, dir_fd=anchor))


def _device_number(device: int) -> int:
    """The device as Linux writes it down (``new_encode_dev``): what some file systems, XFS among
    them, say to statfs(2)."""
    major, minor = os.major(device), os.minor(device)
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def _number_of_uuid(path: bytes) -> int:
    """The UUID of the file system, as the number that file systems make of it for statfs(2)
    (``uuid_to_fsid``); 0 if it is not told."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        uuid = _ask_uuid(descriptor, _GET_UUID, _UUID_ANSWER_BYTES, _UUID_AT) or _ask_uuid(
            descriptor, _XFS_GEOMETRY, _XFS_ANSWER_BYTES, _XFS_UUID_AT
        )
    finally:
        os.close(descriptor)
    return int.from_bytes(uuid[:8], "little") ^ int.from_bytes(uuid[8:], "little")


def _ask_uuid(descriptor: int, call: int, answer_bytes: int, at: int) -> bytes:
    answer = bytearray(answer_bytes)
    try:
        fcntl.ioctl(descriptor, call, answer)
    except OSError:
        return b""
    return bytes(answer[at : at + 16])


def _file(descriptor: int) -> BinaryIO:
    try:
        return os.fdopen(descriptor, "rb")
    except BaseException:
        # A directory: the descriptor stays ours to close.
        os.close(descriptor)
        raise


@contextmanager
def _anchored(path: bytes) -> Iterator[tuple[int, bytes]]:
    """A descriptor of a directory on the way, and the rest of the path, short enough to use."""
    anchor = os.open(b"/", _DIRECTORY)
    try:
        rest = path.lstrip(b"/")
        while len(rest) > _PIECE_BYTES:
            piece, _, _ = rest[:_PIECE_BYTES].rpartition(b"/")
            deeper = os.open(piece, _DIRECTORY, dir_fd=anchor)
            os.close(anchor)
            anchor = deeper
            rest = rest[len(piece) + 1 :]
        yield anchor, rest
    finally:
        os.close(anchor)
