"""One stored image: its row in the tables, and the changes of the row."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.embedded.rows import (
    FEATURES_COLUMNS,
    IMAGE_COLUMNS,
    SMALL_COLUMNS,
    features_from,
    image_values,
    small_values,
)

#: The columns of a ``StoredImage``, and those of a ``DescribedImage``.
STORED = "image.moment, id, sha256, coalesce(mark, image.moment), feed"
DESCRIBED = f"{STORED}, {FEATURES_COLUMNS}"
STORED_COUNT = 5


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One stored image, without its features."""

    moment: int
    image_id: str
    sha256: bytes
    mark: int = 0
    version: int = FEED_VERSION

    @property
    def is_outdated(self) -> bool:
        """Whether an older version described the image."""
        return self.version < FEED_VERSION


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """An image with the features that the version ``stored.version`` extracted."""

    stored: StoredImage
    features: Features


@dataclass(frozen=True, slots=True)
class Copies:
    """Images with the same bytes. ``first``: the first two of them."""

    first: tuple[StoredImage, ...]
    count: int

    def besides(self, image_id: str | None) -> tuple[StoredImage | None, int]:
        """The first one but that image, which must be one of them, and how many there are but that
        image."""
        named = next((each for each in self.first if each.image_id != image_id), None)
        return named, self.count - (image_id is not None)


#: The version and the ID of an outdated image. Outdated images are listed in this order.
OutdatedKey = tuple[int, str]

#: An image's mark, its code, and its code without borders (empty if it has none). This is a plain
#: tuple, as SQLite returns it, because the first search may read a million of them.
StoredCodes = tuple[int, bytes, bytes]


def id_taken(image_id: str) -> Conflict:
    """The error for an ID that another image has."""
    return Conflict(f"an image with the ID {image_id!r} already exists", status=409)


def image_not_found(image_id: str) -> NotFound:
    """The error for an ID that no image has."""
    return NotFound(f"no image has the ID {image_id!r}", status=404)


def find_row(connection: sqlite3.Connection, image_id: str) -> StoredImage | None:
    row = connection.execute(f"SELECT {STORED} FROM image WHERE id = ?", (image_id,)).fetchone()
    return None if row is None else StoredImage(*row)


def insert_row(
    connection: sqlite3.Connection, image_id: str, features: Features, now: int
) -> StoredImage:
    moment = _next_moment(connection, now)
    _insert_into(
        connection,
        "image",
        ("moment", "id", *IMAGE_COLUMNS),
        (moment, image_id, *image_values(features)),
    )
    _insert_thumbnail(connection, moment, features)
    return StoredImage(moment, image_id, features.sha256, moment, FEED_VERSION)


def describe_row(
    connection: sqlite3.Connection, stored: StoredImage, features: Features, now: int
) -> StoredImage:
    """Replace an image's features with new features of the same bytes."""
    mark = _next_moment(connection, now)
    values = image_values(features)
    connection.execute(
        f"UPDATE image SET ({', '.join(IMAGE_COLUMNS)}, mark) = ({_places(values)}, ?)"
        " WHERE moment = ?",
        (*values, mark, stored.moment),
    )
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    _insert_thumbnail(connection, stored.moment, features)
    return replace(stored, mark=mark, version=FEED_VERSION)


def _next_moment(connection: sqlite3.Connection, now: int) -> int:
    connection.execute("UPDATE collection SET moment = max(moment + 1, ?)", (now,))
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


def delete_row(connection: sqlite3.Connection, image_id: str) -> StoredImage:
    stored = find_row(connection, image_id)
    if stored is None:
        raise image_not_found(image_id)
    connection.execute("DELETE FROM image WHERE moment = ?", (stored.moment,))
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    return stored


def described_image(row: Sequence[Any]) -> DescribedImage:
    return DescribedImage(StoredImage(*row[:STORED_COUNT]), features_from(row[STORED_COUNT:]))
