"""The service: reconcile, then watch until it is told to stop.

Its threads: the main one waits for signals, and tells systemd whether the others make progress; the
engine steps the mirror; one looks for duplicates; one has pictures described again that an older
version of the collection has described; the mirror's workers, the watcher's readers and
the socket's answers. They stop in this order: the engine, which lets the requests under way end and
writes down what they did; the duplicates, whose work is still due next time; then what they used.

A new configuration is taken by ending all these threads and putting the service together again, but
for what stays as it was: the state file, the watches, and what is known of the folders that are
configured as before.
"""

from __future__ import annotations

import logging
import os
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass, field

from snoopsync.config.settings import Config
from snoopsync.control.report import Account, Live, in_words
from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, ConfigError, Stopped, Unauthorized
from snoopsync.core.events import Event, log_event
from snoopsync.decoding.decoders import shared
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.clock import Jump, JumpDetector
from snoopsync.runtime.counters import Counters
from snoopsync.runtime.liveness import PATIENCE_SECONDS, Liveness, SendProgress, SendProgressTracker
from snoopsync.runtime.signals import Signals, Wakeup
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.service.command_handlers import Questions
from snoopsync.service.reconciler import COMPARE_BACKOFF, Reconciler, Showing
from snoopsync.sync.components import Components
from snoopsync.sync.renewer import Renewer
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: How long the requests under way may take to end when the service stops.
_SHUTDOWN_SECONDS = 4.0

#: The pauses after a search for duplicates has failed.
_SEARCH_BACKOFF = Backoff(base_seconds=30.0, cap_seconds=1800.0)

#: A search that fails, and works again, is logged so many times, and then counted.
_MOST_SAID = 5
_SEARCH_IN_TURNS = "the search for duplicates fails, and works, in turns"

#: What is said of a machine that is suspended every few minutes.
_JUMPS = "the machine was suspended, or its clock was set"
_WATCHER_CHECK_SECONDS = 1.0

#: A watcher shows now and then that it works, and one that does not is replaced: that takes longer.
_WATCHER_PATIENCES = 5

#: How often the parts of the service are looked at, if systemd does not want to know more often.
_LOOK_AT_PARTS_SECONDS = 5.0

#: The names of the thread that steps the mirror, and of the one that looks for duplicates.
_ENGINE = "engine"
_SEARCHER = "duplicates"
_RENEWER = "renewal"

#: Reads the configuration anew. Raises ``ConfigError``.
Reload = Callable[[], Config]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is around a service. ``reload``: reads the configuration anew. ``require_state`` raises
    ``StateReplaced`` when the state file is not the one in use. ``patience_seconds``: how long a
    part may go without progress. ``counters`` counts what is done. ``compare_backoff`` and
    ``search_backoff`` have the pauses after a comparison and a search have failed."""

    signals: Signals
    wakeup: Wakeup
    reload: Reload
    systemd: SystemdNotifier = field(default_factory=lambda: SystemdNotifier({}))
    require_state: Callable[[], None] = lambda: None
    patience_seconds: float = PATIENCE_SECONDS
    counters: Counters = field(default_factory=Counters)
    compare_backoff: Backoff = COMPARE_BACKOFF
    search_backoff: Backoff = _SEARCH_BACKOFF


class Service:
    """A running service, over its assembled parts."""

    def __init__(
        self,
        components: Components,
        watcher: Watcher,
        stop: threading.Event,
        around: Surroundings,
        *,
        reconciled: bool = False,
    ) -> None:
        """``stop`` is what the collection's calls wait for. ``reconciled``: this goes on with what
        was compared already."""
        self._components = components
        self._watcher = watcher
        self._stop = stop
        self._around = around
        self._ended: set[str] = set()
        self._hands_over = False
        self._search_due = threading.Event()
        self._search_retry = threading.Event()
        self._jumps = JumpDetector(components.clock)
        self._throttle = LogThrottle(log, _MOST_SAID)
        self._search_error: CollectionError | None = None
        self._failure: BaseException | None = None
        self._account = Account()
        self._next_check = 0.0
        self._is_ready = False
        self._liveness = Liveness()
        self._stalled: list[str] = []
        self._activity = SendProgressTracker()
        self._progress: SendProgress | None = None
        self._reconciler = Reconciler(components, around.compare_backoff, is_done=reconciled)
        self.questions = Questions(components, self._account, stop, self._tend)
        components.mirror.on_done = lambda _actions: self._search_due.set()

    @property
    def reconciled(self) -> bool:
        """Was everything compared once?"""
        return self._reconciler.is_done

    @property
    def live(self) -> Live:
        """What it shows of itself. For any thread."""
        patience_seconds = self._around.patience_seconds
        return Live(self._account.last(), None, tuple(self._stalled), patience_seconds)

    def run(self, showing: Showing) -> Config | None:
        """Work until the end, or until there is another configuration, which is returned.
        ``showing`` is for how far the first comparison is. Raises what ended a thread, if anything
        did."""
        engine = self._thread(_ENGINE, lambda: self._engine(showing))
        searcher = self._thread(_SEARCHER, self._search)
        renewer = self._thread(_RENEWER, self._renew)
        engine.start()
        searcher.start()
        renewer.start()
        config = self._wait()
        self._hands_over = config is not None
        self._stop.set()
        self._components.mirror.drain()
        self._search_due.set()
        self._search_retry.set()
        if self._hands_over:
            # Beside a thread of this one, the next one could send the same images, or alert about
            # the same pairs.
            self._wait_for_threads()
        else:
            self._around.systemd.stopping()
        engine.join(_SHUTDOWN_SECONDS + 1.0)
        searcher.join(1.0)
        renewer.join(1.0)
        if self._failure is not None:
            raise self._failure
        return None if self._around.signals.stop else config

    def _thread(self, name: str, work: Callable[[], None]) -> threading.Thread:
        def guarded() -> None:
            try:
                work()
            except Stopped:
                pass
            except BaseException as error:  # the main thread raises it, once it stopped the rest
                if not self._stop.is_set():
                    self._failure = error
            finally:
                self._ended.add(name)
                self._around.wakeup.notify()

        return threading.Thread(target=guarded, name=name, daemon=True)

    # The main thread.

    def _wait(self) -> Config | None:
        """Wait for the end, or for another configuration."""
        signals = self._around.signals
        while not (signals.stop or self._ended):
            if signals.take_reload():
                config = self._reloaded()
                if config is not None:
                    return config
            self._rest()
        return None

    def _wait_for_threads(self) -> None:
        while not self._ended >= {_ENGINE, _SEARCHER, _RENEWER} and not self._around.signals.stop:
            self._rest()

    def _rest(self) -> None:
        """Wait for something to happen, and let the service manager hear of us."""
        systemd = self._around.systemd
        self._around.wakeup.wait(systemd.heartbeat_seconds or _LOOK_AT_PARTS_SECONDS)
        self._stalled = self._find_stalled(time.monotonic())
        if self._stalled:
            systemd.status(f"no progress: {', '.join(self._stalled)}")
        else:
            systemd.alive()

    def _reloaded(self) -> Config | None:
        """The configuration that is there now, if it is a sound one and another."""
        self._around.systemd.reloading()
        try:
            config = self._around.reload()
        except ConfigError as error:
            log_event(
                log,
                logging.ERROR,
                Event.RELOAD_REFUSED,
                "the new configuration is refused, the old one stays: %s",
                error,
                problems=[str(problem) for problem in error.problems],
            )
        else:
            if config != self._components.config:
                return config
            log_event(log, logging.INFO, Event.RELOADED, "the configuration is as it was")
        self._around.systemd.ready()
        return None

    def _find_stalled(self, now: float) -> list[str]:
        """The parts of the service that have something to do, and do not get on."""
        mirror, vitals = self._components.mirror, self._liveness
        patience = self._around.patience_seconds
        bytes_read = sum(monitor.folder.bytes_read for monitor in mirror.monitors)
        vitals.look("planner", (self._account.turns, bytes_read), now, patience)
        vitals.look(
            "uploaders",
            (mirror.sender.landed, bytes_read),
            now,
            patience + self._components.config.collection.timeout_seconds,
            at_rest=not mirror.in_flight or self._components.collection.outage is not None,
        )
        for monitor in mirror.monitors:
            vitals.look(
                f"watcher of {monitor.folder.name}",
                monitor.watch.last_proof,
                now,
                _WATCHER_PATIENCES * patience,
                at_rest=monitor.is_missing or not monitor.watch.is_alive,
            )
        return vitals.stalled(now)

    # The engine's thread.

    def _engine(self, showing: Showing) -> None:
        mirror = self._components.mirror
        try:
            while not self._stop.is_set():
                if self._reconciler.is_due:
                    self._reconciler.run(self._stop, self._tend, showing)
                mirror.step()
                self._tend()
                self.questions.serve()
                mirror.wait()
            while self._hands_over and mirror.in_flight and not self._around.signals.stop:
                mirror.step()
                self._tend()
                mirror.wait()
        finally:
            self._throttle.close()
            if not mirror.close(_SHUTDOWN_SECONDS):
                message = "some requests did not end in time: they are sent again at next start"
                count = mirror.in_flight
                log_event(log, logging.WARNING, Event.REQUESTS_ABANDONED, message, count=count)

    def _tend(self) -> None:
        """What has to be done all the time, whatever else is done."""
        now, mirror = time.monotonic(), self._components.mirror
        jump = self._jumps.look()
        if jump is not None:
            self._after_jump(jump, now)
        self._throttle.log_suppressed(now)
        if now >= self._next_check:
            self._watcher.check(now)
            self._around.require_state()
            self._progress = self._activity.look(mirror.sender.landed, self._left, now)
            is_proven = all(monitor.watch.proven for monitor in self._components.monitors)
            self._next_check = now + (_WATCHER_CHECK_SECONDS if is_proven else 0.0)
        self.questions.attend()
        self._give_account()
        if not self._is_ready:
            # The folders are looked at and watched, and the comparison has begun.
            self._is_ready = True
            self._around.systemd.ready()

    def _after_jump(self, jump: Jump, now: float) -> None:
        """Look at everything, since no event tells what a network share or another disk went
        through meanwhile, and try at once what waits for its next attempt."""
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
        for monitor in self._components.monitors:
            monitor.scan()
        self._components.mirror.sender.retry_now()
        self._reconciler.retry_now()
        self._search_retry.set()
        self._search_due.set()

    def _give_account(self) -> None:
        mirror = self._components.mirror
        outage = self._components.collection.outage or self._components.searched.outage
        search_error = self._search_error
        if isinstance(search_error, Unauthorized):
            if mirror.trouble is None:
                mirror.sender.meet(search_error)
            self._search_error = search_error = None
        refused = isinstance(mirror.trouble, Unauthorized)
        # The one that keeps the most from being done comes first.
        last_errors = (
            str(mirror.trouble) if mirror.trouble else None,
            outage.last_error if outage else None,
            self._reconciler.trouble,
            f"search for duplicates: {search_error}" if search_error else None,
        )
        said = {
            "pid": os.getpid(),
            "version": __version__,
            "reconciled": self.reconciled,
            "looking": mirror.is_looking
            or any(monitor.watch.behind for monitor in mirror.monitors),
            "unsettled": mirror.unsettled,
            "in_flight": mirror.in_flight,
            "reachable": outage is None and (mirror.trouble is None or refused),
            "unauthorized": refused,
            "last_error": next(filter(None, last_errors), None),
            "unproven": [
                monitor.row.name for monitor in mirror.monitors if not monitor.watch.proven
            ],
            "missing": [monitor.row.name for monitor in mirror.monitors if monitor.is_missing],
            "stalled": self._stalled,
            "scan_ages": {each.row.name: each.scan_age_seconds for each in mirror.monitors},
            "to_renew": self._components.renewal.left,
            "decoders_without": shared().missing,
            "progress": asdict(self._progress) if self._progress is not None else None,
        }
        self._account.renew(said)
        if not self._stalled:
            self._around.systemd.status(in_words(said))

    @property
    def _left(self) -> int:
        """How many images are on their way."""
        components = self._components
        return (
            components.state.intents.count_due(components.schedule.now())
            + components.mirror.unsettled
        )

    # The thread that has pictures described again.

    def _renew(self) -> None:
        Renewer(
            self._components.renewal,
            self._components.mirror,
            self._stop,
            is_reconciled=lambda: self.reconciled,
            on_renewed=self._search_due.set,
            on_refused=self._note_refusal,
        ).run()

    def _note_refusal(self, error: Unauthorized) -> None:
        # The engine stops sending, and asks whether the keys are taken again.
        self._search_error = error

    # The thread that looks for duplicates.

    def _search(self) -> None:
        with closing(LogThrottle(log, _MOST_SAID)) as throttle:
            self._search_on(throttle)

    def _search_on(self, throttle: LogThrottle) -> None:
        failures = 0
        # When images whose search failed are searched for again. New ones do not wait for that.
        again_at: float | None = None
        while not self._stop.is_set():
            throttle.log_suppressed(time.monotonic())
            self._search_due.wait(_seconds_until(again_at))
            self._search_due.clear()
            if self._components.mirror.trouble is not None:
                # The engine asks whether the collection can be used again: one who asks is enough.
                self._wait_for_search(self._around.search_backoff.base_seconds)
                self._search_due.set()
                continue
            only_new = not self._search_retry.is_set() and bool(_seconds_until(again_at))
            try:
                self._components.duplicate_search.work_off(self._stop.is_set, only_new=only_new)
                if not only_new:
                    self._search_error = again_at = None
                    failures = 0
            except CollectionError as error:
                if self._search_error is None and not error.concerns_all:
                    throttle.log(
                        time.monotonic(),
                        _SEARCH_IN_TURNS,
                        logging.WARNING,
                        Event.SEARCH_FAILED,
                        "the search for duplicates failed, and is tried again: %s",
                        error,
                        error=str(error),
                    )
                self._search_error = error
                failures += 1
                pause = self._around.search_backoff.pause(failures, random.random())
                if not self._components.duplicate_search.has_tried_all:
                    self._wait_for_search(pause)
                    self._search_due.set()
                    again_at = None
                elif only_new:
                    continue  # these too are searched for again at that time
                else:
                    self._search_retry.clear()
                    again_at = time.monotonic() + pause

    def _wait_for_search(self, seconds: float) -> None:
        """Wait for so long, or until there is a reason to search at once, or to end."""
        self._search_retry.clear()
        if not self._stop.is_set():
            self._search_retry.wait(seconds)


def _seconds_until(moment: float | None) -> float | None:
    """How long until this moment of the monotonic clock; ``None`` for none."""
    return None if moment is None else max(0.0, moment - time.monotonic())
