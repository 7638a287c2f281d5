"""The service: reconcile, then watch until it is told to stop.

Its threads: the main one waits for signals; the engine steps the mirror; one looks for duplicates;
the mirror's workers, the watcher's readers and the socket's answers. They stop in this order: the
socket, so that nothing new is asked for; the engine, which lets the requests under way end and
writes down what they did; the duplicates, whose work is still due next time; then what they used.
"""

from __future__ import annotations

import logging
import os
import random
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager, suppress
from dataclasses import asdict
from types import FrameType
from typing import Any

from snoopsync.assembly import (
    Assembly,
    assembled,
    open_state,
    opened_collection,
    set_aside,
)
from snoopsync.config.settings import Config
from snoopsync.control import ControlServer, Message
from snoopsync.errors import (
    CollectionError,
    StateDamaged,
    StateFull,
    StateReplaced,
    Stopped,
    Unauthorized,
)
from snoopsync.exits import Exit
from snoopsync.questions import Account, Questions
from snoopsync.resync import Show, resync
from snoopsync.state.database import obstacle
from snoopsync.state.lock import locked
from snoopsync.survey import Survey
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: How long the requests under way may take to end when the service stops.
_SHUTDOWN_SECONDS = 4.0

#: How long to wait until the collection is compared again, after that could not be done, and at
#: most after many times.
_RECONCILE_AGAIN_SECONDS = 30.0
_RECONCILE_AGAIN_AT_MOST_SECONDS = 1800.0

#: How long the search for duplicates waits after a failure, and at most after many.
_SEARCH_AGAIN_SECONDS = 15.0
_SEARCH_AGAIN_AT_MOST_SECONDS = 900.0

_WATCHER_CHECK_SECONDS = 1.0

#: How long to wait, and at most after many times, until a state file whose disk was full is tried
#: again; and how often to look for room after that.
_FULL_AGAIN_SECONDS = 2.0
_FULL_AGAIN_AT_MOST_SECONDS = 300.0
_LOOK_FOR_ROOM_SECONDS = 1.0

#: The numbers of the signals that came.
Signals = list[int]

#: Shows progress while its ``with`` lasts.
Showing = Callable[[], AbstractContextManager[Show]]


class Ends:
    """Why the service has to end, as bytes in a pipe: any thread may note one, and so may a signal.

    The kernel gives a signal to any of the threads (right after SIGCONT it does), which interrupts
    no wait of the main one, and that alone runs handlers. What is written at once is the byte.
    """

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self.descriptor, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def note(self) -> None:
        """There is a reason to end. A thread that was not waited for may come late."""
        with self._lock, suppress(BlockingIOError):  # a full pipe has reasons enough
            if not self._is_closed:
                os.write(self.descriptor, b".")

    def wait(self, seconds: float | None = None) -> None:
        """Wait for a reason, for at most so long."""
        if select.select([self._read], [], [], seconds)[0]:
            os.read(self._read, 1)

    def close(self) -> None:
        """Close the pipe."""
        with self._lock:
            self._is_closed = True
            os.close(self._read)
            os.close(self.descriptor)


class Service:
    """A running service, over its assembled parts."""

    def __init__(
        self,
        assembly: Assembly,
        watcher: Watcher,
        stop: threading.Event,
        ends: Ends,
        require_state: Callable[[], None] = lambda: None,
    ) -> None:
        """It stops at the first of ``ends``. ``stop`` is set then, which all have that wait.
        ``require_state`` raises ``StateReplaced`` when the state file is not the one in use."""
        self._assembly = assembly
        self._watcher = watcher
        self._stop = stop
        self._ends = ends
        self._require_state = require_state
        self._search_due = threading.Event()
        self._search_error: CollectionError | None = None
        self._failure: BaseException | None = None
        self._account = Account()
        self._questions = Questions(assembly, self._account, stop, self._tend)
        self._next_check = 0.0
        self._next_reconcile = 0.0
        self._reconcile_pause = _RECONCILE_AGAIN_SECONDS
        self._reconcile_trouble: str | None = None
        self._reconciled = False
        self._uncompared: list[Survey] = []
        assembly.mirror.on_done = lambda _actions: self._search_due.set()

    def run(self, showing: Showing) -> None:
        """Work until the end. ``showing`` is for how far the first comparison is. Raises what
        ended a thread, if anything did."""
        engine = self._thread("engine", lambda: self._engine(showing))
        searcher = self._thread("duplicates", self._search)
        with ExitStack() as stack:
            try:
                state = self._assembly.config.state
                stack.enter_context(ControlServer(state, self._questions.answer))
            except OSError as error:
                log.warning(
                    "commands can't ask this service for anything, there is no socket beside the"
                    " state file: %s",
                    error,
                )
            engine.start()
            searcher.start()
            self._ends.wait()
            self._stop.set()
        self._assembly.mirror.wake()
        self._search_due.set()
        engine.join(_SHUTDOWN_SECONDS + 1.0)
        searcher.join(1.0)
        if self._failure is not None:
            raise self._failure

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
                self._ends.note()

        return threading.Thread(target=guarded, name=name, daemon=True)

    # The engine's thread.

    def _engine(self, showing: Showing) -> None:
        mirror = self._assembly.mirror
        try:
            while not self._stop.is_set():
                if self._reconcile_is_due():
                    self._reconcile(showing)
                mirror.step()
                self._tend()
                self._questions.serve()
                mirror.wait()
        finally:
            if not mirror.close(_SHUTDOWN_SECONDS):
                log.warning("some requests did not end in time: they are sent again at next start")

    def _reconcile_is_due(self) -> bool:
        if any(not survey.is_missing for survey in self._uncompared):
            # The collection may hold the files of a folder that is back only now.
            self._uncompared = []
            self._reconciled = False
            return True
        if self._reconciled or time.monotonic() < self._next_reconcile:
            return False
        if self._next_reconcile == 0.0:
            return True
        # The first one after the outage began is waiting for its end.
        assembly = self._assembly
        return assembly.collection.outage is None and assembly.mirror.sender.is_welcome()

    def _reconcile(self, showing: Showing) -> None:
        """Compare disk, state and collection, as at every start."""
        assembly = self._assembly
        with showing() as show:
            report = resync(
                assembly,
                folders={survey.folder.name for survey in assembly.surveys},
                retry_refused=False,
                stop=self._stop,
                tend=self._tend,
                show=show,
            )
        if self._stop.is_set():
            return
        self._reconciled = report.trouble is None
        self._uncompared = [survey for survey in assembly.surveys if survey.is_missing]
        if report.trouble is None:
            log.info("in order: %s", _describe(asdict(report.summary)))
            if report.orphans:
                log.warning(
                    "%d images of ours in the collection belong to no file that is known here;"
                    " they are left alone (snoopsync resync --prune deletes them)",
                    report.orphans,
                )
        else:
            was_said = assembly.mirror.trouble is not None
            if not was_said and report.trouble != self._reconcile_trouble:
                log.warning(
                    "the collection could not be compared, and is tried again: %s", report.trouble
                )
            self._next_reconcile = time.monotonic() + random.uniform(0.5, 1) * self._reconcile_pause
            self._reconcile_pause = min(2 * self._reconcile_pause, _RECONCILE_AGAIN_AT_MOST_SECONDS)
        self._reconcile_trouble = report.trouble

    def _tend(self) -> None:
        """What has to be done all the time, whatever else is done."""
        now = time.monotonic()
        if now >= self._next_check:
            self._watcher.check(now)
            self._require_state()
            is_proven = all(survey.watch.proven for survey in self._assembly.surveys)
            self._next_check = now + (_WATCHER_CHECK_SECONDS if is_proven else 0.0)
        self._questions.attend()
        mirror, outage = self._assembly.mirror, self._assembly.collection.outage
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
            self._reconcile_trouble,
            f"search for duplicates: {search_error}" if search_error else None,
        )
        self._account.renew(
            {
                "pid": os.getpid(),
                "version": __version__,
                "reconciled": self._reconciled,
                "looking": mirror.is_looking
                or any(survey.watch.behind for survey in self._assembly.surveys),
                "unsettled": mirror.unsettled,
                "in_flight": mirror.in_flight,
                "reachable": outage is None and (mirror.trouble is None or refused),
                "unauthorized": refused,
                "last_error": next(filter(None, last_errors), None),
                "unproven": [
                    survey.row.name for survey in self._assembly.surveys if not survey.watch.proven
                ],
            }
        )

    # The thread that looks for duplicates.

    def _search(self) -> None:
        pause = _SEARCH_AGAIN_SECONDS
        while not self._stop.is_set():
            self._search_due.wait()
            self._search_due.clear()
            if self._assembly.mirror.trouble is not None:
                # The engine asks whether the collection can be used again: one who asks is enough.
                self._stop.wait(_SEARCH_AGAIN_SECONDS)
                self._search_due.set()
                continue
            try:
                self._assembly.alerter.work_off(self._stop.is_set)
                self._search_error = None
                pause = _SEARCH_AGAIN_SECONDS
            except CollectionError as error:
                if self._search_error is None and not error.concerns_all:
                    log.warning("the search for duplicates failed, and is tried again: %s", error)
                self._search_error = error
                self._stop.wait(pause)
                pause = min(2 * pause, _SEARCH_AGAIN_AT_MOST_SECONDS)
                self._search_due.set()


def run_service(config: Config, showing: Showing) -> None:
    """Run the service until SIGTERM or SIGINT. ``showing`` is for how the first comparison goes
    on. Raises ``StateLocked`` if a service runs already, ``StateError`` if the state file can't be
    used.

    When the state file turns out to be damaged, was replaced, or can't grow, all starts over with
    what is there then: only what was written down is known for sure.
    """
    pause_seconds = _FULL_AGAIN_SECONDS
    is_healed = False
    with _signals() as signals:
        while not signals:
            with locked(config.state):
                try:
                    _serve(config, showing, signals)
                    break
                except StateReplaced as error:
                    log.warning("%s: starting over", error)
                except StateDamaged as error:
                    if is_healed:
                        raise  # the disk, or the memory; whoever starts services may try again
                    is_healed = True
                    set_aside(config.state, error)
                except StateFull as error:
                    _wait_for_room(config, error, pause_seconds, signals)
                    pause_seconds = min(2 * pause_seconds, _FULL_AGAIN_AT_MOST_SECONDS)
        log.info("stopped")


def _serve(config: Config, showing: Showing, signals: Signals) -> None:
    stop = threading.Event()
    with ExitStack() as stack:
        ends = stack.enter_context(_ends(signals))
        database = stack.enter_context(closing(open_state(config.state)))
        collection = stack.enter_context(opened_collection(config))
        holder: list[Assembly] = []
        watcher = Watcher(lambda: holder[0].mirror.wake() if holder else None)
        stack.callback(watcher.stop)
        assembly = stack.enter_context(
            assembled(
                config,
                database,
                collection,
                stop=stop,
                patience_seconds=None,
                watcher=watcher,
            )
        )
        holder.append(assembly)
        count = len(config.folders)
        folders = "1 folder" if count == 1 else f"{count} folders"
        log.info("snoopsync %s: %s into %s", __version__, folders, collection_name(config))
        Service(assembly, watcher, stop, ends, database.require_in_place).run(showing)


def _wait_for_room(
    config: Config, error: StateFull, pause_seconds: float, signals: Signals
) -> None:
    """Wait until the state file can be written again, or for a signal. Commands are told why."""
    log.error("%s; nothing is mirrored until then", error)
    message: Message = {"error": str(error), "exit_code": Exit.BUG}
    with ExitStack() as stack:
        ends = stack.enter_context(_ends(signals))
        with suppress(OSError):
            stack.enter_context(ControlServer(config.state, lambda _question: iter([message])))
        not_before = time.monotonic() + pause_seconds
        while not signals:
            ends.wait(_LOOK_FOR_ROOM_SECONDS)
            if time.monotonic() >= not_before and obstacle(config.state) is None:
                log.info("there is room for %s again: starting over", config.state)
                return


@contextmanager
def _signals() -> Iterator[Signals]:
    """Each SIGTERM and SIGINT. For the main thread."""
    signals: Signals = []

    def note(number: int, frame: FrameType | None) -> None:
        signals.append(number)

    earlier = {each: signal.signal(each, note) for each in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield signals
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


@contextmanager
def _ends(signals: Signals) -> Iterator[Ends]:
    """Ends that the signals are noted in, those of before too. For the main thread."""
    with closing(Ends()) as ends:
        # The byte that Python writes says it all; but without a handler it writes none.
        earlier = signal.set_wakeup_fd(ends.descriptor, warn_on_full_buffer=False)
        if signals:
            ends.note()
        try:
            yield ends
        finally:
            signal.set_wakeup_fd(earlier)


def collection_name(config: Config) -> str:
    """The collection for people."""
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint


def _describe(summary: dict[str, Any]) -> str:
    parts = [f"{value} {name}" for name, value in summary.items() if value and name != "seconds"]
    return ", ".join(parts) or "nothing there"
