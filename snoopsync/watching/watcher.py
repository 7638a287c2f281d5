"""Watches all folders: with inotify on Linux, with watchdog's own observers elsewhere."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Callable

from snoopsync.core.events import Event, Field, log_event
from snoopsync.core.model import printable
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.counters import Counters
from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.supervision import (
    NO_PERMISSION,
    NOT_FOUND,
    EngineMaker,
    EngineWatch,
    Restart,
)

if sys.platform == "linux":
    from snoopsync.watching.inotify import InotifyEngine as DefaultEngine
else:
    from snoopsync.watching.generic import GenericEngine as DefaultEngine

log = logging.getLogger(__name__)


class _LossLogger:
    """Logs a folder's lost events and unwatched directories: once for each reason, then only
    counts."""

    def __init__(self, name: str, root: bytes, watch: EngineWatch, counters: Counters) -> None:
        self._name = name
        self._root = root
        self._watch = watch
        self._counters = counters
        self._throttle = LogThrottle(log, 1)
        self._overflows = 0
        self._reasons: frozenset[str] = frozenset()

    def look(self, now: float) -> None:
        """Log what was lost since the last call."""
        self._throttle.log_suppressed(now)
        overflows = self._watch.overflows
        if overflows != self._overflows:
            self._counters.overflowed(self._name, overflows - self._overflows)
            self._overflows = overflows
            reason = "the system's queue of events was full"
            self._warn(
                now,
                Event.EVENTS_LOST,
                reason,
                "and some were lost; the folder is scanned (if it happens often, raise"
                " fs.inotify.max_queued_events)",
                reason=reason,
            )
        if self._watch.alive:
            self._look_at_unwatched(now)

    def _look_at_unwatched(self, now: float) -> None:
        unwatched = self._watch.unwatched.items()
        reasons = {why: path for path, why in unwatched if why not in (NO_PERMISSION, NOT_FOUND)}
        for reason in sorted(reasons.keys() - self._reasons):
            path = b"/".join(filter(None, (self._root, reasons[reason])))
            self._warn(
                now,
                Event.UNWATCHED,
                f"directories are not watched: {reason}",
                f"(for example {printable(path)}); they are scanned regularly instead",
                path=os.fsdecode(path),
                reason=reason,
            )
        self._reasons = frozenset(reasons)

    def _warn(self, now: float, event: Event, topic: str, more: str, **keys: Field) -> None:
        topic = f"folder {self._name}: {topic}"
        keys = {"folder": self._name, **keys}
        self._throttle.log(now, topic, logging.WARNING, event, "%s %s", topic, more, **keys)

    def close(self) -> None:
        """Log the counts of suppressed messages."""
        self._throttle.close()


class Watcher:
    """Watches folders. Used by one thread.

    ``wake`` is called from any thread when hints are waiting; it must return at once. A test event
    is made every ``canary_interval`` seconds. ``counters`` counts lost events.
    """

    def __init__(
        self,
        wake: Callable[[], None],
        *,
        make_engine: EngineMaker = DefaultEngine,
        canary_interval: float = 30.0,
        counters: Counters | None = None,
    ) -> None:
        self._wake = wake
        self._make_engine = make_engine
        self._canary_interval = canary_interval
        self._counters = counters or Counters()
        self._watches: dict[str, EngineWatch] = {}
        self._losses: dict[str, _LossLogger] = {}

    def watch(self, name: str, root: bytes) -> HintSource:
        """Begin to watch this folder, following a symbolic link. No directory is covered yet.

        This raises no error. A folder that can't be watched is in ``unwatched``, and ``check``
        tries again.
        """
        self.unwatch(name)
        watch = EngineWatch(name, root, self._wake, self._make_engine, self._canary_interval)
        self._watches[name] = watch
        self._losses[name] = _LossLogger(name, root, watch, self._counters)
        return watch

    def unwatch(self, name: str) -> None:
        """Stop watching the folder of this name, if it is watched."""
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.stop()
            self._losses.pop(name).close()

    def check(self, now: float) -> list[Restart]:
        """Replace engines that do not work, and log lost events. Call this about every second.

        Returns the replacements. The next hint of such a folder is ``everything``. ``now`` is
        monotonic seconds. The 1st, 2nd, 4th, 8th... replacement for a folder is logged.
        """
        restarts = [restart for each in self._watches.values() if (restart := each.check(now))]
        for restart in restarts:
            if restart.count.bit_count() == 1:
                log_event(
                    log,
                    logging.WARNING,
                    Event.WATCHER_RESTARTED,
                    "watching %s failed: %s. The watcher was restarted, and the folder is scanned"
                    " (time %d)",
                    *(restart.folder, restart.reason, restart.count),
                    folder=restart.folder,
                    reason=restart.reason,
                    restarts=restart.count,
                )
        for losses in self._losses.values():
            losses.look(now)
        if restarts:
            self._wake()
        return restarts

    def stop(self) -> None:
        """End all threads."""
        for name in list(self._watches):
            self.unwatch(name)
