"""What was planned and is not confirmed. It is recorded before anything is sent, until it is done.

An image is dirty from the moment that an action for it is planned. Each plan has a number, the
``mark``. When the collection confirms this plan, the row becomes clean or is removed. When the
collection refuses it, the row is deferred.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

from snoopsync.core.model import File, Fingerprint, Record, RelPath
from snoopsync.core.planner import Action, Add, Adopt, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.rows import RECORD, below_directory, record_of, records, rel_path_of

#: No file has this inode number.
_NO_INODE = -1

#: An owner followed by this is the smallest text greater than all IDs of the owner, since "/" comes
#: after ".".
_AFTER_DOT = "/"


@dataclass(frozen=True, slots=True)
class Outstanding:
    """A dirty row that may be sent now. ``mark``: the number of the plan that a confirmation must
    match."""

    record: Record
    mark: int
    attempts: int
    approved: bool


@dataclass(frozen=True, slots=True)
class Unsent:
    """A dirty row, for reports. ``error``: why the collection refused the image, if it did."""

    image_id: str
    rel_path: RelPath
    error: str | None


@dataclass(frozen=True, slots=True)
class Sent:
    """The collection has confirmed that an image has these bytes. ``is_labelled``: whether it also
    confirmed the right label; ``None`` if it has no label as far as is known."""

    image_id: str
    mark: int
    sha256: bytes
    image_time: str | None
    is_labelled: bool | None = None


class Intents:
    """The images in the state file between plan and confirmation."""

    def __init__(self, database: Database) -> None:
        self._database = database

    # Plans.

    def apply(self, actions: Iterable[Action], now: float) -> None:
        """Record a plan's actions, before any of them is sent. ``now``: Unix time."""
        actions = list(actions)
        with self._database.transaction():
            # Renames first, because a new file may have the old path of a renamed one.
            self._rename([action for action in actions if isinstance(action, Rename)])
            for action in actions:
                match action:
                    case Add(rel_path, image_id, file):
                        self._intend(image_id, rel_path, file, exists=False)
                    case Update(rel_path, image_id, file):
                        self._intend(image_id, rel_path, file, exists=True)
                    case Refresh(_, image_id, file):
                        self._observe(image_id, file.fingerprint, file.submount)
                    case Adopt(rel_path, image_id, file, sha256):
                        self._intend(image_id, rel_path, file, exists=True)
                        self._confirm_at(image_id, sha256, now)
                    case Delete(_, image_id):
                        self._database.change(
                            "UPDATE image SET dirty = 1, mark = mark + 1, attempts = 0,"
                            " retry_at = NULL, error = NULL WHERE image_id = ?",
                            (image_id,),
                        )
                    case Forget(_, image_id):
                        self.forget(image_id)

    def _intend(self, image_id: str, rel_path: RelPath, file: File, *, exists: bool) -> None:
        # An image in the collection whose bytes are unknown has an empty digest.
        sha256 = b"" if exists else None
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

    def _observe(self, image_id: str, seen: Fingerprint, submount: int) -> None:
        self._database.change(
            "UPDATE image SET inode = ?1, size = ?2, mtime_ns = ?3, ctime_ns = ?4, submount = ?5,"
            # Another file has the same bytes: a hard link may have been created or removed.
            " search_due = search_due OR (inode <> ?1 AND NOT left_out AND EXISTS"
            " (SELECT 1 FROM node WHERE content = sha256)),"
            " held = 0, approved = 0, needs_approval = 0 WHERE image_id = ?6",
            (*seen, submount, image_id),
        )

    def _confirm_at(self, image_id: str, sha256: bytes, now: float) -> None:
        self._database.change(
            # It may have a label that another state file knew.
            "UPDATE image SET sha256 = ?, synced_at = ?, image_time = NULL, dirty = 0,"
            " search_due = 1, label_due = 1 WHERE image_id = ?",
            (sha256, now, image_id),
        )

    def _rename(self, renames: Sequence[Rename]) -> None:
        # In two steps, so that two files can swap their paths.
        self._database.change_many(
            "UPDATE image SET directory = CAST(image_id AS BLOB), name = x'' WHERE image_id = ?",
            [(action.image_id,) for action in renames],
        )
        for action in renames:
            rel_path = action.rel_path
            self._database.change(
                "UPDATE image SET folder = ?, directory = ?, name = ?,"
                # The file at the old path may have been left out.
                " search_due = search_due OR left_out, left_out = 0 WHERE image_id = ?",
                (rel_path.folder, rel_path.directory, rel_path.name, action.image_id),
            )
            self._observe(action.image_id, action.file.fingerprint, action.file.submount)

    def mark_unconfirmed(self, image_id: str, image_time: str) -> bool:
        """Record that the collection may have other bytes than it confirmed at ``image_time``, so
        that the image is sent again. Returns false, without a change, if the image was confirmed at
        another time, or if it is dirty, held or left out."""
        changed = self._database.change(
            "UPDATE image SET sha256 = x'', dirty = 1, mark = mark + 1, attempts = 0,"
            " retry_at = NULL, error = NULL, approved = 0"
            " WHERE image_id = ? AND image_time = ? AND NOT dirty AND NOT held AND NOT left_out",
            (image_id, image_time),
        )
        return changed > 0

    def send_again(self, image_id: str) -> None:
        """Mark the image as dirty, so that its bytes are sent again although the collection has
        them."""
        self._database.change(
            "UPDATE image SET dirty = 1, mark = mark + 1, attempts = 0, retry_at = NULL,"
            " error = NULL WHERE image_id = ? AND NOT dirty AND NOT held",
            (image_id,),
        )

    # Rows that wait to be sent.

    def outstanding(
        self,
        limit: int,
        now: float,
        folders: Sequence[str],
        skip: Sequence[str] = (),
        only: Collection[str] | None = None,
    ) -> list[Outstanding]:
        """At most ``limit`` dirty rows of these folders that may be sent at ``now`` (schedule
        time). ``skip``: IDs to leave out. ``only``: if given, no other IDs are returned."""
        if not folders:
            return []  # SQLite can't use this index for an empty list
        # Without the hint, SQLite would use the index of all rows of a folder. For a few IDs no
        # hint is needed: SQLite looks them up directly.
        index = "INDEXED BY image_due" if only is None else ""
        chosen = "" if only is None else f" AND image_id IN ({_marks(only)})"
        rows = self._database.query(
            f"SELECT {RECORD}, mark, attempts, approved FROM image {index}"
            " WHERE dirty AND NOT held AND coalesce(retry_at, 0) <= ?"
            f" AND +folder IN ({_marks(folders)}) AND image_id NOT IN ({_marks(skip)})"
            f"{chosen} LIMIT ?",
            (now, *folders, *skip, *(only or ()), limit),
        )
        return [
            Outstanding(record_of(row), mark, attempts, bool(approved))
            for *row, mark, attempts, approved in rows
        ]

    def dirty_paths(self, folder: str) -> list[RelPath]:
        """The paths of a folder's dirty rows, including deferred ones."""
        rows = self._database.query(
            "SELECT directory, name FROM image WHERE folder = ? AND dirty AND NOT held", (folder,)
        )
        return [rel_path_of(folder, directory, name) for directory, name in rows]

    def dirty_records(self, folder: str) -> list[Record]:
        """The records of a folder's dirty rows, including deferred ones."""
        return records(self._database, "folder = ? AND dirty AND NOT held", (folder,))

    def unsent(self, folders: Sequence[str]) -> list[Unsent]:
        """The dirty rows of these folders, without those that are held."""
        if not folders:
            return []
        rows = self._database.query(
            "SELECT image_id, folder, directory, name, error FROM image INDEXED BY image_due"
            f" WHERE dirty AND NOT held AND folder IN ({_marks(folders)})",
            folders,
        )
        return [Unsent(row[0], rel_path_of(*row[1:4]), row[4]) for row in rows]

    def has_postponed(self, folders: Sequence[str]) -> bool:
        """Returns whether these folders have a dirty row that was not refused."""
        found = folders and self._database.one(
            "SELECT 1 FROM image INDEXED BY image_due WHERE dirty AND NOT held AND error IS NULL"
            f" AND folder IN ({_marks(folders)}) LIMIT 1",
            folders,
        )
        return bool(found)

    def count_dirty(self) -> int:
        """The number of dirty rows, including deferred ones but without held ones."""
        count: int = self._database.one("SELECT count(*) FROM image WHERE dirty AND NOT held")
        return count

    def count_due(self, now: float) -> int:
        """The number of rows that may be sent at ``now`` (schedule time)."""
        count: int = self._database.one(
            "SELECT count(*) FROM image WHERE dirty AND NOT held AND coalesce(retry_at, 0) <= ?",
            (now,),
        )
        return count

    def retry_now(self, *, refused: bool = True) -> None:
        """Let postponed rows be sent at once. ``refused``: whether this includes rows that were
        refused."""
        self._database.change(
            "UPDATE image SET retry_at = NULL"
            " WHERE dirty AND NOT held AND coalesce(retry_at, 0) > 0 AND (? OR error IS NULL)",
            (refused,),
        )

    def limit_retries(self, now: float, delays: Sequence[float]) -> None:
        """Limit the time until each row's next attempt to the delay for its number of attempts.
        ``now``: schedule time. ``delays``: the delay after each attempt; the last one also applies
        to all further attempts."""
        self._database.change_many(
            "UPDATE image SET retry_at = ?1 WHERE dirty AND NOT held"
            " AND coalesce(retry_at, 0) > ?1 AND min(max(attempts, 1), ?3) = ?2",
            [(now + delay, number, len(delays)) for number, delay in enumerate(delays, start=1)],
        )

    def next_retry(self) -> float | None:
        """When the next deferred row may be sent (schedule time); ``None`` if no row is
        deferred."""
        at: float | None = self._database.one(
            "SELECT min(retry_at) FROM image WHERE dirty AND NOT held"
        )
        return at

    # Confirmations and refusals.

    def confirm(self, sent: Sent, now: float) -> None:
        """Record that the collection confirmed an image. If the row was planned again meanwhile, it
        stays dirty, because the confirmation is for the earlier plan. An approval of a deletion is
        for the bytes that were known before, so it ends if these are others. An image that was
        removed after an alert, and has the same bytes again, still counts as alerted."""
        self._database.change(
            "UPDATE image SET sha256 = ?1, synced_at = ?2, image_time = ?3, search_due = 1,"
            " approved = approved AND coalesce(nullif(sha256, x'') = ?1, 1),"
            " dirty = (mark <> ?4), attempts = 0, retry_at = NULL, error = NULL,"
            " named_in = coalesce(named_in, (SELECT named_in FROM picture WHERE gone"
            " AND picture.image_id = image.image_id AND picture.sha256 = ?1))"
            " WHERE image_id = ?5",
            (sent.sha256, now, sent.image_time, sent.mark, sent.image_id),
        )

    def defer(self, image_id: str, mark: int, error: str, retry_at: float) -> bool:
        """Defer a row because of a refusal by the collection or an error of the disk, until
        ``retry_at`` (schedule time) or until the file changes. Returns whether the error is new for
        this image."""
        with self._database.transaction():
            known = "SELECT 1 FROM image WHERE image_id = ? AND error = ?"
            is_new = self._database.one(known, (image_id, error)) is None
            self._database.change(
                "UPDATE image SET error = ?, retry_at = ?, attempts = attempts + 1"
                " WHERE image_id = ? AND mark = ?",
                (error, retry_at, image_id, mark),
            )
        return is_new

    def postpone(self, image_id: str, until: float) -> None:
        """Postpone a dirty row until this schedule time. The image does not count as failed."""
        self._database.change("UPDATE image SET retry_at = ? WHERE image_id = ?", (until, image_id))

    def stop_sending(self, image_id: str) -> None:
        """Cancel the plan for an image whose file the configuration leaves out. The fingerprint is
        cleared, so that the file counts as changed when the configuration includes it again."""
        self._database.change(
            "UPDATE image SET dirty = 0, inode = 0, size = 0, mtime_ns = 0, ctime_ns = 0,"
            " attempts = 0, retry_at = NULL, error = NULL WHERE image_id = ?",
            (image_id,),
        )

    def confirm_deleted(self, image_id: str, mark: int) -> None:
        """Record that the collection no longer has the image. If the row was planned again
        meanwhile, because its file is back, the row stays, so that the image is added."""
        with self._database.transaction():
            is_back = self._database.change(
                "UPDATE image SET sha256 = NULL, synced_at = NULL, image_time = NULL,"
                " search_due = 0 WHERE image_id = ? AND mark <> ?",
                (image_id, mark),
            )
            if not is_back:
                self.forget(image_id)

    # Removing rows, and changing the numbers of files.

    def forget(self, image_id: str) -> None:
        """Remove the image's row. It leaves its group, and its last path stays recorded."""
        with self._database.transaction():
            self._database.change(
                "INSERT INTO picture (image_id, sha256, folder, directory, name, gone, named_in)"
                " SELECT image_id, sha256, folder, directory, name, 1, named_in FROM image"
                " WHERE image_id = ? AND linked_to IS NULL"
                " AND EXISTS (SELECT 1 FROM node WHERE content = sha256)"
                " ON CONFLICT (image_id) DO UPDATE SET sha256 = excluded.sha256, gone = 1,"
                " folder = excluded.folder, directory = excluded.directory, name = excluded.name,"
                " named_in = excluded.named_in",
                (image_id,),
            )
            self._database.change("DELETE FROM image WHERE image_id = ?", (image_id,))
            # They were other names of this file, and one of them stands for it now.
            self._database.change(
                "UPDATE image SET linked_to = NULL, search_due = 1 WHERE linked_to = ?",
                (image_id,),
            )
            Grouping(self._database).settle()

    def forget_inodes(self, folder: str, submount: int = 0, directory: bytes = b"") -> None:
        """Clear the inode numbers of the files on this file system (as in ``Record.submount``), in
        this directory or below it: another file may have one of these numbers now."""
        below, limits = below_directory(directory)
        self._database.change(
            f"UPDATE image SET inode = {_NO_INODE} WHERE folder = ? AND submount = ? {below}",
            (folder, submount, *limits),
        )

    def renumber_inodes(self, files: Iterable[tuple[RelPath, Fingerprint]]) -> None:
        """Store new inode numbers for these known files."""
        self._database.change_many(
            "UPDATE image SET inode = ? WHERE folder = ? AND directory = ? AND name = ?",
            [
                (seen.inode, rel_path.folder, rel_path.directory, rel_path.name)
                for rel_path, seen in files
            ],
        )

    def renumber(self, folder: str, directory: bytes, old: int, new: int) -> None:
        """Store a new number (``submount``) for the file system of the files in this directory or
        below it."""
        below, limits = below_directory(directory)
        self._database.change(
            f"UPDATE image SET submount = ? WHERE folder = ? AND submount = ? {below}",
            (new, folder, old, *limits),
        )

    def forget_others(self, owner: str) -> int:
        """Remove the rows of other owners' images, which snoopsync must not change. Returns the
        number of rows."""
        others = self._database.query(
            "SELECT image_id FROM image WHERE image_id < ? OR image_id >= ?",
            (f"{owner}.", owner + _AFTER_DOT),
        )
        image_ids = [image_id for (image_id,) in others]
        with self._database.transaction():
            for image_id in image_ids:
                self.forget(image_id)
        return len(image_ids)


def _marks(values: Collection[str]) -> str:
    return ", ".join("?" * len(values))
