"""What is remembered of the images, one row each. The only SQL about them.

A row never says what to do. It says what was seen (``inode`` to ``ctime_ns``), what the collection
has confirmed (``sha256``), and whether the two may differ (``dirty``). What to do is planned when
it is done, so a stale command can't exist and a crash loses nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from snoopsync.model import (
    File,
    Fingerprint,
    FingerprintKey,
    ImageState,
    Place,
    Record,
)
from snoopsync.planner import Action, Add, Adopt, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.folders import Folders
from snoopsync.state.listings import Listings

#: The least byte string greater than every path below a directory: "0" comes after "/".
_AFTER_SLASH = b"0"

#: The same for all IDs of an owner: "/" comes after ".".
_AFTER_DOT = "/"

_RECORD = (
    "image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns, submount, sha256, dirty,"
    " held OR approved"
)

_IMAGE_STATE = """
    CASE WHEN held THEN 'held' WHEN error IS NOT NULL THEN 'failed'
         WHEN dirty THEN 'pending' ELSE 'synced' END
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """Images of one folder, by state."""

    images: int = 0
    pending: int = 0
    failed: int = 0
    held: int = 0


@dataclass(frozen=True, slots=True)
class ImageRow:
    """One image as it is listed. ``synced_at`` is Unix time."""

    image_id: str
    place: Place
    state: ImageState
    size: int
    synced_at: float | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A dirty row that may be sent now. ``mark`` names the plan that a confirmation answers."""

    record: Record
    mark: int
    attempts: int
    approved: bool


@dataclass(frozen=True, slots=True)
class Sent:
    """The collection has answered for one image: it holds these bytes."""

    image_id: str
    mark: int
    sha256: bytes
    image_time: str | None


class State:
    """The state file's images, and its ``folders``, over a ``Database``."""

    def __init__(self, database: Database) -> None:
        self.folders = Folders(database)
        self._database = database
        self.transaction = database.transaction

    # Facts: single values that outlive the process.

    def fact(self, name: str) -> str | None:
        """A remembered value, or ``None``."""
        value: str | None = self._database.one("SELECT value FROM fact WHERE name = ?", (name,))
        return value

    def set_fact(self, name: str, value: str) -> None:
        """Remember a value."""
        self._database.change("REPLACE INTO fact VALUES (?, ?)", (name, value))

    # What is known of a directory, for the scan.

    def known(self, folder: str, directory: bytes) -> dict[bytes, FingerprintKey]:
        """The fingerprints of the files directly in this directory, by name. Not of those whose
        deletion is held: they are known to be gone, and news if they are back."""
        rows = self._database.query(
            "SELECT name, inode, size, mtime_ns, ctime_ns FROM image"
            " WHERE folder = ? AND directory = ? AND NOT held",
            (folder, directory),
        )
        return {row[0]: row[1:] for row in rows}

    def submounts(self, folder: str, directory: bytes) -> dict[bytes, int]:
        """The names of the files directly in this directory that were on another disk than the
        folder, with the number of that."""
        rows = self._database.query(
            "SELECT name, submount FROM image WHERE folder = ? AND directory = ? AND submount",
            (folder, directory),
        )
        return dict(rows)

    def listings(self, folder: str) -> Listings:
        """The directories of the folder whose listing is what is known."""
        return Listings(self._database, folder)

    def directories(self, folder: str) -> set[bytes]:
        """Every directory of the folder that has images directly in it."""
        rows = self._database.query(
            "SELECT DISTINCT directory FROM image WHERE folder = ?", (folder,)
        )
        return {row[0] for row in rows}

    def places_below(self, folder: str, directory: bytes) -> list[Place]:
        """The places of every image in this directory and below."""
        below = ""
        limits: tuple[bytes, ...] = ()
        if directory:
            below = "AND (directory = ? OR (directory >= ? AND directory < ?))"
            limits = (directory, directory + b"/", directory + _AFTER_SLASH)
        rows = self._database.query(
            f"SELECT directory, name FROM image WHERE folder = ? {below}", (folder, *limits)
        )
        return [_place(folder, directory, name) for directory, name in rows]

    # Records, for the planner.

    def record_at(self, place: Place) -> Record | None:
        """The record of the image at this place."""
        found = self._records(
            "folder = ? AND directory = ? AND name = ?",
            (place.folder, place.directory, place.name),
        )
        return found[0] if found else None

    def record(self, image_id: str) -> Record | None:
        """The record of this image."""
        found = self._records("image_id = ?", (image_id,))
        return found[0] if found else None

    def records_with_inode(self, inode: int) -> list[Record]:
        """Records whose file had this inode, on whatever device."""
        return self._records("inode = ?", (inode,))

    def records_with_content(self, sha256: bytes, limit: int) -> list[Record]:
        """Records that were confirmed with these bytes."""
        return self._records("sha256 = ? LIMIT ?", (sha256, limit))

    def records_in(self, folder: str) -> list[Record]:
        """Every record of a folder."""
        return self._records("folder = ?", (folder,))

    def sample(self, folder: str, count: int) -> list[Record]:
        """A few records of a folder, spread over it."""
        return self._records("folder = ? ORDER BY image_id LIMIT ?", (folder, count))

    def knows_size(self, size: int) -> bool:
        """Does any record's file have this size (bytes)?"""
        return self._database.one("SELECT 1 FROM image WHERE size = ? LIMIT 1", (size,)) is not None

    def is_taken(self, image_id: str) -> bool:
        """Is this ID given out?"""
        return self._database.one("SELECT 1 FROM image WHERE image_id = ?", (image_id,)) is not None

    def confirmed_ids(self) -> set[str]:
        """The IDs of the images that the collection has confirmed."""
        return self._ids("sha256 IS NOT NULL")

    def confirmed_times(self) -> dict[str, str]:
        """When the collection said that its bytes changed, for each image that is confirmed, and
        for which nothing else was planned since."""
        times = self._database.one(
            "SELECT json_group_object(image_id, image_time) FROM image"
            " WHERE sha256 IS NOT NULL AND NOT dirty AND image_time <> ''"
        )
        return dict(json.loads(times))

    def doubt(self, image_id: str, image_time: str) -> bool:
        """The collection may hold other bytes than those that it confirmed at this time: they have
        to be sent again. False if that is so already, or the image is being dealt with."""
        changed = self._database.change(
            "UPDATE image SET sha256 = x'', dirty = 1, mark = mark + 1, attempts = 0,"
            " retry_at = NULL, error = NULL"
            " WHERE image_id = ? AND image_time = ? AND NOT dirty AND NOT held",
            (image_id, image_time),
        )
        return changed > 0

    def all_ids(self) -> set[str]:
        """Every ID that is given out."""
        return self._ids("true")

    def _ids(self, condition: str) -> set[str]:
        # As one value: a hundred thousand rows take half as long again.
        ids = self._database.one(f"SELECT json_group_array(image_id) FROM image WHERE {condition}")
        return set(json.loads(ids))

    def _records(self, condition: str, parameters: Sequence[Any]) -> list[Record]:
        rows = self._database.query(f"SELECT {_RECORD} FROM image WHERE {condition}", parameters)
        return [_record(row) for row in rows]

    # Plans become intents, intents become confirmations.

    def apply(self, actions: Iterable[Action], now: float) -> None:
        """Write down what was planned, before anything of it is sent. ``now``: Unix time."""
        actions = list(actions)
        with self.transaction():
            # First, since a new file may be where a renamed one was.
            self._rename([action for action in actions if isinstance(action, Rename)])
            for action in actions:
                match action:
                    case Add(place, image_id, file):
                        self._intend(image_id, place, file, is_there=False)
                    case Update(place, image_id, file):
                        self._intend(image_id, place, file, is_there=True)
                    case Refresh(_, image_id, file):
                        self._see(image_id, file.fingerprint, file.submount)
                    case Adopt(place, image_id, file, sha256):
                        self._intend(image_id, place, file, is_there=True)
                        self._confirm_at(image_id, sha256, now)
                    case Delete(_, image_id):
                        self._database.change(
                            "UPDATE image SET dirty = 1, mark = mark + 1, attempts = 0,"
                            " retry_at = NULL, error = NULL WHERE image_id = ?",
                            (image_id,),
                        )
                    case Forget(_, image_id):
                        self.forget(image_id)

    def _intend(self, image_id: str, place: Place, file: File, *, is_there: bool) -> None:
        # An image that is there with bytes that nobody knows has an empty digest.
        sha256 = b"" if is_there else None
        self._database.change(
            "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns,"
            " ctime_ns, submount, sha256, dirty, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)"
            " ON CONFLICT (image_id) DO UPDATE SET inode = excluded.inode, size = excluded.size,"
            " mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,"
            " submount = excluded.submount, dirty = 1, mark = mark + 1, attempts = 0,"
            " sha256 = iif(excluded.sha256 IS NULL, NULL, coalesce(sha256, excluded.sha256)),"
            " retry_at = NULL, error = NULL, held = 0, approved = 0",
            (
                *(image_id, place.folder, place.directory, place.name),
                *(*file.fingerprint, file.submount, sha256),
            ),
        )

    def _see(self, image_id: str, seen: Fingerprint, submount: int) -> None:
        self._database.change(
            "UPDATE image SET inode = ?, size = ?, mtime_ns = ?, ctime_ns = ?, submount = ?,"
            " held = 0, approved = 0 WHERE image_id = ?",
            (*seen, submount, image_id),
        )

    def _confirm_at(self, image_id: str, sha256: bytes, now: float) -> None:
        self._database.change(
            "UPDATE image SET sha256 = ?, synced_at = ?, image_time = NULL, dirty = 0,"
            " search_due = 1"
            " WHERE image_id = ?",
            (sha256, now, image_id),
        )

    def _rename(self, renames: Sequence[Rename]) -> None:
        # In two steps, so that places can be swapped: first all leave, then all arrive.
        self._database.change_many(
            "UPDATE image SET directory = CAST(image_id AS BLOB), name = x'' WHERE image_id = ?",
            [(action.image_id,) for action in renames],
        )
        for action in renames:
            place = action.place
            self._database.change(
                "UPDATE image SET folder = ?, directory = ?, name = ? WHERE image_id = ?",
                (place.folder, place.directory, place.name, action.image_id),
            )
            self._see(action.image_id, action.file.fingerprint, action.file.submount)

    def outstanding(
        self, limit: int, now: float, folders: Sequence[str], skip: Sequence[str] = ()
    ) -> list[Outstanding]:
        """Dirty rows of these folders that may be sent now, but for the IDs in ``skip``."""
        if not folders:
            return []  # SQLite has no plan for that with this index
        rows = self._database.query(
            f"SELECT {_RECORD}, mark, attempts, approved FROM image"
            # The other index has all rows of a folder, and is what SQLite would take.
            " INDEXED BY image_due"
            " WHERE dirty AND NOT held AND coalesce(retry_at, 0) <= ?"
            f" AND folder IN ({_marks(folders)}) AND image_id NOT IN ({_marks(skip)}) LIMIT ?",
            (now, *folders, *skip, limit),
        )
        return [
            Outstanding(_record(row), mark, attempts, bool(approved))
            for *row, mark, attempts, approved in rows
        ]

    def dirty_places(self, folder: str) -> list[Place]:
        """The places of a folder's dirty rows, parked ones too."""
        rows = self._database.query(
            "SELECT directory, name FROM image WHERE folder = ? AND dirty AND NOT held", (folder,)
        )
        return [_place(folder, directory, name) for directory, name in rows]

    def dirty_records(self, folder: str) -> list[Record]:
        """The records of a folder's dirty rows, parked ones too."""
        return self._records("folder = ? AND dirty AND NOT held", (folder,))

    def count_dirty(self) -> int:
        """How many rows are dirty, parked ones too, but for those that are held."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE dirty AND NOT held")
        return count

    def count_due(self, now: float) -> int:
        """How many rows can be sent now."""
        count: int = self._database.one(
            "SELECT count(*) FROM image WHERE dirty AND NOT held AND coalesce(retry_at, 0) <= ?",
            (now,),
        )
        return count

    def retry_now(self, *, refused: bool = True) -> None:
        """What was left alone may be tried again at once; images that were ``refused`` only if
        that is wanted."""
        self._database.change(
            "UPDATE image SET retry_at = NULL"
            " WHERE dirty AND NOT held AND coalesce(retry_at, 0) > 0 AND (? OR error IS NULL)",
            (refused,),
        )

    def next_retry(self) -> float | None:
        """When the next parked image may be tried again (Unix time)."""
        at: float | None = self._database.one(
            "SELECT min(retry_at) FROM image WHERE dirty AND NOT held"
        )
        return at

    def confirm(self, sent: Sent, now: float) -> None:
        """Write down what the collection confirmed. A row that was planned for again meanwhile
        stays dirty: the confirmation is of the plan before."""
        self._database.change(
            "UPDATE image SET sha256 = ?1, synced_at = ?2, image_time = ?3, search_due = 1,"
            " dirty = (mark <> ?4), attempts = 0, retry_at = NULL, error = NULL"
            " WHERE image_id = ?5",
            (sent.sha256, now, sent.image_time, sent.mark, sent.image_id),
        )

    def park(self, image_id: str, mark: int, error: str, retry_at: float) -> bool:
        """The collection, or the disk, refused this one: leave it alone until ``retry_at``, or
        until the file changes. Is that news, or was it refused before with the same words?"""
        with self.transaction():
            known = "SELECT 1 FROM image WHERE image_id = ? AND error = ?"
            is_news = self._database.one(known, (image_id, error)) is None
            self._database.change(
                "UPDATE image SET error = ?, retry_at = ?, attempts = attempts + 1"
                " WHERE image_id = ? AND mark = ?",
                (error, retry_at, image_id, mark),
            )
        return is_news

    def postpone(self, image_id: str, until: float) -> None:
        """Leave a dirty row alone until then (Unix time), without calling it failed."""
        self._database.change("UPDATE image SET retry_at = ? WHERE image_id = ?", (until, image_id))

    def removed(self, image_id: str, mark: int) -> None:
        """The collection has confirmed that it does not hold the image any more. A row that was
        planned for again meanwhile, since its file is back, stays: its image has to be added."""
        with self.transaction():
            is_back = self._database.change(
                "UPDATE image SET sha256 = NULL, synced_at = NULL, image_time = NULL,"
                " search_due = 0 WHERE image_id = ? AND mark <> ?",
                (image_id, mark),
            )
            if not is_back:
                self.forget(image_id)

    def forget(self, image_id: str) -> None:
        """The image is not in the collection any more, or not ours to mind."""
        with self.transaction():
            self._database.change("DELETE FROM image WHERE image_id = ?", (image_id,))
            self._database.change("UPDATE pair SET gone = 1 WHERE a = ?1 OR b = ?1", (image_id,))

    def forget_others(self, owner: str) -> int:
        """Forget the images that have another owner: they are not ours to change. Returns how many
        there were."""
        others = self._database.query(
            "SELECT image_id FROM image WHERE image_id < ? OR image_id >= ?",
            (f"{owner}.", owner + _AFTER_DOT),
        )
        image_ids = [image_id for (image_id,) in others]
        with self.transaction():
            for image_id in image_ids:
                self.forget(image_id)
        return len(image_ids)

    def count_deletion(self, folder: str, now: float) -> None:
        """A deletion that nobody asked for by name was sent: the guard counts it."""
        self._database.change("INSERT INTO deletion VALUES (?, ?)", (folder, now))

    # Deletions in bulk.

    def count_images(self, folder: str) -> int:
        """How many images this folder has: those that the collection holds, and those that are on
        their way to it."""
        count: int = self._database.one(
            "SELECT count(*) FROM image WHERE folder = ? AND (sha256 IS NOT NULL OR error IS NULL)",
            (folder,),
        )
        return count

    def deletions_since(self, folder: str, since: float) -> int:
        """How many deletions were sent for this folder since then (Unix time)."""
        self._database.change("DELETE FROM deletion WHERE at < ?", (since,))
        count: int = self._database.one("SELECT count(*) FROM deletion WHERE folder = ?", (folder,))
        return count

    def hold(self, image_ids: Iterable[str]) -> None:
        """These deletions wait for a person."""
        self._database.change_many(
            "UPDATE image SET held = 1 WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )

    def held(self, folder: str) -> list[Record]:
        """The images whose deletion waits."""
        return self._records("folder = ? AND held", (folder,))

    def approve(self, folder: str) -> int:
        """Let the held deletions go out, each once its file is proven to be gone still."""
        return self._database.change(
            "UPDATE image SET held = 0, approved = 1 WHERE folder = ? AND held", (folder,)
        )

    def approve_refused(self, folder: str, image_ids: Iterable[str]) -> None:
        """Let the deletions of these images go out where the collection has refused them: they are
        no loss, and are not counted as one."""
        self._database.change_many(
            "UPDATE image SET approved = 1"
            " WHERE image_id = ? AND folder = ? AND sha256 IS NULL AND error IS NOT NULL",
            [(image_id, folder) for image_id in image_ids],
        )

    def approved(self, folder: str) -> list[Record]:
        """The images whose deletion was approved, and is not done."""
        return self._records("folder = ? AND approved", (folder,))

    def discard(self, folder: str) -> int:
        """Forget the images whose deletion is held: they stay in the collection."""
        image_ids = [record.image_id for record in self.held(folder)]
        with self.transaction():
            for image_id in image_ids:
                self.forget(image_id)
        return len(image_ids)

    # What is shown.

    def counts(self) -> dict[str, Counts]:
        """Images by folder and state, read in one moment."""
        # Not one pass over all rows: the indexes of the few that are held or dirty, and of places.
        rows = self._database.query(
            "SELECT folder, 'images', count(*) FROM image GROUP BY folder"
            " UNION ALL SELECT folder, 'held', count(*) FROM image WHERE held GROUP BY folder"
            f" UNION ALL SELECT folder, {_IMAGE_STATE} AS state, count(*)"
            " FROM image INDEXED BY image_due WHERE dirty AND NOT held GROUP BY folder, state"
        )
        totals: dict[str, dict[str, int]] = {}
        for folder, state, count in rows:
            totals.setdefault(folder, {})[state] = count
        return {folder: Counts(**by_state) for folder, by_state in totals.items()}

    def images(self, state: ImageState | None = None) -> Iterator[ImageRow]:
        """Every image, in the order of folders and paths."""
        rows = self._database.query(
            f"SELECT image_id, folder, directory, name, {_IMAGE_STATE} AS state, size, synced_at,"
            " error FROM image WHERE ?1 IS NULL OR state = ?1 ORDER BY folder, directory, name",
            (state,),
        )
        return (
            ImageRow(image_id, _place(folder, directory, name), ImageState(shown), *rest)
            for image_id, folder, directory, name, shown, *rest in rows
        )


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))


def _place(folder: str, directory: bytes, name: bytes) -> Place:
    return Place(folder, directory + b"/" + name if directory else name)


def _record(row: Sequence[Any]) -> Record:
    image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns, *rest = row
    submount, sha256, dirty, doomed = rest
    return Record(
        image_id,
        _place(folder, directory, name),
        Fingerprint(inode, size, mtime_ns, ctime_ns),
        submount,
        sha256,
        bool(dirty),
        bool(doomed),
    )
