"""The collections of a database, and their key pairs. The secret keys are not stored: they derive
from the master key, which each node has."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import LiteralString

from snoopsync.core.errors import SnoopsyncError
from snoopsync.storage.hosting import (
    KEY_COLUMNS,
    KEY_FIELDS,
    HostedCollection,
    Key,
    PoolStatistics,
    checked_label,
    checked_name,
    key_values,
)
from snoopsync.storage.images import ImageStore
from snoopsync.storage.postgres.images import PostgresImageStore
from snoopsync.storage.postgres.pool import Pool
from snoopsync.storage.postgres.rows import PostgresImageRows
from snoopsync.storage.postgres.signatures import PostgresSignatures
from snoopsync.storage.rows import ImageRows


class PostgresHosting:
    """A ``Hosting`` in a database that any number of nodes share."""

    def __init__(self, url: str, *, alone: bool = False) -> None:
        """Connects to the database. Creates or upgrades the tables if this role may. ``alone``: no
        node may be connected at the same time. Raises ``SnoopsyncError``, and ``StateLocked`` if
        that is not possible."""
        self._pool = Pool(url, alone=alone)
        self._signatures = PostgresSignatures(self._pool)
        #: The number of each collection in the tables, by its ID, as it was last read. Each request
        #: reads it together with its key.
        self._numbers: dict[str, int] = {}

    @property
    def signatures(self) -> PostgresSignatures:
        """The signatures that all nodes have accepted."""
        return self._signatures

    @property
    def description(self) -> str:
        """The address of the database, without user and password."""
        return self._pool.description

    @property
    def warning(self) -> str | None:
        """Whether others on the network can read what the node and the database send."""
        return self._pool.warning

    @property
    def files_per_collection(self) -> int:
        """0, because all collections share the connections."""
        return 0

    def pool_statistics(self) -> PoolStatistics:
        """As in ``Hosting``."""
        return self._pool.statistics()

    def close(self) -> None:
        """Close all connections."""
        self._pool.close()

    def master_key_fingerprint(self) -> str | None:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            row = connection.execute("SELECT fingerprint FROM meta").fetchone()
        return None if row is None else row[0]

    def record_master_key(self, fingerprint: str) -> str:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            row = connection.execute(
                "UPDATE meta SET fingerprint = coalesce(fingerprint, %s) RETURNING fingerprint",
                (fingerprint,),
            ).fetchone()
        assert row is not None  # the schema has this row
        return str(row[0])

    def add_key(self, name: str, label: str | None = None) -> Key:
        """As in ``Hosting``."""
        name, label, now = checked_name(name), checked_label(label), time.time()
        with self._pool.transaction() as connection:
            connection.execute(
                "INSERT INTO collection (id, name, created_at) VALUES (%s, %s, %s)"
                " ON CONFLICT (name) DO NOTHING",
                (secrets.token_hex(4), name, now),
            )
            row = connection.execute(
                "SELECT id FROM collection WHERE name = %s", (name,)
            ).fetchone()
            if row is None:
                raise SnoopsyncError(f"the collection {name!r} was not created")
            key = Key(secrets.token_hex(10), row[0], name, now, label=label)
            connection.execute(
                "INSERT INTO key (public_key, collection_id, created_at, label)"
                " VALUES (%s, %s, %s, %s)",
                (key.public_key, key.collection_id, now, label),
            )
        return key

    def revoke(self, public_key: str) -> bool:
        """As in ``Hosting``."""
        if not _is_text(public_key):
            return False
        with self._pool.connection() as connection:
            changed = connection.execute(
                "UPDATE key SET revoked_at = %s WHERE public_key = %s AND revoked_at IS NULL",
                (time.time(), public_key),
            ).rowcount
        return bool(changed)

    def record_use(self, public_key: str, at: float) -> None:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE key SET last_used_at = greatest(last_used_at, %s) WHERE public_key = %s",
                (at, public_key),
            )

    def all_keys(self) -> list[Key]:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                f"SELECT {KEY_FIELDS} FROM key JOIN collection ON id = collection_id"
                " ORDER BY key.created_at, public_key"
            ).fetchall()
        return [Key(*row) for row in rows]

    def collection_for(self, public_key: str) -> HostedCollection | None:
        """As in ``Hosting``."""
        if not _is_text(public_key):
            return None
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT number, id, name, collection.created_at"
                " FROM key JOIN collection ON id = collection_id"
                " WHERE public_key = %s AND revoked_at IS NULL",
                (public_key,),
            ).fetchone()
        if row is None:
            return None
        hosted = HostedCollection(*row[1:])
        self._numbers[hosted.collection_id] = int(row[0])
        return hosted

    def collections(self) -> list[HostedCollection]:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            rows = connection.execute(
                'SELECT id, name, created_at FROM collection ORDER BY name COLLATE "C"'
            ).fetchall()
        return [HostedCollection(*row) for row in rows]

    def images(self, hosted: HostedCollection) -> ImageStore:
        """The images of this collection."""
        self._numbers[hosted.collection_id] = self._number(hosted)
        return PostgresImageStore(self._pool, self._numbers, hosted.collection_id)

    def image_rows(self, hosted: HostedCollection) -> ImageRows:
        """As in ``Hosting``."""
        return PostgresImageRows(self._pool, self._number(hosted))

    def insert_collection(self, hosted: HostedCollection) -> None:
        """As in ``Hosting``."""
        with self._pool.connection() as connection:
            connection.execute(
                "INSERT INTO collection (id, name, created_at) VALUES (%s, %s, %s)"
                " ON CONFLICT DO NOTHING",
                (hosted.collection_id, hosted.name, hosted.created_at),
            )

    def insert_keys(self, keys: Sequence[Key]) -> None:
        """As in ``Hosting``."""
        places: LiteralString = ", ".join(["%s"] * len(KEY_COLUMNS))
        with self._pool.transaction() as connection:
            connection.cursor().executemany(
                f"INSERT INTO key ({', '.join(KEY_COLUMNS)}) VALUES ({places})",
                list(map(key_values, keys)),
            )
            # Nodes then refuse what was signed before, which another service may have accepted.
            connection.execute(
                "UPDATE meta SET history_began = extract(epoch FROM clock_timestamp())"
            )

    def _number(self, hosted: HostedCollection) -> int:
        with self._pool.connection() as connection:
            row = connection.execute(
                "SELECT number FROM collection WHERE id = %s", (hosted.collection_id,)
            ).fetchone()
        if row is None:
            raise SnoopsyncError(f"{self.description} has no collection {hosted.collection_id}")
        return int(row[0])


def _is_text(public_key: str) -> bool:
    """Whether PostgreSQL accepts the text of a request."""
    return public_key.isascii() and "\0" not in public_key
