"""Images that the configuration leaves out. They stay in the collection, and nothing is sent for
them. When the include or exclude patterns change, these images are determined again."""

from __future__ import annotations

from collections.abc import Callable

from snoopsync.core.model import RelPath
from snoopsync.core.selection import Selection
from snoopsync.state.database import Database
from snoopsync.state.grouping import Grouping
from snoopsync.state.intents import Intents
from snoopsync.state.rows import rel_path_of


class Unwanted:
    """The images in the state file that are left out."""

    def __init__(self, database: Database, intents: Intents) -> None:
        self._database = database
        self._intents = intents

    def apply(self, folder: str, selection: Selection) -> list[RelPath]:
        """Decide for every image of the folder whether it is left out. Returns the paths of the
        images that are newly left out, in order. They stay in the collection."""
        rows = self._database.query(
            "SELECT image_id, directory, name, left_out, sha256 IS NOT NULL FROM image"
            " WHERE folder = ? ORDER BY directory, name",
            (folder,),
        )
        wants: Callable[[bytes], bool] = _wants_nothing
        last: bytes | None = None
        newly_left_out, newly_wanted = [], []
        with self._database.transaction():
            # The stored listings depend on the previous selection.
            self._database.change("DELETE FROM listing WHERE folder = ?", (folder,))
            for image_id, directory, name, is_left_out, is_confirmed in rows:
                if directory != last:
                    enters = selection.enters(directory)
                    wants = selection.chooser(directory) if enters else _wants_nothing
                    last = directory
                if wants(name):
                    if is_left_out:
                        newly_wanted.append(image_id)
                elif not is_confirmed:
                    self._intents.forget(image_id)  # it was never sent
                elif not is_left_out:
                    newly_left_out.append((image_id, rel_path_of(folder, directory, name)))
            self._leave_out([image_id for image_id, _ in newly_left_out])
            self._include(newly_wanted)
            Grouping(self._database).settle()
        return [rel_path for _, rel_path in newly_left_out]

    def _leave_out(self, image_ids: list[str]) -> None:
        # Plans are cancelled. No file has ctime -1, so a file that is included again counts as
        # changed and is planned again. If the image is dirty, the bytes in the collection are
        # unknown, because a request may have succeeded.
        self._database.change_many(
            "UPDATE image SET left_out = 1, search_due = 0, dirty = 0, held = 0, approved = 0,"
            " attempts = 0, retry_at = NULL, error = NULL,"
            " ctime_ns = iif(dirty OR held OR approved, -1, ctime_ns),"
            " sha256 = iif(dirty, x'', sha256) WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )

    def _include(self, image_ids: list[str]) -> None:
        self._database.change_many(
            "UPDATE image SET left_out = 0, search_due = 1 WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )


def _wants_nothing(_name: bytes) -> bool:
    return False
