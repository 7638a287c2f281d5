"""The service: reconcile, then watch until it is told to stop.

Its threads: the main one waits for signals; the engine steps the mirror; one looks for duplicates;
the mirror's workers, the watcher's readers and the socket's answers. They stop in this order: the
socket, so that nothing new is asked for; the engine, which lets the requests under way end and
writes down what they did; the duplicates, whose work is still due next time; then what they used.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from snoopsync.assembly import (
    COLLECTION_FACT,
    Assembly,
    assembled,
    open_state,
    opened_collection,
)
from snoopsync.config.settings import Config
from snoopsync.control import ControlServer, Message
from snoopsync.errors import CollectionError, FolderMissing, SnoopsyncError, Stopped, Unauthorized
from snoopsync.resync import Progress, resync
from snoopsync.state.lock import locked
from snoopsync.version import __version__
from snoopsync.watching.watcher import Watcher

log = logging.getLogger("snoopsync.service")

#: How long the requests under way may take to end when the service stops.
_SHUTDOWN_SECONDS = 5.0

#: How long to wait until the collection is compared again, after that could not be done.
_RECONCILE_AGAIN_SECONDS = 30.0

#: How long the search for duplicates waits after a failure.
_SEARCH_AGAIN_SECONDS = 15.0

_WATCHER_CHECK_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Request:
    """Something that the engine has to do for a command, and where its messages go."""

    question: Message
    messages: queue.SimpleQueue[Message | None]


class Service:
    """A running service, over its assembled parts."""

    def __init__(
        self,
        assembly: Assembly,
        watcher: Watcher,
        stop: threading.Event,
        show: Callable[[Progress], None],
    ) -> None:
        self._show = show
        self._assembly = assembly
        self._watcher = watcher
        self._stop = stop
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._search_due = threading.Event()
        self._search_error: str | None = None
        self._failure: BaseException | None = None
        self._snapshot: Message = {}
        self._next_check = 0.0
        self._next_reconcile = 0.0
        self._reconciled = False
        assembly.mirror.on_confirmed = self._search_due.set

    def run(self) -> None:
        """Work until ``stop`` is set. Raises what ended the engine, if anything did."""
        engine = threading.Thread(target=self._engine, name="engine", daemon=True)
        searcher = threading.Thread(target=self._search, name="duplicates", daemon=True)
        with ControlServer(self._assembly.config.state, self._answer):
            engine.start()
            searcher.start()
            self._stop.wait()
        self._assembly.mirror.wake()
        self._search_due.set()
        engine.join(_SHUTDOWN_SECONDS + 1.0)
        searcher.join(1.0)
        if self._failure is not None:
            raise self._failure

    # The engine's thread.

    def _engine(self) -> None:
        try:
            while not self._stop.is_set():
                if not self._reconciled and time.monotonic() >= self._next_reconcile:
                    self._reconcile()
                self._assembly.mirror.step()
                self._tend()
                self._serve_requests()
                self._assembly.mirror.wait()
            if not self._assembly.mirror.close(_SHUTDOWN_SECONDS):
                log.warning("some requests did not end in time: they are sent again at next start")
        except Stopped:
            pass
        except BaseException as error:  # the main thread raises it, once it has stopped the rest
            self._failure = error
        finally:
            self._stop.set()

    def _reconcile(self) -> None:
        """Compare disk, state and collection, as at every start."""
        assembly = self._assembly
        report = resync(
            assembly,
            folders={survey.folder.name for survey in assembly.surveys},
            stop=self._stop,
            tend=self._tend,
            show=self._show,
        )
        self._reconciled = report.trouble is None
        if self._stop.is_set():
            return
        if report.trouble is None:
            log.info("in order: %s", _describe(asdict(report.summary)))
            if report.orphans:
                log.warning(
                    "%d images of ours in the collection belong to no file that is known here;"
                    " they are left alone (snoopsync resync --prune deletes them)",
                    report.orphans,
                )
        else:
            log.warning("the collection could not be compared: %s", report.trouble)
            self._next_reconcile = time.monotonic() + _RECONCILE_AGAIN_SECONDS
            if assembly.state.fact(COLLECTION_FACT) is not None:
                assembly.mirror.trust_state()

    def _tend(self) -> None:
        """What has to be done all the time, whatever else is done."""
        now = time.monotonic()
        if now >= self._next_check:
            self._next_check = now + _WATCHER_CHECK_SECONDS
            self._watcher.check(now)
        self._publish(now)

    def _publish(self, now: float) -> None:
        mirror, outage = self._assembly.mirror, self._assembly.collection.outage
        trouble = str(mirror.trouble) if mirror.trouble else None
        self._snapshot = {
            "pid": os.getpid(),
            "version": __version__,
            "at": now,
            "unsettled": mirror.unsettled,
            "in_flight": mirror.in_flight,
            "reconciled": self._reconciled,
            "last_error": trouble or (outage.last_error if outage else None) or self._search_error,
            "unauthorized": isinstance(mirror.trouble, Unauthorized),
            "reachable": mirror.trouble is None and outage is None,
            "unproven": [
                survey.row.name for survey in self._assembly.surveys if not survey.watch.alive
            ],
        }

    # Requests of commands.

    def _answer(self, question: Message) -> Iterator[Message]:
        """Answer a command, on a thread of its own."""
        if question.get("command") == "status":
            age = time.monotonic() - self._snapshot.get("at", 0.0)
            yield {"result": self._snapshot | {"age_seconds": age}}
            return
        request = _Request(question, queue.SimpleQueue())
        self._requests.put(request)
        self._assembly.mirror.wake()
        while not self._stop.is_set():
            try:
                message = request.messages.get(timeout=1.0)
            except queue.Empty:
                continue
            if message is None:
                return
            yield message
        yield {"error": "the service is stopping"}

    def _serve_requests(self) -> None:
        while True:
            try:
                request = self._requests.get_nowait()
            except queue.Empty:
                return
            handlers: dict[str, Callable[[_Request], Message]] = {
                "resync": self._resync,
                "approve": self._approve,
            }
            handle = handlers.get(request.question.get("command", ""))
            if handle is None:
                request.messages.put({"error": "this version of the service does not know that"})
            else:
                try:
                    request.messages.put({"result": handle(request)})
                except SnoopsyncError as error:
                    request.messages.put({"error": str(error)})
            request.messages.put(None)

    def _resync(self, request: _Request) -> Message:
        def show(progress: Progress) -> None:
            request.messages.put({"progress": asdict(progress)})

        assembly = self._assembly
        names = {survey.folder.name for survey in assembly.surveys}
        wanted = set(request.question.get("folders") or names) & names
        report = resync(
            assembly,
            folders=wanted,
            prune=bool(request.question.get("prune")),
            stop=self._stop,
            tend=self._tend,
            show=show,
        )
        self._search_due.set()
        return report.as_message()

    def _approve(self, request: _Request) -> Message:
        assembly = self._assembly
        wanted = request.question.get("folder")
        total = 0
        for survey in assembly.surveys:
            name = survey.folder.name
            if wanted not in (None, name):
                continue
            if request.question.get("discard"):
                total += assembly.state.discard(name)
                continue
            total += assembly.state.approve(name)
            if survey.is_missing and wanted == name:
                try:
                    survey.accept()
                except FolderMissing as error:
                    raise SnoopsyncError(f"folder {name} is missing: {error}") from None
            assembly.mirror.look_again(record.place for record in assembly.state.approved(name))
        return {"images": total}

    # The thread that looks for duplicates.

    def _search(self) -> None:
        while not self._stop.is_set():
            self._search_due.wait()
            self._search_due.clear()
            try:
                self._assembly.alerter.work_off(self._stop.is_set)
                self._search_error = None
            except Stopped:
                return
            except CollectionError as error:
                self._search_error = f"search for duplicates: {error}"
                self._stop.wait(_SEARCH_AGAIN_SECONDS)
                self._search_due.set()


def run_service(config: Config, show: Callable[[Progress], None]) -> None:
    """Run the service until SIGTERM or SIGINT. ``show`` is told how the first reconciling goes on.
    Raises ``StateLocked`` if a service runs already."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        stop.set()

    with ExitStack() as stack:
        for number in (signal.SIGTERM, signal.SIGINT):
            before = signal.signal(number, on_signal)
            stack.callback(signal.signal, number, before)
        stack.enter_context(locked(config.state))
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
        log.info(
            "snoopsync %s: %d folders into %s",
            __version__,
            len(config.folders),
            collection_name(config),
        )
        Service(assembly, watcher, stop, show).run()
        log.info("stopped")


def collection_name(config: Config) -> str:
    """The collection for people."""
    if config.collection.embedded:
        return "the embedded collection"
    return config.collection.endpoint


def _describe(summary: dict[str, Any]) -> str:
    parts = [f"{value} {name}" for name, value in summary.items() if value and name != "seconds"]
    return ", ".join(parts) or "nothing there"
