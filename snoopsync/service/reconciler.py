"""When the service compares disk, state and collection as a whole: at the start, and again until it
could be done, and when a folder is back that was away from the start."""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict
from typing import Any

from snoopsync.core.backoff import Backoff
from snoopsync.core.events import Event, log_event
from snoopsync.core.exits import Exit
from snoopsync.core.text import counted
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.sync.components import Components
from snoopsync.sync.resync import Report, Show, resync

log = logging.getLogger("snoopsync.service")

#: The pauses after the collection could not be compared.
COMPARE_BACKOFF = Backoff(base_seconds=60.0, cap_seconds=3600.0)

#: Shows progress while its ``with`` lasts.
Showing = Callable[[], AbstractContextManager[Show]]


class Reconciler:
    """Used by the engine's thread. ``is_done``: was everything compared once? ``trouble``: why it
    could not be, the last time."""

    def __init__(self, components: Components, backoff: Backoff, *, is_done: bool) -> None:
        """``is_done``: it was, before this began."""
        self.is_done = is_done
        self._components = components
        self._not_before = 0.0
        self._backoff = backoff
        self._failures = 0
        self.trouble: str | None = None
        self._uncompared: list[FolderMonitor] = self._missing() if is_done else []

    @property
    def is_due(self) -> bool:
        """Is there something to compare, that can be?"""
        if any(not monitor.is_missing for monitor in self._uncompared):
            # The collection may hold the files of a folder that is back only now.
            self._uncompared = []
            self.is_done = False
            return True
        if self.is_done or time.monotonic() < self._not_before:
            return False
        if self._not_before == 0.0:
            return True
        # The first one after the outage began is waiting for its end.
        components = self._components
        return components.collection.outage is None and components.mirror.sender.is_welcome()

    def run(self, stop: threading.Event, tend: Callable[[], None], showing: Showing) -> None:
        """Compare everything. ``tend`` is called with every step."""
        components = self._components
        with showing() as show:
            report = resync(
                components,
                folders={monitor.folder.name for monitor in components.monitors},
                retry_refused=False,
                stop=stop,
                tend=tend,
                show=show,
            )
        if stop.is_set():
            return
        self.is_done = report.trouble is None
        self._uncompared = self._missing()
        if report.trouble is None:
            _tell(report)
        else:
            self._put_off(report.trouble)
        self.trouble = report.trouble

    def retry_now(self) -> None:
        """Compare at once what could not be compared, without a pause before."""
        self._not_before = min(self._not_before, time.monotonic())
        self._failures = 0

    def _missing(self) -> list[FolderMonitor]:
        return [monitor for monitor in self._components.monitors if monitor.is_missing]

    def _put_off(self, trouble: str) -> None:
        was_said = self._components.mirror.trouble is not None
        if not was_said and trouble != self.trouble:
            log_event(
                log,
                logging.WARNING,
                Event.COMPARISON_FAILED,
                "the collection could not be compared, and is tried again: %s",
                trouble,
                error=trouble,
            )
        self._failures += 1
        self._not_before = time.monotonic() + self._backoff.pause(self._failures, random.random())


def _tell(report: Report) -> None:
    counts = asdict(report.summary)
    # Held deletions, missing folders and failed images are told of by events of their own.
    message = "in order: %s" if report.exit_code == Exit.OK else "compared, not in order: %s"
    log_event(log, logging.INFO, Event.IN_ORDER, message, _describe(counts), **counts)
    if report.orphans:
        log_event(
            log,
            logging.WARNING,
            Event.ORPHANS,
            "%s no file here; they are left alone (snoopsync resync --prune deletes them)",
            counted(report.orphans, "image in the collection has", "images in the collection have"),
            count=report.orphans,
        )


def _describe(summary: dict[str, Any]) -> str:
    parts = [f"{value} {name}" for name, value in summary.items() if value and name != "seconds"]
    return ", ".join(parts) or "nothing there"
