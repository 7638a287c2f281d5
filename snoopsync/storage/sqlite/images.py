"""The images of a collection in an SQLite file."""

from __future__ import annotations

import json
import sqlite3
import threading
from array import array
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

from snoopsync.core.protocol import IdRange
from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, INDEXED_REGION_BYTES, Features
from snoopsync.runtime.group_commit import Change, GroupCommit, Result
from snoopsync.storage.images import (
    Copies,
    DescribedImage,
    OutdatedKey,
    Position,
    StoredCodes,
    StoredImage,
    id_taken,
    other_bytes,
)
from snoopsync.storage.sqlite import schema
from snoopsync.storage.sqlite.image_rows import (
    CODES_AFTER,
    DESCRIBED,
    FEATURES_TABLES,
    STORED,
    delete_row,
    describe_row,
    described_image,
    find_row,
    insert_row,
    label_row,
    require_row,
)

_ROWS_PER_BLOCK = 5_000
_CODES_PER_BLOCK = 4_096

#: How many starts of pages are remembered. Only one process serves a file.
_MAX_PAGE_STARTS = 10_000

#: No moment is larger than this.
_END_OF_TIME = 2**63 - 1


class SqliteImageStore:
    """An ``ImageStore`` in a file."""

    def __init__(
        self,
        path: Path,
        new_id: Callable[[], str],
        busy_seconds: float = schema.BUSY_SECONDS,
    ) -> None:
        """Opens the database. If it does not exist, creates it with access for this user only, and
        with an ID from ``new_id``. ``busy_seconds``: how long a change waits for another
        process."""
        self._path = path
        self._busy_seconds = busy_seconds
        # With two connections, no search waits for the disk while an image is added.
        self._reading = threading.Lock()
        #: The moment of each image that a page named as the start of the next page, by its ID.
        self._page_starts: OrderedDict[str, int] = OrderedDict()
        with schema.translated(path):
            writer = schema.connect(path, busy_seconds)
            try:
                self._collection_id = schema.collection_id(writer, new_id)
                self._reader = schema.connect(path, busy_seconds)
            except BaseException:
                writer.close()
                raise
        self._commits = GroupCommit(writer)

    @property
    def collection_id(self) -> str:
        """The collection's ID, which was created with the database."""
        return self._collection_id

    def close(self) -> None:
        """Close the database. A second call does nothing."""
        self._commits.close()
        with self._reading:
            self._reader.close()

    def add(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> StoredImage:
        """As in ``ImageStore``."""

        def insert(writer: sqlite3.Connection) -> StoredImage:
            if find_row(writer, image_id) is not None:
                raise id_taken(image_id)
            return insert_row(writer, image_id, features, now, label)

        return self._change(insert)

    def replace(
        self, image_id: str, features: Features, now: int, label: str | None = None
    ) -> tuple[StoredImage, StoredImage]:
        """As in ``ImageStore``."""

        def change(writer: sqlite3.Connection) -> tuple[StoredImage, StoredImage]:
            before = require_row(writer, image_id)
            new_label = before.label if label is None else label
            if before.is_outdated and before.sha256 == features.sha256:
                return before, describe_row(writer, before, features, now, new_label)
            delete_row(writer, before)
            return before, insert_row(writer, image_id, features, now, new_label)

        return self._change(change)

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """As in ``ImageStore``."""

        def describe(writer: sqlite3.Connection) -> tuple[StoredImage, StoredImage]:
            stored = require_row(writer, image_id)
            if stored.sha256 != features.sha256:
                raise other_bytes(image_id)
            if not stored.is_outdated:
                return stored, stored
            return stored, describe_row(writer, stored, features, now, stored.label)

        return self._change(describe)

    def set_label(self, image_id: str, label: str | None) -> StoredImage:
        """As in ``ImageStore``."""
        return self._change(lambda writer: label_row(writer, image_id, label))

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image. Returns the removed image. Raises ``NotFound``."""

        def remove(writer: sqlite3.Connection) -> StoredImage:
            stored = require_row(writer, image_id)
            delete_row(writer, stored)
            return stored

        return self._change(remove)

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
        """As in ``ImageStore``."""
        newest = _END_OF_TIME if newest is None else newest
        with self._read_connection() as reader:
            rows = reader.execute(
                f"SELECT {STORED} FROM image WHERE moment <= ? ORDER BY moment DESC LIMIT ?",
                (newest, count),
            )
            return [StoredImage(*row) for row in rows]

    def remember_page_start(self, stored: StoredImage) -> None:
        """Remember the moment of an image that a page named as the start of the next page."""
        with self._reading:
            self._page_starts[stored.image_id] = stored.moment
            self._page_starts.move_to_end(stored.image_id)
            if len(self._page_starts) > _MAX_PAGE_STARTS:
                self._page_starts.popitem(last=False)

    def page_start(self, image_id: str) -> int | None:
        """As in ``ImageStore``."""
        with self._reading:
            return self._page_starts.get(image_id)

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """As in ``ImageStore``, with a connection and a read transaction of its own."""
        with (
            schema.translated(self._path),
            closing(schema.connect(self._path, self._busy_seconds)) as connection,
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

    def others_after(self, moment: int, owner: str, count: int) -> list[StoredImage]:
        """As in ``ImageStore``."""
        with self._read_connection() as reader:
            rows = reader.execute(
                # The subquery reads only the index of the listing, because there may be a million
                # images of this owner.
                f"SELECT {STORED} FROM image WHERE moment IN (SELECT moment FROM image"
                " WHERE moment > :moment AND substr(id, 1, length(:owner)) <> :owner"
                " ORDER BY moment LIMIT :count) ORDER BY moment",
                {"moment": moment, "owner": owner, "count": count},
            )
            return [StoredImage(*row) for row in rows]

    def count(self) -> int:
        """The number of images."""
        with self._read_connection() as reader:
            (count,) = reader.execute("SELECT count(*) FROM image").fetchone()
        return int(count)

    def position(self) -> Position:
        """As in ``ImageStore``. A file has one history."""
        with self._read_connection() as reader:
            changes, moment = reader.execute("SELECT changes, moment FROM collection").fetchone()
        return Position("", int(changes), int(moment))

    def marks_of_same_picture(self, features: Features, version: int) -> list[int]:
        """As in ``ImageStore``."""
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
        """As in ``ImageStore``."""
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

    def copy_of_owner(self, sha256: bytes, owner: str) -> StoredImage | None:
        """As in ``ImageStore``."""
        with self._read_connection() as reader:
            row = reader.execute(
                f"SELECT {STORED} FROM image WHERE sha256 = ?1 AND substr(id, 1, length(?2)) = ?2"
                " ORDER BY id LIMIT 1",
                (sha256, owner),
            ).fetchone()
        return None if row is None else StoredImage(*row)

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

    def codes_after(self, mark: int, version: int) -> Iterator[StoredCodes]:
        """As in ``ImageStore``. The lock is released between two blocks."""
        values = {
            "bytes": CODE_BYTES,
            "region_bytes": INDEXED_REGION_BYTES,
            "version": version,
            "count": _CODES_PER_BLOCK,
        }
        while True:
            with self._read_connection() as reader:
                rows = reader.execute(CODES_AFTER, {**values, "mark": mark}).fetchall()
            if not rows:
                return
            marks, codes_of, trimmed, regions = zip(*rows, strict=True)
            bordered = [each for each, code in zip(marks, trimmed, strict=True) if code]
            mark = marks[-1]
            yield StoredCodes(
                mark,
                array("q", marks).tobytes(),
                b"".join(codes_of),
                array("q", bordered).tobytes(),
                b"".join(trimmed),
                b"".join([each.ljust(INDEXED_REGION_BYTES, b"\0") for each in regions]),
            )

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
        """As in ``ImageStore``."""
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

    def _change(self, change: Change[Result]) -> Result:
        """Commit this change, together with those of other threads."""
        with schema.translated(self._path):
            return self._commits.run(change)

    @contextmanager
    def _read_connection(self) -> Iterator[sqlite3.Connection]:
        with self._reading, schema.translated(self._path):
            yield self._reader
