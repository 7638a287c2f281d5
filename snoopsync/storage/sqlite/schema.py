"""The file of a collection: its tables, and its errors."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

from snoopsync.core.errors import Unavailable, Unwritable
from snoopsync.runtime import sqlite
from snoopsync.runtime.sqlite import Access, Failure, FailureKind

#: Each step upgrades a database from one version to the next. A released step never changes.
_STEPS = (
    """
    CREATE TABLE collection (id TEXT NOT NULL, moment INTEGER NOT NULL);
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
    );
    -- Everything that a listing needs, in a tenth of the table's pages.
    CREATE INDEX image_listing ON image (moment, id);
    CREATE INDEX image_by_sha256 ON image (sha256);
    CREATE INDEX image_by_thumbnail ON image (thumbnail);
    """,
    # Thumbnails have their own table, so that the codes, which have a tenth of the size, are read
    # quickly when a collection is opened. Images that earlier versions described have no row in it.
    # ``image.thumbnail`` is a digest.
    """
    CREATE TABLE small (
        moment INTEGER PRIMARY KEY,
        grey   BLOB NOT NULL,
        colour BLOB NOT NULL
    );
    """,
    """
    -- What comparisons also use: transparency, the picture without its borders, frames.
    ALTER TABLE small ADD COLUMN alpha BLOB NOT NULL DEFAULT x'';
    ALTER TABLE small ADD COLUMN inside BLOB NOT NULL DEFAULT x'';
    ALTER TABLE small ADD COLUMN frames INTEGER NOT NULL DEFAULT 1;
    -- What the file shows about its origin, as JSON (see ``decoding/evidence``).
    ALTER TABLE image ADD COLUMN evidence TEXT;
    -- The position at which an index reads the row, if that is not the moment. An image that was
    -- described again keeps its moment, since its bytes have not changed.
    ALTER TABLE image ADD COLUMN mark INTEGER;
    CREATE UNIQUE INDEX image_by_mark ON image (mark) WHERE mark IS NOT NULL;
    -- To find the images that an older version described.
    CREATE INDEX image_by_feed ON image (feed, id);
    """,
    """
    -- What the owner of an image calls it.
    ALTER TABLE image ADD COLUMN label TEXT;
    -- How many changes there were. An index asks for it before each search.
    ALTER TABLE collection ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
    """,
    """
    -- By which a part of the picture is found in another one (see ``decoding/regions``).
    ALTER TABLE image ADD COLUMN regions BLOB NOT NULL DEFAULT x'';
    """,
)

#: How long a change waits for another process.
BUSY_SECONDS = 30.0


def connect(path: Path, busy_seconds: float) -> sqlite3.Connection:
    """A connection to the tables of this version, without implicit transactions, which only one
    thread at a time may use."""
    return sqlite.open_durable(path, _STEPS, busy_seconds=busy_seconds)


def collection_id(connection: sqlite3.Connection, new_id: Callable[[], str]) -> str:
    """The collection's ID. A new collection gets one from ``new_id``."""
    row = connection.execute("SELECT id FROM collection").fetchone()
    if row is None:
        # Another process may do the same at this moment. The first one sets the ID.
        connection.execute(
            "INSERT INTO collection (id, moment)"
            " SELECT ?, 0 WHERE NOT EXISTS (SELECT 1 FROM collection)",
            (new_id(),),
        )
        row = connection.execute("SELECT id FROM collection").fetchone()
    return str(row[0])


def count_images(path: Path) -> int:
    """The number of images in a collection. This changes nothing, and the collection may be in use.

    Raises ``Unavailable`` if the file can't be read, or if a newer snoopsync created it.
    """
    with translated(path):
        # Without a journal, no process has the file open, and SQLite must not create a journal.
        in_use = path.with_name(f"{path.name}-wal").exists()
        access = Access.READ if in_use else Access.IMMUTABLE
        with closing(sqlite.connect(path, access)) as connection:
            if sqlite.known_version(connection, _STEPS) == 0:
                return 0
            (count,) = connection.execute("SELECT count(*) FROM image").fetchone()
            return int(count)


def translated(path: Path) -> AbstractContextManager[None]:
    """Translate errors of SQLite and of the disk to ``Unavailable``, or to ``Unwritable`` if the
    disk is full or read-only."""
    return sqlite.translated(path, lambda failure: _error(path, failure))


def _error(path: Path, failure: Failure) -> Unavailable:
    message = failure.about(f"the embedded collection {path}")
    if failure.kind in (FailureKind.DISK_FULL, FailureKind.READ_ONLY):
        return Unwritable(message)
    if failure.kind is FailureKind.DAMAGED:
        message += "; move the file away, and `snoopsync resync` will add every image again"
    return Unavailable(message)
