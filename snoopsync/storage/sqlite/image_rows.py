"""The row of one image, and its changes."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.storage.features import (
    FEATURES_COLUMNS,
    IMAGE_COLUMNS,
    SMALL_COLUMNS,
    features_from,
    image_values,
    small_values,
)
from snoopsync.storage.images import DescribedImage, StoredImage, image_not_found

#: The columns of a ``StoredImage``, and those of a ``DescribedImage``.
STORED = "image.moment, id, sha256, coalesce(mark, image.moment), feed, label"
DESCRIBED = f"{STORED}, {FEATURES_COLUMNS}"
_STORED_COUNT = 6

FEATURES_TABLES = "image LEFT JOIN small ON small.moment = image.moment"

_CODES = (
    "substr(codes, 1, :bytes), ifnull(substr(trimmed, 1, :bytes), x''),"
    " ifnull(substr(regions, 1, :region_bytes), x'') FROM image"
)
# The unary plus keeps SQLite from using the index of versions, which would need a sort.
_HAS_CODES = "+feed = :version AND codes != x''"

#: Marks, codes, codes without borders, and regions, of images with a later mark.
CODES_AFTER = (
    f"SELECT moment, {_CODES} WHERE moment > :mark AND mark IS NULL AND {_HAS_CODES}"
    f" UNION ALL SELECT mark, {_CODES} WHERE mark > :mark AND {_HAS_CODES}"
    " ORDER BY 1 LIMIT :count"
)


def find_row(connection: sqlite3.Connection, image_id: str) -> StoredImage | None:
    row = connection.execute(f"SELECT {STORED} FROM image WHERE id = ?", (image_id,)).fetchone()
    return None if row is None else StoredImage(*row)


def require_row(connection: sqlite3.Connection, image_id: str) -> StoredImage:
    """As ``find_row``, but raises ``NotFound`` if there is none."""
    stored = find_row(connection, image_id)
    if stored is None:
        raise image_not_found(image_id)
    return stored


def insert_row(
    connection: sqlite3.Connection,
    image_id: str,
    features: Features,
    now: int,
    label: str | None,
) -> StoredImage:
    moment = _next_moment(connection, now)
    _insert_into(
        connection,
        "image",
        ("moment", "id", "label", *IMAGE_COLUMNS),
        (moment, image_id, label, *image_values(features)),
    )
    _insert_thumbnail(connection, moment, features)
    return StoredImage(moment, image_id, features.sha256, moment, FEED_VERSION, label)


def describe_row(
    connection: sqlite3.Connection,
    stored: StoredImage,
    features: Features,
    now: int,
    label: str | None,
) -> StoredImage:
    """Replace an image's features with new features of the same bytes."""
    mark = _next_moment(connection, now)
    values = image_values(features)
    connection.execute(
        f"UPDATE image SET ({', '.join(IMAGE_COLUMNS)}, mark, label) = ({_places(values)}, ?, ?)"
        " WHERE moment = ?",
        (*values, mark, label, stored.moment),
    )
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    _insert_thumbnail(connection, stored.moment, features)
    return replace(stored, mark=mark, version=FEED_VERSION, label=label)


def _next_moment(connection: sqlite3.Connection, now: int) -> int:
    connection.execute(
        "UPDATE collection SET moment = max(moment + 1, ?), changes = changes + 1", (now,)
    )
    (moment,) = connection.execute("SELECT moment FROM collection").fetchone()
    return int(moment)


def _insert_thumbnail(connection: sqlite3.Connection, moment: int, features: Features) -> None:
    values = small_values(features)
    if values is not None:
        _insert_into(connection, "small", ("moment", *SMALL_COLUMNS), (moment, *values))


def _insert_into(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], values: Sequence[Any]
) -> None:
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_places(values)})", values
    )


def _places(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def delete_row(connection: sqlite3.Connection, stored: StoredImage) -> None:
    connection.execute("DELETE FROM image WHERE moment = ?", (stored.moment,))
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    connection.execute("UPDATE collection SET changes = changes + 1")


def label_row(connection: sqlite3.Connection, image_id: str, label: str | None) -> StoredImage:
    """Set the label of an image."""
    stored = require_row(connection, image_id)
    connection.execute("UPDATE image SET label = ? WHERE moment = ?", (label, stored.moment))
    connection.execute("UPDATE collection SET changes = changes + 1")
    return replace(stored, label=label)


def described_image(row: Sequence[Any]) -> DescribedImage:
    return DescribedImage(StoredImage(*row[:_STORED_COUNT]), features_from(row[_STORED_COUNT:]))
