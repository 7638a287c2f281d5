"""The deletions: how many were sent recently, which are held, and which a person approved.

``snoopsync.sync.deletion_guard`` decides which deletions are held.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from snoopsync.core.model import Record, RelPath
from snoopsync.state.database import Database
from snoopsync.state.intents import Intents
from snoopsync.state.rows import records

#: A row number that no image exceeds.
_NO_LIMIT = (1 << 63) - 1


class Deletions:
    """The deletions in the state file."""

    def __init__(self, database: Database, intents: Intents) -> None:
        self._database = database
        self._intents = intents

    def newest(self) -> int:
        """The number of the newest image row; 0 if there is none. Each new row gets a larger
        number."""
        number: int | None = self._database.one("SELECT max(rowid) FROM image")
        return number or 0

    def count_losses(
        self, folder: str | None, image_ids: Collection[str], newest: int
    ) -> tuple[int, int, int]:
        """Count the effect of deleting these images and the held images of the folder.

        ``folder``: ``None`` for all images of the owner; ``image_ids`` then have no record. Returns
        three numbers: the confirmed images that stay, without those that are left out, that are
        approved to be deleted, or whose row is newer than ``newest``; the images that are deleted;
        and how many of these were never confirmed.
        """
        if folder is None:
            kept: int = self._database.one("SELECT count(*) FROM image WHERE sha256 IS NOT NULL")
            return kept, len(image_ids), 0
        [(kept, coming, unconfirmed)] = self._database.query(
            "SELECT"
            " count(*) FILTER"
            " (WHERE NOT goes AND NOT approved AND NOT left_out AND sha256 IS NOT NULL"
            " AND number <= ?1),"
            " count(*) FILTER (WHERE goes),"
            " count(*) FILTER (WHERE goes AND sha256 IS NULL)"
            " FROM (SELECT sha256, left_out, approved, rowid AS number,"
            " held OR image_id IN (SELECT value FROM json_each(?2)) AS goes"
            " FROM image WHERE folder = ?3)",
            (newest, json.dumps(list(image_ids)), folder),
        )
        return kept, coming, unconfirmed

    def sent_since(self, folder: str | None, since: float) -> int:
        """The number of deletions that were sent for this folder after ``since`` (schedule time).
        Earlier deletions are removed from the state file."""
        self._database.change("DELETE FROM deletion WHERE at < ?", (since,))
        count: int = self._database.one(
            "SELECT count(*) FROM deletion WHERE folder = ?", (folder or "",)
        )
        return count

    def newest_when_noticed(self, folder: str | None) -> int:
        """The number that the newest image row had when the first of the recorded deletions was
        noticed."""
        newest: int | None = self._database.one(
            "SELECT min(newest) FROM deletion WHERE folder = ?", (folder or "",)
        )
        return _NO_LIMIT if newest is None else newest

    def note_sent(self, folder: str | None, now: float, newest: int = _NO_LIMIT) -> None:
        """Record that a deletion without approval was sent, so that the bulk guard counts it.
        ``folder``: ``None`` for an image without a record. ``newest``: the number that the newest
        image row had when the deletion was noticed."""
        self._database.change("INSERT INTO deletion VALUES (?, ?, ?)", (folder or "", now, newest))

    def limit_sent(self, now: float) -> None:
        """Change each sending time that is later than ``now`` (schedule time) to ``now``."""
        self._database.change("UPDATE deletion SET at = ?1 WHERE at > ?1", (now,))

    def require_approval(self, rel_paths: Iterable[RelPath]) -> None:
        """Require approval for the deletions of the images at these paths, whatever their
        number."""
        self._database.change_many(
            "UPDATE image SET needs_approval = 1"
            " WHERE folder = ? AND directory = ? AND name = ? AND NOT approved",
            [(rel_path.folder, rel_path.directory, rel_path.name) for rel_path in rel_paths],
        )

    def needing_approval(self, folder: str) -> set[str]:
        """The IDs of images whose deletion requires approval and was not approved."""
        rows = self._database.query(
            "SELECT image_id FROM image WHERE folder = ? AND needs_approval", (folder,)
        )
        return {image_id for (image_id,) in rows}

    def hold(self, image_ids: Iterable[str]) -> None:
        """Hold the deletions of these images until a person approves them."""
        self._database.change_many(
            "UPDATE image SET held = 1 WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )

    def held(self, folder: str, limit: int = -1) -> list[Record]:
        """The images whose deletion is held. ``limit``: at most this many; -1 for all."""
        return records(
            self._database, "folder = ? AND held ORDER BY directory, name LIMIT ?", (folder, limit)
        )

    def count_held(self, folder: str) -> int:
        """The number of held deletions."""
        count: int = self._database.one(
            "SELECT count(*) FROM image WHERE folder = ? AND held", (folder,)
        )
        return count

    def holds_any(self, folder: str) -> bool:
        """Returns whether any deletion is held."""
        found = "SELECT 1 FROM image WHERE folder = ? AND held LIMIT 1"
        return self._database.one(found, (folder,)) is not None

    def approve(self, folder: str) -> int:
        """Approve the held deletions. Each is sent once its file is proven to be still gone.
        Returns the number of deletions."""
        return self._database.change(
            "UPDATE image SET held = 0, approved = 1, needs_approval = 0 WHERE folder = ? AND held",
            (folder,),
        )

    def approve_moved(self, members: Iterable[tuple[str, bytes]]) -> list[RelPath]:
        """Approve the deletions of these images, whose files a person moved away: each by its ID
        and the SHA-256 of those bytes. An image with other bytes is left as it is. Returns the
        paths of the approved ones."""
        with self._database.transaction():
            moved = [
                record
                for image_id, sha256 in members
                for record in records(
                    self._database, "image_id = ? AND sha256 = ?", (image_id, sha256)
                )
            ]
            self._database.change_many(
                "UPDATE image SET held = 0, approved = 1, needs_approval = 0 WHERE image_id = ?",
                [(record.image_id,) for record in moved],
            )
        return [record.rel_path for record in moved]

    def withdraw_moved(self, members: Iterable[tuple[str, bytes]]) -> None:
        """Withdraw these approvals, because the files are moved back."""
        self._database.change_many(
            "UPDATE image SET approved = 0 WHERE image_id = ? AND sha256 = ? AND NOT held",
            list(members),
        )

    def approve_refused(self, folder: str, image_ids: Iterable[str]) -> None:
        """Approve the deletions of those images that the collection refused. Since the collection
        does not have them, no image is lost."""
        self._database.change_many(
            "UPDATE image SET approved = 1"
            " WHERE image_id = ? AND folder = ? AND sha256 IS NULL AND error IS NOT NULL",
            [(image_id, folder) for image_id in image_ids],
        )

    def approved(self, folder: str) -> list[Record]:
        """The images whose deletion is approved and not done."""
        return records(self._database, "folder = ? AND approved", (folder,))

    def discard(self, folder: str) -> int:
        """Remove the records of the images whose deletion is held. The images stay in the
        collection. Returns their number."""
        image_ids = [record.image_id for record in self.held(folder)]
        with self._database.transaction():
            for image_id in image_ids:
                self._intents.forget(image_id)
        return len(image_ids)
