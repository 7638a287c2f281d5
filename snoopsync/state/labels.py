"""The images whose label in the collection may be another one than it must be.

A label is due when the file was renamed, when names are shared from now on or no longer, when the
host's name changed, and when the collection did not confirm the label that an image was sent with.
"""

from __future__ import annotations

from snoopsync.core.model import RelPath
from snoopsync.state.database import Database
from snoopsync.state.intents import Sent
from snoopsync.state.rows import rel_path_of

#: The fact in the state file for which labels are sent. A trigger reads it.
_FACT = "label host"


class Labels:
    """The labels that are due, in the state file."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def use(self, host: str) -> None:
        """From now on, labels have this name of the host; empty: images have no labels. If that is
        a change, the labels of all images are due."""
        with self._database.transaction():
            known = self._database.one("SELECT value FROM fact WHERE name = ?", (_FACT,))
            if (known or "") != host:
                self._database.change("UPDATE image SET label_due = 1")
                self._database.change("REPLACE INTO fact VALUES (?, ?)", (_FACT, host))

    def due(self, after: str, limit: int) -> list[tuple[str, RelPath]]:
        """At most ``limit`` images in the collection whose label is due, with the paths of their
        files, in the order of their IDs, beginning after ``after``."""
        rows = self._database.query(
            "SELECT image_id, folder, directory, name FROM image INDEXED BY image_label_due"
            " WHERE label_due AND sha256 IS NOT NULL AND image_id > ? ORDER BY image_id LIMIT ?",
            (after, limit),
        )
        return [(image_id, rel_path_of(*place)) for image_id, *place in rows]

    def note_sent(self, sent: Sent, rel_path: RelPath) -> None:
        """Record whether an image that was sent got the label of a file at this path."""
        if sent.is_labelled is not None:
            self._record(sent.image_id, rel_path, is_right=sent.is_labelled)

    def confirm(self, image_id: str, rel_path: RelPath) -> None:
        """Record that the image has the label of a file at this path."""
        self._record(image_id, rel_path, is_right=True)

    def _record(self, image_id: str, rel_path: RelPath, *, is_right: bool) -> None:
        # If the file was renamed meanwhile, the label is due again.
        self._database.change(
            "UPDATE image SET label_due = NOT (? AND (folder, directory, name) = (?, ?, ?))"
            " WHERE image_id = ?",
            (is_right, rel_path.folder, rel_path.directory, rel_path.name, image_id),
        )
