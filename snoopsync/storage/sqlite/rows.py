"""Whole rows of a collection's file, to move them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from snoopsync.runtime.sqlite import transaction
from snoopsync.storage.features import IMAGE_COLUMNS, SMALL_COLUMNS
from snoopsync.storage.images import Position
from snoopsync.storage.rows import FEATURES_OF_ROW, ImageRow, image_row
from snoopsync.storage.sqlite import schema
from snoopsync.storage.sqlite.image_rows import FEATURES_TABLES

_SELECT = (
    f"SELECT image.moment, coalesce(mark, image.moment), id, label, {FEATURES_OF_ROW}"
    f" FROM {FEATURES_TABLES} WHERE image.moment > ? ORDER BY image.moment LIMIT ?"
)


class SqliteImageRows:
    """The ``ImageRows`` of a file."""

    def __init__(self, path: Path, collection_id: str) -> None:
        """Opens the file. If it does not exist, creates it for the collection with this ID."""
        self._path = path
        with schema.translated(path):
            self._connection = schema.connect(path, schema.BUSY_SECONDS)
            try:
                schema.collection_id(self._connection, lambda: collection_id)
            except BaseException:
                self._connection.close()
                raise

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def count(self) -> int:
        """As in ``ImageRows``."""
        return self._number("SELECT count(*) FROM image")

    def newest(self) -> int:
        """As in ``ImageRows``."""
        return self._number("SELECT coalesce(max(moment), 0) FROM image")

    def after(self, moment: int, count: int) -> list[ImageRow]:
        """As in ``ImageRows``."""
        with schema.translated(self._path):
            rows = self._connection.execute(_SELECT, (moment, count)).fetchall()
        return [
            image_row(moment, mark, image_id, label, values)
            for moment, mark, image_id, label, *values in rows
        ]

    def insert(self, rows: Sequence[ImageRow]) -> None:
        """As in ``ImageRows``."""
        images = [
            (
                row.moment,
                # The mark is only stored if it is not the moment.
                None if row.mark == row.moment else row.mark,
                row.image_id,
                row.label,
                *row.features,
            )
            for row in rows
        ]
        thumbnails = [(row.moment, *row.thumbnail) for row in rows if row.thumbnail is not None]
        with self._changing() as connection:
            connection.executemany(
                _insert("image", ("moment", "mark", "id", "label", *IMAGE_COLUMNS)), images
            )
            connection.executemany(_insert("small", ("moment", *SMALL_COLUMNS)), thumbnails)

    def position(self) -> Position:
        """As in ``ImageRows``."""
        with schema.translated(self._path):
            changes, moment = self._connection.execute(
                "SELECT changes, moment FROM collection"
            ).fetchone()
        return Position("", int(changes), int(moment))

    def set_position(self, position: Position) -> None:
        """As in ``ImageRows``."""
        with self._changing() as connection:
            connection.execute(
                "UPDATE collection SET (changes, moment) = (?, ?)",
                (position.changes, position.moment),
            )

    def _number(self, query: str) -> int:
        with schema.translated(self._path):
            return int(self._connection.execute(query).fetchone()[0])

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with schema.translated(self._path), transaction(self._connection):
            yield self._connection


def _insert(table: str, columns: Sequence[str]) -> str:
    return f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
