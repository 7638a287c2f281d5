"""Formats a log line: as text, as JSON, or for the systemd journal."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import click

from snoopsync.core.events import fields_of
from snoopsync.core.model import printable
from snoopsync.log.journal import priority

#: The colour of each level on a terminal.
_COLOURS = {
    logging.CRITICAL: "red",
    logging.ERROR: "red",
    logging.WARNING: "yellow",
    logging.INFO: "green",
    logging.DEBUG: "blue",
}


class LogLevel(StrEnum):
    """The lowest level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogFormat(StrEnum):
    """The format of a log line. ``AUTO``: the journal's format under systemd, text elsewhere."""

    AUTO = "auto"
    TEXT = "text"
    JSON = "json"
    JOURNAL = "journal"


class TextFormatter(logging.Formatter):
    """``2026-05-04 12:30:01 warning  message``, always on one line. Only a traceback adds more
    lines."""

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
    """``<4>message``: the journal adds the time, and reads the priority from the prefix."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        text = printable(record.getMessage())
        if record.exc_info is not None:
            text = f"{text} | " + " | ".join(self.formatException(record.exc_info).splitlines())
        return f"<{priority(record)}>{text}"


class JsonFormatter(logging.Formatter):
    """One JSON object for each line: ``time``, ``level``, ``logger``, ``event``, ``message``, and
    the keys of the event."""

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
