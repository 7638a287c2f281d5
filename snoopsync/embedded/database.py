"""Opening the embedded collection's database: connections, schema, permissions, errors."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain
from pathlib import Path

from snoopsync.core.errors import Unavailable, Unwritable
from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.runtime.writability import DISK_FULL, READ_ONLY, cause

#: Each takes a database from one version to the next. A step, once released, is never edited.
_STEPS = (
    (
        "CREATE TABLE collection (id TEXT NOT NULL, moment INTEGER NOT NULL)",
        """
        CREATE TABLE image (
            moment     INTEGER PRIMARY KEY,
            id         TEXT NOT NULL UNIQUE,
            sha256     BLOB NOT NULL,
            size_bytes INTEGER NOT NULL,
            kind       TEXT NOT NULL,
            width      INTEGER NOT NULL,
            height     INTEGER NOT NULL,
            feed       INTEGER NOT NULL,
            thumbnail  BLOB NOT NULL,
            quality    INTEGER NOT NULL,
            codes      BLOB NOT NULL,
            trimmed    BLOB NOT NULL
        )
        """,
        # All that a listing needs, in a tenth of the table's pages.
        "CREATE INDEX image_listing ON image (moment, id)",
        "CREATE INDEX image_by_sha256 ON image (sha256)",
        "CREATE INDEX image_by_thumbnail ON image (thumbnail)",
    ),
    (
        # Apart from the codes, which are read all at once when a collection is opened, and are a
        # tenth of it. Images of before have none; ``image.thumbnail`` is a digest.
        """
        CREATE TABLE small (
            moment INTEGER PRIMARY KEY,
            grey   BLOB NOT NULL,
            colour BLOB NOT NULL
        )
        """,
    ),
    (
        # What the comparison sees besides: transparency, the picture without its borders, frames.
        "ALTER TABLE small ADD COLUMN alpha BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE small ADD COLUMN inside BLOB NOT NULL DEFAULT x''",
        "ALTER TABLE small ADD COLUMN frames INTEGER NOT NULL DEFAULT 1",
        # Where from the file comes, as JSON; see ``evidence``.
        "ALTER TABLE image ADD COLUMN evidence TEXT",
        # What an index sees as new, where that is not the moment: an image that was described again
        # keeps its moment, since its bytes have not changed.
        "ALTER TABLE image ADD COLUMN mark INTEGER",
        "CREATE UNIQUE INDEX image_by_mark ON image (mark) WHERE mark IS NOT NULL",
        # Which images an older version has described.
        "CREATE INDEX image_by_feed ON image (feed, id)",
    ),
)

#: How long to wait for another process that is writing.
_BUSY_SECONDS = 30.0


def make_private(database: Path) -> None:
    """Make the file, and the directory around it, for the owner only, if they are not there.

    SQLite gives its files beside it the same permissions. Raises ``UnsafeDirectory`` if the
    directory is not this user's alone, or one of the files is a link or another user's.
    """
    own_directory(database.parent)
    names = ("", "-wal", "-shm", "-journal")
    require_own_files(database.with_name(f"{database.name}{each}") for each in names)
    with suppress(FileExistsError):
        os.close(os.open(database, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def connect(database: Path) -> sqlite3.Connection:
    """A connection that any thread may use (one at a time), without implicit transactions."""
    connection = sqlite3.connect(
        database, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
    except BaseException:
        connection.close()
        raise
    return connection


def set_up(connection: sqlite3.Connection, new_id: Callable[[], str]) -> str:
    """Make the tables, of a collection with an ID from ``new_id`` if this database is new, or
    bring an older snoopsync's up to date.

    Returns the collection's ID. Raises ``Unavailable`` if a newer snoopsync made the tables.
    """
    # In a transaction, as another process may be about to do the same.
    with transaction(connection):
        version = _version(connection)
        if version < len(_STEPS):
            for statement in chain.from_iterable(_STEPS[version:]):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(_STEPS)}")
        if version == 0:
            connection.execute("INSERT INTO collection (id, moment) VALUES (?, 0)", (new_id(),))
        (collection_id,) = connection.execute("SELECT id FROM collection").fetchone()
    return str(collection_id)


def count_images(database: Path) -> int:
    """How many images a collection has, by a look that changes nothing, whoever else uses it.

    Raises ``Unavailable`` if it can't be read, or a newer snoopsync made it.
    """
    with naming(database):
        # Without a journal nobody has it open; SQLite would make one to read, and leave it there.
        alone = not database.with_name(f"{database.name}-wal").exists()
        name = f"{database.absolute().as_uri()}?mode=ro{'&immutable=1' if alone else ''}"
        with closing(sqlite3.connect(name, uri=True, timeout=_BUSY_SECONDS)) as connection:
            if _version(connection) == 0:
                return 0
            (count,) = connection.execute("SELECT count(*) FROM image").fetchone()
            return int(count)


def _version(connection: sqlite3.Connection) -> int:
    """The version of the tables, 0 if there are none. Raises ``Unavailable`` for a newer one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(_STEPS):
        raise Unavailable(
            f"the embedded collection was written by a newer snoopsync (version {version}, this"
            f" one knows {len(_STEPS)}): update snoopsync"
        )
    return int(version)


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All of the block or nothing: on disk when it ends, undone when it raises."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


@contextmanager
def naming(database: Path) -> Iterator[None]:
    """Errors of SQLite and of the disk become ``Unavailable``, with the file's name: ``Unwritable``
    where the disk is full or read-only."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        said = f"the embedded collection {database}: {_said(error)}"
        reason = cause(error, database)
        if reason in (DISK_FULL, READ_ONLY):
            raise Unwritable(f"{said}; {reason}") from error
        name = getattr(error, "sqlite_errorname", "")
        if name.startswith(("SQLITE_CORRUPT", "SQLITE_NOTADB")):
            said += "; move it away, and `snoopsync resync` will add every image again"
        raise Unavailable(said) from error


def _said(error: sqlite3.Error | OSError) -> str | None:
    return error.strerror if isinstance(error, OSError) else str(error)
