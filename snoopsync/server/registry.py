"""The collections of a data directory, and their key pairs, in SQLite. The secret keys are not
stored (see ``master_key``)."""

from __future__ import annotations

import secrets
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from snoopsync.core.errors import Refused, SnoopsyncError
from snoopsync.runtime import sqlite
from snoopsync.runtime.owned_directory import own_directory
from snoopsync.runtime.sqlite import Failure

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
)

_LONGEST_NAME = 100


@dataclass(frozen=True, slots=True)
class HostedCollection:
    """A collection and its file."""

    collection_id: str
    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Key:
    """The public half of a key pair. Times are Unix seconds. ``revoked_at`` is ``None`` for a valid
    key."""

    public_key: str
    collection_id: str
    collection_name: str
    created_at: float
    revoked_at: float | None


class Registry:
    """Stores which key may use which collection. For any number of threads and processes. Each call
    sees all earlier changes."""

    def __init__(self, data: Path) -> None:
        """Opens or creates the registry in this directory, which is readable by its owner only.
        Raises ``SnoopsyncError``, and ``UnsafeDirectory`` if the directory does not belong to this
        user alone."""
        self._data = data = own_directory(data)
        self._path = data / "keys.sqlite3"
        self._lock = threading.Lock()
        with self._translated():
            self._connection = sqlite.open_durable(self._path, _STEPS)

    def close(self) -> None:
        """Close the registry."""
        with self._lock:
            self._connection.close()

    def add_key(self, name: str) -> Key:
        """Add a key pair for the collection of this name, which is created if it does not exist.
        Raises ``Refused`` for an invalid name."""
        name = name.strip()
        if not 1 <= len(name) <= _LONGEST_NAME or not name.isprintable():
            raise Refused(
                f"the name of a collection must be a text of 1 to {_LONGEST_NAME} characters"
            )
        now = time.time()
        with self._changing() as connection:
            row = connection.execute("SELECT id FROM collection WHERE name = ?", (name,)).fetchone()
            collection_id = row[0] if row else secrets.token_hex(4)
            if row is None:
                connection.execute(
                    "INSERT INTO collection VALUES (?, ?, ?)", (collection_id, name, now)
                )
            public_key = secrets.token_hex(10)
            connection.execute(
                "INSERT INTO key VALUES (?, ?, ?, NULL)", (public_key, collection_id, now)
            )
        return Key(public_key, collection_id, name, now, None)

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

    def keys(self) -> list[Key]:
        """Return all keys, also revoked ones, oldest first."""
        with self._looking() as connection:
            rows = connection.execute(
                "SELECT public_key, collection_id, name, key.created_at, revoked_at FROM key"
                " JOIN collection ON id = collection_id ORDER BY key.created_at, public_key"
            ).fetchall()
        return [Key(*row) for row in rows]

    def collection_for(self, public_key: str) -> HostedCollection | None:
        """Return the collection of this key, or ``None`` for an unknown or revoked key."""
        with self._looking() as connection:
            row = connection.execute(
                "SELECT id, name FROM key JOIN collection ON id = collection_id"
                " WHERE public_key = ? AND revoked_at IS NULL",
                (public_key,),
            ).fetchone()
        return None if row is None else self._hosted(*row)

    def collections(self) -> list[HostedCollection]:
        """Return all collections, by name."""
        with self._looking() as connection:
            rows = connection.execute("SELECT id, name FROM collection ORDER BY name").fetchall()
        return [self._hosted(*row) for row in rows]

    def _hosted(self, collection_id: str, name: str) -> HostedCollection:
        path = self._data / "collections" / collection_id / "collection.sqlite3"
        return HostedCollection(collection_id, name, path)

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
