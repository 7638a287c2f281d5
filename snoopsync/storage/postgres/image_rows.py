"""The row of one image, and its changes. ``collection`` is the number of a collection."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, LiteralString

import psycopg

from snoopsync.core.errors import Unavailable
from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.storage.features import (
    FEATURES_COLUMNS,
    IMAGE_COLUMNS,
    SMALL_COLUMNS,
    features_from,
    image_values,
    small_values,
)
from snoopsync.storage.images import DescribedImage, StoredImage, id_taken

#: The columns of a ``StoredImage``, and those of a ``DescribedImage``.
STORED: LiteralString = "image.moment, image.id, sha256, mark, feed, label"
STORED_COUNT = 6
DESCRIBED = f"{STORED}, {FEATURES_COLUMNS}"

FEATURES_TABLES: LiteralString = "image LEFT JOIN small USING (collection, moment)"


def next_moment(connection: psycopg.Connection, collection: int, now: int) -> int:
    """A moment that no image has. Locks the collection's row until the transaction ends."""
    row = connection.execute(
        "UPDATE collection SET moment = greatest(moment + 1, %s), changes = changes + 1"
        " WHERE number = %s RETURNING moment",
        (now, collection),
    ).fetchone()
    if row is None:
        raise collection_is_gone()
    return int(row[0])


def count_change(connection: psycopg.Connection, collection: int) -> None:
    """Count a change that needs no moment. Locks the collection's row as well."""
    counted = connection.execute(
        "UPDATE collection SET changes = changes + 1 WHERE number = %s", (collection,)
    ).rowcount
    if not counted:
        raise collection_is_gone()


def collection_is_gone() -> Unavailable:
    """The error for a collection that the database had, and does not have now: after the restore
    of an older backup, for example."""
    return Unavailable("the collection is no longer in the database")


def insert_row(
    connection: psycopg.Connection,
    collection: int,
    moment: int,
    image_id: str,
    features: Features,
    label: str | None,
) -> StoredImage:
    """Add an image. Raises ``Conflict`` if the ID is taken."""
    columns = ("collection", "moment", "mark", "id", "label", *IMAGE_COLUMNS)
    values = (collection, moment, moment, image_id.encode(), label, *image_values(features))
    added = connection.execute(
        f"INSERT INTO image ({', '.join(columns)}) VALUES ({_places(values)})"
        " ON CONFLICT (collection, id) DO NOTHING",
        values,
    ).rowcount
    if not added:
        raise id_taken(image_id)
    _insert_thumbnail(connection, collection, moment, features)
    return StoredImage(moment, image_id, features.sha256, moment, FEED_VERSION, label)


def describe_row(
    connection: psycopg.Connection,
    collection: int,
    stored: StoredImage,
    mark: int,
    features: Features,
    label: str | None,
) -> StoredImage:
    """Replace an image's features with new features of the same bytes."""
    values = image_values(features)
    connection.execute(
        f"UPDATE image SET ({', '.join(IMAGE_COLUMNS)}, mark, label) ="
        f" ({_places(values)}, %s, %s) WHERE collection = %s AND moment = %s",
        (*values, mark, label, collection, stored.moment),
    )
    _delete_thumbnail(connection, collection, stored.moment)
    _insert_thumbnail(connection, collection, stored.moment, features)
    return replace(stored, mark=mark, version=FEED_VERSION, label=label)


def delete_row(connection: psycopg.Connection, collection: int, stored: StoredImage) -> None:
    """Remove an image."""
    connection.execute(
        "DELETE FROM image WHERE collection = %s AND moment = %s", (collection, stored.moment)
    )
    _delete_thumbnail(connection, collection, stored.moment)


def stored_image(row: Sequence[Any]) -> StoredImage:
    """The image in a row of ``STORED``."""
    moment, image_id, sha256, mark, version, label = row[:STORED_COUNT]
    return StoredImage(moment, image_id.decode(), sha256, mark, version, label)


def described_image(row: Sequence[Any]) -> DescribedImage:
    """The image in a row of ``DESCRIBED``."""
    return DescribedImage(stored_image(row), features_from(row[STORED_COUNT:]))


def _insert_thumbnail(
    connection: psycopg.Connection, collection: int, moment: int, features: Features
) -> None:
    values = small_values(features)
    if values is not None:
        columns = ("collection", "moment", *SMALL_COLUMNS)
        connection.execute(
            f"INSERT INTO small ({', '.join(columns)}) VALUES ({_places(columns)})",
            (collection, moment, *values),
        )


def _delete_thumbnail(connection: psycopg.Connection, collection: int, moment: int) -> None:
    connection.execute(
        "DELETE FROM small WHERE collection = %s AND moment = %s", (collection, moment)
    )


def _places(values: Sequence[Any]) -> LiteralString:
    return ", ".join(["%s"] * len(values))
