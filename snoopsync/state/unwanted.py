"""Images whose files the configuration does not want any more: they stay in the collection, and
nothing is due for them. Which ones they are is decided again when include or exclude change."""

from __future__ import annotations

from collections.abc import Callable

from snoopsync.core.model import RelPath
from snoopsync.core.selection import Selection
from snoopsync.state.database import Database
from snoopsync.state.intents import Intents
from snoopsync.state.rows import rel_path_of

#: ``pair.gone`` of a pair that ended because one of its images is left out. Should the image be
#: wanted again, its search opens the pair again, without another alert.
_ENDED = 2


class Unwanted:
    """The state file's images that are left out, over a ``Database``."""

    def __init__(self, database: Database, intents: Intents) -> None:
        self._database = database
        self._intents = intents

    def apply(self, folder: str, selection: Selection) -> list[RelPath]:
        """Decide for every image of the folder whether it is left out. Returns the places of those
        that are left out from now on, in order; they keep their image in the collection."""
        rows = self._database.query(
            "SELECT image_id, directory, name, left_out, sha256 IS NOT NULL FROM image"
            " WHERE folder = ? ORDER BY directory, name",
            (folder,),
        )
        wants: Callable[[bytes], bool] = _wants_nothing
        last: bytes | None = None
        leaving, returning = [], []
        with self._database.transaction():
            # They are what another selection left of their directories.
            self._database.change("DELETE FROM listing WHERE folder = ?", (folder,))
            for image_id, directory, name, is_left_out, is_confirmed in rows:
                if directory != last:
                    enters = selection.enters(directory)
                    wants = selection.chooser(directory) if enters else _wants_nothing
                    last = directory
                if wants(name):
                    if is_left_out:
                        returning.append(image_id)
                elif not is_confirmed:
                    self._intents.forget(image_id)  # it was never sent
                elif not is_left_out:
                    leaving.append((image_id, rel_path_of(folder, directory, name)))
            self._leave([image_id for image_id, _ in leaving])
            self._return(returning)
        return [rel_path for _, rel_path in leaving]

    def _leave(self, image_ids: list[str]) -> None:
        # What was planned is dropped. Should the file be wanted again, the scan finds that it is
        # not as it was seen, since no file has this ctime, and it is planned again. After a request
        # that was not answered nobody knows the bytes that the collection holds.
        self._database.change_many(
            "UPDATE image SET left_out = 1, search_due = 0, dirty = 0, held = 0, approved = 0,"
            " attempts = 0, retry_at = NULL, error = NULL,"
            " ctime_ns = iif(dirty OR held OR approved, -1, ctime_ns),"
            " sha256 = iif(dirty, x'', sha256) WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )
        self._database.change_many(
            f"UPDATE pair SET gone = {_ENDED} WHERE (a = ?1 OR b = ?1) AND NOT gone",
            [(image_id,) for image_id in image_ids],
        )

    def _return(self, image_ids: list[str]) -> None:
        self._database.change_many(
            "UPDATE image SET left_out = 0, search_due = 1 WHERE image_id = ?",
            [(image_id,) for image_id in image_ids],
        )


def _wants_nothing(_name: bytes) -> bool:
    return False
