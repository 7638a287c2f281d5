"""Whether everything is mirrored, and if not, why. The status is in sync only if that is proven."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from snoopsync.config.settings import Config
from snoopsync.control.report import ServiceReport
from snoopsync.core.left_out import totals
from snoopsync.core.model import FolderState
from snoopsync.core.retiring import FOLDER_GONE
from snoopsync.core.text import counted, images, iso
from snoopsync.runtime.liveness import SendProgress
from snoopsync.state.folders import FolderRow
from snoopsync.state.formats import RefusedFormat
from snoopsync.state.images import Counts

#: How old the service's report about itself may be. It is published every second.
_SERVICE_AGE_SECONDS = 15.0

#: How late a scan may be, in addition to its interval.
_SCAN_GRACE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """The counts and state of a folder. ``scan_limit_seconds``: the maximum age of the last full
    scan. ``scan_age_seconds``: the age that the service measured, not counting suspends and clock
    changes; ``None`` without a service."""

    row: FolderRow
    counts: Counts
    state: FolderState
    scan_limit_seconds: float
    scan_age_seconds: float | None = None

    @property
    def scan_problem(self) -> str:
        """Why the folder does not count as scanned."""
        if self.row.last_scan is None:
            return "it has not been scanned completely yet"
        return "the last full scan is too old"

    def is_scanned(self, now: float) -> bool:
        """Whether the last full scan is recent enough. ``now`` is Unix time, and only used without
        a service."""
        if self.row.last_scan is None:
            return False
        age = self.scan_age_seconds
        return (now - self.row.last_scan if age is None else age) <= self.scan_limit_seconds


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service. ``report`` is the service's report about itself, or ``None`` if it does not
    respond.
    ``command_pid``: the process of a command that holds the state file instead of a service.
    ``trouble``: why the service is blocked."""

    pid: int | None = None
    report: ServiceReport | None = None
    command_pid: int | None = None
    trouble: str | None = None

    @property
    def is_running(self) -> bool:
        """Whether a service holds the state file."""
        return self.pid is not None

    @property
    def answers(self) -> bool:
        """Whether the service responded with a recent report."""
        return self.report is not None and self.report.age_seconds <= _SERVICE_AGE_SECONDS


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """The collection, and whether it responded to the last request. ``is_another``: it is not the
    one in the state file. ``to_renew``: the number of our images that an older version of the
    collection described."""

    endpoint: str
    id: str | None
    reachable: bool
    last_error: str | None
    unauthorized: bool = False
    is_another: bool = False
    to_renew: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """The whole status at ``now`` (Unix time). ``obstacle``: why the state file can't be written,
    ``None`` if it can. ``to_compare``: the number of images not yet searched for duplicates.
    ``refused_formats``: the formats that the collection refuses."""

    service: ServiceStatus
    collection: CollectionStatus
    folders: tuple[FolderStatus, ...]
    duplicates_open: int
    now: float
    obstacle: str | None = None
    to_compare: int = 0
    duplicate_groups_open: int = 0
    refused_formats: tuple[RefusedFormat, ...] = ()

    def reasons(self) -> list[str]:
        """Why it is not proven that everything is mirrored; empty if it is."""
        found = [*self._service_reasons(), *self._collection_reasons(), *self._folder_reasons()]
        if found and self.obstacle is not None and self.service.trouble is None:
            found.append(f"the state file can't be written: {self.obstacle}")
        return found

    def _service_reasons(self) -> Iterator[str]:
        report = self.service.report
        if self.service.trouble is not None:
            yield f"the service is blocked: {self.service.trouble}"
            return
        if self.service.command_pid is not None:
            yield f"a resync is under way (process {self.service.command_pid})"
        if not self.service.is_running:
            return
        if report is None or not self.service.answers:
            yield f"the service (process {self.service.pid}) does not respond"
            return
        if not report.reconciled:
            # If the collection is unreachable, its own reason has the error.
            error = report.last_error if report.reachable else None
            yield (
                "the collection has not been compared with the folders since the service started"
                + (f": {error}" if error else "")
            )
        if report.looking:
            yield "the service is scanning the folders"
        if report.unsettled:
            yield f"{images(report.unsettled)} changed recently"
        if report.in_flight:
            yield f"{images(report.in_flight)} being sent or deleted"
        for part in report.stalled:
            yield f"no progress: {part}"
        for name in report.unproven:
            yield f"folder {name}: changes are not watched"

    def _collection_reasons(self) -> Iterator[str]:
        if not self.collection.reachable or self.collection.unauthorized:
            yield f"the collection: {self.collection.last_error or 'it does not respond'}"
        if self.collection.is_another:
            yield "the collection is not the same as before, and has not been compared yet"
        for refused in self.refused_formats:
            if count := sum(refused.waiting.values()):
                waiting = counted(count, "image waits", "images wait")
                yield (
                    f"the collection refuses {refused.suffix} files ({refused.reason}): {waiting},"
                    " and one of them is tried again from time to time"
                )

    def _folder_reasons(self) -> Iterator[str]:
        if not self.folders:
            yield "no folder is mirrored yet"
        for folder in self.folders:
            name, counts = folder.row.name, folder.counts
            if folder.state not in (FolderState.OK, FolderState.HELD):
                reason = f": {folder.row.reason}" if folder.row.reason else ""
                if folder.state is FolderState.MISSING:
                    reason += f"; {FOLDER_GONE}"
                yield f"folder {name} is {folder.state}{reason}"
            if counts.pending:
                yield f"folder {name}: {images(counts.pending)} not mirrored yet"
            # The others wait for their format, which has a reason of its own.
            failed = counts.failed - sum(each.waiting.get(name, 0) for each in self.refused_formats)
            if failed:
                yield f"folder {name}: {images(failed)} failed (snoopsync list --state failed)"
            if counts.held:
                yield (
                    f"folder {name}: {counted(counts.held, 'deletion')} held (snoopsync list"
                    f" --state held, snoopsync approve {shlex.quote(name)})"
                )
            if not folder.is_scanned(self.now):
                yield f"folder {name}: {folder.scan_problem}"

    @property
    def to_renew(self) -> int:
        """The number of images that an older version of the collection described. They count as
        mirrored."""
        report = self.service.report
        return self.collection.to_renew if report is None else report.to_renew

    @property
    def doing(self) -> str | None:
        """The progress of sending, with rate and time left; ``None`` if nothing is being sent."""
        report = self.service.report
        return report.sending if report is not None and self._progress else None

    @property
    def _progress(self) -> SendProgress | None:
        report = self.service.report
        if report is None or report.progress is None or not self.collection.reachable:
            return None
        if not any(folder.counts.pending for folder in self.folders):
            return None  # the last image was sent after the service's report
        return None if self.collection.unauthorized else report.progress

    def as_message(self) -> dict[str, Any]:
        """The object of ``status --json``."""
        report = self.service.report
        reasons, progress = self.reasons(), self._progress
        return {
            "in_sync": not reasons,
            "reasons": reasons,
            "service": {
                "running": self.service.is_running,
                "pid": self.service.pid,
                "version": None if report is None else report.version,
            },
            "collection": {
                "endpoint": self.collection.endpoint,
                "id": self.collection.id,
                "reachable": self.collection.reachable,
                "last_error": self.collection.last_error,
            },
            "folders": [_folder_message(folder) for folder in self.folders],
            "to_compare": self.to_compare,
            "duplicates_open": self.duplicates_open,
            "duplicate_groups_open": self.duplicate_groups_open,
            "progress": progress and progress.as_message(),
            # Present only after an upgrade, until all images are sent again.
            **({"to_renew": self.to_renew} if self.to_renew else {}),
        }


def _folder_message(folder: FolderStatus) -> dict[str, Any]:
    return {
        "name": folder.row.name,
        "path": folder.row.path_text,
        "state": folder.state,
        "reason": folder.row.reason,
        "watch": folder.row.watch or None,
        "images": folder.counts.images,
        "pending": folder.counts.pending,
        "failed": folder.counts.failed,
        "held_deletes": folder.counts.held,
        "left_out": totals(folder.row.left_out),
        "last_scan": iso(folder.row.last_scan),
    }


def scan_age(report: ServiceReport | None, folder: str) -> float | None:
    """``FolderStatus.scan_age_seconds``, as the service reports it."""
    return None if report is None else report.scan_age_seconds(folder)


def folder_status(
    config: Config,
    row: FolderRow,
    counts: Counts,
    differing: int = 0,
    scan_age_seconds: float | None = None,
) -> FolderStatus:
    """The status of a folder. ``differing``: how many of its files differ from the state."""
    counts = replace(counts, pending=counts.pending + differing)
    state = row.state
    if counts.held and state is not FolderState.MISSING:
        state = FolderState.HELD
    interval = config.sync.rescan_interval_seconds
    if row.watch == "poll":
        intervals = (f.poll_interval_seconds for f in config.folders if f.name == row.name)
        interval = next(intervals, interval)
    limit = 1.5 * interval + _SCAN_GRACE_SECONDS
    return FolderStatus(row, counts, state, limit, scan_age_seconds)
