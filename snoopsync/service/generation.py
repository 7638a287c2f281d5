"""One generation of the service: resyncs, then watches until it is stopped.

The main thread waits for signals, and reports to systemd whether the other threads make progress.
The engine's thread does the mirroring. One thread searches for duplicates. One thread sends
pictures again that an older version of the collection described. One thread asks a service what
other owners added that is like our images. One thread sends labels. In addition, the engine has
workers, the watcher has readers, and the socket has its own threads.

They stop in this order: first the engine, which waits for the running requests and records their
results; then the search for duplicates, whose remaining work stays due; then everything that they
use.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

from snoopsync.config.settings import Config
from snoopsync.control.report import ServiceView
from snoopsync.core.errors import ConfigError, Stopped
from snoopsync.core.events import Event, log_event
from snoopsync.runtime.liveness import Liveness
from snoopsync.service.engine_thread import SHUTDOWN_SECONDS, EngineThread
from snoopsync.service.environment import Environment, Showing
from snoopsync.service.search_thread import SearchThread
from snoopsync.sync.components import Components
from snoopsync.sync.low_priority import LowPriorityTask, LowPriorityWork
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: A watcher that does not work is replaced. That takes longer than other parts may make no
#: progress, so a watcher may take this many times as long.
_WATCHER_PATIENCES = 5

#: How often to check the parts of the service if systemd sets no watchdog interval, in seconds.
_CHECK_SECONDS = 5.0


class Service:
    """A running service. Setting ``stop`` also ends waiting requests to the collection.
    ``reconciled``: the previous generation has already compared everything."""

    def __init__(
        self,
        components: Components,
        watcher: Watcher,
        stop: threading.Event,
        environment: Environment,
        *,
        reconciled: bool = False,
    ) -> None:
        self._components = components
        self._engine = components.engine
        self._stop = stop
        self._environment = environment
        self._search = SearchThread(
            components.duplicate_search, self._engine, stop, environment.timing.search_backoff
        )
        self._engine_thread = EngineThread(
            components, watcher, environment, stop, self._search, reconciled=reconciled
        )
        self.commands = self._engine_thread.commands
        self._working: set[str] = set()
        #: How many threads the service has started. When one of them ends, the service ends.
        self._threads = 0
        self._failure: BaseException | None = None
        self._liveness = Liveness()
        self._engine.on_done = lambda _actions: self._search.search_soon()

    @property
    def reconciled(self) -> bool:
        """Whether everything was compared once."""
        return self._engine_thread.reconciled

    @property
    def view(self) -> ServiceView:
        """The current view of the service. For any thread."""
        return ServiceView(
            self._engine_thread.latest.get(),
            None,
            self._engine_thread.stalled,
            self._environment.timing.patience_seconds,
        )

    def run(self, showing: Showing) -> Config | None:
        """Work until a signal, or until there is a new configuration, which is returned when every
        thread of this service has ended. ``showing`` shows the progress of the first resync. Raises
        the exception that ended a thread."""
        work = self._background_work()
        self._threads = 1 + len(work)
        engine = self._start("engine", lambda: self._engine_thread.run(showing))
        others = [self._start(name, run) for name, run in work.items()]
        config = self._wait_for_config()
        self._engine_thread.hands_over = config is not None
        self._stop.set()
        self._engine.drain()
        self._search.end()
        if config is not None:
            # Beside a thread of this generation, the next one could send the same images, or alert
            # about the same pairs.
            self._wait_for_threads()
        else:
            self._environment.systemd.stopping()
        engine.join(SHUTDOWN_SECONDS + 1.0)
        for thread in others:
            thread.join(1.0)
        if self._failure is not None:
            raise self._failure
        return None if self._environment.signals.stop else config

    def _background_work(self) -> dict[str, Callable[[], None]]:
        """What threads of their own do beside the engine, by the name of the thread."""
        timing, components = self._environment.timing, self._components
        renewal = self._low_priority(components.renewal, timing.renewal_interval_seconds)
        labels = self._low_priority(components.label_updates, timing.labels_interval_seconds)
        work = {"duplicates": self._search.run, "renewal": renewal.run, "labels": labels.run}
        poll = components.duplicate_search.changes_poll
        if poll is not None:
            rescan_seconds = components.config.sync.rescan_interval_seconds
            interval_seconds = min(timing.changes_interval_seconds, rescan_seconds)
            work["changes"] = self._low_priority(poll, interval_seconds).run
        return work

    def _low_priority(self, work: LowPriorityWork, interval_seconds: float) -> LowPriorityTask:
        return LowPriorityTask(
            work,
            interval_seconds,
            self._engine,
            self._stop,
            is_reconciled=lambda: self.reconciled,
            on_news=self._search.search_soon,
            on_refused=self._search.note_refusal,
        )

    def _start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Stopped:
                pass
            except BaseException as error:  # the main thread raises this after stopping the rest
                if not self._stop.is_set():
                    self._failure = error
            finally:
                self._working.discard(name)
                self._environment.wakeup.notify()

        thread = threading.Thread(target=guarded, name=name, daemon=True)
        self._working.add(name)
        thread.start()
        return thread

    # The main thread.

    def _wait_for_config(self) -> Config | None:
        """Wait for a signal, the end of a thread, or a new configuration."""
        signals = self._environment.signals
        while not signals.stop and len(self._working) == self._threads:
            if signals.take_reload():
                config = self._reload()
                if config is not None:
                    return config
            self._rest()
        return None

    def _wait_for_threads(self) -> None:
        while self._working and not self._environment.signals.stop:
            self._rest()

    def _rest(self) -> None:
        """Wait for an event or the next check, then report to systemd."""
        systemd = self._environment.systemd
        self._environment.wakeup.wait(systemd.heartbeat_seconds or _CHECK_SECONDS)
        stalled = self._engine_thread.stalled = self._find_stalled(time.monotonic())
        if stalled:
            systemd.status(f"no progress: {', '.join(stalled)}")
        else:
            systemd.alive()

    def _reload(self) -> Config | None:
        """The new configuration, if it is usable and different, else ``None``."""
        self._environment.systemd.reloading()
        try:
            config = self._environment.reload()
        except ConfigError as error:
            log_event(
                log,
                logging.ERROR,
                Event.RELOAD_REFUSED,
                "the new configuration cannot be used, keeping the old one: %s",
                error,
                problems=[str(problem) for problem in error.problems],
            )
        else:
            if config != self._components.config:
                return config
            log_event(log, logging.INFO, Event.RELOADED, "the configuration has not changed")
        self._environment.systemd.ready()
        return None

    def _find_stalled(self, now: float) -> tuple[str, ...]:
        """The parts of the service that have work but make no progress."""
        engine, liveness = self._engine, self._liveness
        patience = self._environment.timing.patience_seconds
        bytes_read = sum(monitor.folder.bytes_read for monitor in engine.monitors)
        liveness.look("planner", (self._engine_thread.latest.turns, bytes_read), now, patience)
        liveness.look(
            "uploaders",
            (engine.sender.completed, bytes_read),
            now,
            patience + self._components.config.collection.timeout_seconds,
            at_rest=not engine.in_flight or engine.collection.outage is not None,
        )
        for monitor in engine.monitors:
            liveness.look(
                f"watcher of {monitor.folder.name}",
                monitor.watch.last_proof,
                now,
                _WATCHER_PATIENCES * patience,
                at_rest=monitor.is_missing or not monitor.watch.is_alive,
            )
        return tuple(liveness.stalled(now))
