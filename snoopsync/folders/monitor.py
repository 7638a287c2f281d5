"""Monitors one folder: checks its identity, and decides when to scan it.

The watcher's hints say where to look, and a scan covers the whole folder. A ``Scanner`` does both.
"""

from __future__ import annotations

import logging
import os
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from snoopsync.core.errors import FolderMissing
from snoopsync.core.events import Event, Field, log_event
from snoopsync.core.identity import Identity, IdentityVerdict, Sample
from snoopsync.core.model import FolderState, RelPath, printable
from snoopsync.folders.folder import Folder
from snoopsync.folders.identity_check import Finding, IdentityCheck
from snoopsync.folders.scanner import Difference, Scanner
from snoopsync.folders.submounts import Submounts
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Clock
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch

log = logging.getLogger("snoopsync.folder")

#: How often to check that the folder is still the same directory.
GUARD_SECONDS = 2.0

#: How often to try again directories that could not be watched or read.
RETRY_SECONDS = 30.0

#: How many warnings about one topic are logged for a folder. Further warnings are only counted.
_MAX_LOGGED = 10
_KEEPS_DISAPPEARING = "it keeps disappearing and coming back"


@dataclass(frozen=True, slots=True)
class Pace:
    """How often a folder is scanned: ``rescan_seconds`` if it is watched by events,
    ``poll_seconds`` if it is polled."""

    rescan_seconds: float
    poll_seconds: float

    def next_scan(self, now: float, mode: str) -> float:
        """When to scan after a scan that ended at ``now``. The interval is slightly random, so that
        many folders, or many machines with one server, don't scan at the same time."""
        if mode == "poll":
            return now + self.poll_seconds
        return now + self.rescan_seconds * random.uniform(0.9, 1.1)

    def next_retry(self, now: float, mode: str) -> float:
        """When to try again what could not be watched or read."""
        return now + (self.poll_seconds if mode == "poll" else RETRY_SECONDS)


class FolderMonitor:
    """Monitors one folder. Used by one thread. ``now`` is monotonic seconds.

    A ``dormant`` folder is never scanned. It is only needed because files may be moved out of it.
    ``scans_ended`` counts the completed scans of the whole folder."""

    def __init__(
        self,
        folder: Folder,
        watch: FolderWatch,
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
        self._scanner = Scanner(folder, watch, state, self._warn, self._is_on_recognised_disk)
        self._state = state
        self._pace = pace
        self._clock = clock or Clock()
        self._dormant = dormant
        self._scanned_at: float | None = None
        self._throttle = LogThrottle(log, _MAX_LOGGED)
        self._submounts = Submounts(folder.name, folder.path, folder.disk, state, folder.open)
        folder.submounts = self._submounts
        self._check = IdentityCheck(folder, state)
        self._now = 0.0
        self._next_guard = 0.0
        self._next_scan = 0.0
        self._next_retry = 0.0

    # Its state.

    @property
    def is_missing(self) -> bool:
        """Whether the folder is missing, is another directory, or is not recognised yet. Then no
        file in it counts as gone."""
        return self.row.state is FolderState.MISSING or self._check.is_under_way

    @property
    def is_being_recognised(self) -> bool:
        """Whether it is not known yet if the directory at the folder's path is the folder.
        ``differences`` continues the check."""
        return self._check.is_under_way

    @property
    def unreadable(self) -> Mapping[bytes, str]:
        """Directories that can't be listed and files that can't be examined, each with the
        reason."""
        return self._scanner.unreadable

    @property
    def is_scanning(self) -> bool:
        """Whether a scan of the whole folder is running."""
        return self._scanner.is_scanning

    @property
    def is_busy(self) -> bool:
        """Whether anything is left to look at now."""
        return self._scanner.is_busy or self._check.is_under_way

    @property
    def scanned(self) -> int:
        """How many files the last scan found, or the running scan has found so far."""
        return self._scanner.scanned

    @property
    def scan_age_seconds(self) -> float | None:
        """Seconds since the last scan of the whole folder ended, not counting suspends of the
        machine; ``None`` before the first scan of this process has ended."""
        return None if self._scanned_at is None else self._clock.monotonic() - self._scanned_at

    @property
    def next_due(self) -> float:
        """When to call ``update`` again, at the latest."""
        due = self._next_guard
        if not self.is_missing:
            due = min(due, self._next_scan)
            if self._scanner.is_troubled:
                due = min(due, self._next_retry)
        return due

    def scan(self) -> None:
        """Begin a scan of the whole folder."""
        if self.is_missing or self._dormant:
            self._scanner.stop()
        else:
            self._look_at_submounts()
            self._scanner.scan()

    # The work.

    def update(self, now: float) -> None:
        """Check the folder's identity, take the hints, and begin what is due."""
        self._now = now
        self._throttle.log_suppressed(now)
        hints = self.watch.take()
        # Also check before a scan, so that another disk is never scanned.
        is_scan_due = not self.is_missing and now >= self._next_scan
        if hints.root_gone or is_scan_due or now >= self._next_guard:
            self._next_guard = now + GUARD_SECONDS
            self._guard()
        if self.is_missing:
            return
        if hints.root_gone:
            # The folder looks the same, but may be a new directory with the same inode and no
            # watch.
            self._scanner.forget()
            self._scanner.distrust_stamps()
            self.scan()
        if hints.trees:
            self._look_at_submounts()
        self._scanner.follow(hints)
        if now >= self._next_scan and not self.is_scanning:
            self._next_scan = float("inf")
            self.scan()
        if self._scanner.is_troubled and now >= self._next_retry:
            self._next_retry = self._pace.next_retry(now, self.watch.mode)
            self._scanner.retry()

    def differences(self, until: float, now: float) -> Iterator[Difference]:
        """Look at directories until ``time.monotonic()`` is ``until``, and yield the differences.
        Nothing is written to the state file before the last one is yielded."""
        if self._check.is_under_way:
            self._go_on_checking(now)
            return
        was_scanning = self.is_scanning
        unproven: list[RelPath] = []
        for difference in self._scanner.differences(until):
            if difference.seen is None and self._is_on_recognised_disk(difference.rel_path):
                unproven.append(difference.rel_path)
            yield difference
        if unproven:
            self._state.deletions.require_approval(unproven)
        if not self._scanner.is_busy:
            self._submounts.by_content.clear()
        if self._scanner.missed:
            self._next_guard = self._next_scan = 0.0
        elif was_scanning and not self.is_scanning and not self.is_missing:
            self._end_scan(now)

    def _end_scan(self, now: float) -> None:
        self._next_scan = self._pace.next_scan(now, self.watch.mode)
        self._next_retry = self._pace.next_retry(now, self.watch.mode)
        self._scanned_at = self._clock.monotonic()
        self.scans_ended += 1
        with self._state.transaction():
            if self.row.recognised_by_content:
                for directory in self._scanner.unreadable:
                    rel_paths = self._state.rel_paths_below(self.folder.name, directory)
                    self._state.deletions.require_approval(rel_paths)
            self._save(
                replace(
                    self.row,
                    state=self._resting_state(),
                    last_scan=self._clock.now(),
                    left_out=self._scanner.left_out,
                    recognised_by_content=False,
                )
            )

    def note_unclear(self, path: bytes, reason: str) -> None:
        """Note that a file of the folder can no longer be examined."""
        self._scanner.note_unclear(path, reason)

    def _is_on_recognised_disk(self, rel_path: RelPath) -> bool:
        """Whether this file is on a disk that was recognised by its content alone and not scanned
        since. That disk may be an older backup, so a file that it lacks may never have been
        deleted."""
        if self.row.recognised_by_content:
            return True
        if not self._submounts.by_content:
            return False
        record = self._state.record_at(rel_path)
        return record is not None and record.submount in self._submounts.by_content

    def _look_at_submounts(self) -> None:
        if self.folder.identity is not None:
            device = self.folder.identity.device
            self._submounts.look_around(device, self.folder.selection.enters)

    def resume(self, pace: Pace) -> None:
        """Continue at this pace under a new configuration that does not change the folder."""
        self._pace = pace
        self._next_scan = min(self._next_scan, pace.next_scan(self._now, self.watch.mode))
        self._state.folders.save(self.row)

    def close(self) -> None:
        """Log the counts of suppressed messages."""
        self._throttle.close()

    # The folder itself.

    def _guard(self) -> None:
        try:
            identity = self.folder.identify()
        except FolderMissing as error:
            self._lose(str(error))
            return
        if identity == self.folder.identity and not self.is_missing:
            return
        finding = self._check.begin(self.row, identity, self._now)
        if finding is not None:
            self._follow_finding(finding)
        elif self._check.is_under_way:
            self.folder.identity = None
            self._scanner.stop()

    def _go_on_checking(self, now: float) -> None:
        try:
            finding = self._check.go_on(self.row, now)
        except FolderMissing as error:
            self._lose(str(error))
            return
        if finding is not None:
            self._follow_finding(finding)
        elif not self._check.is_under_way:
            self._next_guard = 0.0

    def _follow_finding(self, finding: Finding) -> None:
        if finding.verdict is not IdentityVerdict.SAME:
            self._refuse(finding.sample)
            return
        if finding.sample is not None:
            self._log_recognised(finding.sample)
        self._take_identity(finding.identity, by_content=finding.sample is not None)

    def accept(self) -> None:
        """Accept the directory at the path as the folder, because a person approved it. Raises
        ``FolderMissing``."""
        identity = self.folder.identify()
        self.row = replace(self.row, accepted=True)
        self._take_identity(identity, by_content=False)

    def _log_recognised(self, sample: Sample) -> None:
        log_event(
            log,
            logging.INFO,
            Event.FOLDER_RECOGNISED,
            "folder %s is recognised by its contents: %d known files were compared, and %d were"
            " found; images of missing files are not deleted without approval",
            *(self.row.name, sample.known, sample.found),
            folder=self.row.name,
            compared=sample.known,
            found=sample.found,
        )

    def _refuse(self, sample: Sample | None = None) -> None:
        found = "an empty mount point?"
        if sample is not None:
            found = f"{sample.known} known files were compared, and {sample.found} were found"
            if not sample.is_decided:
                unread = sample.known - sample.found - sample.different
                found += f"; {unread} can't be read"
        self._lose(
            f"{printable(self.folder.path)} is not the same directory as before ({found});"
            f" to accept it: snoopsync approve {self.row.name}"
        )

    def _take_identity(self, identity: Identity, *, by_content: bool) -> None:
        if self.row.state is FolderState.MISSING:
            self._warn(Event.FOLDER_BACK, _KEEPS_DISAPPEARING, "folder %s is back", self.row.name)
        self._check.take(identity)
        self.folder.identity = identity
        self.watch.choose()
        row = replace(
            self.row.with_identity(identity),
            watch=self.watch.mode,
            state=FolderState.SCANNING,
            reason=None,
            recognised_by_content=by_content or self.row.recognised_by_content,
            accepted=False,
        )
        is_numbered = identity.file_system != 0 and identity.file_system == self.row.file_system
        with self._state.transaction():
            if by_content or (self.row.accepted and not is_numbered):
                # The inodes belong to another file system, or may change with every mount.
                self._state.intents.forget_inodes(row.name)
            self._save(row)
        self._scanner.forget()
        self.scan()

    def _lose(self, reason: str) -> None:
        if self.row.state is not FolderState.MISSING or self.row.reason != reason:
            self._warn(
                Event.FOLDER_MISSING,
                _KEEPS_DISAPPEARING,
                "folder %s is missing, so none of its images are deleted: %s",
                *(self.row.name, reason),
                path=os.fsdecode(self.folder.path),
                reason=reason,
            )
        self._check.stop()
        self.folder.identity = None
        self._scanner.stop()
        self._save(replace(self.row, state=FolderState.MISSING, reason=reason))

    # What status shows.

    def _resting_state(self) -> FolderState:
        return FolderState.UNWATCHED if self._scanner.is_troubled else FolderState.OK

    def refresh_row(self) -> None:
        """Write the folder's state and the reason for it into its row of the state file."""
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
        self._throttle.log(self._now, topic, logging.WARNING, event, message, *args, **keys)

    def _save(self, row: FolderRow) -> None:
        if row != self.row:
            self.row = row
            self._state.folders.save(row)
