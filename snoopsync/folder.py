"""One configured folder: is it still the same one, what is in it, and is a file really gone?

A missing file means that its image is deleted, so everything here that says "gone" says it only
with proof. Whatever stands in the way of a proof (an unmounted disk, a directory that can't be
listed, an I/O error) becomes ``Unclear``, from which nobody may conclude anything.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass
from stat import S_ISDIR, S_ISREG
from typing import NamedTuple

from snoopsync.disk import Disk
from snoopsync.errors import FolderMissing
from snoopsync.identity import Identity
from snoopsync.leftout import LeftOut, LeftOutCounts, count
from snoopsync.model import (
    UNNUMBERED,
    File,
    Fingerprint,
    FingerprintKey,
    Gone,
    Place,
    Sight,
    Unclear,
    fingerprint_key,
    int64,
    printable,
)
from snoopsync.selection import Selection
from snoopsync.steady import SteadyFile
from snoopsync.submounts import Submounts, is_submount, own_number


class Listing(NamedTuple):
    """What is directly in a directory: the wanted files, and the directories worth entering (as
    paths). ``unclear`` are names that may be either, and can't be looked at, with the reason.
    ``left_out`` counts the rest; it does not count what is ``unclear``."""

    files: dict[bytes, FingerprintKey]
    directories: list[bytes]
    unclear: dict[bytes, str]
    left_out: LeftOutCounts


class Folder:
    """One folder on the disk. ``identity`` is the directory that it is known to be; while it is
    ``None`` (not armed), or while the disk shows another one, nothing in it is gone. ``bytes_read``
    grows with every read of its files. ``submounts`` tells the disks below it that have no ID of
    their own; without it, nothing on such a disk is gone."""

    def __init__(
        self, name: str, path: bytes, selection: Selection, disk: Disk | None = None
    ) -> None:
        self.name = name
        self.path = path
        self.selection = selection
        self.identity: Identity | None = None
        self.bytes_read = 0
        self.submounts: Submounts | None = None
        self.disk = disk or Disk()

    def identify(self) -> Identity:
        """Which directory is there now? Raises ``FolderMissing`` if none that can be read is."""
        try:
            stat = self.disk.stat(self.path)
            if not S_ISDIR(stat.st_mode):
                raise FolderMissing(f"{printable(self.path)} is not a directory")
            with self.disk.entries(self.path):
                file_system = self.disk.file_system(self.path)
                facts = self.disk.facts(self.path)
                # A file system's own ID needs no help of the mount table, which changes often.
                mount = facts.mount if facts.is_unique or not file_system else 0
                return Identity(stat.st_dev, int64(stat.st_ino), file_system, facts.birth_ns, mount)
        except OSError as error:
            raise FolderMissing(
                f"{printable(self.path)}: {os.strerror(error.errno or 0)}"
            ) from None

    def is_present(self) -> bool:
        """Is the directory that is there now the one this folder is known to be?"""
        try:
            return self.identify() == self.identity
        except FolderMissing:
            return False

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below this folder."""
        return self.path.rstrip(b"/") + b"/" + path if path else self.path

    def place(self, path: bytes) -> Place:
        """The place that this path below the folder is."""
        return Place(self.name, path)

    def list_directory(self, directory: bytes) -> Listing:
        """List one directory, symbolic links not followed. Raises ``OSError``: then nothing is
        known of what is in it."""
        wants = self.selection.chooser(directory)
        why_unwanted = self.selection.reasoner(directory)
        why_not_entered = self.selection.why_not_entered
        prefix = directory + b"/" if directory else b""
        files: dict[bytes, FingerprintKey] = {}
        directories = []
        unclear: dict[bytes, str] = {}
        left_out: LeftOutCounts = {}
        with self.disk.entries(self.absolute(directory)) as entries:
            for entry in entries:
                name = entry.name
                if not isinstance(name, bytes):
                    name = os.fsencode(name)
                try:
                    if wants(name) and entry.is_file(follow_symlinks=False):
                        files[name] = fingerprint_key(entry.stat(follow_symlinks=False))
                    elif entry.is_dir(follow_symlinks=False):
                        reason = why_not_entered(prefix + name)
                        if reason is None:
                            directories.append(prefix + name)
                        else:
                            count(left_out, reason, name)
                    else:
                        count(left_out, _why_no_file(entry, why_unwanted(name)), name)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    if wants(name) or why_not_entered(prefix + name) is None:
                        unclear[name] = error.strerror or str(error)
        return Listing(files, directories, unclear, left_out)

    def look(self, path: bytes, directories: DirectoryCache | None = None) -> Sight:
        """What is at this path now? ``directories`` remembers, for a batch of looks, which
        directories were there."""
        parent, _, _ = path.rpartition(b"/")
        cache = directories if directories is not None else {}
        above = self._look_directory(parent, cache)
        if not isinstance(above, _Directory):
            return above
        try:
            stat = self.disk.lstat(self.absolute(path))
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return Gone()
            return Unclear(f"{printable(self.absolute(path))}: {error.strerror}")
        if S_ISREG(stat.st_mode):
            return File(Fingerprint.of(stat), above.submount)
        return Gone()

    def is_directory(self, path: bytes) -> bool:
        """Is there a directory at this path (and not a symbolic link to one)?"""
        try:
            return S_ISDIR(self.disk.lstat(self.absolute(path)).st_mode)
        except OSError:
            return False

    def prove_gone(self, path: bytes, submount: int) -> Sight:
        """``Gone`` only if the folder is the same one before and after the look, the nearest
        directory that still is there can be listed, and it is on the disk that the file was on: a
        file of an unmounted disk below the folder is not gone, nor one that a mount hides."""
        if not self.is_present():
            return Unclear(f"{printable(self.path)} is missing or not the same directory")
        sight = self.look(path)
        if isinstance(sight, Gone):
            sight = self._nearest_directory(path, submount)
        if isinstance(sight, Gone):
            # What hid it may have been unmounted before the disk was looked at.
            sight = self.look(path)
        if not self.is_present():
            return Unclear(f"{printable(self.path)} is missing or not the same directory")
        return sight

    def is_hidden(self, path: bytes, submount: int, directories: DirectoryCache) -> bool:
        """May a file that is not at this path be there all the same? It may if the nearest
        directory that is there is not on the disk that the file was on: that one is unmounted, or
        another one is mounted over it or in its place."""
        _, nearest = self._nearest(path, directories)
        return not isinstance(nearest, _Directory) or not _is_disk_of(submount, nearest.submount)

    def open(self, path: bytes) -> SteadyFile:
        """Open a file to be sent. Raises ``OSError``."""
        return SteadyFile(self.disk, self.absolute(path), self._count)

    def _count(self, size: int) -> None:
        # Two threads at once may lose one of their counts: that it grows is what matters.
        self.bytes_read += size

    def _nearest_directory(self, path: bytes, submount: int) -> Sight:
        directory, sight = self._nearest(path, {})
        if isinstance(sight, Unclear):
            return sight
        absolute = self.absolute(directory)
        try:
            with self.disk.entries(absolute) as entries:
                next(iter(entries), None)
            device = self.disk.lstat(absolute).st_dev if directory else None
            now_submount = 0 if device is None else self._submount(directory, device)
        except OSError as error:
            return Unclear(f"{printable(absolute)} can't be listed: {error.strerror}")
        if isinstance(now_submount, Unclear):
            return now_submount
        if not _is_disk_of(submount, now_submount):
            return Unclear(f"a disk was mounted or unmounted at or below {printable(absolute)}")
        return Gone()

    def _nearest(
        self, path: bytes, cache: DirectoryCache
    ) -> tuple[bytes, _Directory | Gone | Unclear]:
        """The nearest directory above this path that is there, or may be."""
        directory = path
        while True:
            directory = directory.rpartition(b"/")[0]
            sight = self._look_directory(directory, cache)
            if not directory or not isinstance(sight, Gone):
                return directory, sight

    def _look_directory(
        self, directory: bytes, cache: DirectoryCache
    ) -> _Directory | Gone | Unclear:
        known = cache.get(directory)
        if known is None:
            known = cache[directory] = self._look_directory_anew(directory, cache)
        return known

    def _look_directory_anew(
        self, directory: bytes, cache: DirectoryCache
    ) -> _Directory | Gone | Unclear:
        if directory:
            above = self._look_directory(directory.rpartition(b"/")[0], cache)
            if not isinstance(above, _Directory):
                return above
        absolute = self.absolute(directory)
        try:
            stat = self.disk.lstat(absolute) if directory else self.disk.stat(absolute)
            if S_ISDIR(stat.st_mode):
                submount = self._submount(directory, stat.st_dev)
                return submount if isinstance(submount, Unclear) else _Directory(submount)
        except OSError as error:
            # The folder itself is never gone, it is missing.
            if directory and error.errno in (errno.ENOENT, errno.ENOTDIR):
                return Gone()
            return Unclear(f"{printable(absolute)}: {error.strerror}")
        return Gone()

    def _submount(self, directory: bytes, device: int) -> int | Unclear:
        if self.identity is None:
            return 0
        if device == self.identity.device and not is_submount(self.disk, self.path, directory):
            return 0
        # Not remembered by device: another disk may have its number by now.
        if self.submounts is not None:
            return self.submounts.number(directory, device)
        return own_number(self.disk, self.path, directory) or UNNUMBERED


def _why_no_file(entry: os.DirEntry[bytes] | os.DirEntry[str], unwanted: LeftOut | None) -> LeftOut:
    """Why this entry, which is no directory, is not mirrored. ``unwanted``: what the selection says
    of its name. Where a link points to is not looked at: that could wait for a dead network."""
    if unwanted in (LeftOut.EXCLUDED, LeftOut.OTHER_PROGRAM):
        return unwanted
    if entry.is_symlink():
        return LeftOut.SYMLINK
    if unwanted is None or not entry.is_file(follow_symlinks=False):
        return LeftOut.SPECIAL
    return unwanted


def _is_disk_of(known: int, now: int) -> bool:
    """Is the disk that is there now the one that a file was on?"""
    return known == now != UNNUMBERED


@dataclass(frozen=True, slots=True)
class _Directory:
    submount: int


#: Which directories were there, within one batch of looks.
DirectoryCache = dict[bytes, "_Directory | Gone | Unclear"]
