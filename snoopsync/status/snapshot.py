"""How things are, read beside the service: its own threads are never waited for."""

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
from snoopsync.status.health import Snapshot, Stored, is_mirrored
from snoopsync.status.status import folder_status, scan_age

#: What was read is good for so long: to count 100,000 images takes 0.1 s.
_FRESH_SECONDS = 5.0

#: How long to wait for another thread's reading. A disk that hangs must not gather threads.
_READING_SECONDS = 2.0


class SnapshotReader:
    """Reads the state file on a connection of its own, and what the service shows. For any
    thread."""

    def __init__(self, config: Config, view: Callable[[], ServiceView]) -> None:
        self._config = config
        self._view = view
        self._lock = threading.Lock()
        self._stored = Stored()
        self._read_at = float("-inf")
        self._mirrored_at: dict[str, float] = {}

    def take(self, config: Config) -> None:
        """From now on it is about this configuration."""
        self._config = config
        self._read_at = float("-inf")

    def look(self) -> Snapshot:
        """How things are now."""
        service = self._view()
        if service.trouble is not None:
            # Nothing may be open on a file system that has to be repaired.
            return Snapshot(service, Stored(error=service.trouble), time.time())
        return Snapshot(service, _aged(self._stored_now(service), service), time.time())

    def mirrored_at(self, folder: str) -> float:
        """When the folder was last seen to be wholly mirrored (Unix time); 0 if it was not, since
        this began."""
        return self._mirrored_at.get(folder, 0.0)

    def _stored_now(self, service: ServiceView) -> Stored:
        if not self._lock.acquire(timeout=_READING_SECONDS):
            return Stored(error="it is still being read")
        try:
            if time.monotonic() >= self._read_at + _FRESH_SECONDS:
                self._stored = self._read(self._config)
                self._read_at = time.monotonic()
                self._note(_aged(self._stored, service))
            return self._stored
        finally:
            self._lock.release()

    def _read(self, config: Config) -> Stored:
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
                return Stored(folders, Pairs(database).count_open(), due)
        except StateError as error:
            return Stored(error=str(error))

    def _note(self, stored: Stored) -> None:
        now = time.time()
        for folder in stored.folders:
            if is_mirrored(folder, now):
                self._mirrored_at[folder.row.name] = now


def _aged(stored: Stored, service: ServiceView) -> Stored:
    """With the ages of the scans by the service's last report: what was read is older."""
    folders = (
        replace(folder, scan_age_seconds=scan_age(service.report, folder.row.name))
        for folder in stored.folders
    )
    return replace(stored, folders=tuple(folders))
