"""What the embedded collection keeps, in SQLite.

An image's ``moment`` is when its bytes last changed, in microseconds of Unix time, and never given
twice nor smaller than one before it, whatever the clock does. So it is at once the image's time and
its place in the listing. It is also the ``mark`` by which an index sees what is new, until the
image is described again by a newer version: then it has a mark of its own, from the same series,
and keeps its moment. ``collection.moment`` is the last one given.

``feed`` is the version that has described an image (``features.FEED_VERSION``). Images of different
versions can only be compared by their bytes.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.decoding.evidence import Evidence
from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, Features, Thumbnail
from snoopsync.embedded import database
from snoopsync.runtime.sqlite import transaction

_WALK_ROWS = 5_000

#: Larger than any moment.
_END_OF_TIME = 2**63 - 1

_IMAGE = "image.moment, id, sha256, coalesce(mark, image.moment), feed"

_FULL = "image LEFT JOIN small ON small.moment = image.moment"
_FEATURES = (
    "size_bytes, kind, width, height, thumbnail, quality, codes, trimmed, grey, colour, alpha,"
    " inside, frames, evidence"
)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the listing."""

    moment: int
    image_id: str
    sha256: bytes
    mark: int = 0
    feed: int = FEED_VERSION

    @property
    def is_outdated(self) -> bool:
        """Has an older version described it?"""
        return self.feed < FEED_VERSION


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a search has to know of an image that may be like the one it is for. ``features`` are
    those of the version that has described it."""

    stored: StoredImage
    features: Features


#: Version and ID of an outdated image: the order in which they are listed.
Outdated = tuple[int, str]

#: An image's mark, and the code of the picture as it is and without its borders (empty if it has
#: none). A bare tuple, as SQLite gives it: a million are read when a collection is opened.
StoredCodes = tuple[int, bytes, bytes]


class Store:
    """The images of one collection, for any number of threads and processes.

    Every change is on disk on return. Methods raise ``Unavailable`` when the database can't be
    read or written.
    """

    def __init__(
        self,
        path: Path,
        new_id: Callable[[], str],
        busy_seconds: float = database.BUSY_SECONDS,
    ) -> None:
        """Opens the database, or makes it (for its owner only) with an ID from ``new_id``.
        ``busy_seconds``: how long a change waits for another process's."""
        self._path = path
        self._busy_seconds = busy_seconds
        # Apart from each other, so that no search waits for the disk while an image is added.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with database.translated(path):
            self._writer = database.connect(path, busy_seconds)
            try:
                #: Made with the database.
                self.collection_id = database.collection_id(self._writer, new_id)
                self._reader = database.connect(path, busy_seconds)
            except BaseException:
                self._writer.close()
                raise

    def close(self) -> None:
        """Close the database; again does nothing."""
        with self._writing, self._reading:
            self._reader.close()
            self._writer.close()

    def add(self, image_id: str, features: Features, now: int) -> StoredImage:
        """Store a new image at ``now`` (microseconds). Raises ``Conflict`` if the ID is known."""
        with self._changing() as writer:
            if _find(writer, image_id) is not None:
                raise already_there(image_id)
            return _insert(writer, image_id, features, now)

    def replace(
        self, image_id: str, features: Features, now: int
    ) -> tuple[StoredImage, StoredImage]:
        """Store other features for this image: what it was, what it is. It keeps its moment if
        its bytes are the same, and an older version had described them. Raises ``NotFound``."""
        with self._changing() as writer:
            stored = _find(writer, image_id)
            if stored is not None and stored.is_outdated and stored.sha256 == features.sha256:
                return stored, _describe(writer, stored, features, now)
            return _delete(writer, image_id), _insert(writer, image_id, features, now)

    def renew(self, image_id: str, features: Features, now: int) -> tuple[StoredImage, StoredImage]:
        """Store the features that today's version makes of an image's own bytes: what it was, what
        it is. Nothing changes if today's version has described it already. Raises ``NotFound``, and
        ``Conflict`` if the image has other bytes."""
        with self._changing() as writer:
            stored = _find(writer, image_id)
            if stored is None:
                raise not_there(image_id)
            if stored.sha256 != features.sha256:
                raise Conflict(f"the image {image_id!r} has other bytes", status=409)
            if not stored.is_outdated:
                return stored, stored
            return stored, _describe(writer, stored, features, now)

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image; it is returned as it was. Raises ``NotFound``."""
        with self._changing() as writer:
            return _delete(writer, image_id)

    def find(self, image_id: str) -> StoredImage | None:
        """The image with this ID."""
        with self._looking() as reader:
            return _find(reader, image_id)

    def candidate(self, image_id: str) -> Candidate | None:
        """This image, with all that is kept of it."""
        with self._looking() as reader:
            row = reader.execute(
                f"SELECT {_IMAGE}, {_FEATURES} FROM {_FULL} WHERE id = ?", (image_id,)
            ).fetchone()
        return None if row is None else _candidate(row)

    def page(self, newest: int | None, count: int) -> list[StoredImage]:
        """Up to ``count`` images of the listing (newest first), from this moment on."""
        newest = _END_OF_TIME if newest is None else newest
        with self._looking() as reader:
            rows = reader.execute(
                f"SELECT {_IMAGE} FROM image WHERE moment <= ? ORDER BY moment DESC LIMIT ?",
                (newest, count),
            )
            return [StoredImage(*row) for row in rows]

    def walk(self) -> Iterator[list[tuple[int, str]]]:
        """Moment and ID of every image that there is at the first step, newest first, in blocks.

        On a connection of its own, whose one read transaction keeps out what changes meanwhile.
        """
        with (
            database.translated(self._path),
            closing(database.connect(self._path, self._busy_seconds)) as connection,
        ):
            rows = connection.execute("SELECT moment, id FROM image ORDER BY moment DESC")
            while block := rows.fetchmany(_WALK_ROWS):
                yield block

    def ids(self) -> set[str]:
        """The IDs of all images."""
        with self._looking() as reader:
            # As one value: between two rows another thread would take its turn, a thousand times.
            (ids,) = reader.execute("SELECT json_group_array(id) FROM image").fetchone()
        return set(json.loads(ids))

    def same_as(self, features: Features, feed: int) -> list[int]:
        """The marks of the images that are the same picture: the same bytes, or the same size
        and thumbnail by this version."""
        with self._looking() as reader:
            rows = reader.execute(
                "SELECT coalesce(mark, moment) FROM image WHERE sha256 = :sha256"
                " UNION SELECT coalesce(mark, moment) FROM image"
                # Of all images that one version has described, only the few with this thumbnail.
                " WHERE thumbnail = :thumbnail AND +feed = :feed"
                " AND width = :width AND height = :height",
                {
                    "sha256": features.sha256,
                    "thumbnail": features.digest,
                    "feed": feed,
                    "width": features.width,
                    "height": features.height,
                },
            )
            return [mark for (mark,) in rows]

    def at(self, marks: Sequence[int]) -> list[Candidate]:
        """Of the images with these marks, those that are still there."""
        found = []
        with self._looking() as reader:
            for mark in marks:
                row = reader.execute(
                    f"SELECT {_IMAGE}, {_FEATURES} FROM {_FULL} WHERE image.moment ="
                    " ifnull((SELECT moment FROM image WHERE mark = :mark), :mark)"
                    " AND coalesce(mark, image.moment) = :mark",
                    {"mark": mark},
                ).fetchone()
                if row is not None:
                    found.append(_candidate(row))
        return found

    def codes_after(self, mark: int, count: int, feed: int) -> list[StoredCodes]:
        """The codes of up to ``count`` images after this mark, oldest first: of those that have
        any, made by this version."""
        codes = "substr(codes, 1, :bytes), ifnull(substr(trimmed, 1, :bytes), x'') FROM image"
        # In the order of the marks, which the index of versions would have to be sorted into.
        which = "+feed = :feed AND codes != x''"
        with self._looking() as reader:
            rows = reader.execute(
                f"SELECT moment, {codes} WHERE moment > :mark AND mark IS NULL AND {which}"
                f" UNION ALL SELECT mark, {codes} WHERE mark > :mark AND {which}"
                " ORDER BY 1 LIMIT :count",
                {"bytes": CODE_BYTES, "mark": mark, "feed": feed, "count": count},
            )
            return rows.fetchall()

    def has_other_versions(self, feed: int) -> bool:
        """Has another version than this one described any image?"""
        with self._looking() as reader:
            (there,) = reader.execute(
                "SELECT EXISTS (SELECT 1 FROM image WHERE feed < :feed)"
                " OR EXISTS (SELECT 1 FROM image WHERE feed > :feed)",
                {"feed": feed},
            ).fetchone()
        return bool(there)

    def count_outdated(self, first_id: str = "", end_id: str | None = None) -> int:
        """How many images an older version has described, whose IDs are from ``first_id`` to before
        ``end_id``."""
        with self._looking() as reader:
            (count,) = reader.execute(
                "SELECT count(*) FROM image WHERE feed < :feed AND id >= :first"
                " AND (:end IS NULL OR id < :end)",
                {"feed": FEED_VERSION, "first": first_id, "end": end_id},
            ).fetchone()
        return int(count)

    def outdated(
        self, after: Outdated, count: int, first_id: str = "", end_id: str | None = None
    ) -> list[Outdated]:
        """Up to ``count`` of these images, after one of them."""
        with self._looking() as reader:
            rows = reader.execute(
                "SELECT feed, id FROM image WHERE feed < :feed AND (feed, id) > (:version, :id)"
                " AND id >= :first AND (:end IS NULL OR id < :end)"
                " ORDER BY feed, id LIMIT :count",
                {
                    "feed": FEED_VERSION,
                    "version": after[0],
                    "id": after[1],
                    "first": first_id,
                    "end": end_id,
                    "count": count,
                },
            )
            return rows.fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with self._writing, database.translated(self._path), transaction(self._writer):
            yield self._writer

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        with self._reading, database.translated(self._path):
            yield self._reader


def already_there(image_id: str) -> Conflict:
    """The refusal of an ID that is taken."""
    return Conflict(f"there is an image {image_id!r} already", status=409)


def not_there(image_id: str) -> NotFound:
    """The answer about an ID that is unknown."""
    return NotFound(f"there is no image {image_id!r}", status=404)


def _find(connection: sqlite3.Connection, image_id: str) -> StoredImage | None:
    row = connection.execute(f"SELECT {_IMAGE} FROM image WHERE id = ?", (image_id,)).fetchone()
    return None if row is None else StoredImage(*row)


#: What ``_described`` gives the values of.
_DESCRIPTION = (
    "sha256, size_bytes, kind, width, height, feed, thumbnail, quality, codes, trimmed, evidence"
)


def _insert(
    connection: sqlite3.Connection, image_id: str, features: Features, now: int
) -> StoredImage:
    moment = _next_moment(connection, now)
    values = (moment, image_id, *_described(features))
    connection.execute(
        f"INSERT INTO image (moment, id, {_DESCRIPTION}) VALUES ({', '.join('?' * len(values))})",
        values,
    )
    _insert_thumbnail(connection, moment, features)
    return StoredImage(moment, image_id, features.sha256, moment, FEED_VERSION)


def _describe(
    connection: sqlite3.Connection, stored: StoredImage, features: Features, now: int
) -> StoredImage:
    """Put other features of the same bytes in the place of an image's."""
    mark = _next_moment(connection, now)
    values = _described(features)
    connection.execute(
        f"UPDATE image SET ({_DESCRIPTION}, mark) = ({', '.join('?' * len(values))}, ?)"
        " WHERE moment = ?",
        (*values, mark, stored.moment),
    )
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    _insert_thumbnail(connection, stored.moment, features)
    return replace(stored, mark=mark, feed=FEED_VERSION)


def _next_moment(connection: sqlite3.Connection, now: int) -> int:
    connection.execute("UPDATE collection SET moment = max(moment + 1, ?)", (now,))
    (moment,) = connection.execute("SELECT moment FROM collection").fetchone()
    return int(moment)


def _described(features: Features) -> tuple[Any, ...]:
    evidence = features.evidence
    return (
        features.sha256,
        features.size_bytes,
        features.kind,
        features.width,
        features.height,
        FEED_VERSION,
        features.digest,
        features.quality,
        features.codes,
        features.trimmed,
        None if evidence is None else json.dumps(asdict(evidence)),
    )


def _insert_thumbnail(connection: sqlite3.Connection, moment: int, features: Features) -> None:
    small = features.thumbnail
    if small is not None:
        connection.execute(
            "INSERT INTO small (moment, grey, colour, alpha, inside, frames)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (moment, small.grey, small.colour, small.alpha, small.inner, features.frames),
        )


def _delete(connection: sqlite3.Connection, image_id: str) -> StoredImage:
    stored = _find(connection, image_id)
    if stored is None:
        raise not_there(image_id)
    connection.execute("DELETE FROM image WHERE moment = ?", (stored.moment,))
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    return stored


def _candidate(row: Sequence[Any]) -> Candidate:
    stored = StoredImage(*row[:5])
    size_bytes, kind, width, height, digest, quality, codes, trimmed, *small, told = row[5:]
    grey, colour, alpha, inner, frames = small
    features = Features(
        sha256=stored.sha256,
        size_bytes=size_bytes,
        kind=kind,
        width=width,
        height=height,
        digest=digest,
        quality=quality,
        codes=codes,
        trimmed=trimmed,
        thumbnail=None if grey is None else Thumbnail(grey, colour, alpha, inner),
        frames=1 if frames is None else frames,
        evidence=None if told is None else Evidence(**json.loads(told)),
    )
    return Candidate(stored, features)
