"""The engine's thread: a loop that runs the engine and everything that uses it.

Each iteration begins a full resync if one is due, steps the engine, checks the watcher, carries out
commands, and publishes a report. An iteration never waits for the network.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import suppress

from snoopsync.control.report import LatestReport, ServiceReport
from snoopsync.core.errors import StateError, Stopped, Unauthorized
from snoopsync.core.events import Event, log_event
from snoopsync.decoding.decoders import shared
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Jump, JumpDetector
from snoopsync.runtime.liveness import SendProgress, SendProgressTracker
from snoopsync.service.command_handlers import CommandHandlers
from snoopsync.service.environment import Environment, Showing
from snoopsync.service.reconciler import Reconciler
from snoopsync.service.search_thread import SearchThread
from snoopsync.status.review_data import ReviewData
from snoopsync.sync.components import Components
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: How long the running requests may take to end when the service stops, in seconds.
SHUTDOWN_SECONDS = 4.0

_WATCHER_CHECK_SECONDS = 1.0

#: How many suspends or clock changes are logged. Further ones are only counted.
_MAX_LOGGED = 5

_JUMPS = "the machine was suspended, or its clock was set"


class EngineThread:
    """The work of the engine's thread. The main thread sets ``stalled`` to the parts that make no
    progress."""

    def __init__(
        self,
        components: Components,
        watcher: Watcher,
        environment: Environment,
        stop: threading.Event,
        search: SearchThread,
        *,
        reconciled: bool,
    ) -> None:
        self.latest = LatestReport()
        self.stalled: tuple[str, ...] = ()
        self.hands_over = False
        self._components = components
        self._engine = components.engine
        self._watcher = watcher
        self._environment = environment
        self._stop = stop
        self._search = search
        self._reconciled_before = reconciled
        self._review = ReviewData(components.config)
        self.commands = CommandHandlers(self._engine, self.latest, stop, self._review)
        self._reconciler: Reconciler | None = None
        self._jumps = JumpDetector(self._engine.clock)
        self._throttle = LogThrottle(log, _MAX_LOGGED)
        self._activity = SendProgressTracker()
        self._progress: SendProgress | None = None
        self._next_check = 0.0
        self._is_ready = False

    @property
    def reconciled(self) -> bool:
        """Whether everything was compared once."""
        return self._reconciled_before if self._reconciler is None else self._reconciler.is_done

    def run(self, showing: Showing) -> None:
        """Work until ``stop`` is set. If this service hands over to another one, first wait until
        no thread of the engine is working."""
        engine = self._engine
        self._reconciler = reconciler = Reconciler(
            engine,
            showing,
            self._environment.timing.resync_backoff,
            is_done=self._reconciled_before,
        )
        error: StateError | None = None
        try:
            with suppress(Stopped):
                while not self._stop.is_set():
                    if not engine.is_resyncing:
                        reconciler.begin_if_due()
                    if not engine.is_resyncing:
                        self.commands.begin_resync()
                    self._iterate(reconciler)
                    engine.wait()
            reconciler.close()
            self.commands.close()
            while self.hands_over and engine.has_requests and not self._environment.signals.stop:
                self._iterate(reconciler)
                engine.wait()
        except StateError as raised:
            error = raised
            raise
        finally:
            reconciler.close()
            self.commands.close(error)
            self._review.close()
            self._throttle.close()
            if not engine.close(SHUTDOWN_SECONDS):
                message = "some requests did not end in time, and are sent again at the next start"
                count = engine.in_flight
                log_event(log, logging.WARNING, Event.REQUESTS_ABANDONED, message, count=count)

    def _iterate(self, reconciler: Reconciler) -> None:
        self._engine.step()
        now = time.monotonic()
        jump = self._jumps.look()
        if jump is not None:
            self._after_jump(jump, now, reconciler)
        self._throttle.log_suppressed(now)
        if now >= self._next_check:
            self._check(now)
        self.commands.handle()
        self.commands.follow_resync()
        reconciler.follow()
        self._publish_report(reconciler)
        if not self._is_ready:
            # The folders are watched, and the first resync has begun.
            self._is_ready = True
            self._environment.systemd.ready()

    def _check(self, now: float) -> None:
        self._watcher.check(now)
        self._environment.require_state()
        engine = self._engine
        left = engine.state.intents.count_due(engine.schedule.now()) + engine.unsettled
        self._progress = self._activity.look(engine.sender.completed, left, now)
        is_proven = all(monitor.watch.proven for monitor in engine.monitors)
        self._next_check = now + (_WATCHER_CHECK_SECONDS if is_proven else 0.0)

    def _after_jump(self, jump: Jump, now: float, reconciler: Reconciler) -> None:
        """Scan all folders, because no event reports what happened on a network share or another
        disk meanwhile. Also retry at once what waits for its next attempt."""
        self._throttle.log(
            now,
            _JUMPS,
            logging.INFO,
            Event.CLOCK_JUMPED,
            "%s: scanning all folders",
            jump,
            suspended=round(jump.suspended, 3),
            stepped=round(jump.stepped, 3),
        )
        for monitor in self._engine.monitors:
            monitor.scan()
        self._engine.sender.retry_now()
        reconciler.retry_now()
        self._search.retry_now()

    def _publish_report(self, reconciler: Reconciler) -> None:
        engine = self._engine
        outage = engine.collection.outage or self._components.search_collection.outage
        refusal = self._search.take_refusal()
        if refusal is not None and engine.trouble is None:
            engine.sender.stop_sending(refusal)
        search_error = self._search.error
        is_refused = isinstance(engine.trouble, Unauthorized)
        # The error that blocks the most comes first.
        last_errors = (
            str(engine.trouble) if engine.trouble else None,
            outage.last_error if outage else None,
            reconciler.trouble,
            f"search for duplicates: {search_error}" if search_error else None,
        )
        monitors = engine.monitors
        report = ServiceReport(
            pid=os.getpid(),
            version=__version__,
            reconciled=self.reconciled,
            looking=engine.is_looking or any(monitor.watch.behind for monitor in monitors),
            unsettled=engine.unsettled,
            in_flight=engine.in_flight,
            reachable=outage is None and (engine.trouble is None or is_refused),
            unauthorized=is_refused,
            last_error=next(filter(None, last_errors), None),
            unproven=tuple(each.row.name for each in monitors if not each.watch.proven),
            missing=tuple(each.row.name for each in monitors if each.is_missing),
            stalled=self.stalled,
            scan_ages={each.row.name: each.scan_age_seconds for each in monitors},
            to_renew=self._components.renewal.left,
            decoders_without=_missing_restrictions(),
            progress=self._progress,
        )
        self.latest.publish(report)
        if not self.stalled:
            self._environment.systemd.status(report.activity)


def _missing_restrictions() -> tuple[str, ...] | None:
    missing = shared().missing
    return None if missing is None else tuple(missing)
