"""How a line of the log is written: for a terminal, for a file, for the journal, for a program."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
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
from snoopsync.model import printable

#: The levels' colours on a terminal.
_COLOURS = {
    logging.CRITICAL: "red",
    logging.ERROR: "red",
    logging.WARNING: "yellow",
    logging.INFO: "green",
    logging.DEBUG: "blue",
}


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
        self._beside = beside
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
        self._beside.handle(record)


#: How the names of the threads begin that send notifications.
NOTIFYING = "notify"

_HANDLERS = (StderrHandler, JournalHandler, LogFileHandler)


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
    handlers = [_stderr_handler(config.format, environ, journal_socket)]
    if config.file is not None:
        handlers.append(_file_handler(config.file, config.format, handlers[0]))
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    wanted = levels.index(logging.getLevelNamesMapping()[config.level.upper()]) - verbosity
    level = levels[max(0, min(len(levels) - 1, wanted))]
    for handler in handlers:
        handler.setLevel(level)
        handler.addFilter(_may_be_written)
    _replace_handlers(handlers)
    # Notifications may be of what is not written.
    _OURS.setLevel(min(level, logging.INFO))
    _OURS.propagate = False
    _ALL.setLevel(max(level, logging.WARNING))


def _may_be_written(record: logging.LogRecord) -> bool:
    """What a library says while it sends a notification may have the address in it, with its
    password."""
    is_ours = record.name.partition(".")[0] == _OURS.name
    return is_ours or not (record.threadName or "").startswith(NOTIFYING)


def release() -> None:
    """Log nowhere any more: undo ``configure``."""
    _replace_handlers([])
    _OURS.setLevel(logging.NOTSET)
    _OURS.propagate = True
    _ALL.setLevel(logging.WARNING)


def _replace_handlers(handlers: Iterable[logging.Handler]) -> None:
    for logger in (_OURS, _ALL):
        earlier = [each for each in logger.handlers if isinstance(each, _HANDLERS)]
        # The new ones first: a line that comes meanwhile is rather there twice than lost.
        for handler in handlers:
            logger.addHandler(handler)
        for handler in earlier:
            logger.removeHandler(handler)
            handler.close()


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
