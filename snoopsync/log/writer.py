"""Writes the log on a separate thread, so that logging never waits for a disk, a pipe or a
terminal."""

from __future__ import annotations

import copy
import logging
import queue
import threading
from contextlib import suppress

from snoopsync.core.events import Event, event_record, fields_of
from snoopsync.core.text import counted

#: How many lines may wait. Further lines are dropped and counted, so that memory use is bounded
#: while a disk hangs.
MOST_WAITING = 10_000

#: How long to wait for the remaining lines when the log ends.
DRAIN_SECONDS = 2.0

_THREAD = "log"


class BackgroundWriter(logging.Handler):
    """Passes lines in order to ``target``, a handler that may be slow, on a separate thread."""

    def __init__(self, target: logging.Handler, most_waiting: int = MOST_WAITING) -> None:
        super().__init__()
        self.target = target
        self._most_waiting = most_waiting
        # This kind of queue is reentrant: a destructor or a signal handler may log during ``put``.
        self._waiting: queue.SimpleQueue[logging.LogRecord | threading.Event | None] = (
            queue.SimpleQueue()
        )
        self._dropped = 0
        self._is_ended = False
        self._thread = threading.Thread(target=self._write_all, name=_THREAD, daemon=True)
        self._thread.start()

    @property
    def is_running(self) -> bool:
        """Returns whether the thread writes the lines. After ``end``, they are written at once."""
        return not self._is_ended

    def emit(self, record: logging.LogRecord) -> None:
        """Queue the line."""
        if self._is_ended and not self._thread.is_alive():
            self.target.handle(record)
            return
        # An alert is never dropped: the search for duplicates waits until it is written.
        is_alert = fields_of(record)["event"] == Event.DUPLICATE
        if self._waiting.qsize() >= self._most_waiting and not is_alert:
            self._dropped += 1
            return
        self._waiting.put(_frozen(record))

    def when_written(self, event: threading.Event) -> None:
        """Set the event when all lines so far are written."""
        if self._thread.is_alive():
            self._waiting.put(event)
        else:
            event.set()

    def flush(self) -> None:
        """Wait until all lines so far are written, for at most ``DRAIN_SECONDS``."""
        written = threading.Event()
        self.when_written(written)
        written.wait(DRAIN_SECONDS)

    def end(self) -> bool:
        """Write the remaining lines and end the thread. Returns whether the thread has ended within
        ``DRAIN_SECONDS``; if not, it still uses ``target``."""
        self._is_ended = True
        self._waiting.put(None)
        self._thread.join(DRAIN_SECONDS)
        return not self._thread.is_alive()

    def close(self) -> None:
        """End the thread, and close ``target``."""
        if self.end():
            self.target.close()
        super().close()

    def _write_all(self) -> None:
        while (each := self._waiting.get()) is not None:
            if isinstance(each, threading.Event):
                each.set()
                continue
            self._write(each)
            if self._dropped and self._waiting.empty():
                self._log_dropped()
        self._log_dropped()

    def _write(self, record: logging.LogRecord) -> None:
        with suppress(Exception):  # a handler reports its own errors
            self.target.handle(record)

    def _log_dropped(self) -> None:
        self.acquire()
        dropped, self._dropped = self._dropped, 0
        self.release()
        if dropped:
            self._write(
                event_record(
                    logging.getLogger("snoopsync"),
                    logging.WARNING,
                    Event.LOG_LINES_LOST,
                    "%s here: events came faster than they could be written",
                    counted(dropped, "line of the log is missing", "lines of the log are missing"),
                    count=dropped,
                )
            )


def _frozen(record: logging.LogRecord) -> logging.LogRecord:
    """A copy of the record with its message formatted, since its arguments may change later."""
    try:
        message = record.getMessage()
    except Exception:  # the target reports the error
        return record
    frozen = copy.copy(record)
    frozen.msg, frozen.args = message, None
    return frozen


def is_stuck() -> bool:
    """Returns whether a thread of an ended log still has lines to write."""
    return any(thread.name == _THREAD for thread in threading.enumerate())
