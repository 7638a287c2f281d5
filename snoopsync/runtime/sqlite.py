"""The one way to open a SQLite file: private, durable, with tables of a known version.

The state file, the embedded collection and the registry of a service are opened here. Each of them
translates failures into its own errors: see ``translated``.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path

from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.runtime.writability import DISK_FULL, READ_ONLY, cause

#: SQLite's name for a database without a file.
MEMORY = ":memory:"

#: How long a writer waits for another process's transaction.
_BUSY_SECONDS = 30.0

#: The endings of a database's files: the database itself and the files beside it.
_ENDINGS = ("", "-wal", "-shm", "-journal")

#: SQLite's primary result codes for a file that is not a valid database.
_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


class Access(StrEnum):
    """How a file is opened. ``IMMUTABLE`` reads a file that no process has open: SQLite then
    creates no files beside it."""

    WRITE = "mode=rw"
    READ = "mode=ro"
    IMMUTABLE = "mode=ro&immutable=1"


class NewerVersion(Exception):
    """A newer snoopsync created the tables."""

    def __init__(self, found: int, known: int) -> None:
        super().__init__(
            f"was written by a newer snoopsync (format {found}, but this version supports {known}):"
            " upgrade snoopsync"
        )


def make_private(path: Path) -> None:
    """Create the file and its directory if they do not exist, with access for this user only.
    SQLite gives the files beside it the same permissions.

    Raises ``UnsafeDirectory`` if another user can write in the directory or replace it, or if one
    of the files is a link or belongs to another user. Raises ``StateError`` if the directory can't
    be created, and ``OSError`` if the file can't be.
    """
    own_directory(path.parent)
    require_own_files(path.with_name(path.name + ending) for ending in _ENDINGS)
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    except FileExistsError:
        # An existing file is not opened: closing it would release the locks that another connection
        # of this process holds (sqlite.org/howtocorrupt.html, section 2.2).
        if not os.access(path, os.W_OK, effective_ids=True):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path)) from None


def connect(
    path: Path, access: Access = Access.WRITE, *, busy_seconds: float = _BUSY_SECONDS
) -> sqlite3.Connection:
    """A connection without implicit transactions, which only one thread at a time may use.
    ``busy_seconds``: how long it waits for another process's transaction."""
    is_file = str(path) != MEMORY
    return sqlite3.connect(
        f"{path.absolute().as_uri()}?{access}" if is_file else MEMORY,
        uri=is_file,
        timeout=busy_seconds,
        isolation_level=None,
        check_same_thread=False,
    )


def open_durable(
    path: Path, steps: Sequence[str], *, busy_seconds: float = _BUSY_SECONDS
) -> sqlite3.Connection:
    """A connection to a private and durable file, with tables of the newest version. The file is
    created if it does not exist. Raises what ``make_private`` and ``upgrade`` raise."""
    make_private(path)
    connection = connect(path, busy_seconds=busy_seconds)
    try:
        make_durable(connection)
        upgrade(connection, steps)
    except BaseException:
        connection.close()
        raise
    return connection


def make_durable(connection: sqlite3.Connection) -> None:
    """Make every commit durable when it returns. Readers never wait for a commit."""
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")


@contextmanager
def transaction(
    connection: sqlite3.Connection,
    translated: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> Iterator[None]:
    """Commit everything in the ``with`` block, or nothing if the block raises. ``translated`` wraps
    the statements that begin and commit, but not the block."""
    with translated():
        connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        with translated():
            connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have ended the transaction
            connection.execute("ROLLBACK")
        raise


def known_version(connection: sqlite3.Connection, steps: Sequence[str]) -> int:
    """The version of the tables: how many of the steps were applied. Raises ``NewerVersion`` if
    that is more than ``steps`` has."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(steps):
        raise NewerVersion(version, len(steps))
    return int(version)


def upgrade(connection: sqlite3.Connection, steps: Sequence[str]) -> None:
    """Bring the tables to the newest version, in one transaction. ``steps[n]`` is the script from
    version n to n + 1. Raises ``NewerVersion``."""
    if known_version(connection, steps) == len(steps):
        return
    with transaction(connection):
        # Another process may have upgraded the tables since the check above.
        for script in steps[known_version(connection, steps) :]:
            for statement in _statements(script):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {len(steps)}")


def _statements(script: str) -> Iterator[str]:
    # ``executescript`` would commit the transaction.
    statement = ""
    for part in script.split(";"):
        statement += f"{part};"
        if sqlite3.complete_statement(statement):  # not inside a trigger or a comment
            yield statement
            statement = ""


def copy_to_file(connection: sqlite3.Connection, path: Path) -> None:
    """Write a consistent copy of the database to this file, with access for this user only. The
    copy is durable on return."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
    os.close(os.open(path, flags, 0o600))
    with closing(sqlite3.connect(path)) as copy:
        connection.backup(copy)
    with path.open("rb") as file:
        os.fsync(file.fileno())


class FailureKind(Enum):
    """Why a statement failed, as far as SQLite and the system report it."""

    DAMAGED = "damaged"
    REPLACED = "replaced"
    DISK_FULL = "disk full"
    READ_ONLY = "read-only file system"
    NEWER = "newer version"
    OTHER = "other"


_UNWRITABLE = {DISK_FULL: FailureKind.DISK_FULL, READ_ONLY: FailureKind.READ_ONLY}


@dataclass(frozen=True, slots=True)
class Failure:
    """A failure of SQLite or of the system. ``message``: for people, without the file's name.
    ``fix``: why the file can't be written and what to do, if that is the cause."""

    kind: FailureKind
    message: str
    error: Exception
    fix: str | None = None

    def about(self, name: str) -> str:
        """One sentence about the failure, for the database with this name."""
        if self.kind in (FailureKind.NEWER, FailureKind.REPLACED):
            return f"{name} {self.message}"
        return f"{name}: {self.message}" + (f"; {self.fix}" if self.fix else "")


def _failure(error: Exception, path: Path) -> Failure:
    message = (error.strerror if isinstance(error, OSError) else str(error)) or "can't be used"
    code = getattr(error, "sqlite_errorcode", None) or 0
    if isinstance(error, NewerVersion):
        return Failure(FailureKind.NEWER, message, error)
    if code == sqlite3.SQLITE_READONLY_DBMOVED:
        message = "was deleted or replaced while it was in use"
        return Failure(FailureKind.REPLACED, message, error)
    if code & 0xFF in _DAMAGED:
        return Failure(FailureKind.DAMAGED, message, error)
    fix = cause(error, path)
    return Failure(_UNWRITABLE.get(fix or "", FailureKind.OTHER), message, error, fix)


@contextmanager
def translated(path: Path, error_for: Callable[[Failure], Exception | None]) -> Iterator[None]:
    """Translate errors of SQLite, of the system and of texts that are not UTF-8: raise what
    ``error_for`` returns instead. If it returns ``None``, the original error is raised."""
    try:
        yield
    except (sqlite3.Error, OSError, UnicodeDecodeError, NewerVersion) as error:
        translation = error_for(_failure(error, path))
        if translation is None:
            raise
        raise translation from error
