"""Watches folders: the interface that the mirror uses.

On Linux with inotify, elsewhere with what watchdog has; a folder whose file system raises no events
that one could rely on has a ``PollWatch``. The mirror treats them all alike.
"""

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
    NOT_THERE,
    EngineMaker,
    EngineWatch,
    Restart,
)

if sys.platform == "linux":
    from snoopsync.watching.inotify import InotifyEngine as DefaultEngine
else:
    from snoopsync.watching.generic import GenericEngine as DefaultEngine

log = logging.getLogger(__name__)


class _Losses:
    """Says which events of a folder are lost, and what can't be watched: once, then it counts."""

    def __init__(self, name: str, root: bytes, watch: EngineWatch, counters: Counters) -> None:
        self._name = name
        self._root = root
        self._watch = watch
        self._counters = counters
        self._throttle = LogThrottle(log, 1)
        self._overflows = 0
        self._reasons: frozenset[str] = frozenset()

    def look(self, now: float) -> None:
        """Say what is new."""
        self._throttle.tell_counts(now)
        overflows = self._watch.overflows
        if overflows != self._overflows:
            self._counters.overflowed(self._name, overflows - self._overflows)
            self._overflows = overflows
            reason = "the system's queue of events was full"
            self._say(
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
        reasons = {why: path for path, why in unwatched if why not in (NO_PERMISSION, NOT_THERE)}
        for reason in sorted(reasons.keys() - self._reasons):
            path = b"/".join(filter(None, (self._root, reasons[reason])))
            self._say(
                now,
                Event.UNWATCHED,
                f"directories are not watched: {reason}",
                f"({printable(path)} for one; they are looked at now and then instead)",
                path=os.fsdecode(path),
                reason=reason,
            )
        self._reasons = frozenset(reasons)

    def _say(self, now: float, event: Event, topic: str, more: str, **keys: Field) -> None:
        topic = f"folder {self._name}: {topic}"
        keys = {"folder": self._name, **keys}
        self._throttle.say(now, topic, logging.WARNING, event, "%s %s", topic, more, **keys)

    def close(self) -> None:
        """Say what was only counted."""
        self._throttle.close()


class Watcher:
    """Watches folders. Every method is for one and the same thread.

    ``wake`` is called from any thread when hints are waiting; it must return at once. The canary
    is set off every ``canary_interval`` seconds. ``counters`` counts the events that are lost.
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
        self._losses: dict[str, _Losses] = {}

    def watch(self, name: str, root: bytes) -> HintSource:
        """Start to watch this folder; a symlink is followed. Nothing is covered yet.

        Does not raise: a folder that can't be watched says so in ``unwatched``, and is tried
        again by ``check``.
        """
        self.unwatch(name)
        watch = EngineWatch(name, root, self._wake, self._make_engine, self._canary_interval)
        self._watches[name] = watch
        self._losses[name] = _Losses(name, root, watch, self._counters)
        return watch

    def unwatch(self, name: str) -> None:
        """Stop to watch the folder of this name, if it is watched."""
        watch = self._watches.pop(name, None)
        if watch is not None:
            watch.stop()
            self._losses.pop(name).close()

    def check(self, now: float) -> list[Restart]:
        """Replace what does not work, and say what is lost; to be called every second or so.

        Returns what was replaced; such a folder's next hints are ``everything``. ``now`` is in
        seconds, on a monotonic clock. The log has the 1st, 2nd, 4th, 8th... time of each folder.
        """
        restarts = [restart for each in self._watches.values() if (restart := each.check(now))]
        for restart in restarts:
            if restart.count.bit_count() == 1:
                log_event(
                    log,
                    logging.WARNING,
                    Event.WATCHER_RESTARTED,
                    "watching %s failed: %s. It was started anew, and the folder will be scanned"
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
