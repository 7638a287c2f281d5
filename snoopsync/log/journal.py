"""The systemd journal: sends each log line as an entry, with its event and keys as fields."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

from snoopsync.core.events import fields_of
from snoopsync.core.model import printable

#: The socket on which journald accepts entries.
SOCKET = Path("/run/systemd/journal/socket")

#: The journal's priorities (syslog's), by the level of ``logging``.
_PRIORITIES = {
    logging.CRITICAL: 2,
    logging.ERROR: 3,
    logging.WARNING: 4,
    logging.INFO: 6,
    logging.DEBUG: 7,
}


def is_journal(environ: Mapping[str, str]) -> bool:
    """Returns whether standard error goes to the journal: systemd passes the device and inode of
    the journal's stream in ``environ``."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    try:
        stat = os.fstat(sys.stderr.fileno())
    except (OSError, ValueError):
        return False
    return (device, inode) == (str(stat.st_dev), str(stat.st_ino))


def priority(record: logging.LogRecord) -> int:
    """The journal's priority for a line."""
    return _PRIORITIES.get(record.levelno, 6)


class JournalHandler(logging.Handler):
    """Sends entries to journald. ``fallback`` handles entries that can't be sent.

    Unlike a line of text, an entry has fields, and may contain any bytes, such as a newline in a
    path.
    """

    def __init__(self, socket: Path, fallback: logging.Handler) -> None:
        """Raises ``OSError`` if the socket can't be created."""
        super().__init__()
        # Imported late: this takes a tenth of a command's start, and most commands do not need it.
        from logging_journald import JournaldTransport

        # The socket is not connected, so that sending works again after journald restarts.
        self._transport = JournaldTransport(socket, connected=False)
        self._fallback = fallback

    def emit(self, record: logging.LogRecord) -> None:
        """Send the entry."""
        try:
            self._transport.send(_fields(record))
        except OSError:
            self._fallback.handle(record)
        except Exception:
            self.handleError(record)

    def close(self) -> None:
        """Close the socket."""
        self._transport.socket.close()
        super().close()


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, bytes]]:
    message = printable(record.getMessage())
    if record.exc_info is not None:
        message = f"{message}\n{logging.Formatter().formatException(record.exc_info)}"
    yield "MESSAGE", _bytes(message)
    yield "PRIORITY", _bytes(priority(record))
    yield "SYSLOG_IDENTIFIER", b"snoopsync"
    yield "LOGGER", _bytes(record.name)
    for key, value in fields_of(record).items():
        # A list becomes several fields with the same name. ``None`` becomes no field.
        values = [value] if isinstance(value, str | int | float | None) else value
        for each in values:
            if each is not None:
                yield f"SNOOPSYNC_{key.upper()}", _bytes(each)


def _bytes(value: object) -> bytes:
    try:
        # This turns a path back into its bytes on the disk.
        return str(value).encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return str(value).encode("utf-8", "backslashreplace")
