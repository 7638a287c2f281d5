"""Is the service well? Pure: how things are is given.

It is well as long as it works on what it can: sending, comparing, or waiting for a collection that
is away. It is not where it waits for a person, or does not get on.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from snoopsync.control.report import Live, in_words
from snoopsync.core.model import FolderState
from snoopsync.core.text import images
from snoopsync.status.status import FolderStatus


@dataclass(frozen=True, slots=True)
class Stored:
    """What the state file says, ``error`` if it can't be read. ``due``: images that can be sent
    now."""

    folders: tuple[FolderStatus, ...] = ()
    duplicates_open: int = 0
    due: int = 0
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """How things are, as of ``now`` (Unix time)."""

    live: Live
    stored: Stored
    now: float


def words(snapshot: Snapshot) -> str:
    """What the service is doing, on one line."""
    account = snapshot.live.account
    return "starting" if account is None else in_words(account)


def ailments(snapshot: Snapshot) -> list[str]:
    """Why the service is not well; empty if it is."""
    return [*_of_service(snapshot.live), *_of_folders(snapshot)]


def _of_service(live: Live) -> Iterator[str]:
    account = live.account
    if live.trouble is not None:
        yield f"the service does nothing now: {live.trouble}"
        return
    if account is None:
        yield "the service is starting"
        return
    yield from (f"no progress: {part}" for part in live.stalled)
    if account["age_seconds"] > live.patience_seconds and not live.stalled:
        yield "no progress: planner"
    if account["unauthorized"]:
        yield f"the collection: {account['last_error']}"
    yield from (f"folder {name}: the watcher does not work" for name in account["unproven"])


def _of_folders(snapshot: Snapshot) -> Iterator[str]:
    if snapshot.live.trouble is not None:
        return
    if snapshot.stored.error is not None:
        yield f"the state file can't be read: {snapshot.stored.error}"
    rows = {folder.row.name: folder.row for folder in snapshot.stored.folders}
    for name in snapshot.live.account["missing"] if snapshot.live.account else ():
        is_known = name in rows and rows[name].state is FolderState.MISSING
        yield f"folder {name} is missing" + (f": {rows[name].reason}" if is_known else "")
    for folder in snapshot.stored.folders:
        name, row = folder.row.name, folder.row
        if folder.counts.held:
            yield (
                f"folder {name}: {images(folder.counts.held)} gone, and held back from deletion"
                f" (snoopsync approve {name})"
            )
        if row.state is FolderState.UNWATCHED:
            yield f"folder {name} is unwatched: {row.reason}"
        # A service that is starting has not scanned yet.
        is_old = snapshot.live.account is not None and not folder.is_scanned(snapshot.now)
        if row.state is FolderState.OK and is_old:
            yield f"folder {name}: the last whole scan is too long ago"


def is_mirrored(folder: FolderStatus, now: float) -> bool:
    """Is everything in it in the collection, as far as is known?"""
    counts = folder.counts
    is_done = not (counts.pending or counts.failed or counts.held)
    return folder.state is FolderState.OK and is_done and folder.is_scanned(now)
