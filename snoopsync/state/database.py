"""The open state file: its transactions, its upgrades, and whether it is damaged.

One connection, guarded by a lock: any thread may call, one at a time.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
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
)
from snoopsync.core.events import Event, deferred_events, log_event
from snoopsync.runtime import sqlite
from snoopsync.runtime.sqlite import MEMORY, Access, Failure, FailureKind
from snoopsync.state.file import (
    beside,
    forget_order,
    identity,
    leave_in_order,
    left_in_order,
)
from snoopsync.state.schema import STEPS

log = logging.getLogger("snoopsync.state")

#: How long a writer waits for another process's transaction.
_BUSY_SECONDS = 10.0

#: Further codes that mean damage. A file that could be opened for writing is not read-only.
_DAMAGED = frozenset({sqlite3.SQLITE_READONLY})

#: The same while the file is opened: the statements are right, so its header is damaged.
_DAMAGED_HEADER = frozenset({sqlite3.SQLITE_ERROR})

#: The errors of a file that can't be written for now.
_UNWRITABLE = {FailureKind.DISK_FULL: StateFull, FailureKind.READ_ONLY: StateReadOnly}

#: A file that was open for longer than this is not left in order: it may have been damaged since.
_SESSION_SECONDS = 600.0

#: Texts that no index has, so that the check can't tell that they are none any more.
_TEXTS = (
    "SELECT error FROM image WHERE error IS NOT NULL",
    "SELECT a, b, finder FROM pair",
)

#: Every column of every table, and every index with its definition.
_LAYOUT = """
    SELECT schema.type, schema.name, part.name, CASE schema.type WHEN 'index' THEN schema.sql END
    FROM sqlite_schema AS schema LEFT JOIN pragma_table_info(schema.name) AS part
    WHERE schema.name NOT LIKE 'sqlite%'
"""


class Database:
    """An open state file. ``readonly`` opens it beside a running service, without writing.
    ``at_rest``: nobody else has it open, so that SQLite needs no files beside it either."""

    def __init__(self, path: Path, *, readonly: bool = False, at_rest: bool = False) -> None:
        self.path = path
        self._readonly = readonly
        self._lock = threading.RLock()
        self._opened_at = time.monotonic()
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
    def moment(self) -> Iterator[None]:
        """Everything that is read in the ``with`` is of one moment."""
        with self._lock:
            with self._translated():
                self._connection.execute("BEGIN")
            try:
                yield
            finally:
                if self._connection.in_transaction:  # or an error has ended it
                    self._connection.execute("ROLLBACK")

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
        """Run one statement for each row, all of them in one transaction."""
        if rows:
            with self.transaction(), self._translated():
                self._connection.executemany(sql, rows)

    @property
    def changes(self) -> int:
        """How many rows were ever changed on this connection: while it stays, so do they."""
        with self._lock:
            return self._connection.total_changes

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything in the ``with``, or nothing if it raises. Nested transactions join the
        outer one. Events are logged after it."""
        with deferred_events(), self._lock:
            if self._connection.in_transaction:
                yield
                return
            with sqlite.transaction(self._connection, self._translated):
                yield

    def copy_to(self, other: Database) -> None:
        """Make the other one the same as this one."""
        with self._translated():
            self._connection.backup(other._connection)

    def stand_for(self, path: Path) -> None:
        """This is a copy of that file: people know the original, and mend that. Closing the copy
        says nothing about it."""
        self.path, self._checked_at = path, 0.0

    def prove_whole(self) -> None:
        """Raises ``StateDamaged`` for what an ordinary look does not show."""
        with self._translated():
            self._check_whole()

    def require_in_place(self) -> None:
        """Raises ``StateReplaced`` if the file that is open is not the one at its path."""
        if identity(self.path) != self._identity:
            raise StateReplaced(f"{self.path} was deleted or replaced while it was in use")

    def close(self) -> None:
        """Close the file. Closing twice is fine."""
        with self._lock:
            self._connection.close()
            if self._identity is not None and identity(self.path) != self._identity:
                self._take_journal_away()
            elif self._checked_at and time.monotonic() < self._opened_at + _SESSION_SECONDS:
                leave_in_order(self.path, self._checked_at)
            self._checked_at = 0.0
            self._journal = None

    def _take_journal_away(self) -> None:
        """SQLite leaves it when the file was replaced, and would take it for the new one's."""
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
        # Any other access would tidy up what is beside the file of a newer snoopsync.
        if self.path.is_file():
            with closing(sqlite.connect(self.path, Access.IMMUTABLE)) as connection:
                sqlite.known_version(connection, STEPS)

    def _prepare(self, readonly: bool) -> None:
        version = sqlite.known_version(self._connection, STEPS)
        self._check_layout(version)
        if readonly:
            if version < len(STEPS):
                raise StateError(f"{self.path} has an older format: `snoopsync resync` upgrades it")
            return
        # Before anything is written.
        checked_at = left_in_order(self.path)
        sqlite.make_durable(self._connection)
        if checked_at is None:
            self._check_whole()
            checked_at = time.time()
        if 0 < version < len(STEPS):
            self._keep_as_it_is(version)
        sqlite.upgrade(self._connection, STEPS)
        self._checked_at = checked_at

    def _keep_as_it_is(self, version: int) -> None:
        """Put a copy beside a file of an older format, for who wants to go back to the snoopsync
        that wrote it. It has its name once it is whole."""
        target = beside(self.path, f".format-{version}")
        aside = beside(target, ".new")
        sqlite.copy_to_file(self._connection, aside)
        aside.replace(target)
        log_event(
            log,
            logging.INFO,
            Event.STATE_UPGRADED,
            "%s is upgraded from format %d to %d; as it was it is %s",
            *(self.path, version, len(STEPS), target),
            path=str(self.path),
            kept=str(target),
        )

    def _check_whole(self) -> None:
        """Is all of it sound, and each index in step with its table?

        Nothing sees whether the journal of another file was beside this one, and has brought half
        of it up to another day. So what only holds together with other rows is learned anew."""
        # The quick check takes a tenth of the time, and does not look at what indexes have.
        problem = self._connection.execute("PRAGMA integrity_check(1)").fetchone()[0]
        if problem != "ok":
            raise StateDamaged(f"{self.path} is damaged: {problem}")
        if self._connection.execute("PRAGMA user_version").fetchone()[0]:
            for sql in _TEXTS:
                self._connection.execute(sql).fetchall()
            self._connection.execute("DELETE FROM listing")

    def _check_layout(self, version: int) -> None:
        """Are the tables of this version all there?"""
        layout = set(self._connection.execute(_LAYOUT))
        if version == 0 and layout:
            raise StateError(
                f"{self.path} is a database of another program: set `state:` to another file"
            )
        with closing(sqlite3.connect(MEMORY)) as model:
            model.executescript("".join(STEPS[: max(version, 0)]))
            expected = set(model.execute(_LAYOUT))
        if version < 0 or not expected <= layout:
            raise StateDamaged(f"{self.path} is damaged: its tables are not those of its version")

    def _translated(self, damaged: frozenset[int] = frozenset()) -> AbstractContextManager[None]:
        """SQLite's errors as ours. ``damaged``: further codes that only damage explains here."""
        return sqlite.translated(
            self.path, lambda failure: self._error(failure, _DAMAGED | damaged)
        )

    def _error(self, failure: Failure, damaged: frozenset[int]) -> StateError | None:
        if isinstance(failure.error, sqlite3.ProgrammingError | sqlite3.InterfaceError):
            return None  # a bug: the statement, or using what is closed
        message = failure.about(str(self.path))
        if failure.kind is FailureKind.NEWER:
            return StateTooNew(f"{message}, or set `state:` to another file")
        if failure.kind is FailureKind.REPLACED:
            return StateReplaced(message)
        if _is_damage(failure, damaged):
            self._checked_at = 0.0  # so the next one to open it checks it whole
            if not self._readonly:
                forget_order(self.path)
            return StateDamaged(f"{self.path} is damaged: {failure.message}")
        return _UNWRITABLE.get(failure.kind, StateError)(message)


def _is_damage(failure: Failure, codes: frozenset[int]) -> bool:
    """Does this failure mean that the file is not as it was written? So does a rule that was broken
    (in an index that is not of its table), and a text that is not UTF-8: that has no code."""
    if failure.kind is not FailureKind.OTHER:
        return failure.kind is FailureKind.DAMAGED
    if failure.fix is not None or isinstance(failure.error, OSError):
        return False
    code = getattr(failure.error, "sqlite_errorcode", None)
    return not isinstance(failure.error, sqlite3.OperationalError) or code is None or code in codes
