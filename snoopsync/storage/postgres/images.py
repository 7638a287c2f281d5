"""The images of a collection in PostgreSQL."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, LiteralString

import psycopg

from snoopsync.core.protocol import IdRange
from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.storage.images import (
    Copies,
    DescribedImage,
    OutdatedKey,
    Position,
    StoredCodes,
    StoredImage,
    image_not_found,
    other_bytes,
)
from snoopsync.storage.postgres.codes import copy_codes
from snoopsync.storage.postgres.history import TABLE
from snoopsync.storage.postgres.image_rows import (
    DESCRIBED,
    FEATURES_TABLES,
    STORED,
    STORED_COUNT,
    collection_is_gone,
    count_change,
    delete_row,
    describe_row,
    described_image,
    insert_row,
    next_moment,
    stored_image,
)
from snoopsync.storage.postgres.pool import Pool

#: No moment is larger than this.
_END_OF_TIME = 2**63 - 1

_ROWS_PER_BLOCK = 5_000

#: How often old page starts are removed, and how long they are remembered.
_CLEANING_SECONDS = 600.0
_PAGE_START_AGE: LiteralString = "1 day"


class PostgresImageStore:
    """An ``ImageStore`` in the tables that all collections share.

    A change first locks the collection's row, until it is committed. So changes of one collection
    come one after another, moments become visible in ascending order, and two changes never wait
    for each other.
    """

    def __init__(self, pool: Pool, numbers: Mapping[str, int], collection_id: str) -> None:
        """``numbers``: the present number of this collection in the tables, by its ID. It is
        another one after a backup of another database was restored."""
        self._pool = pool
        self._numbers = numbers
        self._collection_id = collection_id
        self._cleaning = threading.Lock()
        self._cleaned_at = time.monotonic()

    @property
    def collection_id(self) -> str:
        """The collection's ID."""
        return self._collection_id

    @property
    def _number(self) -> int:
        return self._numbers[self._collection_id]

    def close(self) -> None:
        """Do nothing: the connections belong to the service."""

    def add(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> StoredImage:
        """As in ``ImageStore``."""
        with self._pool.transaction() as connection:
            moment = next_moment(connection, self._number, now)
            return insert_row(connection, self._number, moment, image_id, features, label)

    def replace(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> tuple[StoredImage, StoredImage]:
        """As in ``ImageStore``."""
        with self._pool.transaction() as connection:
            moment = next_moment(connection, self._number, now)
            before = self._require(connection, image_id)
            label = before.label if label is None else label
            if before.is_outdated and before.sha256 == features.sha256:
                return before, describe_row(
                    connection, self._number, before, moment, features, label
                )
            delete_row(connection, self._number, before)
            return before, insert_row(connection, self._number, moment, image_id, features, label)

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """As in ``ImageStore``."""
        with self._pool.transaction() as connection:
            count_change(connection, self._number)
            stored = self._require(connection, image_id)
            if stored.sha256 != features.sha256:
                raise other_bytes(image_id)
            if not stored.is_outdated:
                return stored, stored
            mark = next_moment(connection, self._number, now)
            return stored, describe_row(
                connection, self._number, stored, mark, features, stored.label
            )

    def set_label(self, image_id: str, label: str | None) -> StoredImage:
        """As in ``ImageStore``."""
        with self._pool.transaction() as connection:
            count_change(connection, self._number)
            row = connection.execute(
                f"UPDATE image SET label = %s WHERE collection = %s AND id = %s RETURNING {STORED}",
                (label, self._number, image_id.encode()),
            ).fetchone()
            if row is None:
                raise image_not_found(image_id)
            return stored_image(row)

    def remove(self, image_id: str) -> StoredImage:
        """As in ``ImageStore``."""
        with self._pool.transaction() as connection:
            count_change(connection, self._number)
            stored = self._require(connection, image_id)
            delete_row(connection, self._number, stored)
            return stored

    def find(self, image_id: str) -> StoredImage | None:
        """As in ``ImageStore``."""
        with self._pool.connection() as connection:
            return self._find(connection, image_id)

    def find_described(self, image_id: str) -> DescribedImage | None:
        """As in ``ImageStore``."""
        rows = self._query(
            f"SELECT {DESCRIBED} FROM {FEATURES_TABLES} WHERE collection = %s AND id = %s",
            image_id.encode(),
        )
        return described_image(rows[0]) if rows else None

    def page(self, newest: int | None, count: int) -> list[StoredImage]:
        """As in ``ImageStore``."""
        rows = self._query(
            f"SELECT {STORED} FROM image WHERE collection = %s AND moment <= %s"
            " ORDER BY moment DESC LIMIT %s",
            _END_OF_TIME if newest is None else newest,
            count,
        )
        return [stored_image(row) for row in rows]

    def remember_page_start(self, stored: StoredImage) -> None:
        """As in ``ImageStore``. Any node can then continue the listing."""
        with self._pool.transaction() as connection:
            # A power failure may lose it: a client then starts the listing again.
            connection.execute("SET LOCAL synchronous_commit TO off")
            connection.execute(
                "INSERT INTO page_start (collection, id, moment) VALUES (%s, %s, %s)"
                " ON CONFLICT (collection, id)"
                " DO UPDATE SET moment = excluded.moment, issued_at = now()",
                (self._number, stored.image_id.encode(), stored.moment),
            )
            if self._has_to_clean():
                connection.execute(
                    f"DELETE FROM page_start WHERE issued_at < now() - interval '{_PAGE_START_AGE}'"
                )

    def page_start(self, image_id: str) -> int | None:
        """As in ``ImageStore``. It is remembered for a day."""
        rows = self._query(
            "SELECT moment FROM page_start WHERE collection = %s AND id = %s", image_id.encode()
        )
        return int(rows[0][0]) if rows else None

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """As in ``ImageStore``. This uses a connection until it ends."""
        with (
            self._pool.transaction() as connection,
            connection.cursor(name="walk") as cursor,
        ):
            cursor.execute(
                "SELECT moment, id FROM image WHERE collection = %s ORDER BY moment DESC",
                (self._number,),
            )
            while block := cursor.fetchmany(_ROWS_PER_BLOCK):
                yield [(moment, image_id.decode()) for moment, image_id in block]

    def ids(self, after: str, most: int) -> IdRange:
        """As in ``ImageStore``."""
        rows = self._query(
            "SELECT id FROM image WHERE collection = %s AND id > %s ORDER BY id LIMIT %s",
            after.encode(),
            most,
        )
        found = [image_id.decode() for (image_id,) in rows]
        text = json.dumps(found, ensure_ascii=False, separators=(",", ":"))
        return IdRange(text, found[-1] if found and len(found) == most else None)

    def others_after(self, moment: int, owner: str, count: int) -> list[StoredImage]:
        """As in ``ImageStore``."""
        rows = self._query(
            f"SELECT {STORED} FROM image WHERE collection = %s AND moment > %s"
            " AND substr(id, 1, %s) <> %s ORDER BY moment LIMIT %s",
            moment,
            len(owner.encode()),
            owner.encode(),
            count,
        )
        return [stored_image(row) for row in rows]

    def count(self) -> int:
        """The number of images."""
        return self._number_of("SELECT count(*) FROM image WHERE collection = %s")

    def position(self) -> Position:
        """As in ``ImageStore``."""
        with self._pool.connection() as connection:
            row = connection.execute(
                f"SELECT changes, moment, {TABLE} FROM collection WHERE number = %s",
                (self._number,),
            ).fetchone()
            if row is None:
                raise collection_is_gone()
            self._pool.history.notice_restore(connection, row[2])
        return Position(self._pool.history.name, int(row[0]), int(row[1]))

    def marks_of_same_picture(self, features: Features, version: int) -> list[int]:
        """As in ``ImageStore``."""
        rows = self._query(
            "SELECT mark FROM image WHERE collection = %s AND sha256 = %s"
            " UNION SELECT mark FROM image WHERE collection = %s AND thumbnail = %s AND feed = %s"
            " AND width = %s AND height = %s",
            features.sha256,
            self._number,
            features.digest,
            version,
            features.width,
            features.height,
        )
        return [mark for (mark,) in rows]

    def same_picture(
        self, features: Features, version: int, after: int, count: int
    ) -> list[StoredImage]:
        """As in ``ImageStore``."""
        rows = self._query(
            f"SELECT {STORED} FROM image WHERE collection = %s AND thumbnail = %s AND feed = %s"
            " AND width = %s AND height = %s AND sha256 <> %s AND moment > %s"
            " ORDER BY moment LIMIT %s",
            features.digest,
            version,
            features.width,
            features.height,
            features.sha256,
            after,
            count,
        )
        return [stored_image(row) for row in rows]

    def copies(self, sha256: bytes, owner: str) -> Copies:
        """As in ``ImageStore``."""
        prefix = owner.encode()
        rows = self._query(
            f"SELECT {STORED}, count(*) OVER () FROM image WHERE collection = %s AND sha256 = %s"
            " ORDER BY %s <> '' AND substr(id, 1, %s) = %s, id LIMIT 2",
            *(sha256, prefix, len(prefix), prefix),
        )
        count = int(rows[0][STORED_COUNT]) if rows else 0
        return Copies(tuple(stored_image(row) for row in rows), count)

    def copy_of_owner(self, sha256: bytes, owner: str) -> StoredImage | None:
        """As in ``ImageStore``."""
        prefix = owner.encode()
        rows = self._query(
            f"SELECT {STORED} FROM image WHERE collection = %s AND sha256 = %s"
            " AND substr(id, 1, %s) = %s ORDER BY id LIMIT 1",
            *(sha256, len(prefix), prefix),
        )
        return stored_image(rows[0]) if rows else None

    def marks_of_bytes(self, sha256: bytes) -> list[int]:
        """As in ``ImageStore``."""
        rows = self._query("SELECT mark FROM image WHERE collection = %s AND sha256 = %s", sha256)
        return [mark for (mark,) in rows]

    def with_marks(self, marks: Sequence[int]) -> list[DescribedImage]:
        """As in ``ImageStore``, in the order of ``marks``."""
        if not marks:
            return []
        rows = self._query(
            f"SELECT {DESCRIBED} FROM {FEATURES_TABLES} WHERE collection = %s AND mark = ANY(%s)",
            list(marks),
        )
        found = {image.stored.mark: image for image in map(described_image, rows)}
        return [found[mark] for mark in marks if mark in found]

    def stored_with_marks(self, marks: Sequence[int]) -> list[StoredImage]:
        """As in ``ImageStore``."""
        rows = self._query(
            f"SELECT {STORED} FROM image WHERE collection = %s AND mark = ANY(%s)", list(marks)
        )
        return [stored_image(row) for row in rows]

    def codes_after(self, mark: int, version: int) -> Iterator[StoredCodes]:
        """As in ``ImageStore``. This uses a connection until it ends."""
        with self._pool.connection() as connection:
            yield from copy_codes(connection, self._number, version, mark)

    def has_other_versions(self, version: int) -> bool:
        """As in ``ImageStore``."""
        rows = self._query(
            "SELECT EXISTS (SELECT 1 FROM image WHERE collection = %s AND feed < %s)"
            " OR EXISTS (SELECT 1 FROM image WHERE collection = %s AND feed > %s)",
            version,
            self._number,
            version,
        )
        return bool(rows[0][0])

    def count_outdated(self, first_id: str = "", end_id: str | None = None) -> int:
        """As in ``ImageStore``."""
        return self._number_of(
            "SELECT count(*) FROM image WHERE collection = %s AND feed < %s AND id >= %s"
            " AND (%s::bytea IS NULL OR id < %s)",
            FEED_VERSION,
            first_id.encode(),
            *[_encoded(end_id)] * 2,
        )

    def outdated(
        self, after: OutdatedKey, count: int, first_id: str = "", end_id: str | None = None
    ) -> list[OutdatedKey]:
        """As in ``ImageStore``."""
        version, image_id = after
        rows = self._query(
            "SELECT feed, id FROM image WHERE collection = %s AND feed < %s"
            " AND (feed, id) > (%s, %s) AND id >= %s AND (%s::bytea IS NULL OR id < %s)"
            " ORDER BY feed, id LIMIT %s",
            FEED_VERSION,
            version,
            image_id.encode(),
            first_id.encode(),
            *[_encoded(end_id)] * 2,
            count,
        )
        return [(feed, found.decode()) for feed, found in rows]

    def _find(self, connection: psycopg.Connection, image_id: str) -> StoredImage | None:
        row = connection.execute(
            f"SELECT {STORED} FROM image WHERE collection = %s AND id = %s",
            (self._number, image_id.encode()),
        ).fetchone()
        return None if row is None else stored_image(row)

    def _require(self, connection: psycopg.Connection, image_id: str) -> StoredImage:
        stored = self._find(connection, image_id)
        if stored is None:
            raise image_not_found(image_id)
        return stored

    def _query(self, query: LiteralString, *values: Any) -> list[Any]:
        """The rows of a query whose first value is the collection's number."""
        with self._pool.connection() as connection:
            return connection.execute(query, (self._number, *values)).fetchall()

    def _number_of(self, query: LiteralString, *values: Any) -> int:
        return int(self._query(query, *values)[0][0])

    def _has_to_clean(self) -> bool:
        with self._cleaning:
            if time.monotonic() - self._cleaned_at < _CLEANING_SECONDS:
                return False
            self._cleaned_at = time.monotonic()
            return True


def _encoded(image_id: str | None) -> bytes | None:
    return None if image_id is None else image_id.encode()
