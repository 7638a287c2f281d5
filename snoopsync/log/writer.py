"""Writes the log on a thread of its own, so that whoever logs never waits for a disk, a pipe or a
terminal."""

from __future__ import annotations

import copy
import logging
import queue
import threading
from contextlib import suppress

from snoopsync.core.events import Event, event_record, fields_of
from snoopsync.core.text import counted

#: So many lines wait at most. More are lost, and counted: memory stays flat, however long a disk
#: hangs.
MOST_WAITING = 10_000

#: How long the lines that wait may take to be written, when the log ends.
FAREWELL_SECONDS = 2.0

_THREAD = "log"


class BackgroundWriter(logging.Handler):
    """Hands lines to ``target``, a handler that may take its time, in their order."""

    def __init__(self, target: logging.Handler, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self.target = target
        self._most_waiting = most_waiting
        # It may be used in the middle of itself, by a destructor or a signal's handler that logs.
        self._waiting: queue.SimpleQueue[logging.LogRecord | threading.Event | None] = (
            queue.SimpleQueue()
        )
        self._lost = 0
        self._is_ended = False
        self._thread = threading.Thread(target=self._write_all, name=_THREAD, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Do lines wait for a thread? After ``end`` they are written at once."""
        return not self._is_ended

    def emit(self, record: logging.LogRecord) -> None:
        """Have the line written."""
        if self._is_ended and not self._thread.is_alive():
            self.target.handle(record)
            return
        # An alert is never lost: whoever alerts waits until it is written.
        is_alert = fields_of(record)["event"] == Event.DUPLICATE
        if self._waiting.qsize() >= self._most_waiting and not is_alert:
            self._lost += 1
            return
        self._waiting.put(_frozen(record))

    def when_written(self, event: threading.Event) -> None:
        """Set the event once all lines until now are written."""
        self._waiting.put(event)

    def flush(self) -> None:
        """Wait until all lines until now are written, for ``FAREWELL_SECONDS``."""
        written = threading.Event()
        self.when_written(written)
        written.wait(FAREWELL_SECONDS)

    def end(self) -> bool:
        """Write the lines that wait, within ``FAREWELL_SECONDS``, and end the thread. Returns
        whether that was time enough; if not, ``target`` is still in use."""
        self._is_ended = True
        self._waiting.put(None)
        self._thread.join(FAREWELL_SECONDS)
        return not self._thread.is_alive()

    def close(self) -> None:
        """End, and close ``target``."""
        if self.end():
            self.target.close()
        super().close()

    def _write_all(self) -> None:
        while (each := self._waiting.get()) is not None:
            if isinstance(each, threading.Event):
                each.set()
                continue
            self._write(each)
            if self._lost and self._waiting.empty():
                self._tell_lost()
        self._tell_lost()

    def _write(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a handler has told of its own troubles
            self.target.handle(record)

    def _tell_lost(self) -> None:
        self.acquire()
        lost, self._lost = self._lost, 0
        self.release()
        if lost:
            self._write(
                event_record(
                    logging.getLogger("snoopsync"),
                    logging.WARNING,
                    Event.LOG_LINES_LOST,
                    "%s missing from the log here: they came faster than they could be written",
                    counted(lost, "line is", "lines are"),
                    count=lost,
                )
            )


def _frozen(record: logging.LogRecord) -> logging.LogRecord:
    """The record with its message as it is now: what it was made of may change."""
    try:
        message = record.getMessage()
    except Exception:  # the target tells of it, when it comes to the line
        return record
    frozen = copy.copy(record)
    frozen.msg, frozen.args = message, None
    return frozen


def is_stuck() -> bool:
    """Does a line wait still that could not be written when its log ended?"""
    return any(thread.name == _THREAD for thread in threading.enumerate())
