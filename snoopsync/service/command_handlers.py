"""What commands ask of a running service, and how it answers.

A question comes in on a thread of the socket's, and is handed to the engine's, which owns the
mirror. Only how the service is, is answered at once: from its account of itself.
"""

from __future__ import annotations

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass

from snoopsync.control.channel import ALIVE, Message
from snoopsync.control.commands import validate_command
from snoopsync.control.report import Account
from snoopsync.core.duplicates import Pair
from snoopsync.core.errors import FolderMissing, ServiceFailed, SnoopsyncError, StateError
from snoopsync.core.exits import Exit, exit_code
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.sync.components import Components
from snoopsync.sync.resync import Progress as ResyncProgress
from snoopsync.sync.resync import resync

_ALIVE_SECONDS = 1.0

_STOPPING = "the service is stopping"


@dataclass(frozen=True, slots=True)
class _Asked:
    """A question for the engine, and where its messages go; ``None`` is the end of them."""

    question: Message
    messages: queue.SimpleQueue[Message | None]


class Questions:
    """Answers questions. ``answer`` may be called on any thread, the rest is the engine's."""

    def __init__(
        self,
        components: Components,
        account: Account,
        stop: threading.Event,
        tend: Callable[[], None],
    ) -> None:
        """``tend`` is called with every step of a resync."""
        self._components = components
        self._account = account
        self._stop = stop
        self._tend = tend
        self._asked: queue.SimpleQueue[_Asked] = queue.SimpleQueue()
        self._resyncs: deque[_Asked] = deque()

    def answer(self, question: Message) -> Iterator[Message]:
        """The messages that answer a command; the last has ``result`` or ``error``."""
        try:
            # Here, on the asker's thread: the engine only gets what it can carry out.
            validate_command(question)
        except SnoopsyncError as error:
            yield {"error": str(error), "exit_code": exit_code(error)}
            return
        if question.get("command") == "status":
            yield {"result": self._account.fresh(self._components.mirror.wake)}
            return
        asked = _Asked(question, queue.SimpleQueue())
        self._asked.put(asked)
        self._components.mirror.wake()
        while True:
            try:
                message = asked.messages.get(timeout=_ALIVE_SECONDS)
            except queue.Empty:
                if self._stop.is_set():
                    yield {"error": _STOPPING, "exit_code": Exit.LOCKED}
                    return
                message = ALIVE
            if message is None:
                return
            yield message

    def attend(self) -> None:
        """Do what was asked for, but for resyncs: they are for ``serve``. May be called in the
        middle of one. Raises ``StateError``, as everything that uses the state file: the asker is
        told of it too, but it is the service's trouble."""
        while True:
            try:
                asked = self._asked.get_nowait()
            except queue.Empty:
                return
            if asked.question.get("command") == "resync":
                self._resyncs.append(asked)
            else:
                self._serve(asked)

    def serve(self) -> None:
        """Do whatever was asked for. Raises ``StateError``."""
        self.attend()
        while self._resyncs:
            self._serve(self._resyncs.popleft())

    def _serve(self, asked: _Asked) -> None:
        trouble: StateError | None = None
        try:
            asked.messages.put({"result": self._carry_out(asked)})
        except SnoopsyncError as error:
            asked.messages.put({"error": str(error), "exit_code": exit_code(error)})
            trouble = error if isinstance(error, StateError) else None
        asked.messages.put(None)
        if trouble is not None:
            raise trouble

    def _carry_out(self, asked: _Asked) -> Message:
        question = asked.question
        match question.get("command"):
            case "resync":
                return self._resync(asked)
            case "approve":
                return self._approve(question)
            case "dismiss":
                pair = Pair.of(str(question.get("a")), str(question.get("b")))
                return {"known": self._components.pairs.dismiss(pair)}
        raise AssertionError(question)  # ``validate_command`` knows no other

    def _resync(self, asked: _Asked) -> Message:
        def show(progress: ResyncProgress) -> None:
            asked.messages.put({"progress": asdict(progress)})

        components, question = self._components, asked.question
        wanted = question.get("folders") or ()
        patience = question.get("patience_seconds")
        approved = question.get("approved")
        if question.get("prune") is True:
            self._require_all_known(wanted)
        report = resync(
            components,
            folders=[
                each.folder.name for each in components.monitors if each.folder.name in wanted
            ],
            prune=(lambda plan: plan.digest == approved) if question.get("prune") is True else None,
            stop=self._stop,
            patience_seconds=patience if isinstance(patience, int | float) else 0.0,
            tend=self._tend,
            show=show,
        )
        if self._stop.is_set():
            raise ServiceFailed(_STOPPING, Exit.LOCKED)  # it was cut short
        return report.as_message()

    def _require_all_known(self, wanted: Iterable[str]) -> None:
        """Raise ``ServiceFailed`` if the service does not mirror all of these folders: it would
        take their images for those of folders that are not configured."""
        known = {monitor.folder.name for monitor in self._components.monitors}
        unknown = sorted(set(wanted) - known)
        if unknown:
            raise ServiceFailed(
                f"nothing is pruned: the running service does not mirror {', '.join(unknown)};"
                " reload it, so that it has the configuration that you have",
                Exit.HELD_OR_MISSING,
            )

    def _approve(self, question: Message) -> Message:
        """``images``: how many held deletions were let go, or dropped. ``taken``: was a directory
        taken for a folder in whose place it is?"""
        deletions, wanted = self._components.state.deletions, question.get("folder")
        images, taken = 0, False
        for monitor in self._components.monitors:
            name = monitor.folder.name
            if wanted not in (None, name):
                continue
            if question.get("discard") is True:
                images += deletions.discard(name)
                continue
            if monitor.is_missing and wanted == name:
                self._accept(monitor)
                taken = True
            images += deletions.approve(name)
            self._components.mirror.look_again(
                record.rel_path for record in deletions.approved(name)
            )
        return {"images": images, "taken": taken}

    def _accept(self, monitor: FolderMonitor) -> None:
        try:
            monitor.accept()
        except FolderMissing as error:
            raise FolderMissing(f"folder {monitor.folder.name} is missing: {error}") from None
