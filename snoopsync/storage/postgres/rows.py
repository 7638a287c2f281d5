"""Whole rows of a collection in PostgreSQL, to move them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from snoopsync.storage.features import IMAGE_COLUMNS, SMALL_COLUMNS
from snoopsync.storage.images import Position
from snoopsync.storage.postgres.image_rows import FEATURES_TABLES
from snoopsync.storage.postgres.pool import Pool
from snoopsync.storage.rows import FEATURES_OF_ROW, ImageRow, image_row

_SELECT = (
    f"SELECT image.moment, mark, id, label, {FEATURES_OF_ROW}"
    f" FROM {FEATURES_TABLES} WHERE image.collection = %s AND image.moment > %s"
    " ORDER BY image.moment LIMIT %s"
)


class PostgresImageRows:
    """The ``ImageRows`` of a collection in the tables that all collections share."""

    def __init__(self, pool: Pool, number: int) -> None:
        """``number`` is the collection's in the tables."""
        self._pool = pool
        self._number = number

    def close(self) -> None:
        """Do nothing: the connections belong to the service."""

    def count(self) -> int:
        """As in ``ImageRows``."""
        return self._single("SELECT count(*) FROM image WHERE collection = %s")

    def newest(self) -> int:
        """As in ``ImageRows``."""
        return self._single("SELECT coalesce(max(moment), 0) FROM image WHERE collection = %s")

    def after(self, moment: int, count: int) -> list[ImageRow]:
        """As in ``ImageRows``."""
        with self._pool.connection() as connection, connection.cursor(binary=True) as cursor:
            rows = cursor.execute(_SELECT, (self._number, moment, count)).fetchall()
        return [
            image_row(moment, mark, image_id.decode(), label, values)
            for moment, mark, image_id, label, *values in rows
        ]

    def insert(self, rows: Sequence[ImageRow]) -> None:
        """As in ``ImageRows``."""
        images = (
            (self._number, row.moment, row.mark, row.image_id.encode(), row.label, *row.features)
            for row in rows
        )
        thumbnails = (
            (self._number, row.moment, *row.thumbnail) for row in rows if row.thumbnail is not None
        )
        with self._pool.transaction() as connection:
            columns = ("collection", "moment", "mark", "id", "label", *IMAGE_COLUMNS)
            _copy(connection, "image", columns, images)
            _copy(connection, "small", ("collection", "moment", *SMALL_COLUMNS), thumbnails)

    def position(self) -> Position:
        """As in ``ImageRows``."""
        return Position(
            "",
            self._single("SELECT changes FROM collection WHERE number = %s"),
            self._single("SELECT moment FROM collection WHERE number = %s"),
        )

    def set_position(self, position: Position) -> None:
        """As in ``ImageRows``."""
        with self._pool.connection() as connection:
            connection.execute(
                "UPDATE collection SET (changes, moment) = (%s, %s) WHERE number = %s",
                (position.changes, position.moment, self._number),
            )

    def _single(self, query: LiteralString) -> int:
        with self._pool.connection() as connection:
            row = connection.execute(query, (self._number,)).fetchone()
        return int(row[0]) if row else 0


def _copy(
    connection: psycopg.Connection,
    table: str,
    columns: Sequence[str],
    rows: Iterable[Sequence[Any]],
) -> None:
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
