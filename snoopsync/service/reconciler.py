"""Decides when the service runs a full resync: at the start, again until one has succeeded, and
when a folder returns that was missing in the last one."""

from __future__ import annotations

import logging
import random
import time
from contextlib import ExitStack
from dataclasses import asdict
from typing import Any

from snoopsync.core.backoff import Backoff
from snoopsync.core.events import Event, log_event
from snoopsync.core.text import counted
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.service.environment import Showing
from snoopsync.sync.engine import SyncEngine
from snoopsync.sync.resync import ResyncRequest, ResyncRun
from snoopsync.sync.resync_report import ResyncReport

log = logging.getLogger("snoopsync.service")


class Reconciler:
    """Runs the service's own resyncs. Used by the engine's thread. ``is_done``: everything was
    compared once. ``trouble``: why the last resync failed, or ``None``."""

    def __init__(
        self, engine: SyncEngine, showing: Showing, backoff: Backoff, *, is_done: bool
    ) -> None:
        """``is_done``: everything was compared before this service began. ``backoff``: the pauses
        after failures."""
        self.is_done = is_done
        self.trouble: str | None = None
        self._engine = engine
        self._showing = showing
        self._backoff = backoff
        self._failures = 0
        self._not_before = 0.0
        self._uncompared: list[FolderMonitor] = self._missing() if is_done else []
        self._run: ResyncRun | None = None
        self._display = ExitStack()

    def begin_if_due(self) -> None:
        """Begin a resync if one is due. The engine must not be running one."""
        if self._is_due():
            folders = [monitor.folder.name for monitor in self._engine.monitors]
            request = ResyncRequest(folders, retry_refused=False)
            self._run = self._engine.begin_resync(request)
            self._show = self._display.enter_context(self._showing())

    def follow(self) -> None:
        """Show the progress, and note the end of a resync. Called after each step of the engine."""
        run = self._run
        if run is None:
            return
        if run.progress is not None:
            self._show(run.progress)
        if run.is_over:
            self.close()
        if run.report is not None:
            self._note(run.report)

    def close(self) -> None:
        """Stop showing progress."""
        self._run = None
        self._display.close()

    def retry_now(self) -> None:
        """Do not wait any longer for the next attempt."""
        self._not_before = min(self._not_before, time.monotonic())
        self._failures = 0

    def _is_due(self) -> bool:
        if any(not monitor.is_missing for monitor in self._uncompared):
            # The collection may already have the images of a folder that has just returned.
            self._uncompared = []
            self.is_done = False
            return True
        if self.is_done or time.monotonic() < self._not_before:
            return False
        if self._not_before == 0.0:
            return True
        # After the first attempt, wait for the end of an outage.
        return self._engine.collection.outage is None and self._engine.sender.can_send()

    def _missing(self) -> list[FolderMonitor]:
        return [monitor for monitor in self._engine.monitors if monitor.is_missing]

    def _note(self, report: ResyncReport) -> None:
        self.is_done = report.trouble is None
        self._uncompared = self._missing()
        if report.trouble is None:
            watched = len(self._engine.monitors) - len(self._uncompared)
            _log_done(report, watched)
        else:
            self._schedule_retry(report.trouble)
        self.trouble = report.trouble

    def _schedule_retry(self, trouble: str) -> None:
        was_logged = self._engine.trouble is not None
        if not was_logged and trouble != self.trouble:
            log_event(
                log,
                logging.WARNING,
                Event.COMPARISON_FAILED,
                "the folders could not be compared with the collection; this will be retried: %s",
                trouble,
                error=trouble,
            )
        self._failures += 1
        self._not_before = time.monotonic() + self._backoff.pause(self._failures, random.random())


def _log_done(report: ResyncReport, watched: int) -> None:
    """Log the result, and that the service goes on: with how many folders that are not missing."""
    counts = asdict(report.summary)
    # Held deletions, missing folders and failed images have their own events.
    result = "sync complete" if report.is_complete else "sync complete, with problems"
    what, folders = _describe(counts), counted(watched, "folder")
    message = "%s: %s; watching %s for changes"
    log_event(log, logging.INFO, Event.IN_ORDER, message, result, what, folders, **counts)
    if report.orphans:
        log_event(
            log,
            logging.WARNING,
            Event.ORPHANS,
            "%s no file here; they are kept (to delete them: snoopsync resync --prune)",
            counted(report.orphans, "image in the collection has", "images in the collection have"),
            count=report.orphans,
        )


def _describe(summary: dict[str, Any]) -> str:
    parts = [f"{value} {name}" for name, value in summary.items() if value and name != "seconds"]
    return ", ".join(parts) or "no images"
