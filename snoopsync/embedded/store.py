"""The images of an embedded collection in SQLite.

An image's ``moment`` is the time when its bytes last changed, as Unix time in microseconds. No
moment is used twice, and each is larger than all earlier ones, whatever the clock does. The moment
is both the image's time and its position in the listing. ``collection.moment`` is the last moment
that was used.

The ``mark`` of an image shows an index what is new. It equals the moment until a newer version
describes the image again. Then the image gets a new mark from the same series, and keeps its
moment.

The ``version`` of an image (the column ``feed``) is the version of snoopsync's codes that described
the image: ``features.FEED_VERSION`` at that time. Images that different versions described can only
be compared by their bytes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from snoopsync.core.errors import Conflict
from snoopsync.core.protocol import IdRange
from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, Features
from snoopsync.embedded import database
from snoopsync.embedded.rows import FEATURES_TABLES
from snoopsync.embedded.stored import (
    DESCRIBED,
    STORED,
    Copies,
    DescribedImage,
    OutdatedKey,
    StoredCodes,
    StoredImage,
    delete_row,
    describe_row,
    described_image,
    find_row,
    id_taken,
    image_not_found,
    insert_row,
)
from snoopsync.runtime.sqlite import transaction

_ROWS_PER_BLOCK = 5_000

#: No moment is larger than this.
_END_OF_TIME = 2**63 - 1


class Store:
    """The images of one collection. Several threads and processes may use it.

    A change is durable when the method returns. Methods raise ``Unavailable`` if the database
    can't be read or written.
    """

    def __init__(
        self,
        path: Path,
        new_id: Callable[[], str],
        busy_seconds: float = database.BUSY_SECONDS,
    ) -> None:
        """Opens the database. If it does not exist, creates it with access for this user only, and
        with an ID from ``new_id``. ``busy_seconds``: how long a change waits for another
        process."""
        self._path = path
        self._busy_seconds = busy_seconds
        # With two locks, no search waits for the disk while an image is added.
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
            if find_row(writer, image_id) is not None:
                raise id_taken(image_id)
            return insert_row(writer, image_id, features, now)

    def replace(
        self, image_id: str, features: Features, now: int
    ) -> tuple[StoredImage, StoredImage]:
        """Store other features for this image. Returns the image before and after the change. The
        image keeps its moment if its bytes are the same and an older version described them. Raises
        ``NotFound``."""
        with self._write_transaction() as writer:
            stored = find_row(writer, image_id)
            if stored is not None and stored.is_outdated and stored.sha256 == features.sha256:
                return stored, describe_row(writer, stored, features, now)
            return delete_row(writer, image_id), insert_row(writer, image_id, features, now)

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """Store the features that this version extracted from an image's bytes. Returns the image
        before and after the change. Changes nothing if this version already described the image.
        Raises ``NotFound``, and ``Conflict`` if the image has other bytes."""
        with self._write_transaction() as writer:
            stored = find_row(writer, image_id)
            if stored is None:
                raise image_not_found(image_id)
            if stored.sha256 != features.sha256:
                raise Conflict(f"the image {image_id!r} has other bytes", status=409)
            if not stored.is_outdated:
                return stored, stored
            return stored, describe_row(writer, stored, features, now)

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image. Returns the removed image. Raises ``NotFound``."""
        with self._write_transaction() as writer:
            return delete_row(writer, image_id)

    def find(self, image_id: str) -> StoredImage | None:
        """The image with this ID; ``None`` if there is none."""
        with self._read_connection() as reader:
            return find_row(reader, image_id)

    def find_described(self, image_id: str) -> DescribedImage | None:
        """The image with this ID, and its features; ``None`` if there is none."""
        with self._read_connection() as reader:
            row = reader.execute(
                f"SELECT {DESCRIBED} FROM {FEATURES_TABLES} WHERE id = ?", (image_id,)
            ).fetchone()
        return None if row is None else described_image(row)

    def page(self, newest: int | None, count: int) -> list[StoredImage]:
        """Up to ``count`` images of the listing, newest first, beginning at the moment
        ``newest``; ``None`` for the newest image."""
        newest = _END_OF_TIME if newest is None else newest
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT {STORED} FROM image WHERE moment <= ? ORDER BY moment DESC LIMIT ?",
                (newest, count),
            )
            return [StoredImage(*row) for row in rows]

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """The moment and ID of every image, newest first, in blocks.

        This uses its own connection and one read transaction, so that changes after the first block
        have no effect.
        """
        with (
            database.translated(self._path),
            closing(database.connect(self._path, self._busy_seconds)) as connection,
        ):
            rows = connection.execute("SELECT moment, id FROM image ORDER BY moment DESC")
            while block := rows.fetchmany(_ROWS_PER_BLOCK):
                yield block

    def ids(self, after: str, most: int) -> IdRange:
        """At most ``most`` IDs of all images, in order, beginning after ``after``."""
        with self._read_connection() as reader:
            # All IDs are read as one value. Reading rows would switch between threads for each row.
            ids, last, count = reader.execute(
                "SELECT json_group_array(id), max(id), count(*)"
                " FROM (SELECT id FROM image WHERE id > ? ORDER BY id LIMIT ?)",
                (after, most),
            ).fetchone()
        return IdRange(ids, last if count == most else None)

    def marks_of_same_picture(self, features: Features, version: int) -> list[int]:
        """The marks of the images that are the same picture: those with the same bytes, and those
        with the same size and digest if ``version`` described them."""
        with self._read_connection() as reader:
            rows = reader.execute(
                "SELECT coalesce(mark, moment) FROM image WHERE sha256 = :sha256"
                " UNION SELECT coalesce(mark, moment) FROM image"
                # The unary plus keeps SQLite from using the index of versions, because the index of
                # digests finds far fewer images.
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

    def same_picture(
        self, features: Features, version: int, after: int, count: int
    ) -> list[StoredImage]:
        """Up to ``count`` of the images with the same size and digest that ``version`` described,
        and with other bytes, in the order of their moments, beginning after ``after``."""
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT {STORED} FROM image WHERE thumbnail = :digest AND +feed = :version"
                " AND width = :width AND height = :height AND +sha256 <> :sha256"
                " AND moment > :after ORDER BY moment LIMIT :count",
                {
                    "digest": features.digest,
                    "version": version,
                    "width": features.width,
                    "height": features.height,
                    "sha256": features.sha256,
                    "after": after,
                    "count": count,
                },
            )
            return [StoredImage(*row) for row in rows]

    def data_version(self) -> int:
        """A number that changes with each change of the database, also by another process."""
        with self._read_connection() as reader:
            (version,) = reader.execute("PRAGMA data_version").fetchone()
        return int(version)

    def copies(self, sha256: bytes, owner: str) -> Copies:
        """The images with these bytes. Those whose ID does not begin with ``owner`` come first."""
        with self._read_connection() as reader:
            (count,) = reader.execute(
                "SELECT count(*) FROM image WHERE sha256 = ?", (sha256,)
            ).fetchone()
            rows = reader.execute(
                f"SELECT {STORED} FROM image WHERE sha256 = :sha256"
                " ORDER BY :owner <> '' AND substr(id, 1, length(:owner)) = :owner, id LIMIT 2",
                {"sha256": sha256, "owner": owner},
            )
            return Copies(tuple(StoredImage(*row) for row in rows), count)

    def marks_of_bytes(self, sha256: bytes) -> list[int]:
        """The marks of the images with these bytes."""
        with self._read_connection() as reader:
            rows = reader.execute(
                "SELECT coalesce(mark, moment) FROM image WHERE sha256 = ?", (sha256,)
            )
            return [mark for (mark,) in rows]

    def with_marks(self, marks: Sequence[int]) -> list[DescribedImage]:
        """The images with these marks. Images that were removed or changed are left out."""
        found = []
        with self._read_connection() as reader:
            for mark in marks:
                row = reader.execute(
                    f"SELECT {DESCRIBED} FROM {FEATURES_TABLES} WHERE image.moment ="
                    " ifnull((SELECT moment FROM image WHERE mark = :mark), :mark)"
                    " AND coalesce(mark, image.moment) = :mark",
                    {"mark": mark},
                ).fetchone()
                if row is not None:
                    found.append(described_image(row))
        return found

    def stored_with_marks(self, marks: Sequence[int]) -> list[StoredImage]:
        """As ``with_marks``, without the features."""
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT {STORED} FROM image WHERE mark IS NULL AND moment IN"
                " (SELECT value FROM json_each(:marks))"
                f" UNION ALL SELECT {STORED} FROM image WHERE mark IN"
                " (SELECT value FROM json_each(:marks))",
                {"marks": json.dumps(list(marks))},
            )
            return [StoredImage(*row) for row in rows]

    def codes_after(self, mark: int, count: int, version: int) -> list[StoredCodes]:
        """The codes of up to ``count`` images that ``version`` described, in ascending order of
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
        """Whether another version than ``version`` described any image."""
        with self._read_connection() as reader:
            (exists,) = reader.execute(
                "SELECT EXISTS (SELECT 1 FROM image WHERE feed < :version)"
                " OR EXISTS (SELECT 1 FROM image WHERE feed > :version)",
                {"version": version},
            ).fetchone()
        return bool(exists)

    def count_outdated(self, first_id: str = "", end_id: str | None = None) -> int:
        """The number of images that an older version described, with IDs from ``first_id`` up to,
        but not including, ``end_id``."""
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
