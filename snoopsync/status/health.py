"""The health of the service. Pure: the caller passes the snapshot.

The service is healthy while it works: sending, comparing, or waiting for a collection that is down.
It is unhealthy if it makes no progress or needs a person.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from snoopsync.control.report import ServiceView
from snoopsync.core.model import FolderState
from snoopsync.core.text import counted
from snoopsync.status.model import FolderStatus


@dataclass(frozen=True, slots=True)
class StoredStatus:
    """The status in the state file, with ``error`` if it can't be read. ``due``: the number of
    images that can be sent now."""

    folders: tuple[FolderStatus, ...] = ()
    duplicates_open: int = 0
    due: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The data for status and health, read at ``now`` (Unix time)."""

    service: ServiceView
    stored: StoredStatus
    now: float


def activity(snapshot: Snapshot) -> str:
    """What the service is doing, on one line."""
    report = snapshot.service.report
    return "starting" if report is None else report.activity


def problems(snapshot: Snapshot) -> list[str]:
    """Why the service is unhealthy; empty if it is healthy."""
    return [*_service_problems(snapshot.service), *_folder_problems(snapshot)]


def _service_problems(service: ServiceView) -> Iterator[str]:
    report = service.report
    if service.trouble is not None:
        yield f"the service is blocked: {service.trouble}"
        return
    if report is None:
        yield "the service is starting"
        return
    yield from (f"no progress: {part}" for part in service.stalled)
    if report.age_seconds > service.patience_seconds and not service.stalled:
        yield "no progress: planner"
    if report.unauthorized:
        yield f"the collection: {report.last_error}"
    yield from (f"folder {name}: changes are not watched" for name in report.unproven)


def _folder_problems(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.service.trouble is not None:
        return
    if snapshot.stored.error is not None:
        yield f"the state file can't be read: {snapshot.stored.error}"
    rows = {folder.row.name: folder.row for folder in snapshot.stored.folders}
    for name in snapshot.service.report.missing if snapshot.service.report else ():
        is_known = name in rows and rows[name].state is FolderState.MISSING
        yield f"folder {name} is missing" + (f": {rows[name].reason}" if is_known else "")
    for folder in snapshot.stored.folders:
        name, row = folder.row.name, folder.row
        if folder.counts.held:
            yield (
                f"folder {name}: {counted(folder.counts.held, 'deletion')} held"
                f" (snoopsync approve {shlex.quote(name)})"
            )
        if row.state is FolderState.UNWATCHED:
            yield f"folder {name} is unwatched: {row.reason}"
        # A service that is starting has not scanned yet.
        is_old = snapshot.service.report is not None and not folder.is_scanned(snapshot.now)
        if row.state is FolderState.OK and is_old:
            yield f"folder {name}: {folder.scan_problem}"


def is_mirrored(folder: FolderStatus, now: float) -> bool:
    """Whether every image of the folder is in the collection."""
    counts = folder.counts
    is_done = not (counts.pending or counts.failed or counts.held)
    return folder.state is FolderState.OK and is_done and folder.is_scanned(now)
