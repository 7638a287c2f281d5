"""Reads directories, and finds where they differ from the records.

The steps are the same for a hint and for a scan of the whole folder: watch the directory, read it,
compare. A change before the watch is in the listing, and a change after the watch gives a hint. So
no change is missed.
"""

from __future__ import annotations

import errno
import os
import time
from collections import ChainMap, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple, Protocol

from snoopsync.core.errors import FolderMissing
from snoopsync.core.events import Event, Field
from snoopsync.core.left_out import LeftOut, LeftOutCounts, merge
from snoopsync.core.model import File, Fingerprint, Gone, RelPath, Unclear, printable
from snoopsync.core.retiring import disk_gone
from snoopsync.folders.directory_reader import DirectoryReader, Reading
from snoopsync.folders.folder import Folder, FolderSession
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch
from snoopsync.watching.hints import Hints


class Difference(NamedTuple):
    """A file that differs from its record. ``seen`` is ``None`` if no file is at the path."""

    rel_path: RelPath
    seen: Fingerprint | None


class Warn(Protocol):
    """Logs a warning, or only counts it if its topic has had too many."""

    def __call__(
        self, event: Event, topic: str, message: str, *args: object, **keys: Field
    ) -> None: ...


class Scanner:
    """Scans one folder, and looks where hints point. Used by one thread.

    ``scanned`` is the number of files that the last scan found, or that the running scan has found
    so far. ``left_out`` counts what that scan found that is not mirrored. ``missed``: changes may
    have been missed, so a scan is needed.
    """

    def __init__(
        self,
        folder: Folder,
        watch: FolderWatch,
        state: State,
        warn: Warn,
        is_on_recognised_disk: Callable[[RelPath], bool] = lambda rel_path: False,
    ) -> None:
        """``is_on_recognised_disk`` returns whether a file is on a disk that was recognised by its
        content alone and not scanned since."""
        self.scanned = 0
        self.missed = False
        self.left_out: LeftOutCounts = {}
        self._folder = folder
        self._watch = watch
        self._state = state
        self._warn = warn
        self._is_on_recognised_disk = is_on_recognised_disk
        self._renumbered: list[tuple[RelPath, Fingerprint]] = []
        self._reader = DirectoryReader(folder.name, state, folder.disk)
        self._directories_left: deque[tuple[bytes, bool]] = deque()
        self._names_left: deque[tuple[bytes, frozenset[bytes]]] = deque()
        self._children: dict[bytes, frozenset[bytes]] = {}
        self._scanned_directories: set[bytes] | None = None
        self._unreadable: dict[bytes, str] = {}
        self._unclear: dict[bytes, dict[bytes, str]] = {}
        self._hidden: set[bytes] = set()

    @property
    def is_scanning(self) -> bool:
        """Whether a scan of the whole folder is running."""
        return self._scanned_directories is not None

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to look at."""
        return bool(self._directories_left or self._names_left) or self.is_scanning

    @property
    def unreadable(self) -> Mapping[bytes, str]:
        """Directories that can't be listed or whose disk is missing, and files that can't be
        examined, each with the reason."""
        hidden = {directory: disk_gone(directory) for directory in sorted(self._hidden)}
        return ChainMap(self._unreadable, hidden, *self._unclear.values())

    @property
    def is_troubled(self) -> bool:
        """Whether anything can't be watched, listed or examined."""
        return bool(self._unreadable or self._unclear or self._hidden or self._watch.unwatched)

    # What to look at.

    def scan(self) -> None:
        """Begin a scan of the whole folder."""
        self.stop()
        self._scanned_directories = set()
        if self.missed:
            self.distrust_stamps()
        self.missed = False
        self.scanned = 0
        self.left_out = {}
        self._directories_left.append((b"", True))

    def distrust_stamps(self) -> None:
        """List every directory until the next scan ends."""
        self._reader.lists_all = True

    def stop(self) -> None:
        """Drop the scan and everything that is left to look at."""
        self._scanned_directories = None
        self._directories_left.clear()
        self._names_left.clear()

    def forget(self) -> None:
        """Forget what was found so far: the folder may be another directory now."""
        self._children.clear()
        self._unreadable.clear()
        self._unclear.clear()
        self._hidden.clear()

    def follow(self, hints: Hints) -> None:
        """Look where the hints say that something may have changed."""
        if hints.everything:
            self.distrust_stamps()
            self.scan()
            return
        for directory, names in hints.directories.items():
            if not self._enters(directory):
                continue
            if names is None:
                self._directories_left.append((directory, False))
            else:
                self._names_left.append((directory, names))
        self._directories_left.extend((tree, True) for tree in hints.trees if self._enters(tree))

    def retry(self) -> None:
        """Look again at what could not be watched, listed or examined."""
        self._directories_left.extend((directory, False) for directory in self._watch.unwatched)
        self._directories_left.extend((directory, True) for directory in self._unreadable)
        self._directories_left.extend((directory, False) for directory in self._unclear)
        self._directories_left.extend((directory, False) for directory in self._hidden)

    def _enters(self, directory: bytes) -> bool:
        return not directory or self._folder.selection.enters(directory)

    # Looking.

    def differences(self, until: float) -> Iterator[Difference]:
        """Look at directories until ``time.monotonic()`` is ``until``, and yield the differences.
        Nothing is written to the state file before the last one is yielded."""
        directories = self._scanned_directories
        self._reader.begin()
        with self._folder.session() as session:
            while time.monotonic() < until and self.is_busy:
                yield from self._step(session)
                session.forget()
        self._state.intents.renumber_inodes(self._renumbered)
        self._renumbered.clear()
        self._reader.save()
        if directories is not None and not self.is_scanning:
            self._reader.end(directories)

    def _step(self, session: FolderSession) -> Iterator[Difference]:
        if self._names_left:
            directory, names = self._names_left.popleft()
            yield from self._look_at_names(session, directory, names)
        elif self._directories_left:
            directory, deep = self._directories_left.popleft()
            yield from self._look_at_directory(session, directory, deep)
        elif self._scanned_directories is not None:
            yield from self._end_scan(session, self._scanned_directories)

    def _look_at_names(
        self, session: FolderSession, directory: bytes, names: Iterable[bytes]
    ) -> Iterator[Difference]:
        wants = self._folder.selection.chooser(directory)
        for name in names:
            path = directory + b"/" + name if directory else name
            was_directory = path in self._children.get(directory, ())
            if self._enters(path) and (was_directory or session.is_directory(path)):
                self._directories_left.append((path, True))
            if not wants(name):
                continue
            rel_path = self._folder.rel_path(path)
            observation = session.look(path)
            record = self._state.record_at(rel_path)
            if isinstance(observation, File):
                if (
                    record is None
                    or record.marked_for_deletion
                    or observation.fingerprint != record.seen
                ):
                    yield Difference(rel_path, observation.fingerprint)
            elif isinstance(observation, Gone) and record is not None:
                yield Difference(rel_path, None)
            elif isinstance(observation, Unclear):
                # Listing the directory gives the reason.
                self._directories_left.append((directory, False))

    def _look_at_directory(
        self, session: FolderSession, directory: bytes, deep: bool
    ) -> Iterator[Difference]:
        is_watched = self._watch.cover(directory)
        try:
            if self.is_scanning:
                in_full = not (deep and is_watched)
                reading = self._reader.read(session, directory, in_full=in_full)
            else:
                reading = Reading(session.list_directory(directory))
        except FolderMissing as error:
            if self._is_present():
                self._unreadable[directory] = str(error)
            return
        except OSError as error:
            yield from self._not_listed(session, directory, error)
            return
        listing = reading.listing
        if self._unreadable.pop(directory, None) is not None and not self.is_scanning:
            # Nothing below this directory was watched.
            self.missed = True
        # During a scan, a hint may lead to a directory a second time.
        if (
            self._scanned_directories is not None
            and deep
            and directory not in self._scanned_directories
        ):
            self._scanned_directories.add(directory)
            self.scanned += len(listing.files)
            merge(self.left_out, listing.left_out)

        self._note_unclear(directory, listing.unclear)
        yield from self._compare(session, directory, reading)

        before = self._children.get(directory, frozenset())
        children = frozenset(listing.directories)
        if listing.unclear:
            # A directory that can't be examined has not vanished.
            children |= {path for path in before if path.rpartition(b"/")[2] in listing.unclear}
        if children:
            self._children[directory] = children
        else:
            self._children.pop(directory, None)
        for child in before - children:
            yield from self._vanished(session, child)
        # In the order of paths, as the stored listings are read.
        new = sorted(children if deep else children - before, reverse=True)
        self._directories_left.extendleft((child, True) for child in new)

    def _compare(
        self, session: FolderSession, directory: bytes, reading: Reading
    ) -> Iterator[Difference]:
        files, unclear = reading.listing.files, reading.listing.unclear
        known = None if reading.is_known else self._state.known(self._folder.name, directory)
        if known is None or known == files:
            self._reader.learn(directory, reading)
            self._hidden.discard(directory)
            return
        prefix = directory + b"/" if directory else b""
        for name, key in files.items():
            before = known.pop(name, None)
            if before != key:
                rel_path, seen = self._folder.rel_path(prefix + name), Fingerprint(*key)
                is_new_inode = before is not None and before[1:] == key[1:]
                if is_new_inode and self._is_on_recognised_disk(rel_path):
                    # Some file systems assign new inodes at every mount.
                    self._renumbered.append((rel_path, seen))
                else:
                    yield Difference(rel_path, seen)
        # A file that can't be examined is not missing.
        yield from self._missing(session, directory, known.keys() - unclear.keys())

    def _missing(
        self, session: FolderSession, directory: bytes, names: Iterable[bytes]
    ) -> Iterator[Difference]:
        """Handle files that are recorded in this directory but not in its listing."""
        wants = self._folder.selection.chooser(directory)
        prefix = directory + b"/" if directory else b""
        submounts = self._state.submounts(self._folder.name, directory)
        hides = False
        for name in names:
            # A listing does not have unwanted files, whether they exist or not.
            if not wants(name):
                continue
            path = prefix + name
            if session.is_hidden(path, submounts.get(name, 0)):
                hides = True
            else:
                yield Difference(self._folder.rel_path(path), None)
        if hides and not self._is_present():
            return
        if hides and directory not in self._hidden:
            topic, reason = "some directories are incomplete", disk_gone(directory)
            self._warn_unreadable(topic, "%s: %s", directory, reason)
        (self._hidden.add if hides else self._hidden.discard)(directory)

    def _note_unclear(self, directory: bytes, unclear: Mapping[bytes, str]) -> None:
        before = self._unclear.pop(directory, {})
        prefix = directory + b"/" if directory else b""
        now = {prefix + name: reason for name, reason in unclear.items()}
        if now:
            self._unclear[directory] = now
        for path, reason in now.items():
            if path not in before:
                self._warn_unclear(path, reason)

    def note_unclear(self, path: bytes, reason: str) -> None:
        """Try this listed file again later, because it can no longer be examined. ``reason`` may
        begin with the path."""
        reason = reason.rpartition(": ")[2]
        directory = path.rpartition(b"/")[0]
        if path not in self._unclear.get(directory, {}) and self._is_present():
            self._unclear.setdefault(directory, {})[path] = reason
            self._warn_unclear(path, reason)

    def _warn_unclear(self, path: bytes, reason: str) -> None:
        message = "%s can't be examined, so its image stays unchanged in the collection: %s"
        self._warn_unreadable("files can't be examined", message, path, reason)

    def _is_present(self) -> bool:
        """Whether the folder itself is present. If not, only the monitor reports it, and the folder
        must be scanned when it returns."""
        is_present = self._folder.is_present()
        self.missed |= not is_present
        return is_present

    def _not_listed(
        self, session: FolderSession, directory: bytes, error: OSError
    ) -> Iterator[Difference]:
        if not self._is_present():
            return
        if directory and error.errno in (errno.ENOENT, errno.ENOTDIR):
            yield from self._vanished(session, directory)
            return
        reason = error.strerror or str(error)
        # The monitor reports what is wrong with the folder itself.
        if directory and directory not in self._unreadable:
            message = "%s can't be listed, so no image below it is deleted: %s"
            topic = f"directories can't be listed: {reason}"
            self._warn_unreadable(topic, message, directory, reason)
        self._unreadable[directory] = reason

    def _warn_unreadable(self, topic: str, message: str, path: bytes, reason: str) -> None:
        where = self._folder.absolute(path)
        self._warn(
            Event.UNREADABLE,
            topic,
            message,
            *(printable(where), reason),
            path=os.fsdecode(where),
            reason=reason,
        )

    def _vanished(self, session: FolderSession, directory: bytes) -> Iterator[Difference]:
        """Handle a directory that is no longer at its path. Each of its files is looked at before
        it counts as gone."""
        self._watch.forget(directory)
        vanished = [directory]
        for path in vanished:  # grows during the loop
            vanished.extend(self._children.pop(path, ()))
        for known in (self._unreadable, self._unclear):
            for path in [path for path in known if _is_in(path, directory)]:
                del known[path]
        names: dict[bytes, list[bytes]] = defaultdict(
            list, {path: [] for path in self._hidden if _is_in(path, directory)}
        )
        for rel_path in self._state.rel_paths_below(self._folder.name, directory):
            names[rel_path.directory].append(rel_path.name)
        for path in names:
            yield from self._missing(session, path, names[path])

    def _end_scan(self, session: FolderSession, directories: set[bytes]) -> Iterator[Difference]:
        self._scanned_directories = None
        unreadable = len(self._unreadable) + sum(map(len, self._unclear.values()))
        if unreadable:
            self.left_out[LeftOut.UNREADABLE] = {"": unreadable}
        for directory in sorted(self._state.directories(self._folder.name) - directories):
            if self._enters(directory) and not self._is_below_unreadable(directory):
                yield from self._missing(
                    session, directory, self._state.known(self._folder.name, directory)
                )

    def _is_below_unreadable(self, directory: bytes) -> bool:
        return any(_is_in(directory, path) for path in self._unreadable)


def _is_in(path: bytes, directory: bytes) -> bool:
    """Whether this path is the directory or is below it."""
    return path == directory or not directory or path.startswith(directory + b"/")
