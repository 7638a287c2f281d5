"""One configured folder: its identity, its contents, and the proof that a file is gone.

When a file is gone, its image is deleted. So this module reports a file as gone only with proof.
Anything that prevents the proof (an unmounted disk, a directory that can't be listed, an I/O error)
becomes ``Unclear``, from which nothing may be concluded.
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
from snoopsync.folders.directory_stamp import DirectoryStamp
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.stable_file import StableFile
from snoopsync.folders.submounts import Submounts, is_submount, own_number
from snoopsync.state.listings import NOTHING_LEFT_OUT, StoredListing


class Listing(NamedTuple):
    """The entries of a directory: the wanted files by name, and the paths of the directories to
    enter. ``unclear`` has the names that may be either but can't be examined, each with the reason.
    ``left_out`` counts all other entries."""

    files: dict[bytes, FingerprintKey]
    directories: list[bytes]
    unclear: dict[bytes, str]
    left_out: LeftOutCounts


class Folder:
    """One folder on the disk.

    ``identity`` identifies the directory that is known to be the folder. While it is ``None``, or
    while another directory is at the path, no file in the folder counts as gone. ``bytes_read``
    grows with every read of a file. ``submounts`` recognises disks below the folder that have no
    ID; without it, no file on such a disk counts as gone."""

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

    def session(self) -> FolderSession:
        """A session for one batch of calls, to be used in a ``with`` statement."""
        return FolderSession(self)

    def identify(self) -> Identity:
        """The identity of the directory at the folder's path now. Raises ``FolderMissing`` if no
        readable directory is at the path."""
        with self.session() as session:
            return session.identify()

    def is_present(self) -> bool:
        """Whether the directory at the folder's path is known to be the folder."""
        with self.session() as session:
            return session.is_of_the_folder()

    def absolute(self, path: bytes) -> bytes:
        """The absolute path of a path below this folder."""
        return self.path.rstrip(b"/") + b"/" + path if path else self.path

    def rel_path(self, path: bytes) -> RelPath:
        """The ``RelPath`` of a path below this folder."""
        return RelPath(self.name, path)

    def list_directory(self, directory: bytes) -> Listing:
        """As ``FolderSession.list_directory``, with a separate session."""
        with self.session() as session:
            return session.list_directory(directory)

    def look(self, path: bytes) -> Observation:
        """What is at this path now."""
        with self.session() as session:
            return session.look(path)

    def prove_gone(self, path: bytes, submount: int) -> Observation:
        """What is at this path now. ``Gone`` is only returned if it is proven: the folder is the
        same directory before and after the look, and the nearest existing directory above the path
        can be listed and is on the disk ``submount`` that the file was on. A file is not gone if
        its disk below the folder is unmounted, or if a mount hides it."""
        missing = Unclear(f"{printable(self.path)} is missing or not the same directory")
        with self.session() as session:
            if not session.is_of_the_folder():
                return missing
            observation = session.look(path)
            if isinstance(observation, Gone):
                observation = session.look_at_nearest(path, submount)
            if isinstance(observation, Gone):
                # Another disk may have hidden the file, and may now be unmounted.
                session.forget()
                observation = session.look(path)
        # The session keeps the directory that it opened first, so check again without it.
        return observation if self.is_present() else missing

    def open(self, path: bytes) -> StableFile:
        """Open a file to be sent. Raises ``OSError``."""
        return StableFile(self.disk, self.path, path, self._count)

    def _count(self, size: int) -> None:
        # Two threads at the same time may lose a count, which is harmless: only growth matters.
        self.bytes_read += size


class FolderSession:
    """One batch of calls on a folder. Used by one thread, in a ``with`` statement.

    The first call opens the folder's directory, and the end of the ``with`` block closes it. The
    session caches what it finds out about directories. It must not outlive the batch: see
    ``OpenFolder``."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._disk = folder.disk
        self._root: OpenFolder | None = None
        self._directories: dict[bytes, _Directory | Gone | Unclear] = {}

    def __enter__(self) -> FolderSession:
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
    def root(self) -> OpenFolder:
        """The folder's directory. Raises ``FolderMissing`` if it can't be opened."""
        if self._root is None:
            path = self._folder.path
            try:
                self._root = self._disk.open_folder(path)
            except OSError as error:
                raise FolderMissing(f"{printable(path)}: {error.strerror}") from None
        return self._root

    def forget(self) -> None:
        """Clear the cache: look up every directory again."""
        self._directories.clear()
        if self._root is not None:
            self._root.forget()

    def identify(self) -> Identity:
        """The identity of the folder's directory. Raises ``FolderMissing`` if it can't be read."""
        root = self.root
        try:
            stat = self._disk.stat(root, b"")
            with self._disk.entries(root, b""):
                file_system = self._disk.file_system(root, b"")
                facts = self._disk.facts(root, b"")
                # With a file system's ID, the frequently changing mount table is not needed.
                mount = facts.mount if facts.is_unique or not file_system else 0
                return Identity(stat.st_dev, int64(stat.st_ino), file_system, facts.birth_ns, mount)
        except OSError as error:
            path = printable(self._folder.path)
            raise FolderMissing(f"{path}: {os.strerror(error.errno or 0)}") from None

    def is_of_the_folder(self) -> bool:
        """Whether this directory is known to be the folder."""
        try:
            return self.identify() == self._folder.identity
        except FolderMissing:
            return False

    def list_directory(self, directory: bytes) -> Listing:
        """List one directory without following symbolic links. Raises ``OSError`` or
        ``FolderMissing``: then nothing is known about its entries."""
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
                        count(left_out, _why_left_out(entry, why_unwanted(name)), name)
                except FileNotFoundError:
                    continue
                except OSError as error:
                    if wants(name) or why_not_entered(prefix + name) is None:
                        unclear[name] = error.strerror or str(error)
        return Listing(files, directories, unclear, left_out)

    def stamp(self, directory: bytes) -> DirectoryStamp | None:
        """The stamp of a directory, or ``None`` if it does not exist or proves nothing."""
        try:
            return self._disk.stamp(self.root, directory)
        except (OSError, FolderMissing):
            return None

    def list_known(self, directory: bytes, known: StoredListing) -> Listing | None:
        """The listing of a directory whose stamp proves that its entries are those of ``known``.
        This only examines the files. Returns ``None`` if that fails: then list the directory. The
        numbers are not wrapped to 64 bits."""
        try:
            if not self._disk.has_stamp(self.root, directory, known.stamp):
                return None
            files = self._disk.fingerprints(self.root, directory, known.names)
        except (OSError, FolderMissing):
            return None
        prefix = directory + b"/" if directory else b""
        left_out = {} if known.left_out == NOTHING_LEFT_OUT else load(known.left_out)
        return Listing(files, [prefix + name for name in known.directories], {}, left_out)

    def look(self, path: bytes) -> Observation:
        """What is at this path now."""
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
        """Whether this process may read a listed file."""
        return self._disk.may_read(self.root, path)

    def is_directory(self, path: bytes) -> bool:
        """Whether a directory, and not a symbolic link to one, is at this path."""
        try:
            return S_ISDIR(self._disk.lstat(self.root, path).st_mode)
        except (OSError, FolderMissing):
            return False

    def is_hidden(self, path: bytes, submount: int) -> bool:
        """Whether a file that is not visible at this path may still exist. It may if the nearest
        existing directory is not on the disk ``submount`` that the file was on: then that disk is
        unmounted, or another disk is mounted over it or in its place."""
        _, nearest = self._nearest(path)
        return not isinstance(nearest, _Directory) or not _is_same_disk(submount, nearest.submount)

    def look_at_nearest(self, path: bytes, submount: int) -> Observation:
        """For a file that is not at this path: ``Gone`` if the nearest existing directory above it
        can be listed and is on the disk ``submount`` that the file was on; else ``Unclear``."""
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
        if not _is_same_disk(submount, now_submount):
            return Unclear(f"a disk was mounted or unmounted at or below {absolute}")
        return Gone()

    def _nearest(self, path: bytes) -> tuple[bytes, _Directory | Gone | Unclear]:
        """The nearest directory above this path that exists or may exist."""
        directory = path
        while True:
            directory = directory.rpartition(b"/")[0]
            observation = self._look_at_directory(directory)
            if not directory or not isinstance(observation, Gone):
                return directory, observation

    def _look_at_directory(self, directory: bytes) -> _Directory | Gone | Unclear:
        known = self._directories.get(directory)
        if known is None:
            known = self._directories[directory] = self._find_directory(directory)
        return known

    def _find_directory(self, directory: bytes) -> _Directory | Gone | Unclear:
        try:
            device = self._disk.stat(self.root, directory).st_dev
            submount = self._submount(directory, device)
        except FolderMissing as error:
            return Unclear(str(error))
        except OSError as error:
            # The folder itself can be missing, but is never ``Gone``.
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
        # The number is not cached by device, because the device may now be another disk.
        if submounts is not None:
            return submounts.number(self.root, directory, device)
        return own_number(self._disk, self.root, directory) or UNNUMBERED


class FolderSessions(ExitStack):
    """The sessions of several folders for one batch of calls."""

    def __init__(self) -> None:
        super().__init__()
        self._sessions: dict[str, FolderSession] = {}

    def of(self, folder: Folder) -> FolderSession:
        """The folder's session, which is closed together with the others."""
        session = self._sessions.get(folder.name)
        if session is None:
            session = self._sessions[folder.name] = self.enter_context(folder.session())
        return session


def _why_left_out(entry: os.DirEntry[str], unwanted: LeftOut | None) -> LeftOut:
    """Why this entry, which is not a directory, is not mirrored. ``unwanted`` is the selection's
    reason for its name. The target of a link is not examined, because it may be on a network that
    does not respond."""
    if unwanted in (LeftOut.EXCLUDED, LeftOut.OTHER_PROGRAM):
        return unwanted
    if entry.is_symlink():
        return LeftOut.SYMLINK
    if unwanted is None or not entry.is_file(follow_symlinks=False):
        return LeftOut.SPECIAL
    return unwanted


def _is_same_disk(known: int, now: int) -> bool:
    """Whether the disk ``now`` is the disk ``known`` that a file was on."""
    return known == now != UNNUMBERED


@dataclass(frozen=True, slots=True)
class _Directory:
    submount: int
