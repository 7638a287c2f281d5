"""Handles the commands that arrive on the service's socket.

A command arrives on a socket thread, which passes it to the engine's thread. ``status`` is
answered at once, from the latest report. The questions of the review page are also answered at
once, from the state file, through a connection of their own.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass

from snoopsync.control.channel import ALIVE, Message
from snoopsync.control.commands import validate_command
from snoopsync.control.report import LatestReport
from snoopsync.core.errors import FolderMissing, ServiceFailed, SnoopsyncError, StateError
from snoopsync.core.exits import Exit, exit_code
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.status.review_data import ReviewData
from snoopsync.sync.deciding import approve_moved, carry_out_decision
from snoopsync.sync.engine import SyncEngine
from snoopsync.sync.resync import ResyncProgress, ResyncRequest, ResyncRun

_ALIVE_SECONDS = 1.0

_STOPPING = ServiceFailed("the service is stopping", Exit.LOCKED)


@dataclass(frozen=True, slots=True)
class _Request:
    """A command for the engine's thread, and its response messages. ``None`` ends the messages."""

    command: Message
    messages: queue.SimpleQueue[Message | None]

    def end(self, result: Message) -> None:
        """Answer with a result."""
        self.messages.put({"result": result})
        self.messages.put(None)

    def fail(self, error: SnoopsyncError) -> None:
        """Answer with an error."""
        self.messages.put(_error_message(error))
        self.messages.put(None)


@dataclass(slots=True)
class _Resync:
    """The resync that a command requested, and the progress that was sent last."""

    request: _Request
    run: ResyncRun
    shown: ResyncProgress | None = None


class CommandHandlers:
    """Handles commands. ``answer`` is for any thread; the other methods are for the engine's
    thread."""

    def __init__(
        self,
        engine: SyncEngine,
        latest: LatestReport,
        stop: threading.Event,
        review: ReviewData,
    ) -> None:
        self._engine = engine
        self._review = review
        self._latest = latest
        self._stop = stop
        self._requests: queue.SimpleQueue[_Request] = queue.SimpleQueue()
        self._resyncs: deque[_Request] = deque()
        self._running: _Resync | None = None

    def answer(self, command: Message) -> Iterator[Message]:
        """The response messages for a command. The last message has ``result`` or ``error``."""
        try:
            # Validated on the socket's thread, so that the engine's thread only gets valid
            # commands.
            validate_command(command)
        except SnoopsyncError as error:
            yield _error_message(error)
            return
        if command.get("command") == "status":
            yield {"result": self._latest.fresh(self._engine.wake).as_message()}
            return
        if self._review.answers(command):
            yield self._read(command)
            return
        request = _Request(command, queue.SimpleQueue())
        self._requests.put(request)
        self._engine.wake()
        while True:
            try:
                message = request.messages.get(timeout=_ALIVE_SECONDS)
            except queue.Empty:
                if self._stop.is_set():
                    yield _error_message(_STOPPING)
                    return
                message = ALIVE
            if message is None:
                return
            yield message

    def _read(self, command: Message) -> Message:
        try:
            return {"result": self._review.answer(command)}
        except SnoopsyncError as error:
            return _error_message(error)

    # On the engine's thread.

    def handle(self) -> None:
        """Carry out the commands that arrived. Resyncs wait for ``begin_resync``. Raises
        ``StateError``: the command gets this error too, but the service must handle it."""
        while (request := self._next_request()) is not None:
            if request.command.get("command") == "resync":
                self._resyncs.append(request)
                continue
            try:
                request.end(self._carry_out(request.command))
            except SnoopsyncError as error:
                request.fail(error)
                if isinstance(error, StateError):
                    raise

    def begin_resync(self) -> None:
        """Begin the next requested resync, if there is one. The engine must not be running one."""
        if not self._resyncs:
            return
        request = self._resyncs.popleft()
        try:
            run = self._engine.begin_resync(self._resync_request(request.command))
        except SnoopsyncError as error:
            request.fail(error)
            if isinstance(error, StateError):
                raise
        else:
            self._running = _Resync(request, run)

    def follow_resync(self) -> None:
        """Send the progress of a resync, and its report at the end. Called after each step of the
        engine."""
        resync = self._running
        if resync is None:
            return
        progress, report = resync.run.progress, resync.run.report
        if progress is not None and progress is not resync.shown:
            resync.shown = progress
            resync.request.messages.put({"progress": asdict(progress)})
        if report is not None:
            resync.request.end(report.as_message())
            self._running = None

    def close(self, error: StateError | None = None) -> None:
        """Answer all unfinished commands with ``error``, or by default that the service is
        stopping."""
        unfinished = [] if self._running is None else [self._running.request]
        while (request := self._next_request()) is not None:
            self._resyncs.append(request)
        for request in (*unfinished, *self._resyncs):
            request.fail(error or _STOPPING)
        self._running = None
        self._resyncs.clear()

    def _next_request(self) -> _Request | None:
        try:
            return self._requests.get_nowait()
        except queue.Empty:
            return None

    def _carry_out(self, command: Message) -> Message:
        if command["command"] == "approve":
            return self._approve(command)
        if command["command"] == "approve_moved":
            moved = approve_moved(self._engine.state, command)
            self._engine.inbox.put(moved)
            return {"images": len(moved)}
        return carry_out_decision(self._engine.state, command, time.time())

    def _resync_request(self, command: Message) -> ResyncRequest:
        wanted = command.get("folders") or ()
        patience = command.get("patience_seconds")
        approved = command.get("approved")
        is_prune = command.get("prune") is True
        if is_prune:
            self._require_all_known(wanted)
        return ResyncRequest(
            [each.folder.name for each in self._engine.monitors if each.folder.name in wanted],
            prune=(lambda plan: plan.digest == approved) if is_prune else None,
            patience_seconds=patience if isinstance(patience, int | float) else 0.0,
        )

    def _require_all_known(self, wanted: Iterable[str]) -> None:
        """Raise ``ServiceFailed`` if the service does not mirror all of these folders, because a
        prune would delete the images of the other folders."""
        known = {monitor.folder.name for monitor in self._engine.monitors}
        unknown = sorted(set(wanted) - known)
        if unknown:
            raise ServiceFailed(
                f"nothing is pruned: the running service does not mirror {', '.join(unknown)};"
                " reload the service, so that it uses the current configuration",
                Exit.HELD_OR_MISSING,
            )

    def _approve(self, command: Message) -> Message:
        """Approve or discard held deletions. In the result, ``images`` is their number, and
        ``taken`` is whether the directory at a missing folder's path was accepted as the folder."""
        deletions, wanted = self._engine.state.deletions, command.get("folder")
        guard, images, taken = self._engine.guard, 0, False
        for monitor in self._engine.monitors:
            name = monitor.folder.name
            if wanted not in (None, name):
                continue
            if command.get("discard") is True:
                count = deletions.discard(name)
                guard.note_decided(name, count, "discarded")
                images += count
                continue
            if monitor.is_missing and wanted == name:
                self._accept(monitor)
                taken = True
            count = deletions.approve(name)
            guard.note_decided(name, count, "approved")
            images += count
            self._engine.inbox.put(record.rel_path for record in deletions.approved(name))
        return {"images": images, "taken": taken}

    def _accept(self, monitor: FolderMonitor) -> None:
        try:
            monitor.accept()
        except FolderMissing as error:
            raise FolderMissing(f"folder {monitor.folder.name} is missing: {error}") from None


def _error_message(error: SnoopsyncError) -> Message:
    return {"error": str(error), "exit_code": exit_code(error)}
