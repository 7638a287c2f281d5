"""Reads snapshots inside the service, without waiting for its other threads."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace

from snoopsync.config.settings import Config
from snoopsync.control.report import ServiceView
from snoopsync.core.errors import StateError
from snoopsync.runtime.clock import Clock
from snoopsync.state.database import Database
from snoopsync.state.images import Counts, State
from snoopsync.state.pairs import Pairs
from snoopsync.state.schedule import read_schedule
from snoopsync.status.health import Snapshot, StoredStatus, is_mirrored
from snoopsync.status.model import folder_status, scan_age

#: How long to reuse a result: counting 100,000 images takes 0.1 s.
_FRESH_SECONDS = 5.0

#: How long to wait for another thread that is reading. Threads must not pile up on a disk that
#: hangs.
_READING_SECONDS = 2.0


class SnapshotReader:
    """Reads the state file on a separate connection, and the live state of the service. For any
    thread."""

    def __init__(self, config: Config, view: Callable[[], ServiceView]) -> None:
        self._config = config
        self._view = view
        self._lock = threading.Lock()
        self._stored = StoredStatus()
        self._read_at = float("-inf")
        self._mirrored_at: dict[str, float] = {}

    def take(self, config: Config) -> None:
        """Use this configuration from now on."""
        self._config = config
        self._read_at = float("-inf")

    def look(self) -> Snapshot:
        """The current snapshot."""
        service = self._view()
        if service.trouble is not None:
            # Keep no file open on a file system that must be repaired.
            return Snapshot(service, StoredStatus(error=service.trouble), time.time())
        return Snapshot(service, _aged(self._stored_now(service), service), time.time())

    def mirrored_at(self, folder: str) -> float:
        """When the folder was last completely mirrored, in Unix time, or 0 if not since the
        start."""
        return self._mirrored_at.get(folder, 0.0)

    def _stored_now(self, service: ServiceView) -> StoredStatus:
        if not self._lock.acquire(timeout=_READING_SECONDS):
            return StoredStatus(error="another thread is still reading it")
        try:
            if time.monotonic() >= self._read_at + _FRESH_SECONDS:
                self._stored = self._read(self._config)
                self._read_at = time.monotonic()
                self._note(_aged(self._stored, service))
            return self._stored
        finally:
            self._lock.release()

    def _read(self, config: Config) -> StoredStatus:
        try:
            with closing(Database(config.state, readonly=True)) as database:
                state = State(database)
                counts = state.counts()
                folders = tuple(
                    folder_status(config, row, counts.get(row.name, Counts()))
                    for row in state.folders.rows()
                    if row.configured
                )
                due = state.intents.count_due(read_schedule(state, Clock()).now())
                return StoredStatus(folders, Pairs(database).count_open(), due)
        except StateError as error:
            return StoredStatus(error=str(error))

    def _note(self, stored: StoredStatus) -> None:
        now = time.time()
        for folder in stored.folders:
            if is_mirrored(folder, now):
                self._mirrored_at[folder.row.name] = now


def _aged(stored: StoredStatus, service: ServiceView) -> StoredStatus:
    """The stored status, with the scan ages from the service's last report, which is newer than the
    file."""
    folders = (
        replace(folder, scan_age_seconds=scan_age(service.report, folder.row.name))
        for folder in stored.folders
    )
    return replace(stored, folders=tuple(folders))
