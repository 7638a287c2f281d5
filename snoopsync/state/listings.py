"""Digests of directory listings that equal the rows: a shortcut for the scanner.

To compare a directory, the scanner reads the row of every file in it. Where listing and rows were
equal, a digest of the listing is stored. While a new listing has the same digest, the rows need not
be read. A digest is never stale: triggers in the state file delete it with the first change to a
row that the scanner compares. A missing digest only costs time.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Mapping

from snoopsync.core.model import FingerprintKey
from snoopsync.state.database import Database

#: The last format of ``marshal`` in which equal values always have equal bytes. It accepts plain
#: tuples only. Another version of Python may write other bytes, so that no digest matches.
_MARSHAL_FORMAT = 2


class Listings:
    """The digests of one folder's directories. For the thread that changes its rows."""

    def __init__(self, database: Database, folder: str) -> None:
        self._database = database
        self._folder = folder
        self._stored: dict[bytes, bytes] = {}
        self._new: dict[bytes, bytes] = {}
        self._changes = -1

    def begin(self) -> None:
        """Begin a run of comparisons during which no row changes."""
        self._new.clear()
        if self._database.changes != self._changes:
            rows = self._database.query(
                "SELECT directory, digest FROM listing WHERE folder = ?", (self._folder,)
            )
            self._stored = dict(rows)
            self._changes = self._database.changes

    def is_known(self, directory: bytes, files: Mapping[bytes, FingerprintKey]) -> bool:
        """Returns whether this listing, taken since ``begin``, is known to equal the rows."""
        digest = self._stored.get(directory)
        return digest is not None and digest == _digest(files)

    def learn(self, directory: bytes, files: Mapping[bytes, FingerprintKey]) -> None:
        """Record that this listing, taken since ``begin``, equals the rows."""
        if files:
            self._new[directory] = _digest(files)

    def save(self) -> None:
        """Store what was recorded since ``begin``."""
        if self._new:
            self._database.change_many(
                "REPLACE INTO listing VALUES (?, ?, ?)",
                [(self._folder, *item) for item in self._new.items()],
            )
            self._stored |= self._new
            self._new.clear()
            self._changes = self._database.changes

    def release(self) -> None:
        """Free the memory until the next ``begin``."""
        self._stored = {}
        self._new.clear()
        self._changes = -1


def _digest(files: Mapping[bytes, FingerprintKey]) -> bytes:
    return hashlib.sha256(marshal.dumps(dict(files), _MARSHAL_FORMAT)).digest()
