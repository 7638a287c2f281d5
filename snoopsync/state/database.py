"""A SQLite file that survives power loss: opening, migrating, transactions, damage.

One connection, guarded by a lock: any thread may call, one at a time.
"""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from snoopsync.errors import StateDamaged, StateError, StateTooNew
from snoopsync.state.schema import STEPS

#: How long a writer waits for another process's transaction.
_BUSY_SECONDS = 10.0

#: SQLite's name for a database without a file.
_MEMORY = ":memory:"

#: The first bytes of SQLite's extended family of "this is no sound database".
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class Database:
    """An open state file. ``readonly`` opens it beside a running service, without writing."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._translated():
            self._connection = self._connect(readonly)
            try:
                self._prepare(readonly)
            except BaseException:
                self._connection.close()
                raise

    @classmethod
    def scratch(cls, source: Path) -> Database:
        """A copy in memory, to plan and count on without changing anything; empty if there is no
        such file. The file may be in use."""
        copy = cls(Path(_MEMORY))
        if source.exists():
            with closing(cls(source, readonly=True)) as original, copy._translated():
                original._connection.backup(copy._connection)
        return copy

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement, as tuples."""
        with self._lock, self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row, or ``None``."""
        with self._lock, self._translated():
            row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement; how many rows it changed."""
        with self._lock, self._translated():
            return self._connection.execute(sql, parameters).rowcount

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row."""
        with self._lock, self._translated():
            self._connection.executemany(sql, rows)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All or nothing, and on the disk when the ``with`` ends. Nested ones join the outer."""
        with self._lock:
            if self._connection.in_transaction:
                yield
                return
            with self._translated():
                self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise
            with self._translated():
                self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            self._connection.close()

    def _connect(self, readonly: bool) -> sqlite3.Connection:
        name = str(self.path)
        if name != _MEMORY:
            if not readonly:
                self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            name = f"{self.path.absolute().as_uri()}?mode={'ro' if readonly else 'rw'}"
        return sqlite3.connect(
            name,
            uri=name != _MEMORY,
            timeout=_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self, readonly: bool) -> None:
        execute = self._connection.execute
        version = execute("PRAGMA user_version").fetchone()[0]
        if version > len(STEPS):
            raise StateTooNew(
                f"{self.path} was written by a newer snoopsync (format {version}, this one knows "
                f"{len(STEPS)}): upgrade snoopsync, or set `state:` to another file"
            )
        if readonly:
            if version < len(STEPS):
                raise StateError(f"{self.path} has an older format: `snoopsync resync` upgrades it")
            return
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        problem = execute("PRAGMA quick_check(1)").fetchone()[0]
        if problem != "ok":
            raise StateDamaged(f"{self.path} is damaged: {problem}")
        for number in range(version, len(STEPS)):
            step = f"BEGIN IMMEDIATE; {STEPS[number]} PRAGMA user_version = {number + 1}; COMMIT;"
            self._connection.executescript(step)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            code = getattr(error, "sqlite_errorcode", None)
            if code is not None and code & 0xFF in _DAMAGED:
                raise StateDamaged(f"{self.path} is damaged: {error}") from None
            if isinstance(error, sqlite3.OperationalError):
                raise StateError(f"{self.path}: {error}") from None
            raise
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from None


def move_aside(path: Path, suffix: str) -> Path:
    """Put a damaged state file, with its journal, out of the way; where it is now."""
    target = path.with_name(f"{path.name}.{suffix}")
    for ending in ("-wal", "-shm"):
        journal = path.with_name(path.name + ending)
        if journal.exists():
            journal.rename(target.with_name(target.name + ending))
    path.rename(target)
    return target
