"""The open state file: its transactions, its upgrades, and the check for damage.

A lock guards the one connection, so any thread may call.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from snoopsync.core.errors import (
    StateDamaged,
    StateError,
    StateFull,
    StateReadOnly,
    StateReplaced,
    StateTooNew,
    StateTooOld,
)
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.runtime import sqlite
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.sqlite import MEMORY, Access, Failure, FailureKind
from snoopsync.state.file import (
    beside,
    identity,
    last_checked_at,
    record_check,
    require_check,
)
from snoopsync.state.schema import STEPS

log = logging.getLogger("snoopsync.state")

#: How long a writer waits for another process's transaction.
_BUSY_SECONDS = 10.0

#: Further codes that mean damage: a file that was opened for writing can't be read-only.
_DAMAGED = frozenset({sqlite3.SQLITE_READONLY})

#: Further codes that mean damage while the file is opened: the statements are correct, so the
#: file's header is damaged.
_DAMAGED_HEADER = frozenset({sqlite3.SQLITE_ERROR})

#: The errors of a file that can't be written for now.
_UNWRITABLE = {FailureKind.DISK_FULL: StateFull, FailureKind.READ_ONLY: StateReadOnly}

#: After a longer session, the file is checked the next time that it is opened, since it may have
#: been damaged meanwhile.
_SESSION_SECONDS = 600.0

#: Text columns that no index contains, by table, so the integrity check does not read them. A file
#: of an older format may lack some of the tables.
_TEXTS = {"image": "error", "node": "facts", "link": "kind"}

#: Every column of every table, and the definition of every index.
_LAYOUT = """
    SELECT schema.type, schema.name, part.name, CASE schema.type WHEN 'index' THEN schema.sql END
    FROM sqlite_schema AS schema LEFT JOIN pragma_table_info(schema.name) AS part
    WHERE schema.name NOT LIKE 'sqlite%'
"""


class Database:
    """An open state file. ``readonly``: nothing is written; a service may use the file meanwhile.
    ``at_rest``: no process has the file open, so SQLite need not create files beside it. ``steps``:
    the scripts that create and upgrade the tables."""

    def __init__(
        self,
        path: Path,
        *,
        readonly: bool = False,
        at_rest: bool = False,
        steps: Sequence[str] = STEPS,
        clock: Clock | None = None,
    ) -> None:
        self.path = path
        self._steps = steps
        self._clock = clock or Clock()
        self._readonly = readonly
        self._lock = threading.RLock()
        self._opened_at = self._clock.monotonic()
        self._checked_at = 0.0
        with self._translated(_DAMAGED_HEADER):
            if not readonly:
                self._refuse_newer()
            self._connection = self._connect(readonly, at_rest)
            try:
                self._identity = identity(path)
                self._prepare(readonly)
                self._journal = None if readonly else identity(beside(path, "-wal"))
            except BaseException:
                self._connection.close()
                raise

    @contextmanager
    def read_transaction(self) -> Iterator[None]:
        """Everything that the ``with`` block reads is the state at one moment."""
        with self._lock:
            with self._translated():
                self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:  # an error may have ended it
                    self._connection.execute("ROLLBACK")

    def query(self, sql: str, parameters: Sequence[Any] = ()) -> list[Any]:
        """All rows of a statement, as tuples."""
        with self._lock, self._translated():
            return self._connection.execute(sql, parameters).fetchall()

    def one(self, sql: str, parameters: Sequence[Any] = ()) -> Any:
        """The first column of the first row; ``None`` if there is no row."""
        with self._lock, self._translated():
            row = self._connection.execute(sql, parameters).fetchone()
        return None if row is None else row[0]

    def change(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run one statement. Returns the number of rows that it changed."""
        with self._lock, self._translated():
            return self._connection.execute(sql, parameters).rowcount

    def change_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> None:
        """Run one statement for each row, all of them in one transaction."""
        if rows:
            with self.transaction(), self._translated():
                self._connection.executemany(sql, rows)

    @property
    def changes(self) -> int:
        """The number of row changes by this connection. While the number is the same, no row has
        changed."""
        with self._lock:
            return self._connection.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the ``with`` block, or nothing if the block raises. A nested
        transaction joins the outer one. Events are logged after the outer transaction."""
        with deferred_events(), self._lock:
            if self._connection.in_transaction:
                yield
                return
            with sqlite.transaction(self._connection, self._translated):
                yield

    def copy_to(self, other: Database) -> None:
        """Copy everything into the other database."""
        with self._translated():
            self._connection.backup(other._connection)

    def stand_in_for(self, path: Path) -> None:
        """Treat this database as a copy of the file at ``path``. Errors name that file, which a
        person can fix. Closing the copy records no check of the file."""
        self.path, self._checked_at = path, 0.0

    def check_integrity(self) -> None:
        """Check the whole file. Raises ``StateDamaged``."""
        with self._translated():
            self._check_whole()

    def require_in_place(self) -> None:
        """Raises ``StateReplaced`` if the open file is no longer the one at its path."""
        if identity(self.path) != self._identity:
            raise StateReplaced(f"{self.path} was deleted or replaced while it was in use")

    def close(self) -> None:
        """Close the file. A second call does nothing."""
        with self._lock:
            self._connection.close()
            if self._identity is not None and identity(self.path) != self._identity:
                self._remove_journal()
            elif self._checked_at and self._clock.monotonic() < self._opened_at + _SESSION_SECONDS:
                record_check(self.path, self._checked_at, self._clock)
            self._checked_at = 0.0
            self._journal = None

    def _remove_journal(self) -> None:
        """Remove the journal of a replaced file. SQLite would apply it to the new file."""
        journal = beside(self.path, "-wal")
        if self._journal is not None and identity(journal) == self._journal:
            with suppress(OSError):
                journal.unlink()
                beside(self.path, "-shm").unlink()

    def _connect(self, readonly: bool, at_rest: bool) -> sqlite3.Connection:
        access = Access.IMMUTABLE if at_rest else Access.READ if readonly else Access.WRITE
        if access is Access.WRITE and str(self.path) != MEMORY:
            sqlite.make_private(self.path)
        return sqlite.connect(self.path, access, busy_seconds=_BUSY_SECONDS)

    def _refuse_newer(self) -> None:
        # In any other mode, SQLite would change the files beside the file of a newer snoopsync.
        if self.path.is_file():
            with closing(sqlite.connect(self.path, Access.IMMUTABLE)) as connection:
                sqlite.known_version(connection, self._steps)

    def _prepare(self, readonly: bool) -> None:
        version = sqlite.known_version(self._connection, self._steps)
        self._check_layout(version)
        if readonly:
            if version == 0:
                # Another process has just created the file, which contains nothing yet.
                self._connection.close()
                self._connection = sqlite.connect(Path(MEMORY))
                sqlite.upgrade(self._connection, self._steps)
                self._connection.execute("PRAGMA query_only = ON")
            elif version < len(self._steps):
                message = f"{self.path} has an older format: `snoopsync resync` upgrades it"
                raise StateTooOld(message)
            return
        # This must be read before anything is written.
        checked_at = last_checked_at(self.path, self._clock)
        sqlite.make_durable(self._connection)
        if checked_at is None:
            self._check_whole()
            checked_at = self._clock.now()
        if 0 < version < len(self._steps):
            self._back_up(version)
        sqlite.upgrade(self._connection, self._steps)
        self._checked_at = checked_at

    def _back_up(self, version: int) -> None:
        """Copy a file of an older format, so that a person can go back to the older version. The
        copy gets its final name when it is complete."""
        target = beside(self.path, f".format-{version}")
        incomplete = beside(target, ".new")
        sqlite.copy_to_file(self._connection, incomplete)
        incomplete.replace(target)
        log_event(
            log,
            logging.INFO,
            Event.STATE_UPGRADED,
            "upgrading %s from format %d to %d; a copy of the old file is %s",
            *(self.path, version, len(self._steps), target),
            path=str(self.path),
            kept=str(target),
        )

    def _check_whole(self) -> None:
        """Raises ``StateDamaged`` unless all pages are valid and each index matches its table.

        No check can detect that the journal of another file was applied to this file, so that some
        rows are older than others. Stored listings depend on other rows, so they are deleted."""
        # The quick check takes a tenth of the time, but does not compare indexes with tables.
        problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise StateDamaged(f"{self.path} is damaged: {problem}")
        if self._connection.execute("PRAGMA user_version").fetchone()[0]:
            tables = self._connection.execute("SELECT name FROM sqlite_schema").fetchall()
            for table in _TEXTS.keys() & {name for (name,) in tables}:
                text = _TEXTS[table]
                self._connection.execute(
                    f"SELECT {text} FROM {table} WHERE {text} IS NOT NULL"
                ).fetchall()
            self._connection.execute("DELETE FROM listing")

    def _check_layout(self, version: int) -> None:
        """Raises ``StateError`` unless the file has all tables of this version."""
        layout = set(self._connection.execute(_LAYOUT))
        if version == 0 and layout:
            raise StateError(
                f"{self.path} is a database of another program: set `state:` to another file"
            )
        with closing(sqlite3.connect(MEMORY)) as model:
            model.executescript("".join(self._steps[: max(version, 0)]))
            expected = set(model.execute(_LAYOUT))
        if version < 0 or not expected <= layout:
            raise StateDamaged(f"{self.path} is damaged: its tables are not those of its version")

    def _translated(self, damaged: frozenset[int] = frozenset()) -> AbstractContextManager[None]:
        """Translate SQLite's errors to ``StateError``. ``damaged``: further codes that mean
        damage."""
        return sqlite.translated(
            self.path, lambda failure: self._error(failure, _DAMAGED | damaged)
        )

    def _error(self, failure: Failure, damaged: frozenset[int]) -> StateError | None:
        if isinstance(failure.error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return None  # a bug: a wrong statement, or a closed database
        message = failure.about(str(self.path))
        if failure.kind is FailureKind.NEWER:
            return StateTooNew(f"{message}, or set `state:` to another file")
        if failure.kind is FailureKind.REPLACED:
            return StateReplaced(message)
        if _is_damage(failure, damaged):
            self._checked_at = 0.0  # the file is checked the next time that it is opened
            if not self._readonly:
                require_check(self.path)
            return StateDamaged(f"{self.path} is damaged: {failure.message}")
        return _UNWRITABLE.get(failure.kind, StateError)(message)


def _is_damage(failure: Failure, codes: frozenset[int]) -> bool:
    """Returns whether the failure means that the file is damaged. A broken constraint also means
    damage (an index does not match its table), and so does a text that is not UTF-8, an error
    without a code."""
    if failure.kind is not FailureKind.OTHER:
        return failure.kind is FailureKind.DAMAGED
    if failure.fix is not None or isinstance(failure.error, OSError):
        return False
    code = getattr(failure.error, "sqlite_errorcode", None)
    return not isinstance(failure.error, sqlite3.OperationalError) or code is None or code in codes
