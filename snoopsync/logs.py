"""How a line of the log is written: for a terminal, for a file, for the journal, for a program."""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

import click

from snoopsync import journal
from snoopsync.config.settings import LogConfig, LogFormat
from snoopsync.errors import ConfigError, Problem
from snoopsync.events import Event, event_record, fields_of
from snoopsync.journal import JournalHandler, is_journal, priority
from snoopsync.linefile import append_line, require_appendable
from snoopsync.logwriter import BackgroundWriter
from snoopsync.model import printable

#: The levels' colours on a terminal.
_COLOURS = {
    logging.CRITICAL: "red",
    logging.ERROR: "red",
    logging.WARNING: "yellow",
    logging.INFO: "green",
    logging.DEBUG: "blue",
}


#: Is the log written in the background?
_BACKGROUND = threading.Event()

_OURS = logging.getLogger("snoopsync")
_ALL = logging.getLogger()


class TextFormatter(logging.Formatter):
    """``2026-05-04 12:30:01 warning  message``, on one line whatever the message has in it. Only
    the traceback of a bug has more."""

    def __init__(self, *, coloured: bool = False) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        level = f"{record.levelname.lower():8}"
        if self._coloured:
            when = click.style(when, dim=True)
            level = click.style(level, fg=_COLOURS.get(record.levelno))
        text = f"{when} {level} {printable(record.getMessage())}"
        return (
            text if record.exc_info is None else f"{text}\n{self.formatException(record.exc_info)}"
        )


class JournalFormatter(logging.Formatter):
    """``<4>message``: the journal has the time, and takes the priority from the start."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = printable(record.getMessage())
        if record.exc_info is not None:
            text = f"{text} | " + " | ".join(self.formatException(record.exc_info).splitlines())
        return f"<{priority(record)}>{text}"


class JsonFormatter(logging.Formatter):
    """One object a line: ``time``, ``level``, ``logger``, ``event``, ``message``, and the event's
    own keys."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        fields = fields_of(record)
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname,
            "logger": record.name,
            "event": fields["event"],
            "message": record.getMessage(),
        }
        line |= fields
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class StderrHandler(logging.StreamHandler[TextIO]):
    """Writes to whatever standard error is at the moment: a progress bar puts itself in its place,
    so that a line is written above the bar and not through it."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        self.stream = sys.stderr
        super().emit(record)


class LogFileHandler(logging.Handler):
    """Appends to a file that may be rotated away at any time. A line that can't be written, since
    the disk is full, say, is lost; that is said once to ``beside``, until lines are written
    again."""

    def __init__(self, path: Path, beside: logging.Handler) -> None:
        """Raises ``OSError`` if the file can't be opened."""
        super().__init__()
        require_appendable(path)
        self._path = path
        self.beside = beside
        self._failing = False

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        try:
            append_line(self._path, self.format(record))
            self._failing = False
        except OSError as error:
            if not self._failing:
                self._complain(error)
            self._failing = True
        except Exception:
            self.handleError(record)

    def _complain(self, error: OSError) -> None:
        # Not by way of the logger, which would lead here again.
        record = event_record(
            _OURS,
            logging.ERROR,
            Event.LOG_UNWRITABLE,
            "%s can't be written, lines are only here: %s",
            printable(str(self._path)),
            error.strerror,
            path=str(self._path),
            error=error.strerror,
        )
        self.beside.handle(record)


#: How the names of the threads begin that send notifications.
NOTIFYING = "notify"

_HANDLERS = (StderrHandler, JournalHandler, LogFileHandler, BackgroundWriter)


def configure(
    config: LogConfig,
    *,
    verbosity: int,
    environ: Mapping[str, str],
    journal_socket: Path = journal.SOCKET,
) -> None:
    """Send the log of snoopsync to standard error, and to ``log.file`` if there is one; also what
    its libraries warn of, so that all that is written there is of one format.

    ``verbosity`` moves the level: 1 shows more, -1 less. Raises ``ConfigError`` if the file can't
    be opened; the log is then as it was.
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
    # Notifications may be of what is not written.
    _OURS.setLevel(min(level, logging.INFO))
    _OURS.propagate = False
    _ALL.setLevel(max(level, logging.WARNING))


def _may_be_written(record: logging.LogRecord) -> bool:
    """What a library says while it sends a notification may have the address in it, with its
    password."""
    is_ours = record.name.partition(".")[0] == _OURS.name
    return is_ours or not (record.threadName or "").startswith(NOTIFYING)


@contextmanager
def in_background() -> Iterator[None]:
    """As long as the ``with`` lasts, whoever logs never waits until a line is written: not for a
    disk that hangs, nor for a pipe that nobody reads. What can't be written in time is lost, and
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
    """Are all lines until now written, in one place at least? Waits for so long at most."""
    handlers = _ours()
    writers = [each for each in handlers if isinstance(each, BackgroundWriter) and each.is_running]
    if not writers or len(writers) < len(handlers):
        return True  # written at once, or nowhere
    written = threading.Event()
    for writer in writers:
        writer.when_written(written)
    return written.wait(seconds)


def release() -> None:
    """Log nowhere any more: undo ``configure``."""
    for earlier in _replace_handlers([]):
        earlier.close()
    _OURS.setLevel(logging.NOTSET)
    _OURS.propagate = True
    _ALL.setLevel(logging.WARNING)


def _ours() -> list[logging.Handler]:
    return [each for each in _OURS.handlers if isinstance(each, _HANDLERS)]


def _replace_handlers(handlers: Collection[logging.Handler]) -> list[logging.Handler]:
    """Returns the earlier ones that are none any more."""
    before = [each for each in _ours() if each not in handlers]
    for logger in (_OURS, _ALL):
        # The new ones first: a line that comes meanwhile is rather there twice than lost.
        for handler in handlers:
            logger.addHandler(handler)
        for handler in before:
            logger.removeHandler(handler)
    return before


def _in_background(handlers: Sequence[logging.Handler]) -> list[logging.Handler]:
    """The same handlers, each behind a thread of its own: none waits for another. A terminal gets
    its lines at once: a progress bar writes there as well, and they have to stay above it."""
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
            handler.beside = writers.get(handler.beside, handler.beside)
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


def _file_handler(path: Path, kind: LogFormat, beside: logging.Handler) -> logging.Handler:
    try:
        handler = LogFileHandler(path, beside)
    except OSError as error:
        problem = Problem("log.file", f"can't be written: {error.strerror}")
        raise ConfigError(str(path), (problem,)) from None
    handler.setFormatter(JsonFormatter() if kind is LogFormat.JSON else TextFormatter())
    return handler
