"""The collections of a data directory, and their key pairs. The secret keys are not stored: they
derive from the master key."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path

from snoopsync.core.errors import SnoopsyncError
from snoopsync.runtime import sqlite
from snoopsync.runtime.owned_directory import own_directory, require_own_files
from snoopsync.runtime.sqlite import Failure
from snoopsync.storage.hosting import (
    KEY_COLUMNS,
    KEY_FIELDS,
    HostedCollection,
    Key,
    checked_label,
    checked_name,
    key_values,
)
from snoopsync.storage.images import ImageStore
from snoopsync.storage.rows import ImageRows
from snoopsync.storage.sqlite.images import SqliteImageStore
from snoopsync.storage.sqlite.rows import SqliteImageRows
from snoopsync.storage.sqlite.signatures import MemorySignatures

#: Each step migrates a registry from one version to the next. A released step never changes.
_STEPS = (
    """
    CREATE TABLE collection (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        created_at REAL NOT NULL
    );
    CREATE TABLE key (
        public_key TEXT PRIMARY KEY,
        collection_id TEXT NOT NULL REFERENCES collection (id),
        created_at REAL NOT NULL,
        revoked_at REAL
    );
    """,
    """
    ALTER TABLE key ADD COLUMN label TEXT;
    ALTER TABLE key ADD COLUMN last_used_at REAL;
    -- Of the master key that the secrets derive from.
    CREATE TABLE master_key (fingerprint TEXT NOT NULL);
    """,
)

#: With a margin: SQLite may open a temporary file too.
_FILES_PER_COLLECTION = 9


class SqliteHosting:
    """A ``Hosting`` in a directory: a file with the keys, and a file for each collection."""

    def __init__(self, data: Path, now: float) -> None:
        """Opens or creates the registry in this directory, which is readable by its owner only.
        ``now`` is Unix seconds. Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if the directory
        does not belong to this user alone."""
        self._data = data = own_directory(data)
        require_own_files([data / "collections"])
        self._path = data / "keys.sqlite3"
        self._lock = threading.Lock()
        self._signatures = MemorySignatures(now)
        with self._translated():
            self._connection = sqlite.open_durable(self._path, _STEPS)

    @property
    def signatures(self) -> MemorySignatures:
        """The signatures that this process has accepted. It is the only one that serves the
        directory."""
        return self._signatures

    @property
    def description(self) -> str:
        """The path of the directory."""
        return str(self._data)

    @property
    def warning(self) -> None:
        """Nothing: only this user can read the directory."""
        return

    @property
    def files_per_collection(self) -> int:
        """Two connections, each with the database and the files beside it."""
        return _FILES_PER_COLLECTION

    def pool_statistics(self) -> None:
        """SQLite needs no pool."""

    def close(self) -> None:
        """Close the registry."""
        with self._lock:
            self._connection.close()

    def master_key_fingerprint(self) -> str | None:
        """As in ``Hosting``."""
        with self._looking() as connection:
            row = connection.execute("SELECT fingerprint FROM master_key").fetchone()
        return None if row is None else str(row[0])

    def record_master_key(self, fingerprint: str) -> str:
        """As in ``Hosting``."""
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO master_key SELECT ? WHERE NOT EXISTS (SELECT 1 FROM master_key)",
                (fingerprint,),
            )
            return str(connection.execute("SELECT fingerprint FROM master_key").fetchone()[0])

    def add_key(self, name: str, label: str | None = None) -> Key:
        """As in ``Hosting``."""
        name, label, now = checked_name(name), checked_label(label), time.time()
        with self._changing() as connection:
            row = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()
            collection_id = row[0] if row else secrets.token_hex(4)
            if row is None:
                connection.execute(
                    "INSERT INTO collection VALUES (?, ?, ?)", (collection_id, name, now)
                )
            key = Key(secrets.token_hex(10), collection_id, name, now, label=label)
            connection.execute(
                "INSERT INTO key (public_key, collection_id, created_at, label)"
                " VALUES (?, ?, ?, ?)",
                (key.public_key, collection_id, now, label),
            )
        return key

    def revoke(self, public_key: str) -> bool:
        """Revoke this key. Returns whether it was valid."""
        if not public_key.isascii():
            return False  # SQLite does not take every text
        with self._changing() as connection:
            changed = connection.execute(
                "UPDATE key SET revoked_at = ? WHERE public_key = ? AND revoked_at IS NULL",
                (time.time(), public_key),
            ).rowcount
        return bool(changed)

    def record_use(self, public_key: str, at: float) -> None:
        """As in ``Hosting``."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE key SET last_used_at = ?1 WHERE public_key = ?2"
                " AND coalesce(last_used_at, 0) < ?1",
                (at, public_key),
            )

    def all_keys(self) -> list[Key]:
        """Return all keys, also revoked ones, oldest first."""
        with self._looking() as connection:
            rows = connection.execute(
                f"SELECT {KEY_FIELDS} FROM key"
                " JOIN collection ON id = collection_id ORDER BY key.created_at, public_key"
            ).fetchall()
        return [Key(*row) for row in rows]

    def collection_for(self, public_key: str) -> HostedCollection | None:
        """Return the collection of this key, or ``None`` for an unknown or revoked key."""
        with self._looking() as connection:
            row = connection.execute(
                "SELECT id, name, collection.created_at"
                " FROM key JOIN collection ON id = collection_id"
                " WHERE public_key = ? AND revoked_at IS NULL",
                (public_key,),
            ).fetchone()
        return None if row is None else HostedCollection(*row)

    def collections(self) -> list[HostedCollection]:
        """Return all collections, by name."""
        with self._looking() as connection:
            rows = connection.execute(
                "SELECT id, name, created_at FROM collection ORDER BY name"
            ).fetchall()
        return [HostedCollection(*row) for row in rows]

    def images(self, hosted: HostedCollection) -> ImageStore:
        """The images of this collection, in a file of their own."""
        path = collection_path(self._data, hosted.collection_id)
        return SqliteImageStore(path, lambda: hosted.collection_id)

    def image_rows(self, hosted: HostedCollection) -> ImageRows:
        """As in ``Hosting``."""
        path = collection_path(self._data, hosted.collection_id)
        return SqliteImageRows(path, hosted.collection_id)

    def insert_collection(self, hosted: HostedCollection) -> None:
        """As in ``Hosting``."""
        with self._changing() as connection:
            connection.execute(
                "INSERT INTO collection (id, name, created_at) VALUES (?, ?, ?)"
                " ON CONFLICT DO NOTHING",
                (hosted.collection_id, hosted.name, hosted.created_at),
            )

    def insert_keys(self, keys: Sequence[Key]) -> None:
        """As in ``Hosting``."""
        with self._changing() as connection:
            connection.executemany(
                f"INSERT INTO key ({', '.join(KEY_COLUMNS)})"
                f" VALUES ({', '.join('?' * len(KEY_COLUMNS))})",
                map(key_values, keys),
            )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated(), sqlite.transaction(self._connection):
            yield self._connection

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._translated():
            yield self._connection

    def _translated(self) -> AbstractContextManager[None]:
        return sqlite.translated(self._path, self._error)

    def _error(self, failure: Failure) -> SnoopsyncError:
        # The suggested fix of a failure is about the state file, so leave it out.
        return SnoopsyncError(replace(failure, fix=None).about(str(self._path)))


def collection_path(data: Path, collection_id: str) -> Path:
    """The file of a collection in a data directory."""
    return data / "collections" / collection_id / "collection.sqlite3"
