"""One configured folder: is it still the same one, what is in it, and is a file really gone?

A missing file means that its image is deleted, so everything here that says "gone" says it only
with proof. Whatever stands in the way of a proof (an unmounted disk, a directory that can't be
listed, an I/O error) becomes ``Unclear``, from which nobody may conclude anything.
"""

from __future__ import annotations

import errno
import os
from contextlib import ExitStack
from dataclasses import dataclass
from stat import S_ISDIR, S_ISREG
from types import TracebackType
from typing import NamedTuple

from snoopsync.core.errors import FolderMissing
from snoopsync.core.identity import Identity
from snoopsync.core.left_out import LeftOut, LeftOutCounts, count, load
from snoopsync.core.model import (
    UNNUMBERED,
    File,
    Fingerprint,
    FingerprintKey,
    Gone,
    Observation,
    RelPath,
    Unclear,
    fingerprint_key,
    int64,
    printable,
)
from snoopsync.core.selection import Selection
from snoopsync.folders.beneath import Root
from snoopsync.folders.directory_stamp import DirectoryStamp
from snoopsync.folders.disk import Disk
from snoopsync.folders.stable_file import StableFile
from snoopsync.folders.submounts import Submounts, is_submount, own_number
from snoopsync.state.listings import StoredListing


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

    def view(self) -> FolderView:
        """A view of the folder for one batch of looks, to be used in a ``with``."""
        return FolderView(self)

    def identify(self) -> Identity:
        """Which directory is there now? Raises ``FolderMissing`` if none that can be read is."""
        with self.view() as view:
            return view.identify()

    def is_present(self) -> bool:
        """Is the directory that is there now the one this folder is known to be?"""
        with self.view() as view:
            return view.is_of_the_folder()

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below this folder."""
        return self.path.rstrip(b"/") + b"/" + path if path else self.path

    def rel_path(self, path: bytes) -> RelPath:
        """The place that this path below the folder is."""
        return RelPath(self.name, path)

    def list_directory(self, directory: bytes) -> Listing:
        """``FolderView.list_directory``, with a view of its own."""
        with self.view() as view:
            return view.list_directory(directory)

    def look(self, path: bytes) -> Observation:
        """What is at this path now?"""
        with self.view() as view:
            return view.look(path)

    def prove_gone(self, path: bytes, submount: int) -> Observation:
        """``Gone`` only if the folder is the same one before and after the look, the nearest
        directory that still is there can be listed, and it is on the disk that the file was on: a
        file of an unmounted disk below the folder is not gone, nor one that a mount hides."""
        missing = Unclear(f"{printable(self.path)} is missing or not the same directory")
        with self.view() as view:
            if not view.is_of_the_folder():
                return missing
            observation = view.look(path)
            if isinstance(observation, Gone):
                observation = view.look_at_nearest(path, submount)
            if isinstance(observation, Gone):
                # What hid it may have been unmounted before the disk was looked at.
                view.forget()
                observation = view.look(path)
        # The view shows the directory that was there before, whatever is there now.
        return observation if self.is_present() else missing

    def open(self, path: bytes) -> StableFile:
        """Open a file to be sent. Raises ``OSError``."""
        return StableFile(self.disk, self.path, path, self._count)

    def _count(self, size: int) -> None:
        # Two threads at once may lose one of their counts: that it grows is what matters.
        self.bytes_read += size


class FolderView:
    """What one batch of looks sees of a folder. Its directory is opened at the first look and
    closed at the end of the ``with``; which directories were in it is remembered meanwhile. Used by
    one thread. It must not outlive the batch: see ``Root``."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._disk = folder.disk
        self._root: Root | None = None
        self._directories: dict[bytes, _Directory | Gone | Unclear] = {}

    def __enter__(self) -> FolderView:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._root is not None:
            self._root.__exit__(kind, error, trace)

    @property
    def root(self) -> Root:
        """The folder's directory. Raises ``FolderMissing``: what is in it can't be told then."""
        if self._root is None:
            path = self._folder.path
            try:
                self._root = self._disk.root(path)
            except OSError as error:
                raise FolderMissing(f"{printable(path)}: {error.strerror}") from None
        return self._root

    def forget(self) -> None:
        """See again which directories are in the folder."""
        self._directories.clear()
        if self._root is not None:
            self._root.forget()

    def identify(self) -> Identity:
        """Which directory is this? Raises ``FolderMissing`` if it can't be read."""
        root = self.root
        try:
            stat = self._disk.stat(root, b"")
            with self._disk.entries(root, b""):
                file_system = self._disk.file_system(root, b"")
                facts = self._disk.facts(root, b"")
                # A file system's own ID needs no help of the mount table, which changes often.
                mount = facts.mount if facts.is_unique or not file_system else 0
                return Identity(stat.st_dev, int64(stat.st_ino), file_system, facts.birth_ns, mount)
        except OSError as error:
            path = printable(self._folder.path)
            raise FolderMissing(f"{path}: {os.strerror(error.errno or 0)}") from None

    def is_of_the_folder(self) -> bool:
        """Is this the directory that the folder is known to be?"""
        try:
            return self.identify() == self._folder.identity
        except FolderMissing:
            return False

    def list_directory(self, directory: bytes) -> Listing:
        """List one directory, symbolic links not followed. Raises ``OSError`` or ``FolderMissing``:
        then nothing is known of what is in it."""
        wants = self._folder.selection.chooser(directory)
        why_unwanted = self._folder.selection.reasoner(directory)
        why_not_entered = self._folder.selection.why_not_entered
        prefix = directory + b"/" if directory else b""
        files: dict[bytes, FingerprintKey] = {}
        directories = []
        unclear: dict[bytes, str] = {}
        left_out: LeftOutCounts = {}
        with self._disk.entries(self.root, directory) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
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

    def stamp(self, directory: bytes) -> DirectoryStamp | None:
        """The stamp of a directory; ``None`` if it is not there or proves nothing."""
        try:
            return self._disk.stamp(self.root, directory)
        except (OSError, FolderMissing):
            return None

    def list_known(self, directory: bytes, known: StoredListing) -> Listing | None:
        """The listing of a directory whose stamp proves that its entries are those of ``known``:
        only its files are looked at. ``None`` if one can't be: list the directory."""
        try:
            files = self._disk.fingerprints(self.root, directory, known.names)
        except (OSError, FolderMissing):
            return None
        prefix = directory + b"/" if directory else b""
        return Listing(
            files, [prefix + name for name in known.directories], {}, load(known.left_out)
        )

    def look(self, path: bytes) -> Observation:
        """What is at this path now?"""
        above = self._look_at_directory(path.rpartition(b"/")[0])
        if not isinstance(above, _Directory):
            return above
        try:
            stat = self._disk.lstat(self.root, path)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                return Gone()
            return Unclear(f"{printable(self._folder.absolute(path))}: {error.strerror}")
        if S_ISREG(stat.st_mode):
            return File(Fingerprint.of(stat), above.submount)
        return Gone()

    def stat(self, directory: bytes) -> os.stat_result:
        """The stat of a directory. Raises ``OSError`` or ``FolderMissing``."""
        return self._disk.stat(self.root, directory)

    def may_read(self, path: bytes) -> bool:
        """May this process read a file that was listed?"""
        return self._disk.may_read(self.root, path)

    def is_directory(self, path: bytes) -> bool:
        """Is there a directory at this path (and not a symbolic link to one)?"""
        try:
            return S_ISDIR(self._disk.lstat(self.root, path).st_mode)
        except (OSError, FolderMissing):
            return False

    def is_hidden(self, path: bytes, submount: int) -> bool:
        """May a file that is not at this path be there all the same? It may if the nearest
        directory that is there is not on the disk that the file was on: that one is unmounted, or
        another one is mounted over it or in its place."""
        _, nearest = self._nearest(path)
        return not isinstance(nearest, _Directory) or not _is_disk_of(submount, nearest.submount)

    def look_at_nearest(self, path: bytes, submount: int) -> Observation:
        """``Gone`` if the nearest directory above a file that is not there can be listed, and is on
        the disk that the file was on; else ``Unclear``."""
        directory, observation = self._nearest(path)
        if isinstance(observation, Unclear):
            return observation
        absolute = printable(self._folder.absolute(directory))
        try:
            with self._disk.entries(self.root, directory) as entries:
                next(iter(entries), None)
            device = self._disk.stat(self.root, directory).st_dev if directory else None
            now_submount = 0 if device is None else self._submount(directory, device)
        except OSError as error:
            return Unclear(f"{absolute} can't be listed: {error.strerror}")
        if isinstance(now_submount, Unclear):
            return now_submount
        if not _is_disk_of(submount, now_submount):
            return Unclear(f"a disk was mounted or unmounted at or below {absolute}")
        return Gone()

    def _nearest(self, path: bytes) -> tuple[bytes, _Directory | Gone | Unclear]:
        """The nearest directory above this path that is there, or may be."""
        directory = path
        while True:
            directory = directory.rpartition(b"/")[0]
            observation = self._look_at_directory(directory)
            if not directory or not isinstance(observation, Gone):
                return directory, observation

    def _look_at_directory(self, directory: bytes) -> _Directory | Gone | Unclear:
        known = self._directories.get(directory)
        if known is None:
            known = self._directories[directory] = self._look_at_directory_anew(directory)
        return known

    def _look_at_directory_anew(self, directory: bytes) -> _Directory | Gone | Unclear:
        try:
            device = self._disk.stat(self.root, directory).st_dev
            submount = self._submount(directory, device)
        except FolderMissing as error:
            return Unclear(str(error))
        except OSError as error:
            # The folder itself is never gone, it is missing.
            if directory and error.errno in (errno.ENOENT, errno.ENOTDIR):
                return Gone()
            return Unclear(f"{printable(self._folder.absolute(directory))}: {error.strerror}")
        return submount if isinstance(submount, Unclear) else _Directory(submount)

    def _submount(self, directory: bytes, device: int) -> int | Unclear:
        identity, submounts = self._folder.identity, self._folder.submounts
        if identity is None:
            return 0
        if device == identity.device and not is_submount(self._disk, self.root, directory):
            return 0
        # Not remembered by device: another disk may have its number by now.
        if submounts is not None:
            return submounts.number(self.root, directory, device)
        return own_number(self._disk, self.root, directory) or UNNUMBERED


class FolderViews(ExitStack):
    """The views of several folders, for one batch of looks."""

    def __init__(self) -> None:
        super().__init__()
        self._views: dict[str, FolderView] = {}

    def of(self, folder: Folder) -> FolderView:
        """The folder's view, which is closed with the others."""
        view = self._views.get(folder.name)
        if view is None:
            view = self._views[folder.name] = self.enter_context(folder.view())
        return view


def _why_no_file(entry: os.DirEntry[str], unwanted: LeftOut | None) -> LeftOut:
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
