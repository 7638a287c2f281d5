"""Is everything mirrored, and if not, what and why? The answer counts as yes only when proven."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from snoopsync.config.settings import Config
from snoopsync.control.channel import Message, ask, socket_path
from snoopsync.control.report import sending
from snoopsync.core.errors import (
    CollectionError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
    UnsafeDirectory,
)
from snoopsync.core.exits import Exit
from snoopsync.core.left_out import totals
from snoopsync.core.model import FolderState
from snoopsync.core.protocol import ImageCollection, Renewable
from snoopsync.core.retiring import FOLDER_GONE
from snoopsync.core.text import images, iso
from snoopsync.folders.configured import monitors_of
from snoopsync.folders.ownership import owner_of
from snoopsync.runtime.liveness import SendProgress
from snoopsync.runtime.owned_directory import require_own
from snoopsync.runtime.writability import why_unwritable
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import Counts, State
from snoopsync.state.lock import holder
from snoopsync.state.pairs import Pairs
from snoopsync.state.reading import readable, scratch
from snoopsync.sync.components import COLLECTION_FACT, embedded_path, opened_collection

#: How old the service's own account of itself may be. It is renewed every second.
_SERVICE_AGE_SECONDS = 15.0

#: How long to wait for its answer.
_SERVICE_PATIENCE_SECONDS = 3.0

#: What a service says of itself has a few kilobytes, and more with very many folders.
_LONGEST_ACCOUNT_BYTES = 16 << 20

#: How long to wait for the collection's.
_COLLECTION_TIMEOUT_SECONDS = 5.0

#: How late a scan may be, beyond its interval.
_SCAN_GRACE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class FolderStatus:
    """One folder, counted. ``scan_limit_seconds``: how old its last whole scan may be.
    ``scan_age_seconds``: for how long the machine has been awake since then, if the service tells:
    the wall clock may have been set since, and nothing changes during a suspend."""

    row: FolderRow
    counts: Counts
    state: FolderState
    scan_limit_seconds: float
    scan_age_seconds: float | None = None

    def is_scanned(self, now: float) -> bool:
        """Was all of it looked through, not too long ago? ``now`` is Unix time, for where no
        service tells."""
        if self.row.last_scan is None:
            return False
        age = self.scan_age_seconds
        return (now - self.row.last_scan if age is None else age) <= self.scan_limit_seconds


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """The service. ``account`` is what it says of itself, ``None`` if it doesn't answer.
    ``command_pid``: a command that holds the state file instead of a service. ``trouble``: what
    keeps the service from its work."""

    pid: int | None = None
    account: Message | None = None
    command_pid: int | None = None
    trouble: str | None = None

    @property
    def is_running(self) -> bool:
        """Is there a service that holds the state file?"""
        return self.pid is not None

    @property
    def answers(self) -> bool:
        """Does the service know how it is now?"""
        return self.account is not None and self.account["age_seconds"] <= _SERVICE_AGE_SECONDS


@dataclass(frozen=True, slots=True)
class CollectionStatus:
    """The collection, and whether it answered when it was last asked. ``is_another``: it is not
    the one that the state file is about. ``to_renew``: how many images of ours an older version of
    it has described."""

    endpoint: str
    id: str | None
    reachable: bool
    last_error: str | None
    unauthorized: bool = False
    is_another: bool = False
    to_renew: int = 0


@dataclass(frozen=True, slots=True)
class Status:
    """All of it, as of ``now`` (Unix time). ``obstacle``: what keeps the state file from being
    written, so that what is missing can't be mirrored. ``to_compare``: images that are in the
    collection, and not searched for duplicates yet."""

    service: ServiceStatus
    collection: CollectionStatus
    folders: tuple[FolderStatus, ...]
    duplicates_open: int
    now: float
    obstacle: str | None = None
    to_compare: int = 0

    def reasons(self) -> list[str]:
        """Why it can't be said that everything is mirrored; empty if it can."""
        found = [*self._service_reasons(), *self._collection_reasons(), *self._folder_reasons()]
        if found and self.obstacle is not None and self.service.trouble is None:
            found.append(f"the state file can't be written: {self.obstacle}")
        return found

    def _service_reasons(self) -> Iterator[str]:
        account = self.service.account
        if self.service.trouble is not None:
            yield f"the service does nothing now: {self.service.trouble}"
            return
        if self.service.command_pid is not None:
            yield f"a resync is under way (process {self.service.command_pid})"
        if not self.service.is_running:
            return
        if account is None or not self.service.answers:
            yield f"the service (process {self.service.pid}) does not answer"
            return
        if not account["reconciled"]:
            # Why it can't be reached is said of the collection.
            error = account["last_error"] if account["reachable"] else None
            yield (
                "the collection has not been compared with the folders since the service started"
                + (f": {error}" if error else "")
            )
        if account["looking"]:
            yield "the service is looking at the folders"
        if account["unsettled"]:
            yield f"{images(account['unsettled'])} changed just now"
        if account["in_flight"]:
            yield f"{images(account['in_flight'])} on the way to the collection"
        for part in account["stalled"]:
            yield f"no progress: {part}"
        for name in account["unproven"]:
            yield f"folder {name}: the watcher does not work"

    def _collection_reasons(self) -> Iterator[str]:
        if not self.collection.reachable or self.collection.unauthorized:
            yield f"the collection: {self.collection.last_error or 'it does not answer'}"
        if self.collection.is_another:
            yield "this is another collection than before, and has not been compared yet"

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
            if counts.failed:
                yield (
                    f"folder {name}: {images(counts.failed)} failed (snoopsync list --state failed)"
                )
            if counts.held:
                yield (
                    f"folder {name}: {images(counts.held)} gone, and held back from deletion"
                    f" (snoopsync list --state held, snoopsync approve {shlex.quote(name)})"
                )
            if not folder.is_scanned(self.now):
                yield f"folder {name}: the last whole scan is too long ago"

    @property
    def to_renew(self) -> int:
        """How many images are still described by an older version of the collection. They are in
        the collection all the same."""
        account = self.service.account
        return self.collection.to_renew if account is None else int(account.get("to_renew", 0))

    @property
    def exit_code(self) -> Exit:
        """The command's exit code."""
        if self.service.trouble is not None:
            return Exit.BUG
        if self.collection.unauthorized:
            return Exit.UNAUTHORIZED
        if not self.collection.reachable:
            return Exit.UNREACHABLE
        if any(folder.state in (FolderState.MISSING, FolderState.HELD) for folder in self.folders):
            return Exit.HELD_OR_MISSING
        return Exit.IMAGES_FAILED if self.reasons() else Exit.OK

    @property
    def doing(self) -> str | None:
        """What the service is sending: how far it is, how fast, and how long that will take."""
        return sending(self.service.account or {}) if self._progress else None

    @property
    def _progress(self) -> SendProgress | None:
        account = self.service.account
        if account is None or account["progress"] is None or not self.collection.reachable:
            return None
        if not any(folder.counts.pending for folder in self.folders):
            return None  # the last of it was sent since the service gave its account
        return None if self.collection.unauthorized else SendProgress(**account["progress"])

    def as_message(self) -> dict[str, Any]:
        """The status as ``--json`` has it."""
        account = self.service.account or {}
        reasons, progress = self.reasons(), self._progress
        return {
            "in_sync": not reasons,
            "reasons": reasons,
            "service": {
                "running": self.service.is_running,
                "pid": self.service.pid,
                "version": account.get("version"),
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
            "progress": progress and progress.as_message(),
            # Only after an upgrade, until it is done.
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


def read_status(config: Config) -> Status:
    """Look at everything: the service, if one runs, else the folders and the collection
    themselves. Nothing is changed. Raises ``StateError``."""
    service = service_status(config)
    if service.is_running:
        # What a service has open, it has checked, and it writes there what it sees.
        with readable(config.state) as database, database.read_transaction():
            rows = [row for row in State(database).folders.rows() if row.configured]
            names = [folder.name for folder in config.folders]
            rows.sort(key=lambda row: names.index(row.name) if row.name in names else len(names))
            return _status(config, service, database, rows, {})
    # Without a service, whether the state file can be written is tried out.
    require_own(config.state.parent)
    with closing(scratch(config.state, proven=True)) as database:
        rows, differing = _look(config, State(database))
        return _status(config, service, database, rows, differing)


def _status(
    config: Config,
    service: ServiceStatus,
    database: Database,
    rows: Sequence[FolderRow],
    differing: Mapping[str, int],
) -> Status:
    """``differing``: how many files of each folder differ from what is known."""
    state, pairs = State(database), Pairs(database)
    counts = state.counts()
    folders = tuple(
        folder_status(
            config,
            row,
            counts.get(row.name, Counts()),
            differing.get(row.name, 0),
            scan_age(service.account, row.name),
        )
        for row in rows
    )
    return Status(
        service,
        _collection_status(config, state, service),
        folders,
        pairs.count_open(),
        time.time(),
        why_unwritable(config.state, trying=not service.is_running),
        pairs.count_due(),
    )


def service_status(config: Config) -> ServiceStatus:
    """Ask the service that holds the state file, if one does."""
    pid = holder(config.state)
    if pid is None:
        return ServiceStatus()
    try:
        question = {"command": "status"}
        limits = _SERVICE_PATIENCE_SECONDS, _LONGEST_ACCOUNT_BYTES
        answers = list(ask(config.state, question, *limits))
    except ServiceUnavailable:
        answers = []
        if not socket_path(config.state).exists():
            return ServiceStatus(command_pid=pid)
    last = answers[-1] if answers else {}
    return ServiceStatus(pid, last.get("result"), trouble=last.get("error"))


def _look(config: Config, state: State) -> tuple[list[FolderRow], dict[str, int]]:
    """Nobody watches, so what is true now only a look at the folders can say: their rows, and how
    many files differ from what is known."""
    differing: dict[str, int] = {}
    monitors = monitors_of(config, state)
    for monitor in monitors:
        monitor.update(time.monotonic())
        rel_paths = set()
        while monitor.is_busy:
            rel_paths |= {
                rel_path for rel_path, _ in monitor.differences(time.monotonic() + 1.0, 0.0)
            }
        monitor.refresh_row()
        pending = set(state.intents.dirty_paths(monitor.folder.name))
        differing[monitor.folder.name] = len(rel_paths - pending)
    return [monitor.row for monitor in monitors], differing


def scan_age(account: Message | None, folder: str) -> float | None:
    """``FolderStatus.scan_age_seconds``, by the service's account."""
    age: float | None = (account or {}).get("scan_ages", {}).get(folder)
    return None if account is None or age is None else age + float(account["age_seconds"])


def folder_status(
    config: Config,
    row: FolderRow,
    counts: Counts,
    differing: int = 0,
    scan_age_seconds: float | None = None,
) -> FolderStatus:
    """How a folder is; ``differing``: so many files of it differ from what is known."""
    counts = replace(counts, pending=counts.pending + differing)
    state = row.state
    if counts.held and state is not FolderState.MISSING:
        state = FolderState.HELD
    by_name = {folder.name: folder for folder in config.folders}
    interval = config.sync.rescan_interval_seconds
    if row.watch == "poll" and row.name in by_name:
        interval = by_name[row.name].poll_interval_seconds
    limit = 1.5 * interval + _SCAN_GRACE_SECONDS
    return FolderStatus(row, counts, state, limit, scan_age_seconds)


def _collection_status(config: Config, state: State, service: ServiceStatus) -> CollectionStatus:
    endpoint = config.collection.endpoint
    known_id = state.fact(COLLECTION_FACT)
    account = service.account
    if account is not None:
        return CollectionStatus(
            endpoint,
            known_id,
            account["reachable"],
            account["last_error"],
            account["unauthorized"],
        )
    if config.collection.embedded and not embedded_path(config.state).exists():
        if known_id is None:
            return CollectionStatus(endpoint, None, True, None)  # made when it is needed
        error = f"{embedded_path(config.state)} is gone (snoopsync resync makes it anew)"
        return CollectionStatus(endpoint, known_id, False, error)
    try:
        with opened_collection(config, timeout_seconds=_COLLECTION_TIMEOUT_SECONDS) as collection:
            is_another = known_id not in (None, collection.id)
            to_renew = _count_outdated(collection, owner_of(config.collection, state))
            return CollectionStatus(
                endpoint, collection.id, True, None, is_another=is_another, to_renew=to_renew
            )
    except Unauthorized as refusal:
        return CollectionStatus(endpoint, known_id, True, str(refusal), unauthorized=True)
    except (CollectionError, UnsafeDirectory) as failure:
        return CollectionStatus(endpoint, known_id, False, str(failure))


def _count_outdated(collection: ImageCollection, owner: str) -> int:
    if not isinstance(collection, Renewable):
        return 0
    try:
        return collection.outdated(owner)["total"] or 0
    except NotFound:
        return 0  # it does not tell
