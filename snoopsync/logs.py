"""How a line of the log is written: for a terminal, for a file, for the journal, for a program."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TextIO

from snoopsync.config.settings import LogConfig, LogFormat
from snoopsync.errors import ConfigError, Problem
from snoopsync.model import printable

#: The journal's priorities (syslog's), by the level of ``logging``.
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


class TextFormatter(logging.Formatter):
    """``2026-05-04 12:30:01 warning  message``, on one line whatever the message has in it. Only
    the traceback of a bug has more."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        text = f"{when} {record.levelname.lower():8} {printable(record.getMessage())}"
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
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"


class JsonFormatter(logging.Formatter):
    """One object a line, with ``time``, ``level`` and ``logger``, and then ``message``, or the keys
    of an event that has its own."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
        }
        line |= getattr(record, "fields", None) or {"message": record.getMessage()}
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


class LogFileHandler(logging.handlers.WatchedFileHandler):
    """Appends to a file that may be rotated away at any time. A line that can't be written, since
    the disk is full, say, is lost; that is said once, until lines are written again."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, encoding="utf-8", errors="backslashreplace")
        self._failing = False
        self._written = True

    def emit(self, record: logging.LogRecord) -> None:
        """Write the line."""
        self._written = True
        try:
            super().emit(record)
        except OSError:  # the file was rotated away, and can't be made anew
            self.handleError(record)
        self._failing = not self._written

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """The line could not be written."""
        self._written = False
        if not self._failing:
            sys.stderr.write(f"snoopsync: {self.baseFilename}: {sys.exception()}\n")

    def close(self) -> None:
        """Close the file. What could not be written by now is lost."""
        with suppress(OSError):
            super().close()


def configure(config: LogConfig, *, verbosity: int, environ: Mapping[str, str]) -> None:
    """Send the log of snoopsync to standard error, and to ``log.file`` if there is one.

    ``verbosity`` moves the level: 1 shows more, -1 less. Raises ``ConfigError`` if the file can't
    be opened.
    """
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    level = levels.index(logging.getLevelNamesMapping()[config.level.upper()])
    handlers: list[logging.Handler] = [_formatted(StderrHandler(), _stderr_format(config, environ))]
    if config.file is not None:
        handlers.append(_formatted(_opened(config.file), _file_format(config)))
    # Only now, so that a file that can't be opened leaves everything as it was.
    logger = logging.getLogger("snoopsync")
    logger.setLevel(levels[max(0, min(len(levels) - 1, level - verbosity))])
    logger.propagate = False
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    for handler in handlers:
        logger.addHandler(handler)


def _opened(path: Path) -> LogFileHandler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return LogFileHandler(path)
    except OSError as error:
        problem = Problem("log.file", f"can't be written: {error.strerror}")
        raise ConfigError(str(path), (problem,)) from None


def _formatted(handler: logging.Handler, kind: LogFormat) -> logging.Handler:
    formatters = {LogFormat.JSON: JsonFormatter, LogFormat.JOURNAL: JournalFormatter}
    handler.setFormatter(formatters.get(kind, TextFormatter)())
    return handler


def _stderr_format(config: LogConfig, environ: Mapping[str, str]) -> LogFormat:
    if config.format is not LogFormat.AUTO:
        return config.format
    if _is_journal(environ):
        return LogFormat.JOURNAL
    return LogFormat.TEXT


def _file_format(config: LogConfig) -> LogFormat:
    return LogFormat.JSON if config.format is LogFormat.JSON else LogFormat.TEXT


def _is_journal(environ: Mapping[str, str]) -> bool:
    """Is standard error the journal's? systemd names the stream's device and inode."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(stat.st_dev), str(stat.st_ino))
