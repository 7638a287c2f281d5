"""What the embedded collection keeps, in SQLite.

An image's ``moment`` is when its bytes last changed, in microseconds of Unix time, and never given
twice nor smaller than one before it, whatever the clock does. So it is at once the image's time,
its place in the listing, and the mark by which an index sees what is new: an image whose bytes
change gets a new one. ``collection.moment`` is the last one given.
"""

from __future__ import annotations

import json
import sqlite3
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from snoopsync.embedded import database
from snoopsync.embedded.features import CODE_BYTES, FEED_VERSION, Features, Thumbnail
from snoopsync.errors import Conflict, NotFound

_WALK_ROWS = 5_000

#: Larger than any moment.
_END_OF_TIME = 2**63 - 1

_IMAGE = "moment, id, sha256"

_FULL = "image LEFT JOIN small ON small.moment = image.moment AND feed = :feed"
_FEATURES = (
    "sha256, size_bytes, kind, width, height, iif(feed = :feed, thumbnail, x''), quality,"
    " iif(feed = :feed, codes, x''), iif(feed = :feed, trimmed, x''), grey, colour,"
    " alpha, inside, frames"
)


@dataclass(frozen=True, slots=True)
class StoredImage:
    """One image of the listing."""

    moment: int
    image_id: str
    sha256: bytes


@dataclass(frozen=True, slots=True)
class Candidate:
    """What a search has to know of an image that may be like the one it is for. ``features`` as in
    ``Store.features``."""

    stored: StoredImage
    features: Features


#: An image's moment, and the code of the picture as it is and without its borders (empty if it has
#: none). A bare tuple, as SQLite gives it: a million are read when a collection is opened.
StoredCodes = tuple[int, bytes, bytes]


class Store:
    """The images of one collection, for any number of threads and processes.

    Every change is on disk on return. Methods raise ``Unavailable`` when the database can't be
    read or written.
    """

    def __init__(self, path: Path, new_id: Callable[[], str]) -> None:
        """Opens the database, or makes it (for its owner only) with an ID from ``new_id``."""
        self._path = path
        # Apart from each other, so that no search waits for the disk while an image is added.
        self._writing, self._reading = threading.Lock(), threading.Lock()
        with database.naming(path):
            database.make_private(path)
            self._writer = database.connect(path)
            try:
                #: Made with the database.
                self.collection_id = database.set_up(self._writer, new_id)
                self._reader = database.connect(path)
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
        """Store other features for this image: what it was, what it is. Raises ``NotFound``."""
        with self._changing() as writer:
            return _delete(writer, image_id), _insert(writer, image_id, features, now)

    def remove(self, image_id: str) -> StoredImage:
        """Remove this image; it is returned as it was. Raises ``NotFound``."""
        with self._changing() as writer:
            return _delete(writer, image_id)

    def find(self, image_id: str) -> StoredImage | None:
        """The image with this ID."""
        with self._looking() as reader:
            return _find(reader, image_id)

    def features(self, image_id: str) -> Features | None:
        """What is kept of this image. What an older feed made of its pixels is left out: it can't
        be compared."""
        with self._looking() as reader:
            row = reader.execute(
                f"SELECT {_FEATURES} FROM {_FULL} WHERE id = :id",
                {"id": image_id, "feed": FEED_VERSION},
            ).fetchone()
        return None if row is None else _features(row)

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
        with database.naming(self._path), closing(database.connect(self._path)) as connection:
            rows = connection.execute("SELECT moment, id FROM image ORDER BY moment DESC")
            while block := rows.fetchmany(_WALK_ROWS):
                yield block

    def ids(self) -> set[str]:
        """The IDs of all images."""
        with self._looking() as reader:
            # As one value: between two rows another thread would take its turn, a thousand times.
            (ids,) = reader.execute("SELECT json_group_array(id) FROM image").fetchone()
        return set(json.loads(ids))

    def same_as(self, features: Features) -> list[int]:
        """The moments of the images that are the same picture: the same bytes, or the same size
        and thumbnail."""
        with self._looking() as reader:
            rows = reader.execute(
                "SELECT moment FROM image WHERE sha256 = :sha256 UNION SELECT moment FROM image"
                " WHERE thumbnail = :thumbnail AND feed = :feed"
                " AND width = :width AND height = :height",
                {
                    "sha256": features.sha256,
                    "thumbnail": features.digest,
                    "feed": FEED_VERSION,
                    "width": features.width,
                    "height": features.height,
                },
            )
            return [moment for (moment,) in rows]

    def at(self, moments: Sequence[int]) -> list[Candidate]:
        """Of the images with these moments, those that are still there."""
        found = []
        with self._looking() as reader:
            for moment in moments:
                row = reader.execute(
                    f"SELECT image.moment, id, {_FEATURES} FROM {_FULL}"
                    " WHERE image.moment = :moment",
                    {"moment": moment, "feed": FEED_VERSION},
                ).fetchone()
                if row is not None:
                    (moment, image_id, *rest) = row
                    features = _features(rest)
                    found.append(
                        Candidate(StoredImage(moment, image_id, features.sha256), features)
                    )
        return found

    def codes_after(self, moment: int, count: int) -> list[StoredCodes]:
        """The codes of up to ``count`` images after this moment, oldest first: of those that have
        any, made by today's feed."""
        with self._looking() as reader:
            rows = reader.execute(
                "SELECT moment, substr(codes, 1, :bytes), ifnull(substr(trimmed, 1, :bytes), x'')"
                " FROM image WHERE moment > :moment AND feed = :feed AND codes != x''"
                " ORDER BY moment LIMIT :count",
                {"bytes": CODE_BYTES, "moment": moment, "feed": FEED_VERSION, "count": count},
            )
            return rows.fetchall()

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        with (
            self._writing,
            database.naming(self._path),
            database.transaction(self._writer),
        ):
            yield self._writer

    @contextmanager
    def _looking(self) -> Iterator[sqlite3.Connection]:
        with self._reading, database.naming(self._path):
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


def _insert(
    connection: sqlite3.Connection, image_id: str, features: Features, now: int
) -> StoredImage:
    connection.execute("UPDATE collection SET moment = max(moment + 1, ?)", (now,))
    (moment,) = connection.execute("SELECT moment FROM collection").fetchone()
    connection.execute(
        "INSERT INTO image (moment, id, sha256, size_bytes, kind, width, height, feed,"
        " thumbnail, quality, codes, trimmed) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            moment,
            image_id,
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
        ),
    )
    small = features.thumbnail
    if small is not None:
        connection.execute(
            "INSERT INTO small (moment, grey, colour, alpha, inside, frames)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (moment, small.grey, small.colour, small.alpha, small.inner, features.frames),
        )
    return StoredImage(moment, image_id, features.sha256)


def _delete(connection: sqlite3.Connection, image_id: str) -> StoredImage:
    stored = _find(connection, image_id)
    if stored is None:
        raise not_there(image_id)
    connection.execute("DELETE FROM image WHERE moment = ?", (stored.moment,))
    connection.execute("DELETE FROM small WHERE moment = ?", (stored.moment,))
    return stored


def _features(row: Sequence[Any]) -> Features:
    sha256, size_bytes, kind, width, height, digest, quality, codes, trimmed, *small = row
    grey, colour, alpha, inner, frames = small
    thumbnail = None if grey is None else Thumbnail(grey, colour, alpha, inner)
    return Features(
        *(sha256, size_bytes, kind, width, height, digest, quality, codes, trimmed, thumbnail),
        frames=1 if frames is None else frames,
    )
