"""Reads the status: from a running service, or else from the folders and the collection."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from contextlib import closing

from snoopsync.config.settings import Config
from snoopsync.control.channel import ask, socket_path
from snoopsync.control.report import ServiceReport
from snoopsync.core.errors import (
    CollectionError,
    NotFound,
    ServiceUnavailable,
    Unauthorized,
    UnsafeDirectory,
)
from snoopsync.core.protocol import ImageCollection, Renewable
from snoopsync.folders.configured import monitors_of
from snoopsync.folders.ownership import owner_of
from snoopsync.runtime.owned_directory import require_own
from snoopsync.runtime.writability import why_unwritable
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.groups import count_groups
from snoopsync.state.images import Counts, State
from snoopsync.state.lock import holder
from snoopsync.state.pairs import Pairs
from snoopsync.state.reading import readable, scratch
from snoopsync.state.searches import Searches
from snoopsync.status.model import (
    CollectionStatus,
    ServiceStatus,
    Status,
    folder_status,
    scan_age,
)
from snoopsync.sync.components import embedded_path, opened_collection
from snoopsync.sync.resync import COLLECTION_FACT

#: How long to wait for the service's response.
_SERVICE_TIMEOUT_SECONDS = 3.0

#: A report has a few kilobytes, and more with very many folders.
_MAX_REPORT_BYTES = 16 << 20

#: How long to wait for the collection's response.
_COLLECTION_TIMEOUT_SECONDS = 5.0


def read_status(config: Config) -> Status:
    """Read the status without changing anything. Raises ``StateError``."""
    service = service_status(config)
    if service.is_running:
        # A running service has checked the state file, and keeps the file up to date.
        with readable(config.state) as database, database.read_transaction():
            rows = [row for row in State(database).folders.rows() if row.configured]
            order = {folder.name: number for number, folder in enumerate(config.folders)}
            rows.sort(key=lambda row: order.get(row.name, len(order)))
            return _status(config, service, database, rows, {})
    # Without a service, scan the folders, and check whether the state directory is writable.
    require_own(config.state.parent)
    with closing(scratch(config.state, proven=True)) as database:
        rows, differing = _scan_folders(config, State(database))
        return _status(config, service, database, rows, differing)


def _status(
    config: Config,
    service: ServiceStatus,
    database: Database,
    rows: Sequence[FolderRow],
    differing: Mapping[str, int],
) -> Status:
    """``differing``: for each folder, the number of files that differ from the state."""
    state = State(database)
    counts = state.counts()
    folders = tuple(
        folder_status(
            config,
            row,
            counts.get(row.name, Counts()),
            differing.get(row.name, 0),
            scan_age(service.report, row.name),
        )
        for row in rows
    )
    return Status(
        service,
        _collection_status(config, state, service),
        folders,
        Pairs(database).count_open(),
        time.time(),
        why_unwritable(config.state, trying=not service.is_running),
        Searches(database).count_due(),
        count_groups(database),
        tuple(state.formats.refused()),
    )


def service_status(config: Config) -> ServiceStatus:
    """The status of the service that holds the state file, if there is one."""
    pid = holder(config.state)
    if pid is None:
        return ServiceStatus()
    try:
        limits = _SERVICE_TIMEOUT_SECONDS, _MAX_REPORT_BYTES
        answers = list(ask(config.state, {"command": "status"}, *limits))
    except ServiceUnavailable:
        answers = []
        if not socket_path(config.state).exists():
            return ServiceStatus(command_pid=pid)
    last = answers[-1] if answers else {}
    report = ServiceReport.from_message(last["result"]) if "result" in last else None
    return ServiceStatus(pid, report, trouble=last.get("error"))


def _scan_folders(config: Config, state: State) -> tuple[list[FolderRow], dict[str, int]]:
    """Scan the folders. Returns their rows, and for each the number of files that differ from the
    state."""
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


def _collection_status(config: Config, state: State, service: ServiceStatus) -> CollectionStatus:
    endpoint = config.collection.endpoint
    known_id = state.fact(COLLECTION_FACT)
    report = service.report
    if report is not None:
        return CollectionStatus(
            endpoint,
            known_id,
            report.reachable,
            report.last_error,
            report.unauthorized,
        )
    if config.collection.embedded and not embedded_path(config.state).exists():
        if known_id is None:
            return CollectionStatus(endpoint, None, True, None)  # the first run creates it
        error = f"{embedded_path(config.state)} is missing (snoopsync resync creates it again)"
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
        return 0  # the collection does not support this
