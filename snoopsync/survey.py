"""Minds one folder: is it still the same directory, and when is it looked through?

The watcher's hints say where to look, the scan of the whole folder is the truth. The looking itself
is a ``Walk``'s.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from snoopsync.clock import Clock
from snoopsync.errors import FolderMissing
from snoopsync.events import Event, Field
from snoopsync.folder import Folder, Identity
from snoopsync.model import File, FolderState, Record, printable
from snoopsync.repeats import TerseLog
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.walk import Sighting, Walk
from snoopsync.watching.lookout import Lookout

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


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a folder is looked at, where events are watched and where it is polled."""

    rescan_seconds: float
    poll_seconds: float

    def next_scan(self, now: float, mode: str) -> float:
        """When to scan after a scan that ended now: a little at random, so that many folders, or
        many machines with one server, don't all scan at once."""
        if mode == "poll":
            return now + self.poll_seconds
        return now + self.rescan_seconds * random.uniform(0.9, 1.1)

    def next_retry(self, now: float, mode: str) -> float:
        """When to try again what could not be watched or read."""
        return now + (self.poll_seconds if mode == "poll" else RETRY_SECONDS)


class Survey:
    """The looking at one folder. Used by one thread. ``now`` is monotonic seconds. One that is
    ``dormant`` is never scanned: it is only known, for the files that come from there.
    ``scans_ended`` counts the scans of the whole folder that have ended."""

    def __init__(
        self,
        folder: Folder,
        watch: Lookout,
        state: State,
        row: FolderRow,
        pace: Pace,
        clock: Clock | None = None,
        *,
        dormant: bool = False,
    ) -> None:
        self.folder = folder
        self.watch = watch
        self.row = row
        self.scans_ended = 0
        self._walk = Walk(folder, watch, state, self._warn)
        self._state = state
        self._pace = pace
        self._clock = clock or Clock()
        self._dormant = dormant
        self._scanned_at: float | None = None
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
        return self._walk.unreadable

    @property
    def is_scanning(self) -> bool:
        """Is a scan of the whole folder under way?"""
        return self._walk.is_scanning

    @property
    def is_busy(self) -> bool:
        """Is there anything left to look at now?"""
        return self._walk.is_busy

    @property
    def scanned(self) -> int:
        """How many files the last scan of the whole folder has found, or this one so far."""
        return self._walk.scanned

    @property
    def scan_age_seconds(self) -> float | None:
        """For how long the machine has been awake since the last scan of the whole folder ended;
        ``None`` before the first one that this process has seen."""
        return None if self._scanned_at is None else self._clock.monotonic() - self._scanned_at

    @property
    def next_due(self) -> float:
        """When to call ``tick`` again, at the latest."""
        due = self._next_guard
        if not self.is_missing:
            due = min(due, self._next_scan)
            if self._walk.is_troubled:
                due = min(due, self._next_retry)
        return due

    def scan(self) -> None:
        """Look at everything, from the top."""
        if self.is_missing or self._dormant:
            self._walk.stop()
        else:
            self._walk.scan()

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
        if hints.root_gone:
            # It looks the same, and may be another that got its number: nobody watches that.
            self._walk.forget()
            self.scan()
        self._walk.follow(hints)
        if now >= self._next_scan and not self.is_scanning:
            self._next_scan = float("inf")
            self.scan()
        if self._walk.is_troubled and now >= self._next_retry:
            self._next_retry = self._pace.next_retry(now, self.watch.mode)
            self._walk.retry()

    def work(self, until: float, now: float) -> Iterator[Sighting]:
        """Look at directories until the clock (``time.monotonic``) says ``until``. Nothing is
        written to the state file before the last sighting was given out."""
        was_scanning = self.is_scanning
        yield from self._walk.work(until)
        if self._walk.missed:
            self._next_guard = self._next_scan = 0.0
        elif was_scanning and not self.is_scanning and not self.is_missing:
            self._next_scan = self._pace.next_scan(now, self.watch.mode)
            self._next_retry = self._pace.next_retry(now, self.watch.mode)
            self._scanned_at = self._clock.monotonic()
            self.scans_ended += 1
            self._save(
                replace(
                    self.row,
                    state=self._resting_state(),
                    last_scan=self._clock.now(),
                    left_out=self._walk.left_out,
                )
            )

    def note_unclear(self, path: bytes, reason: str) -> None:
        """A file that was seen there can't be looked at any more."""
        self._walk.note_unclear(path, reason)

    def resume(self, pace: Pace) -> None:
        """Go on beside a new configuration, in which the folder is as it was, at this pace."""
        self._pace = pace
        self._next_scan = min(self._next_scan, pace.next_scan(self._now, self.watch.mode))
        self._state.folders.save(self.row)

    def close(self) -> None:
        """Log what was only counted."""
        self._terse.close()

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
        is_known = self.row.device is None or self.row.was(identity)
        if is_known or self._is_same_inside(identity):
            self._take_identity(identity)
        else:
            self._lose(
                f"{printable(self.folder.path)} is another directory than it was (an empty mount"
                f" point?); if that is right: snoopsync approve {self.row.name}"
            )

    def _take_identity(self, identity: Identity) -> None:
        if self.is_missing:
            self._warn(Event.FOLDER_BACK, _COMES_AND_GOES, "folder %s is back", self.row.name)
        self.folder.identity = identity
        self.watch.choose()
        self._save(
            replace(
                self.row.taken(identity),
                watch=self.watch.mode,
                state=FolderState.SCANNING,
                reason=None,
            )
        )
        self._walk.forget()
        self.scan()

    def _is_same_inside(self, identity: Identity) -> bool:
        """Other numbers, and yet the files that are known? A disk may get another device number at
        every boot, and not every file system keeps its own."""
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
            self._warn(
                Event.FOLDER_MISSING,
                _COMES_AND_GOES,
                "folder %s is missing, nothing of it is deleted: %s",
                *(self.row.name, reason),
                path=os.fsdecode(self.folder.path),
                reason=reason,
            )
        self.folder.identity = None
        self._walk.stop()
        self._save(replace(self.row, state=FolderState.MISSING, reason=reason))

    # What is shown.

    def _resting_state(self) -> FolderState:
        return FolderState.UNWATCHED if self._walk.is_troubled else FolderState.OK

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

    def _warn(self, event: Event, topic: str, message: str, *args: object, **keys: Field) -> None:
        topic = f"folder {self.row.name}: {topic}"
        keys = {"folder": self.row.name, **keys}
        self._terse.say(self._now, topic, logging.WARNING, event, message, *args, **keys)

    def _save(self, row: FolderRow) -> None:
        if row != self.row:
            self.row = row
            self._state.folders.save(row)
