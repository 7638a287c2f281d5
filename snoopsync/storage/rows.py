"""Whole rows of images, to move a collection from one engine to another.

Both engines return the same row for the same image, so that a digest over all rows shows whether
two collections are equal.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from snoopsync.storage.features import IMAGE_COLUMNS, SMALL_COLUMNS
from snoopsync.storage.images import Position


@dataclass(frozen=True, slots=True)
class ImageRow:
    """Everything that is stored about an image. ``features`` are the values of ``IMAGE_COLUMNS``,
    ``thumbnail`` those of ``SMALL_COLUMNS``, which is ``None`` for an image without a thumbnail."""

    moment: int
    mark: int
    image_id: str
    label: str | None
    features: tuple[Any, ...]
    thumbnail: tuple[Any, ...] | None


#: The columns that ``image_row`` gets after the others, of both tables joined.
FEATURES_OF_ROW = ", ".join((*IMAGE_COLUMNS, *SMALL_COLUMNS))


def image_row(
    moment: int, mark: int, image_id: str, label: str | None, values: Sequence[Any]
) -> ImageRow:
    """The row of an image. ``values`` are those of ``FEATURES_OF_ROW``."""
    features, thumbnail = values[: len(IMAGE_COLUMNS)], values[len(IMAGE_COLUMNS) :]
    has_thumbnail = thumbnail[-1] is not None
    return ImageRow(
        moment, mark, image_id, label, tuple(features), tuple(thumbnail) if has_thumbnail else None
    )


class ImageRows(Protocol):
    """The rows of a collection that nobody else uses. Methods raise ``Unavailable`` if the database
    can't be read or written."""

    def close(self) -> None:
        """Release what this object holds."""

    def count(self) -> int:
        """The number of images."""
        ...

    def newest(self) -> int:
        """The largest moment of an image; 0 without images."""
        ...

    def after(self, moment: int, count: int) -> list[ImageRow]:
        """Up to ``count`` rows with later moments, in the order of their moments."""
        ...

    def insert(self, rows: Sequence[ImageRow]) -> None:
        """Store all these rows or none. They are durable when the method returns."""

    def position(self) -> Position:
        """How far the collection is, without its history."""
        ...

    def set_position(self, position: Position) -> None:
        """Store how far the collection is."""


class RowDigest:
    """The number of some rows, and a SHA-256 over their values in order."""

    def __init__(self) -> None:
        self.count = 0
        self._hash = hashlib.sha256()

    def add(self, rows: Sequence[ImageRow]) -> None:
        """Add these rows."""
        for row in rows:
            values = (row.moment, row.mark, row.image_id, row.label, *row.features)
            self._hash.update(_encoded(values) + _encoded(row.thumbnail or ()) + b"\n")
        self.count += len(rows)

    @property
    def digest(self) -> str:
        """The SHA-256 of all rows so far, in hexadecimal digits."""
        return self._hash.hexdigest()


def _encoded(values: Iterable[Any]) -> bytes:
    """The values, each after its length, so that different values never have the same bytes."""
    parts = []
    for value in values:
        if value is None:
            parts.append(b"-")
            continue
        data = value if isinstance(value, bytes) else str(value).encode()
        parts.append(b"%d:" % len(data))
        parts.append(data)
    return b"".join((b"(", *parts, b")"))
