"""Looks through one folder and tells where the disk differs from what is known of it.

The watcher's hints say where to look, the scan of the whole folder is the truth. Both end in the
same step: put the watch on a directory first, then list it, then compare. A change before the
watch is in the listing, one after it is a hint; none falls between.
"""

from __future__ import annotations

import errno
import logging
import random
import time
from collections import ChainMap, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple, Protocol

from snoopsync.errors import FolderMissing
from snoopsync.folder import Folder, Identity, Listing
from snoopsync.model import (
    File,
    Fingerprint,
    FolderState,
    Gone,
    Place,
    Record,
    printable,
)
from snoopsync.repeats import TerseLog
from snoopsync.state.images import FolderRow, State
from snoopsync.watching.hints import Hints

log = logging.getLogger("snoopsync.folder")

#: How often the folder itself is looked at: is it still the same directory?
GUARD_SECONDS = 2.0

#: How often directories that could not be watched or read are tried again.
RETRY_SECONDS = 30.0

#: A folder that changed its identity (a disk got another device number at boot) is the same one if
#: this share of the images known of it is in it, with the same inodes, sizes and times.
SAME_FOLDER_SHARE = 0.5

#: How many known images are looked for to decide that.
SAME_FOLDER_SAMPLE = 200

#: Each kind of trouble with a folder is logged so many times, and then counted.
_MOST_SAID = 10
_COMES_AND_GOES = "it is missing, and back, in turns"


class Watch(Protocol):
    """What the survey needs of a watcher."""

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """Directories that can't be watched, and why."""

    @property
    def alive(self) -> bool:
        """Does it work?"""

    def cover(self, directory: bytes) -> bool:
        """Watch this directory from now on."""

    def forget(self, directory: bytes) -> None:
        """It is gone, with all that was below it."""

    def take(self) -> Hints:
        """The hints that have gathered."""


class Sighting(NamedTuple):
    """A file that is not as it is known, or (``seen`` is ``None``) is not there."""

    place: Place
    seen: Fingerprint | None


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a folder is looked at. ``poll_seconds`` is ``None`` where events are watched."""

    rescan_seconds: float
    poll_seconds: float | None

    def next_scan(self, now: float) -> float:
        """When to scan after a scan that ended now: a little at random, so that many folders, or
        many machines with one server, don't all scan at once."""
        if self.poll_seconds is not None:
            return now + self.poll_seconds
        return now + self.rescan_seconds * random.uniform(0.9, 1.1)


class Survey:
    """The looking at one folder. Used by one thread. ``now`` is monotonic seconds. One that is
    ``dormant`` is never scanned: it is only known, for the files that come from there."""

    def __init__(
        self,
        folder: Folder,
        watch: Watch,
        state: State,
        row: FolderRow,
        pace: Pace,
        *,
        dormant: bool = False,
    ) -> None:
        self.folder = folder
        self._dormant = dormant
        self.watch = watch
        self.row = row
        self.scanned = 0
        self._state = state
        self._pace = pace
        self._listings = state.listings(row.name)
        self._ways: deque[tuple[bytes, bool]] = deque()
        self._names: deque[tuple[bytes, frozenset[bytes]]] = deque()
        self._children: dict[bytes, frozenset[bytes]] = {}
        self._walked: set[bytes] | None = None
        self._unreadable: dict[bytes, str] = {}
        self._unclear: dict[bytes, dict[bytes, str]] = {}
        self._terse = TerseLog(log, _MOST_SAID)
        self._now = 0.0
        self._next_guard = 0.0
        self._next_scan = 0.0
        self._next_retry = 0.0

    # What others ask.

    @property
    def is_missing(self) -> bool:
        """Is the folder away, or another one? Then nothing in it counts as gone."""
        return self.row.state is FolderState.MISSING

    @property
    def unreadable(self) -> Mapping[bytes, str]:
        """Directories that can't be listed, files that can't be looked at, and why."""
        return ChainMap(self._unreadable, *self._unclear.values())

    @property
    def is_scanning(self) -> bool:
        """Is a scan of the whole folder under way?"""
        return self._walked is not None

    @property
    def is_busy(self) -> bool:
        """Is there anything left to look at now?"""
        return bool(self._ways or self._names) or self.is_scanning

    @property
    def next_due(self) -> float:
        """When to call ``tick`` again, at the latest."""
        due = self._next_guard
        if not self.is_missing:
            due = min(due, self._next_scan)
            if self._troubled:
                due = min(due, self._next_retry)
        return due

    def scan(self) -> None:
        """Look at everything, from the top."""
        self._ways.clear()
        self._names.clear()
        if not self.is_missing and not self._dormant:
            self._walked = set()
            self.scanned = 0
            self._ways.append((b"", True))

    # The clockwork.

    def tick(self, now: float) -> None:
        """Look at the folder itself, take the hints, and see what is due."""
        self._now = now
        self._terse.tell_counts(now)
        hints = self.watch.take()
        if now >= self._next_guard or hints.root_gone:
            self._next_guard = now + GUARD_SECONDS
            self._guard()
        if self.is_missing:
            return
        self._follow(hints)
        if now >= self._next_scan and not self.is_scanning:
            self._next_scan = float("inf")
            self.scan()
        if self._troubled and now >= self._next_retry:
            self._next_retry = now + (self._pace.poll_seconds or RETRY_SECONDS)
            self._ways.extend((directory, False) for directory in self.watch.unwatched)
            self._ways.extend((directory, True) for directory in self._unreadable)
            self._ways.extend((directory, False) for directory in self._unclear)

    def work(self, until: float, now: float) -> Iterator[Sighting]:
        """Look at directories until the clock (``time.monotonic``) says ``until``. Nothing is
        written to the state file before the last one was given out."""
        if self.is_scanning:
            self._listings.begin()
        yield from self._work(until, now)
        self._listings.save()
        if not self.is_scanning:
            self._listings.release()

    def _work(self, until: float, now: float) -> Iterator[Sighting]:
        while not self.is_missing and time.monotonic() < until:
            if self._names:
                directory, names = self._names.popleft()
                yield from self._look_at_names(directory, names)
            elif self._ways:
                directory, deep = self._ways.popleft()
                yield from self._look_at_directory(directory, deep)
            elif self._walked is not None:
                yield from self._end_scan(now)
            else:
                return

    # The folder itself.

    def _guard(self) -> None:
        try:
            identity = self.folder.identify()
        except FolderMissing as error:
            self._lose(str(error))
            return
        if identity != self.folder.identity or self.is_missing:
            self._arm(identity)

    def accept(self) -> None:
        """A person says that the directory which is there now is the folder. Raises
        ``FolderMissing``."""
        identity = self.folder.identify()
        self._take_identity(identity)

    def _arm(self, identity: Identity) -> None:
        known = (self.row.device, self.row.inode)
        if known in ((None, None), tuple(identity)) or self._is_same_inside(identity):
            self._take_identity(identity)
        else:
            self._lose(
                f"{printable(self.folder.path)} is another directory than it was (an empty mount"
                f" point?); if that is right: snoopsync approve {self.row.name}"
            )

    def _take_identity(self, identity: Identity) -> None:
        if self.is_missing:
            self._say(_COMES_AND_GOES, "folder %s is back", self.row.name)
        self.folder.identity = identity
        self._save(
            replace(
                self.row,
                device=identity.device,
                inode=identity.inode,
                state=FolderState.SCANNING,
                reason=None,
            )
        )
        self._children.clear()
        self._unreadable.clear()
        self._unclear.clear()
        self.scan()

    def _is_same_inside(self, identity: Identity) -> bool:
        """Another device number, and yet the files that are known?"""
        records = self._state.sample(self.row.name, SAME_FOLDER_SAMPLE)
        if not records:
            return True
        self.folder.identity = identity
        found = sum(self._is_there(record) for record in records)
        self.folder.identity = None
        return found >= len(records) * SAME_FOLDER_SHARE

    def _is_there(self, record: Record) -> bool:
        sight = self.folder.look(record.place.path)
        return isinstance(sight, File) and sight.fingerprint.same_file(record.seen)

    def _lose(self, reason: str) -> None:
        if not self.is_missing or self.row.reason != reason:
            self._say(
                _COMES_AND_GOES,
                "folder %s is missing, nothing of it is deleted: %s",
                self.row.name,
                reason,
            )
        self.folder.identity = None
        self._walked = None
        self._ways.clear()
        self._names.clear()
        self._save(replace(self.row, state=FolderState.MISSING, reason=reason))

    # Hints.

    def _follow(self, hints: Hints) -> None:
        if hints.everything:
            self.scan()
            return
        for directory, names in hints.directories.items():
            if not self._enters(directory):
                continue
            if names is None:
                self._ways.append((directory, False))
            else:
                self._names.append((directory, names))
        self._ways.extend((tree, True) for tree in hints.trees if self._enters(tree))

    def _enters(self, directory: bytes) -> bool:
        return not directory or self.folder.selection.enters(directory)

    def _look_at_names(self, directory: bytes, names: Iterable[bytes]) -> Iterator[Sighting]:
        wants = self.folder.selection.chooser(directory)
        for name in names:
            path = directory + b"/" + name if directory else name
            was_directory = path in self._children.get(directory, ())
            if self._enters(path) and (was_directory or self.folder.is_directory(path)):
                self._ways.append((path, True))
            if not wants(name):
                continue
            place = self.folder.place(path)
            sight = self.folder.look(path)
            record = self._state.record_at(place)
            if isinstance(sight, File):
                if record is None or record.doomed or sight.fingerprint != record.seen:
                    yield Sighting(place, sight.fingerprint)
            elif isinstance(sight, Gone) and record is not None:
                yield Sighting(place, None)

    # Directories.

    def _look_at_directory(self, directory: bytes, deep: bool) -> Iterator[Sighting]:
        self.watch.cover(directory)
        try:
            listing = self.folder.list_directory(directory)
        except OSError as error:
            yield from self._not_listed(directory, error)
            return
        if self._unreadable.pop(directory, None) is not None and not self.is_scanning:
            # What happened below it meanwhile, nobody has seen.
            self._next_scan = 0.0
        if self._walked is not None and deep:
            self._walked.add(directory)
            self.scanned += len(listing.files)

        self._note_unclear(directory, listing.unclear)
        yield from self._compare(directory, listing)

        before = self._children.get(directory, frozenset())
        children = frozenset(listing.directories)
        if listing.unclear:
            # One that can't be looked at has not vanished.
            children |= {path for path in before if path.rpartition(b"/")[2] in listing.unclear}
        if children:
            self._children[directory] = children
        else:
            self._children.pop(directory, None)
        for child in before - children:
            yield from self._vanished(child)
        self._ways.extendleft((child, True) for child in (children if deep else children - before))

    def _compare(self, directory: bytes, listing: Listing) -> Iterator[Sighting]:
        files = listing.files
        if self._listings.is_known(directory, files):
            return
        known = self._state.known(self.row.name, directory)
        if known == files:
            if self.is_scanning:
                self._listings.learn(directory, files)
            return
        prefix = directory + b"/" if directory else b""
        for name, key in files.items():
            if known.pop(name, None) != key:
                yield Sighting(self.folder.place(prefix + name), Fingerprint(*key))
        wants = self.folder.selection.chooser(directory)
        for name in known:
            # A name that is not wanted any more was not listed: that says nothing of the file. Nor
            # does one that can't be looked at.
            if wants(name) and name not in listing.unclear:
                yield Sighting(self.folder.place(prefix + name), None)

    def _note_unclear(self, directory: bytes, unclear: Mapping[bytes, str]) -> None:
        before = self._unclear.pop(directory, {})
        prefix = directory + b"/" if directory else b""
        now = {prefix + name: reason for name, reason in unclear.items()}
        if now:
            self._unclear[directory] = now
        for path, reason in now.items():
            if path not in before:
                path_text = printable(self.folder.absolute(path))
                message = "%s can't be looked at, and stays as it is in the collection: %s"
                self._say(f"files can't be looked at: {reason}", message, path_text, reason)

    def _not_listed(self, directory: bytes, error: OSError) -> Iterator[Sighting]:
        if directory and error.errno in (errno.ENOENT, errno.ENOTDIR):
            yield from self._vanished(directory)
            return
        reason = error.strerror or str(error)
        if directory not in self._unreadable:
            self._say(
                f"directories can't be listed: {reason}",
                "%s can't be listed, nothing below it is deleted: %s",
                printable(self.folder.absolute(directory)),
                reason,
            )
        self._unreadable[directory] = reason

    def _vanished(self, directory: bytes) -> Iterator[Sighting]:
        """A directory is not where it was. Whether it really is gone, each file's own look says."""
        self.watch.forget(directory)
        for path in [path for path in self._children if _is_in(path, directory)]:
            del self._children[path]
        for known in (self._unreadable, self._unclear):
            for path in [path for path in known if _is_in(path, directory)]:
                del known[path]
        for place in self._state.places_below(self.row.name, directory):
            if self.folder.selection.wants(place.path):
                yield Sighting(place, None)

    def _end_scan(self, now: float) -> Iterator[Sighting]:
        walked, self._walked = self._walked or set(), None
        for directory in sorted(self._state.directories(self.row.name) - walked):
            if self._enters(directory) and not self._is_below_unreadable(directory):
                yield from self._vanished_files(directory)
        self._next_scan = self._pace.next_scan(now)
        self._next_retry = now + (self._pace.poll_seconds or RETRY_SECONDS)
        self._save(replace(self.row, state=self._resting_state(), last_scan=time.time()))

    def _vanished_files(self, directory: bytes) -> Iterator[Sighting]:
        wants = self.folder.selection.chooser(directory)
        prefix = directory + b"/" if directory else b""
        for name in self._state.known(self.row.name, directory):
            if wants(name):
                yield Sighting(self.folder.place(prefix + name), None)

    def _is_below_unreadable(self, directory: bytes) -> bool:
        return any(_is_in(directory, path) for path in self._unreadable)

    # What is shown.

    @property
    def _troubled(self) -> bool:
        return bool(self._unreadable or self._unclear or self.watch.unwatched)

    def _resting_state(self) -> FolderState:
        return FolderState.UNWATCHED if self._troubled else FolderState.OK

    def refresh_row(self) -> None:
        """Bring the folder's row in the state file up to date with how it is being looked at."""
        if self.is_missing or self.is_scanning:
            return
        trouble = self.unreadable or self.watch.unwatched
        reason = None
        if trouble:
            path, why = next(iter(trouble.items()))
            more = f", and {len(trouble) - 1} more" if len(trouble) > 1 else ""
            reason = f"{printable(self.folder.absolute(path))}: {why}{more}"
        self._save(replace(self.row, state=self._resting_state(), reason=reason))

    def _say(self, topic: str, message: str, *args: object) -> None:
        topic = f"folder {self.row.name}: {topic}"
        self._terse.say(self._now, topic, logging.WARNING, message, *args)

    def _save(self, row: FolderRow) -> None:
        if row != self.row:
            self.row = row
            self._state.save_folder(row)


def _is_in(path: bytes, directory: bytes) -> bool:
    """Is this the directory, or is it below it?"""
    return path == directory or not directory or path.startswith(directory + b"/")
