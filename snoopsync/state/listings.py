"""Directories whose listing is the same as what is known of them: a short cut for the scan.

To compare a directory, a scan reads the row of every file in it. Where listing and rows were found
to be equal, a digest of the listing is kept, and as long as a new listing has the same one, the
rows need not be read. A digest is never stale: triggers in the state file take it away with the
first change to what a scan compares. A missing one costs time and nothing else.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Mapping

from snoopsync.core.model import FingerprintKey
from snoopsync.state.database import Database

#: The last format of ``marshal`` in which equal values always have equal bytes. It takes plain
#: tuples only; another version of Python may write it otherwise, and then learns anew.
_MARSHAL_FORMAT = 2


class Listings:
    """The digests of one folder's directories. Used by the thread that changes its rows."""

    def __init__(self, database: Database, folder: str) -> None:
        self._database = database
        self._folder = folder
        self._known: dict[bytes, bytes] = {}
        self._learned: dict[bytes, bytes] = {}
        self._changes = -1

    def begin(self) -> None:
        """Call this before a run of comparisons during which no row changes."""
        self._learned.clear()
        if self._database.changes != self._changes:
            rows = self._database.query(
                "SELECT directory, digest FROM listing WHERE folder = ?", (self._folder,)
            )
            self._known = dict(rows)
            self._changes = self._database.changes

    def is_known(self, directory: bytes, files: Mapping[bytes, FingerprintKey]) -> bool:
        """Is this listing sure to be what the rows say? Since ``begin``."""
        before = self._known.get(directory)
        return before is not None and before == _digest(files)

    def learn(self, directory: bytes, files: Mapping[bytes, FingerprintKey]) -> None:
        """This listing, taken since ``begin``, is what the rows say."""
        if files:
            self._learned[directory] = _digest(files)

    def save(self) -> None:
        """Keep what was learned since ``begin``."""
        if self._learned:
            self._database.change_many(
                "REPLACE INTO listing VALUES (?, ?, ?)",
                [(self._folder, *item) for item in self._learned.items()],
            )
            self._known |= self._learned
            self._learned.clear()
            self._changes = self._database.changes

    def release(self) -> None:
        """Take no memory until the next ``begin``."""
        self._known = {}
        self._learned.clear()
        self._changes = -1


def _digest(files: Mapping[bytes, FingerprintKey]) -> bytes:
    return hashlib.sha256(marshal.dumps(dict(files), _MARSHAL_FORMAT)).digest()
