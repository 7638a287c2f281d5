"""What is remembered of deletions: how many were sent lately, which wait for a person, and which a
person has let go. Whether they have to wait, the guard decides (``snoopsync.deletions``).
"""

from __future__ import annotations

from collections.abc import Iterable

from snoopsync.model import Place, Record
from snoopsync.state.database import Database
from snoopsync.state.intents import Intents
from snoopsync.state.rows import records


class Deletions:
    """The state file's deletions in bulk, over a ``Database``."""

    def __init__(self, database: Database, intents: Intents) -> None:
        self._database = database
        self._intents = intents

    def count_images(self, folder: str) -> int:
        """How many images this folder has: those that the collection holds, and those that are on
        their way to it."""
        count: int = self._database.one(
            "SELECT count(*) FROM image WHERE folder = ? AND (sha256 IS NOT NULL OR error IS NULL)",
            (folder,),
        )
        return count

    def sent_since(self, folder: str, since: float) -> int:
        """How many deletions were sent for this folder since then (Unix time)."""
        self._database.change("DELETE FROM deletion WHERE at < ?", (since,))
        count: int = self._database.one("SELECT count(*) FROM deletion WHERE folder = ?", (folder,))
        return count

    def note_sent(self, folder: str, now: float) -> None:
        """A deletion that nobody asked for by name was sent: the guard counts it."""
        self._database.change("INSERT INTO deletion VALUES (?, ?)", (folder, now))

    def require_approval(self, places: Iterable[Place]) -> None:
        """The deletions of the images at these places wait for a person, however few they are."""
        self._database.change_many(
            "UPDATE image SET needs_approval = 1"
            " WHERE folder = ? AND directory = ? AND name = ? AND NOT approved",
            [(place.folder, place.directory, place.name) for place in places],
        )

    def needing_approval(self, folder: str) -> set[str]:
        """The images that ``require_approval`` was called for, and that were not approved since."""
        rows = self._database.query(
            "SELECT image_id FROM image WHERE folder = ? AND needs_approval", (folder,)
        )
        return {image_id for (image_id,) in rows}

    def hold(self, image_ids: Iterable[str]) -> None:
        """These deletions wait for a person."""
        self._database.change_many(
            "UPDATE image SET held = 1 WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )

    def held(self, folder: str) -> list[Record]:
        """The images whose deletion waits."""
        return records(self._database, "folder = ? AND held", (folder,))

    def approve(self, folder: str) -> int:
        """Let the held deletions go out, each once its file is proven to be gone still."""
        return self._database.change(
            "UPDATE image SET held = 0, approved = 1, needs_approval = 0 WHERE folder = ? AND held",
            (folder,),
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
        return records(self._database, "folder = ? AND approved", (folder,))

    def discard(self, folder: str) -> int:
        """Forget the images whose deletion is held: they stay in the collection."""
        image_ids = [record.image_id for record in self.held(folder)]
        with self._database.transaction():
            for image_id in image_ids:
                self._intents.forget(image_id)
        return len(image_ids)
