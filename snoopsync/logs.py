"""How a line of the log is written: for a terminal, for a file, for the journal, for a program."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from snoopsync.config.settings import LogConfig, LogFormat

#: The journal's priorities (syslog's), by the level of ``logging``.
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


class TextFormatter(logging.Formatter):
    """``2026-05-04 12:30:01 warning  message``, on one line whatever the message has in it."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        when = datetime.fromtimestamp(record.created).astimezone().strftime("%Y-%m-%d %H:%M:%S")
        text = f"{when} {record.levelname.lower():8} {record.getMessage()}"
        return (
            text if record.exc_info is None else f"{text}\n{self.formatException(record.exc_info)}"
        )


class JournalFormatter(logging.Formatter):
    """``<4>message``: the journal has the time, and takes the priority from the start."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = record.getMessage()
        if record.exc_info is not None:
            text = f"{text} | " + " | ".join(self.formatException(record.exc_info).splitlines())
        return f"<{_PRIORITIES.get(record.levelno, 6)}>{text}"


class JsonFormatter(logging.Formatter):
    """One object a line, with ``time``, ``level``, ``logger`` and the event's own keys, or
    ``message``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(),
            "level": record.levelname,
            "logger": record.name,
        }
        line |= getattr(record, "fields", {})
        line["message"] = record.getMessage()
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


def configure(config: LogConfig, *, verbosity: int, environ: Mapping[str, str]) -> None:
    """Send the log of snoopsync to standard error, and to ``log.file`` if there is one.

    ``verbosity`` moves the level: 1 shows more, -1 less.
    """
    levels = [logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR]
    level = levels.index(logging.getLevelNamesMapping()[config.level.upper()])
    logger = logging.getLogger("snoopsync")
    logger.setLevel(levels[max(0, min(len(levels) - 1, level - verbosity))])
    logger.propagate = False
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    logger.addHandler(_handler(logging.StreamHandler(sys.stderr), _stderr_format(config, environ)))
    if config.file is not None:
        to_file = logging.handlers.WatchedFileHandler(config.file, encoding="utf-8", delay=True)
        logger.addHandler(_handler(to_file, _file_format(config)))


def _handler(handler: logging.Handler, kind: LogFormat) -> logging.Handler:
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
