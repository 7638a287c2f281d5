"""Keeps the state file open for many readings, and tells whether it has changed in between."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from snoopsync.core.errors import StateError
from snoopsync.state.database import Database
from snoopsync.state.file import beside
from snoopsync.state.lock import holder
from snoopsync.state.reading import readable

#: The process that holds the file, and numbers that change with the bytes of the file.
_Stamp = tuple[int | None, tuple[int, ...], tuple[int, ...]]


class StateReader:
    """Reads the state file, whether or not a service uses it. For any thread, one at a time.

    Opening the file takes some milliseconds, and a file that no service uses is even copied. So the
    file stays open until it changes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._stack = ExitStack()
        self._database: Database | None = None
        self._stamp: _Stamp | None = None
        self._is_closed = False

    @contextmanager
    def reading(self) -> Iterator[tuple[Database, str]]:
        """The file at one moment, and its version, which changes when the file does. Raises
        ``StateError``, also after ``close``."""
        with self._lock:
            if self._is_closed:
                raise StateError("the state file is not read any more: snoopsync is stopping")
            stamp = self._stamp_now()
            if self._database is None or stamp != self._stamp:
                self._close()
                self._database = self._stack.enter_context(readable(self._path))
                self._stamp = stamp
            database = self._database
            with database.read_transaction():
                # A read sees the database's version only after the transaction has begun to read.
                database.one("SELECT count(*) FROM fact")
                yield database, _version(stamp, database.one("PRAGMA data_version"))

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            self._is_closed = True
            self._close()

    def _close(self) -> None:
        self._database = None
        self._stack.close()
        self._stack = ExitStack()

    def _stamp_now(self) -> _Stamp:
        pid = holder(self._path)
        return pid, _numbers_of(self._path), _numbers_of(beside(self._path, "-wal"))


def _numbers_of(path: Path) -> tuple[int, ...]:
    try:
        status = os.stat(path)  # noqa: PTH116 - a tuple of a few numbers, often
    except OSError:
        return ()
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _version(stamp: _Stamp, data_version: int) -> str:
    return hashlib.sha256(repr((stamp, data_version)).encode()).hexdigest()[:16]
