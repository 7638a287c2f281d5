"""Sets up the log: its handlers, their destinations, and the lowest level that is logged."""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol, TextIO

from snoopsync.core.errors import ConfigError, Problem
from snoopsync.core.events import Event, event_record
from snoopsync.core.model import printable
from snoopsync.log import journal
from snoopsync.log.append_file import append_line, require_appendable
from snoopsync.log.formats import (
    JournalFormatter,
    JsonFormatter,
    LogFormat,
    LogLevel,
    TextFormatter,
)
from snoopsync.log.journal import JournalHandler, is_journal
from snoopsync.log.writer import BackgroundWriter

#: Set while separate threads write the log.
_BACKGROUND = threading.Event()

_OURS = logging.getLogger("snoopsync")
_ALL = logging.getLogger()


class LogSettings(Protocol):
    """The settings that ``configure`` needs."""

    @property
    def level(self) -> LogLevel:
        """The lowest level that is logged."""

    @property
    def format(self) -> LogFormat:
        """The format on standard error."""

    @property
    def file(self) -> Path | None:
        """A file to which the log is written too; ``None`` for no file."""


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to the current ``sys.stderr``. A progress bar replaces ``sys.stderr``, so that lines
    are written above the bar."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        self.stream = sys.stderr
        super().emit(record)


class LogFileHandler(logging.Handler):
    """Appends to a file that may be rotated at any time. A line that can't be written, for example
    to a full disk, is lost. ``failure_handler`` logs the first failure, and the next one after a
    line was written again."""

    def __init__(self, path: Path, failure_handler: logging.Handler) -> None:
        """Raises ``OSError`` if the file can't be opened."""
        super().__init__()
        require_appendable(path)
        self._path = path
        self.failure_handler = failure_handler
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        try:
            append_line(self._path, self.format(record))
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._log_failure(error)
            self._failing = True
        except Exception:
            self.handleError(record)

    def _log_failure(self, error: OSError) -> None:
        # Not through the logger, which would call this handler again.
        record = event_record(
            _OURS,
            logging.ERROR,
            Event.LOG_UNWRITABLE,
            "%s can't be written, the log continues only here: %s",
            printable(str(self._path)),
            error.strerror,
            path=str(self._path),
            error=error.strerror,
        )
        self.failure_handler.handle(record)


#: The name of every thread that sends notifications begins with this.
NOTIFYING = "notify"

_HANDLERS = (StderrHandler, JournalHandler, LogFileHandler, BackgroundWriter)


def configure(
    config: LogSettings,
    *,
    verbosity: int,
    environ: Mapping[str, str],
    journal_socket: Path = journal.SOCKET,
) -> None:
    """Write the log of snoopsync, and the warnings of its libraries, to standard error, and also to
    ``config.file`` if that is set.

    ``verbosity`` changes the level: 1 shows more, -1 less. Raises ``ConfigError`` if the file can't
    be opened; the log is then unchanged.
    """
    handlers: list[logging.Handler] = [_stderr_handler(config.format, environ, journal_socket)]
    if config.file is not None:
        handlers.append(_file_handler(config.file, config.format, handlers[0]))
    if _BACKGROUND.is_set():
        handlers = _in_background(handlers)
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    wanted = levels.index(logging.getLevelNamesMapping()[config.level.upper()]) - verbosity
    level = levels[max(0, min(len(levels) - 1, wanted))]
    for handler in handlers:
        handler.setLevel(level)
        handler.addFilter(_may_be_written)
    for earlier in _replace_handlers(handlers):
        earlier.close()
    # Notifications can include events whose level is not logged.
    _OURS.setLevel(min(level, logging.INFO))
    _OURS.propagate = False
    _ALL.setLevel(max(level, logging.WARNING))


def _may_be_written(record: logging.LogRecord) -> bool:
    """Returns whether a handler may write this record. A message of a library that sends a
    notification may contain the target's password."""
    is_ours = record.name.partition(".")[0] == _OURS.name
    return is_ours or not (record.threadName or "").startswith(NOTIFYING)


@contextmanager
def in_background() -> Iterator[None]:
    """Within the ``with`` block, separate threads write the log, so that logging never waits for a
    disk that hangs or a pipe that nobody reads. Lines that can't be written in time are dropped and
    counted."""
    _BACKGROUND.set()
    _replace_handlers(_in_background(_ours()))
    try:
        yield
    finally:
        _BACKGROUND.clear()
        for handler in _ours():
            if isinstance(handler, BackgroundWriter):
                handler.end()


def delivered(seconds: float) -> bool:
    """Returns whether at least one handler has written all lines so far. Waits for at most this
    many seconds."""
    handlers = _ours()
    writers = [each for each in handlers if isinstance(each, BackgroundWriter) and each.is_running]
    if not writers or len(writers) < len(handlers):
        return True  # some handler writes at once, or there is none
    written = threading.Event()
    for writer in writers:
        writer.when_written(written)
    return written.wait(seconds)


def release() -> None:
    """Undo ``configure``: no log is written."""
    for earlier in _replace_handlers([]):
        earlier.close()
    _OURS.setLevel(logging.NOTSET)
    _OURS.propagate = True
    _ALL.setLevel(logging.WARNING)


def _ours() -> list[logging.Handler]:
    return [each for each in _OURS.handlers if isinstance(each, _HANDLERS)]


def _replace_handlers(handlers: Collection[logging.Handler]) -> list[logging.Handler]:
    """Use these handlers instead of the present ones. Returns the handlers that were removed."""
    before = [each for each in _ours() if each not in handlers]
    for logger in (_OURS, _ALL):
        # The new handlers are added first: a line that is logged meanwhile may be written twice,
        # but is not lost.
        for handler in handlers:
            logger.addHandler(handler)
        for handler in before:
            logger.removeHandler(handler)
    return before


def _in_background(handlers: Sequence[logging.Handler]) -> list[logging.Handler]:
    """The handlers, each wrapped in a thread of its own, so that none waits for another. A handler
    for a terminal is not wrapped, because its lines must stay above a progress bar."""
    writers: dict[logging.Handler, logging.Handler] = {}
    for handler in handlers:
        if isinstance(handler, StderrHandler) and sys.stderr.isatty():
            writers[handler] = handler
            continue
        writers[handler] = writer = BackgroundWriter(handler)
        writer.setLevel(handler.level)
        for each in handler.filters:
            writer.addFilter(each)
    for handler in handlers:
        if isinstance(handler, LogFileHandler):
            beside = handler.failure_handler
            handler.failure_handler = writers.get(beside, beside)
    return list(writers.values())


def _stderr_handler(
    kind: LogFormat, environ: Mapping[str, str], journal_socket: Path
) -> logging.Handler:
    handler = StderrHandler()
    match kind:
        case LogFormat.JSON:
            handler.setFormatter(JsonFormatter())
        case LogFormat.JOURNAL:
            handler.setFormatter(JournalFormatter())
        case LogFormat.AUTO if is_journal(environ):
            handler.setFormatter(JournalFormatter())
        case LogFormat.AUTO:
            handler.setFormatter(TextFormatter(coloured=_has_colours(environ)))
        case LogFormat.TEXT:
            handler.setFormatter(TextFormatter())
    if isinstance(handler.formatter, JournalFormatter) and is_journal(environ):
        with suppress(OSError):
            return JournalHandler(journal_socket, handler)
    return handler


def _has_colours(environ: Mapping[str, str]) -> bool:
    return sys.stderr.isatty() and not environ.get("NO_COLOR") and environ.get("TERM") != "dumb"


def _file_handler(path: Path, kind: LogFormat, failure_handler: logging.Handler) -> logging.Handler:
    try:
        handler = LogFileHandler(path, failure_handler)
    except OSError as error:
        problem = Problem("log.file", f"can't be written: {error.strerror}")
        raise ConfigError(str(path), (problem,)) from None
    handler.setFormatter(JsonFormatter() if kind is LogFormat.JSON else TextFormatter())
    return handler
