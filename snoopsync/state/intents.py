"""What was planned and is not confirmed yet: written down before it is sent, and until it is done.

An image is dirty from its plan on. The collection's answer to that very plan, which its ``mark``
names, makes it clean again, or ends its row; a refusal parks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from snoopsync.core.model import File, Fingerprint, Record, RelPath
from snoopsync.core.planner import Action, Add, Adopt, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.rows import RECORD, below_directory, record_of, records, rel_path_of

#: No file has this inode number.
_NO_INODE = -1

#: The least text greater than every ID of an owner: "/" comes after ".".
_AFTER_DOT = "/"


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A dirty row that may be sent now. ``mark`` names the plan that a confirmation answers."""

    record: Record
    mark: int
    attempts: int
    approved: bool


@dataclass(frozen=True, slots=True)
class Unsent:
    """A dirty row as it is reported. ``error``: why it was refused, if it was."""

    image_id: str
    rel_path: RelPath
    error: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The collection has answered for one image: it holds these bytes."""

    image_id: str
    mark: int
    sha256: bytes
    image_time: str | None


class Intents:
    """The state file's images on their way between plan and confirmation, over a ``Database``."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Plans become intents.

    def apply(self, actions: Iterable[Action], now: float) -> None:
        """Write down what was planned, before anything of it is sent. ``now``: Unix time."""
        actions = list(actions)
        with self._database.transaction():
            # First, since a new file may be where a renamed one was.
            self._rename([action for action in actions if isinstance(action, Rename)])
            for action in actions:
                match action:
                    case Add(rel_path, image_id, file):
                        self._intend(image_id, rel_path, file, is_there=False)
                    case Update(rel_path, image_id, file):
                        self._intend(image_id, rel_path, file, is_there=True)
                    case Refresh(_, image_id, file):
                        self._see(image_id, file.fingerprint, file.submount)
                    case Adopt(rel_path, image_id, file, sha256):
                        self._intend(image_id, rel_path, file, is_there=True)
                        self._confirm_at(image_id, sha256, now)
                    case Delete(_, image_id):
                        self._database.change(
                            "UPDATE image SET dirty = 1, mark = mark + 1, attempts = 0,"
                            " retry_at = NULL, error = NULL WHERE image_id = ?",
                            (image_id,),
                        )
                    case Forget(_, image_id):
                        self.forget(image_id)

    def _intend(self, image_id: str, rel_path: RelPath, file: File, *, is_there: bool) -> None:
        # An image that is there with bytes that nobody knows has an empty digest.
        sha256 = b"" if is_there else None
        self._database.change(
            "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns,"
            " ctime_ns, submount, sha256, dirty, mark) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)"
            " ON CONFLICT (image_id) DO UPDATE SET inode = excluded.inode, size = excluded.size,"
            " mtime_ns = excluded.mtime_ns, ctime_ns = excluded.ctime_ns,"
            " submount = excluded.submount, dirty = 1, mark = mark + 1, attempts = 0,"
            " sha256 = iif(excluded.sha256 IS NULL, NULL, coalesce(sha256, excluded.sha256)),"
            " retry_at = NULL, error = NULL, held = 0, approved = 0, needs_approval = 0",
            (
                *(image_id, rel_path.folder, rel_path.directory, rel_path.name),
                *(*file.fingerprint, file.submount, sha256),
            ),
        )

    def _see(self, image_id: str, seen: Fingerprint, submount: int) -> None:
        self._database.change(
            "UPDATE image SET inode = ?1, size = ?2, mtime_ns = ?3, ctime_ns = ?4, submount = ?5,"
            # Another file with the same bytes: it may have become a hard link, or be none any more.
            " search_due = search_due OR (inode <> ?1 AND NOT left_out AND EXISTS"
            " (SELECT 1 FROM pair WHERE a = ?6 OR b = ?6)),"
            " held = 0, approved = 0, needs_approval = 0 WHERE image_id = ?6",
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
            rel_path = action.rel_path
            self._database.change(
                "UPDATE image SET folder = ?, directory = ?, name = ?,"
                # A file may come back from a place that is left out.
                " search_due = search_due OR left_out, left_out = 0 WHERE image_id = ?",
                (rel_path.folder, rel_path.directory, rel_path.name, action.image_id),
            )
            self._see(action.image_id, action.file.fingerprint, action.file.submount)

    def doubt(self, image_id: str, image_time: str) -> bool:
        """The collection may hold other bytes than those that it confirmed at this time: they have
        to be sent again. False if that is so already, or the image is being dealt with."""
        changed = self._database.change(
            "UPDATE image SET sha256 = x'', dirty = 1, mark = mark + 1, attempts = 0,"
            " retry_at = NULL, error = NULL"
            " WHERE image_id = ? AND image_time = ? AND NOT dirty AND NOT held AND NOT left_out",
            (image_id, image_time),
        )
        return changed > 0

    def send_again(self, image_id: str) -> None:
        """Send the image's bytes again, though the collection has them."""
        self._database.change(
            "UPDATE image SET dirty = 1, mark = mark + 1, attempts = 0, retry_at = NULL,"
            " error = NULL WHERE image_id = ? AND NOT dirty AND NOT held",
            (image_id,),
        )

    # Intents wait for their turn.

    def outstanding(
        self, limit: int, now: float, folders: Sequence[str], skip: Sequence[str] = ()
    ) -> list[Outstanding]:
        """Dirty rows of these folders that may be sent now (schedule time), but for the IDs in
        ``skip``."""
        if not folders:
            return []  # SQLite has no plan for that with this index
        rows = self._database.query(
            f"SELECT {RECORD}, mark, attempts, approved FROM image"
            # The other index has all rows of a folder, and is what SQLite would take.
            " INDEXED BY image_due"
            " WHERE dirty AND NOT held AND coalesce(retry_at, 0) <= ?"
            f" AND folder IN ({_marks(folders)}) AND image_id NOT IN ({_marks(skip)}) LIMIT ?",
            (now, *folders, *skip, limit),
        )
        return [
            Outstanding(record_of(row), mark, attempts, bool(approved))
            for *row, mark, attempts, approved in rows
        ]

    def dirty_paths(self, folder: str) -> list[RelPath]:
        """The places of a folder's dirty rows, parked ones too."""
        rows = self._database.query(
            "SELECT directory, name FROM image WHERE folder = ? AND dirty AND NOT held", (folder,)
        )
        return [rel_path_of(folder, directory, name) for directory, name in rows]

    def dirty_records(self, folder: str) -> list[Record]:
        """The records of a folder's dirty rows, parked ones too."""
        return records(self._database, "folder = ? AND dirty AND NOT held", (folder,))

    def unsent(self, folders: Sequence[str]) -> list[Unsent]:
        """What is not confirmed of these folders, but for what is held."""
        if not folders:
            return []
        rows = self._database.query(
            "SELECT image_id, folder, directory, name, error FROM image INDEXED BY image_due"
            f" WHERE dirty AND NOT held AND folder IN ({_marks(folders)})",
            folders,
        )
        return [Unsent(row[0], rel_path_of(*row[1:4]), row[4]) for row in rows]

    def has_postponed(self, folders: Sequence[str]) -> bool:
        """Is there a dirty row of these folders that was not refused?"""
        found = folders and self._database.one(
            "SELECT 1 FROM image INDEXED BY image_due WHERE dirty AND NOT held AND error IS NULL"
            f" AND folder IN ({_marks(folders)}) LIMIT 1",
            folders,
        )
        return bool(found)

    def count_dirty(self) -> int:
        """How many rows are dirty, parked ones too, but for those that are held."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE dirty AND NOT held")
        return count

    def count_due(self, now: float) -> int:
        """How many rows can be sent now (schedule time)."""
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

    def limit_retries(self, now: float, delays: Sequence[float]) -> None:
        """Let no image be tried again later than after its own delay from now: ``delays`` has one
        for each attempt in turn, and the last one for all that follow."""
        self._database.change_many(
            "UPDATE image SET retry_at = ?1 WHERE dirty AND NOT held"
            " AND coalesce(retry_at, 0) > ?1 AND min(max(attempts, 1), ?3) = ?2",
            [(now + delay, number, len(delays)) for number, delay in enumerate(delays, start=1)],
        )

    def next_retry(self) -> float | None:
        """When the next parked image may be tried again (schedule time)."""
        at: float | None = self._database.one(
            "SELECT min(retry_at) FROM image WHERE dirty AND NOT held"
        )
        return at

    # Intents become confirmations, or are tried again.

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
        """The collection, or the disk, refused this one: leave it alone until ``retry_at``
        (schedule time), or until the file changes. Is that news, or was it refused before with the
        same words?"""
        with self._database.transaction():
            known = "SELECT 1 FROM image WHERE image_id = ? AND error = ?"
            is_news = self._database.one(known, (image_id, error)) is None
            self._database.change(
                "UPDATE image SET error = ?, retry_at = ?, attempts = attempts + 1"
                " WHERE image_id = ? AND mark = ?",
                (error, retry_at, image_id, mark),
            )
        return is_news

    def postpone(self, image_id: str, until: float) -> None:
        """Leave a dirty row alone until then (schedule time), without calling it failed."""
        self._database.change("UPDATE image SET retry_at = ? WHERE image_id = ?", (until, image_id))

    def shelve(self, image_id: str) -> None:
        """The file is not wanted now, so nothing has to be sent. Which file the row is about is
        forgotten, so that it is looked at anew once it is wanted again."""
        self._database.change(
            "UPDATE image SET dirty = 0, inode = 0, size = 0, mtime_ns = 0, ctime_ns = 0,"
            " attempts = 0, retry_at = NULL, error = NULL WHERE image_id = ?",
            (image_id,),
        )

    def removed(self, image_id: str, mark: int) -> None:
        """The collection has confirmed that it does not hold the image any more. A row that was
        planned for again meanwhile, since its file is back, stays: its image has to be added."""
        with self._database.transaction():
            is_back = self._database.change(
                "UPDATE image SET sha256 = NULL, synced_at = NULL, image_time = NULL,"
                " search_due = 0 WHERE image_id = ? AND mark <> ?",
                (image_id, mark),
            )
            if not is_back:
                self.forget(image_id)

    # Rows end.

    def forget(self, image_id: str) -> None:
        """The image is not in the collection any more, or not ours to mind."""
        with self._database.transaction():
            self._database.change(
                "INSERT INTO picture (image_id, folder, directory, name)"
                " SELECT image_id, folder, directory, name FROM image WHERE image_id = ?1"
                " AND EXISTS (SELECT 1 FROM pair WHERE a = ?1 OR b = ?1)"
                " ON CONFLICT (image_id) DO UPDATE SET folder = excluded.folder,"
                " directory = excluded.directory, name = excluded.name",
                (image_id,),
            )
            self._database.change("DELETE FROM image WHERE image_id = ?", (image_id,))
            self._database.change("UPDATE pair SET gone = 1 WHERE a = ?1 OR b = ?1", (image_id,))

    def forget_inodes(self, folder: str, submount: int = 0, directory: bytes = b"") -> None:
        """The inode numbers of the files on this file system (as in ``Record.submount``), in this
        directory or below, are not theirs any more. Whoever has one of them now is another file."""
        below, limits = below_directory(directory)
        self._database.change(
            f"UPDATE image SET inode = {_NO_INODE} WHERE folder = ? AND submount = ? {below}",
            (folder, submount, *limits),
        )

    def renumber_inodes(self, files: Iterable[tuple[RelPath, Fingerprint]]) -> None:
        """These files are the known ones, and have other inode numbers now."""
        self._database.change_many(
            "UPDATE image SET inode = ? WHERE folder = ? AND directory = ? AND name = ?",
            [
                (seen.inode, rel_path.folder, rel_path.directory, rel_path.name)
                for rel_path, seen in files
            ],
        )

    def renumber(self, folder: str, directory: bytes, old: int, new: int) -> None:
        """The file system that files in this directory or below were seen on (``submount``) has
        this new number."""
        below, limits = below_directory(directory)
        self._database.change(
            f"UPDATE image SET submount = ? WHERE folder = ? AND submount = ? {below}",
            (new, folder, old, *limits),
        )

    def forget_others(self, owner: str) -> int:
        """Forget the images that have another owner: they are not ours to change. Returns how many
        there were."""
        others = self._database.query(
            "SELECT image_id FROM image WHERE image_id < ? OR image_id >= ?",
            (f"{owner}.", owner + _AFTER_DOT),
        )
        image_ids = [image_id for (image_id,) in others]
        with self._database.transaction():
            for image_id in image_ids:
                self.forget(image_id)
        return len(image_ids)


def _marks(values: Sequence[str]) -> str:
    return ", ".join("?" * len(values))
