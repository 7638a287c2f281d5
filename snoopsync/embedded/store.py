"""The images of an embedded collection in SQLite: all SQL except the schema.

An image's ``moment`` is the time its bytes last changed, in microseconds of Unix time. No moment is
given twice, and each is larger than those before it, whatever the clock does. So the moment is both
the image's time and its place in the listing. ``collection.moment`` is the last one given.

The ``mark`` of an image tells an index what is new. It is the moment until a newer version
describes the image again: then the image gets a mark of its own from the same series, and keeps its
moment.

The ``version`` of an image (the column ``feed``) is the version of snoopsync's codes that has
described it: ``features.FEED_VERSION`` at that time. Images that different versions have described
can only be compared by their bytes.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.core.protocol import IdRange
from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, Features
from snoopsync.embedded import database
from snoopsync.embedded.rows import (
    FEATURES_COLUMNS,
    FEATURES_TABLES,
    IMAGE_COLUMNS,
    SMALL_COLUMNS,
    features_from,
    image_values,
    small_values,
)
from snoopsync.runtime.sqlite import transaction

_ROWS_PER_BLOCK = 5_000

#: Larger than any moment.
_END_OF_TIME = 2**63 - 1

#: The columns of a ``StoredImage``, and those of a ``DescribedImage``.
_STORED = "image.moment, id, sha256, coalesce(mark, image.moment), feed"
_DESCRIBED = f"{_STORED}, {FEATURES_COLUMNS}"
_STORED_COUNT = 5


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the listing."""

    moment: int
    image_id: str
    sha256: bytes
    mark: int = 0
    version: int = FEED_VERSION

    @property
    def is_outdated(self) -> bool:
        """Whether an older version has described the image."""
        return self.version < FEED_VERSION


@dataclass(frozen=True, slots=True)
class DescribedImage:
    """An image with its features, as the version ``stored.version`` made them."""

    stored: StoredImage
    features: Features


#: Version and ID of an outdated image, which are listed in this order.
OutdatedKey = tuple[int, str]

#: An image's mark, the code of the picture as it is, and the code without its borders (empty if it
#: has none). A plain tuple, as SQLite returns it: the first search reads a million of them.
StoredCodes = tuple[int, bytes, bytes]


class Store:
    """The images of one collection. Safe for several threads and processes.

    A change is on disk when the method returns. Methods raise ``Unavailable`` when the database
    cannot be read or written.
    """

    def __init__(
        self,
        path: Path,
        new_id: Callable[[], str],
        busy_seconds: float = database.BUSY_SECONDS,
    ) -> None:
        """Opens the database. If it does not exist, creates it for its owner only, with an ID from
        ``new_id``. ``busy_seconds``: how long a change waits for the change of another process."""
        self._path = path
        self._busy_seconds = busy_seconds
        # Two locks: no search waits for the disk while an image is added.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with database.translated(path):
            self._writer = database.connect(path, busy_seconds)
            try:
                #: The collection's ID, created with the database.
                self.collection_id = database.collection_id(self._writer, new_id)
                self._reader = database.connect(path, busy_seconds)
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Close the database. A second call does nothing."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def add(self, image_id: str, features: Features, now: int) -> StoredImage:
        """Store a new image at ``now`` (microseconds). Raises ``Conflict`` if the ID is taken."""
        with self._write_transaction() as writer:
            if _find(writer, image_id) is not None:
                raise id_taken(image_id)
            return _insert(writer, image_id, features, now)

    def replace(
        self, image_id: str, features: Features, now: int
    ) -> tuple[StoredImage, StoredImage]:
        """Store other features for this image, and return it as it was and as it is. It keeps its
        moment if only the version that has described its bytes changes. Raises ``NotFound``."""
        with self._write_transaction() as writer:
            stored = _find(writer, image_id)
            if stored is not None and stored.is_outdated and stored.sha256 == features.sha256:
                return stored, _describe(writer, stored, features, now)
            return _delete(writer, image_id), _insert(writer, image_id, features, now)

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """Store the features that this version makes of an image's own bytes, and return the image
        as it was and as it is. Changes nothing if this version has described it already. Raises
        ``NotFound``, and ``Conflict`` if the image has other bytes."""
        with self._write_transaction() as writer:
            stored = _find(writer, image_id)
            if stored is None:
                raise image_not_found(image_id)
            if stored.sha256 != features.sha256:
                raise Conflict(f"the image {image_id!r} has other bytes", status=409)
            if not stored.is_outdated:
                return stored, stored
            return stored, _describe(writer, stored, features, now)

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image, and return it as it was. Raises ``NotFound``."""
        with self._write_transaction() as writer:
            return _delete(writer, image_id)

    def find(self, image_id: str) -> StoredImage | None:
        """The image with this ID; ``None`` if the collection has none."""
        with self._read_connection() as reader:
            return _find(reader, image_id)

    def find_described(self, image_id: str) -> DescribedImage | None:
        """The image with this ID, and its features; ``None`` if the collection has none."""
        with self._read_connection() as reader:
            row = reader.execute(
                f"SELECT {_DESCRIBED} FROM {FEATURES_TABLES} WHERE id = ?", (image_id,)
            ).fetchone()
        return None if row is None else _described_image(row)

    def page(self, newest: int | None, count: int) -> list[StoredImage]:
        """Up to ``count`` images of the listing, newest first, from the moment ``newest`` on."""
        newest = _END_OF_TIME if newest is None else newest
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT {_STORED} FROM image WHERE moment <= ? ORDER BY moment DESC LIMIT ?",
                (newest, count),
            )
            return [StoredImage(*row) for row in rows]

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """Moment and ID of every image at the time of the first step, newest first, in blocks.

        It uses a connection of its own: one read transaction, which does not see later changes.
        """
        with (
            database.translated(self._path),
            closing(database.connect(self._path, self._busy_seconds)) as connection,
        ):
            rows = connection.execute("SELECT moment, id FROM image ORDER BY moment DESC")
            while block := rows.fetchmany(_ROWS_PER_BLOCK):
                yield block

    def ids(self, after: str, most: int) -> IdRange:
        """The IDs of all images in order, from the first one after ``after``: at most this many."""
        with self._read_connection() as reader:
            # As one value: reading rows would switch between threads a thousand times.
            ids, last, count = reader.execute(
                "SELECT json_group_array(id), max(id), count(*)"
                " FROM (SELECT id FROM image WHERE id > ? ORDER BY id LIMIT ?)",
                (after, most),
            ).fetchone()
        return IdRange(ids, last if count == most else None)

    def marks_of_same_picture(self, features: Features, version: int) -> list[int]:
        """The marks of the images that are the same picture: those with the same bytes, and those
        that the given version gave the same size and digest."""
        with self._read_connection() as reader:
            rows = reader.execute(
                "SELECT coalesce(mark, moment) FROM image WHERE sha256 = :sha256"
                " UNION SELECT coalesce(mark, moment) FROM image"
                # The unary plus keeps SQLite from using the index of versions: the index of digests
                # finds far fewer images.
                " WHERE thumbnail = :digest AND +feed = :version"
                " AND width = :width AND height = :height",
                {
                    "sha256": features.sha256,
                    "digest": features.digest,
                    "version": version,
                    "width": features.width,
                    "height": features.height,
                },
            )
            return [mark for (mark,) in rows]

    def with_marks(self, marks: Sequence[int]) -> list[DescribedImage]:
        """The images with these marks; those that were removed or changed are left out."""
        found = []
        with self._read_connection() as reader:
            for mark in marks:
                row = reader.execute(
                    f"SELECT {_DESCRIBED} FROM {FEATURES_TABLES} WHERE image.moment ="
                    " ifnull((SELECT moment FROM image WHERE mark = :mark), :mark)"
                    " AND coalesce(mark, image.moment) = :mark",
                    {"mark": mark},
                ).fetchone()
                if row is not None:
                    found.append(_described_image(row))
        return found

    def codes_after(self, mark: int, count: int, version: int) -> list[StoredCodes]:
        """The codes that the given version made of up to ``count`` images, in ascending order of
        their marks, beginning after ``mark``. Images without codes are left out."""
        codes = "substr(codes, 1, :bytes), ifnull(substr(trimmed, 1, :bytes), x'') FROM image"
        # The unary plus keeps SQLite from using the index of versions, which would need a sort.
        which = "+feed = :version AND codes != x''"
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT moment, {codes} WHERE moment > :mark AND mark IS NULL AND {which}"
                f" UNION ALL SELECT mark, {codes} WHERE mark > :mark AND {which}"
                " ORDER BY 1 LIMIT :count",
                {"bytes": CODE_BYTES, "mark": mark, "version": version, "count": count},
            )
            return rows.fetchall()

    def has_other_versions(self, version: int) -> bool:
        """Whether any image was described by another version than this one."""
        with self._read_connection() as reader:
            (exists,) = reader.execute(
                "SELECT EXISTS (SELECT 1 FROM image WHERE feed < :version)"
                " OR EXISTS (SELECT 1 FROM image WHERE feed > :version)",
                {"version": version},
            ).fetchone()
        return bool(exists)

    def count_outdated(self, first_id: str = "", end_id: str | None = None) -> int:
        """The number of images that an older version has described, with IDs from ``first_id`` up
        to, but not including, ``end_id``."""
        with self._read_connection() as reader:
            (count,) = reader.execute(
                "SELECT count(*) FROM image WHERE feed < :version AND id >= :first"
                " AND (:end IS NULL OR id < :end)",
                {"version": FEED_VERSION, "first": first_id, "end": end_id},
            ).fetchone()
        return int(count)

    def outdated(
        self, after: OutdatedKey, count: int, first_id: str = "", end_id: str | None = None
    ) -> list[OutdatedKey]:
        """Up to ``count`` of the images that ``count_outdated`` counts, after the key ``after``."""
        with self._read_connection() as reader:
            rows = reader.execute(
                "SELECT feed, id FROM image WHERE feed < :current AND (feed, id) > (:version, :id)"
                " AND id >= :first AND (:end IS NULL OR id < :end)"
                " ORDER BY feed, id LIMIT :count",
                {
                    "current": FEED_VERSION,
                    "version": after[0],
                    "id": after[1],
                    "first": first_id,
                    "end": end_id,
                    "count": count,
                },
            )
            return rows.fetchall()

    @contextmanager
    def _write_transaction(self) -> Iterator[sqlite3.Connection]:
        with self._writing, database.translated(self._path), transaction(self._writer):
            yield self._writer

    @contextmanager
    def _read_connection(self) -> Iterator[sqlite3.Connection]:
        with self._reading, database.translated(self._path):
            yield self._reader


def id_taken(image_id: str) -> Conflict:
    """The error for an ID that another image has."""
    return Conflict(f"an image with the ID {image_id!r} exists already", status=409)


def image_not_found(image_id: str) -> NotFound:
    """The error for an ID that no image has."""
    return NotFound(f"no image has the ID {image_id!r}", status=404)


def _find(connection: sqlite3.Connection, image_id: str) -> StoredImage | None:
    row = connection.execute(f"SELECT {_STORED} FROM image WHERE id = ?", (image_id,)).fetchone()
    return None if row is None else StoredImage(*row)


def _insert(
    connection: sqlite3.Connection, image_id: str, features: Features, now: int
) -> StoredImage:
    moment = _next_moment(connection, now)
    _insert_row(
        connection,
        "image",
        ("moment", "id", *IMAGE_COLUMNS),
        (moment, image_id, *image_values(features)),
    )
    _insert_thumbnail(connection, moment, features)
    return StoredImage(moment, image_id, features.sha256, moment, FEED_VERSION)


def _describe(
    connection: sqlite3.Connection, stored: StoredImage, features: Features, now: int
) -> StoredImage:
    """Replace an image's features by others of the same bytes."""
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
        _insert_row(connection, "small", ("moment", *SMALL_COLUMNS), (moment, *values))


def _insert_row(
    connection: sqlite3.Connection, table: str, columns: Sequence[str], values: Sequence[Any]
) -> None:
    connection.execute(
        f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({_places(values)})", values
    )


def _places(values: Sequence[Any]) -> str:
    return ", ".join("?" * len(values))


def _delete(connection: sqlite3.Connection, image_id: str) -> StoredImage:
    stored = _find(connection, image_id)
    if stored is None:
        raise image_not_found(image_id)
    connection.execute("DELETE FROM image WHERE moment = ?", (stored.moment,))
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    return stored


def _described_image(row: Sequence[Any]) -> DescribedImage:
    return DescribedImage(StoredImage(*row[:_STORED_COUNT]), features_from(row[_STORED_COUNT:]))
