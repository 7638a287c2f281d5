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

#: What SQLite says of a file that is no sound database: the families of these codes, and the one
#: code for a file that could be opened for writing and can't be written.
_DAMAGED_FAMILIES = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
_DAMAGED = frozenset({sqlite3.SQLITE_READONLY})

#: What it says while opening one whose header is damaged, since our statements are right.
_DAMAGED_HEADER = frozenset({sqlite3.SQLITE_ERROR})

#: Every column of every table, and every index with its definition.
_LAYOUT = """
    SELECT schema.type, schema.name, part.name, CASE schema.type WHEN 'index' THEN schema.sql END
    FROM sqlite_schema AS schema LEFT JOIN pragma_table_info(schema.name) AS part
    WHERE schema.name NOT LIKE 'sqlite%'
"""


class Database:
    """An open state file. ``readonly`` opens it beside a running service, without writing."""

    def __init__(self, path: Path, *, readonly: bool = False) -> None:
        self.path = path
        self._lock = threading.RLock()
        with self._translated(_DAMAGED_HEADER):
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

    @property
    def changes(self) -> int:
        """How many rows were ever changed on this connection: while it stays, so do they."""
        with self._lock:
            return self._connection.total_changes

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
                with self._translated():
                    self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

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
        self._check_layout(version)
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

    def _check_layout(self, version: int) -> None:
        """Are the tables of this version all there?"""
        layout = set(self._connection.execute(_LAYOUT))
        if version == 0 and layout:
            raise StateError(
                f"{self.path} is a database of another program: set `state:` to another file"
            )
        with closing(sqlite3.connect(_MEMORY)) as model:
            model.executescript("".join(STEPS[: max(version, 0)]))
            expected = set(model.execute(_LAYOUT))
        if version < 0 or not expected <= layout:
            raise StateDamaged(f"{self.path} is damaged: its tables are not those of its version")

    @contextmanager
    def _translated(self, damaged: frozenset[int] = frozenset()) -> Iterator[None]:
        """SQLite's errors as ours. ``damaged``: further codes that only damage explains here."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a bug: the statement, or using what is closed
        except (sqlite3.DatabaseError, UnicodeDecodeError) as error:
            if _is_damage(error, _DAMAGED | damaged):
                raise StateDamaged(f"{self.path} is damaged: {error}") from None
            raise StateError(f"{self.path}: {error}") from None
        except OSError as error:
            raise StateError(f"{self.path}: {error.strerror}") from None


def _is_damage(error: Exception, codes: frozenset[int]) -> bool:
    """Does this error mean that the file is not as it was written? So does a rule that was broken
    (in an index that is not of its table), and a text that is no UTF-8: that has no code."""
    if not isinstance(error, sqlite3.OperationalError):
        return True
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code in codes or code & 0xFF in _DAMAGED_FAMILIES


def move_aside(path: Path, suffix: str) -> Path:
    """Put a damaged state file, with its journal, out of the way; where it is now."""
    target = path.with_name(f"{path.name}.{suffix}")
    for ending in ("-wal", "-shm"):
        journal = path.with_name(path.name + ending)
        if journal.exists():
            journal.rename(target.with_name(target.name + ending))
    path.rename(target)
    return target
