"""Reads the rows of images, one for each image. The module ``intents`` changes them.

A row is not a command. It stores what was observed (``inode`` to ``ctime_ns``), what the collection
confirmed (``sha256``), and whether the two may differ (``dirty``). The action is planned when the
row is sent, so a row can't contain a stale command, and a crash loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from snoopsync.core.model import FingerprintKey, ImageState, Record, RelPath
from snoopsync.core.protocol import IdRange
from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions
from snoopsync.state.deletions import Deletions
from snoopsync.state.folders import Folders
from snoopsync.state.formats import Formats
from snoopsync.state.intents import Intents
from snoopsync.state.labels import Labels
from snoopsync.state.listings import Listings
from snoopsync.state.rows import PENDING_DELETION, below_directory, records, rel_path_of
from snoopsync.state.unwanted import Unwanted

#: How many rows of a long listing are read in one query.
_PAGE_ROWS = 1000

_IMAGE_STATE = """
    CASE WHEN held THEN 'held' WHEN error IS NOT NULL THEN 'failed'
         WHEN dirty THEN 'pending' ELSE 'synced' END
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """The numbers of images of one folder, by state."""

    images: int = 0
    pending: int = 0
    failed: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image, for listings. ``synced_at``: Unix time."""

    image_id: str
    rel_path: RelPath
    state: ImageState
    size: int
    synced_at: float | None
    error: str | None


class State:
    """The content of the state file. The methods of this class read the images. Its attributes are
    the ``folders``, ``intents``, ``deletions``, ``unwanted`` images, ``labels``, the answers to
    ``formats`` and the ``decisions`` about duplicates."""

    def __init__(self, database: Database) -> None:
        self.folders = Folders(database)
        self.intents = Intents(database)
        self.deletions = Deletions(database, self.intents)
        self.unwanted = Unwanted(database, self.intents)
        self.labels = Labels(database)
        self.formats = Formats(database)
        self.decisions = Decisions(database)
        self._database = database
        self.transaction = database.transaction

    # Facts: single values.

    def fact(self, name: str) -> str | None:
        """The stored value; ``None`` if there is none."""
        value: str | None = self._database.one("SELECT value FROM fact WHERE name = ?", (name,))
        return value

    def set_fact(self, name: str, value: str) -> None:
        """Store a value."""
        self._database.change("REPLACE INTO fact VALUES (?, ?)", (name, value))

    # Directories, for the scanner.

    def known(self, folder: str, directory: bytes) -> dict[bytes, FingerprintKey]:
        """The fingerprints of the files directly in this directory, by name.

        Images whose deletion is held are not included: their files are known to be gone, so a file
        that comes back counts as new. Images that are left out are not included either, since a
        listing does not contain their files."""
        rows = self._database.query(
            "SELECT name, inode, size, mtime_ns, ctime_ns FROM image"
            " WHERE folder = ? AND directory = ? AND NOT held AND NOT left_out",
            (folder, directory),
        )
        return {row[0]: row[1:] for row in rows}

    def submounts(self, folder: str, directory: bytes) -> dict[bytes, int]:
        """The files directly in this directory that were on another disk than the folder: the
        number of the disk, by name."""
        rows = self._database.query(
            "SELECT name, submount FROM image WHERE folder = ? AND directory = ? AND submount",
            (folder, directory),
        )
        return dict(rows)

    def listings(self, folder: str) -> Listings:
        """The digests of the folder's listings."""
        return Listings(self._database, folder)

    def directories(self, folder: str) -> set[bytes]:
        """All directories of the folder that contain images directly."""
        rows = self._database.query(
            "SELECT DISTINCT directory FROM image WHERE folder = ?", (folder,)
        )
        return {row[0] for row in rows}

    def directories_of_disks(self, folder: str) -> list[tuple[bytes, int]]:
        """All directories that contain images directly, with the number of the disk that the images
        are on, ordered by path. A directory with images on several disks appears once for each
        disk."""
        rows = self._database.query(
            "SELECT DISTINCT directory, submount FROM image WHERE folder = ? ORDER BY directory",
            (folder,),
        )
        return [(directory, submount) for directory, submount in rows]

    def rel_paths_below(self, folder: str, directory: bytes) -> list[RelPath]:
        """The paths of all images in this directory and below it."""
        below, limits = below_directory(directory)
        rows = self._database.query(
            f"SELECT directory, name FROM image WHERE folder = ? {below}", (folder, *limits)
        )
        return [rel_path_of(folder, directory, name) for directory, name in rows]

    # Records, for the planner.

    def record_at(self, rel_path: RelPath) -> Record | None:
        """The record of the image at this path; ``None`` if there is none."""
        found = self._records(
            "folder = ? AND directory = ? AND name = ?",
            (rel_path.folder, rel_path.directory, rel_path.name),
        )
        return found[0] if found else None

    def record(self, image_id: str) -> Record | None:
        """The record of this image; ``None`` if there is none."""
        found = self._records("image_id = ?", (image_id,))
        return found[0] if found else None

    def records_with_inode(self, inode: int) -> list[Record]:
        """Records whose file had this inode number, on any device."""
        return self._records("inode = ?", (inode,))

    def records_with_content(self, sha256: bytes, limit: int) -> list[Record]:
        """At most ``limit`` records whose confirmed bytes have this SHA-256."""
        return self._records("sha256 = ? LIMIT ?", (sha256, limit))

    def records_in(self, folder: str) -> list[Record]:
        """Every record of a folder."""
        return self._records("folder = ?", (folder,))

    def sample(
        self, folder: str, count: int, submount: int = 0, directory: bytes = b""
    ) -> list[Record]:
        """At most ``count`` records of wanted files that were last seen on this file system (as in
        ``Record.submount``), in this directory or below it. Up to half of the records have a
        pending deletion. Each half is chosen by the order of the IDs, which are hashes of paths, so
        the sample is spread over the folder."""
        below, limits = below_directory(directory)
        condition = f"folder = ? AND submount = ? AND NOT left_out {below}"

        def records(is_pending: str) -> list[Record]:
            return self._records(
                f"{condition} AND {is_pending} ORDER BY image_id LIMIT ?",
                (folder, submount, *limits, count),
            )

        others, pending = records(f"NOT {PENDING_DELETION}"), records(PENDING_DELETION)
        others = others[: max(count // 2, count - len(pending))]
        return others + pending[: count - len(others)]

    def submounts_below(self, folder: str, directory: bytes) -> set[int]:
        """The numbers of the file systems, other than the folder's own, on which files in this
        directory or below it were last seen."""
        below, limits = below_directory(directory)
        rows = self._database.query(
            f"SELECT DISTINCT submount FROM image WHERE folder = ? AND submount {below}",
            (folder, *limits),
        )
        return {submount for (submount,) in rows}

    def knows_size(self, size: int) -> bool:
        """Returns whether the file of any record has this size in bytes."""
        return self._database.one("SELECT 1 FROM image WHERE size = ? LIMIT 1", (size,)) is not None

    def is_taken(self, image_id: str) -> bool:
        """Returns whether an image has this ID."""
        return self._database.one("SELECT 1 FROM image WHERE image_id = ?", (image_id,)) is not None

    def confirmed_ids(self) -> set[str]:
        """The IDs of all images that the collection has confirmed."""
        return self._ids("sha256 IS NOT NULL")

    def confirmed_ids_between(self, after: str, last: str | None) -> IdRange:
        """The IDs of the images that the collection has confirmed, in order: from the first one
        after ``after`` up to and including ``last``. ``last``: ``None`` for no upper limit."""
        # This reads two indexes (all IDs, and the few that are not confirmed), but no rows.
        between = "image_id > ?1 AND (?2 IS NULL OR image_id <= ?2)"
        ids = self._database.one(
            "SELECT json_group_array(image_id) FROM (SELECT image_id FROM image"
            f" WHERE {between} AND image_id NOT IN (SELECT image_id FROM image"
            f" INDEXED BY image_unconfirmed WHERE sha256 IS NULL AND {between}) ORDER BY image_id)",
            (after, last),
        )
        return IdRange(ids, last)

    def confirmed_times(self) -> dict[str, str]:
        """When the bytes of each image changed, as the collection reported it, by ID. Only for
        confirmed images for which nothing was planned since."""
        times = self._database.one(
            "SELECT json_group_object(image_id, image_time) FROM image"
            " WHERE sha256 IS NOT NULL AND NOT dirty AND image_time <> ''"
        )
        return dict(json.loads(times))

    def owner_of_images(self) -> str | None:
        """The owner in the ID of any image; ``None`` if there is no image."""
        image_id: str | None = self._database.one("SELECT image_id FROM image LIMIT 1")
        return None if image_id is None else image_id.partition(".")[0]

    def all_ids(self) -> set[str]:
        """The IDs of all images."""
        return self._ids("true")

    def _ids(self, condition: str) -> set[str]:
        # All IDs are read as one value. Reading them as a hundred thousand rows takes 1.5 times as
        # long.
        ids = self._database.one(f"SELECT json_group_array(image_id) FROM image WHERE {condition}")
        return set(json.loads(ids))

    def _records(self, condition: str, parameters: Sequence[Any]) -> list[Record]:
        return records(self._database, condition, parameters)

    # What is shown to people.

    def counts(self) -> dict[str, Counts]:
        """The numbers of images, by folder and state, at one moment. Images that are left out do
        not count."""
        # This uses the index of paths, and the indexes of the few rows that are held, dirty or left
        # out. Reading all rows takes longer.
        rows = self._database.query(
            "SELECT folder, 'images', count(*) FROM image GROUP BY folder"
            " UNION ALL SELECT folder, 'left_out', count(*) FROM image WHERE left_out"
            " GROUP BY folder"
            " UNION ALL SELECT folder, 'held', count(*) FROM image WHERE held GROUP BY folder"
            f" UNION ALL SELECT folder, {_IMAGE_STATE} AS state, count(*)"
            " FROM image INDEXED BY image_due WHERE dirty AND NOT held GROUP BY folder, state"
        )
        totals: dict[str, dict[str, int]] = {}
        for folder, state, count in rows:
            totals.setdefault(folder, {})[state] = count
        for by_state in totals.values():
            by_state["images"] -= by_state.pop("left_out", 0)
        return {folder: Counts(**by_state) for folder, by_state in totals.items()}

    def images(self, state: ImageState | None = None) -> Iterator[ImageRow]:
        """All images, ordered by folder and path. They are read in pages, each at its own moment,
        so that a slow caller does not keep another process from writing."""
        last = ("", b"", b"")
        while True:
            rows = self._database.query(
                f"SELECT image_id, folder, directory, name, {_IMAGE_STATE} AS state, size,"
                " synced_at, error FROM image"
                " WHERE (folder, directory, name) > (?2, ?3, ?4) AND (?1 IS NULL OR state = ?1)"
                " ORDER BY folder, directory, name LIMIT ?5",
                (state, *last, _PAGE_ROWS),
            )
            for image_id, folder, directory, name, shown, *rest in rows:
                last = folder, directory, name
                yield ImageRow(image_id, rel_path_of(*last), ImageState(shown), *rest)
            if len(rows) < _PAGE_ROWS:
                return
