"""Stored directory listings, which save the scanner work.

To compare a directory, the scanner lists it and reads the row of every file in it. If the listing
and the rows are equal, the listing is stored, with a digest of what was compared. If a later
listing has the same digest, the rows need not be read. If the stamp of the directory proves that
its entries are unchanged, the directory need not be listed either, since the names are stored.

A stored listing is never stale: when a row that it depends on changes, a trigger in the state file
deletes the listing. A missing listing only costs time.
"""

from __future__ import annotations

import hashlib
import marshal
from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from snoopsync.core.model import FingerprintKey
from snoopsync.state.database import Database

#: The last format of ``marshal`` in which equal values always have equal bytes. It accepts plain
#: tuples only. If another version of Python writes other bytes, no stored digest matches.
_MARSHAL_FORMAT = 2

#: The separator of stored names. No name of a directory entry contains it.
_SEPARATOR = b"/"

#: How many listings are read at once.
_LEAST_ROWS, _MOST_ROWS = 2, 200

#: The counts of a listing that leaves nothing out, as text.
NOTHING_LEFT_OUT = "{}"


class StoredListing(NamedTuple):
    """A directory's listing. ``digest``: of the wanted files (see ``digest_of``).

    ``stamp``: the directory's device, inode and ctime (nanoseconds) right before it was listed, at
    ``listed_at_ns`` (Unix time). If the ctime proves nothing, ``stamp`` is ``None`` and the other
    fields are empty. ``names``: of the wanted files. ``directories``: the names of directories that
    are entered. ``left_out``: the counts of what is not mirrored (see ``left_out.dump``).
    """

    digest: bytes
    stamp: tuple[int, int, int] | None = None
    listed_at_ns: int = 0
    names: Sequence[bytes] = ()
    directories: Sequence[bytes] = ()
    left_out: str = NOTHING_LEFT_OUT


class Listings:
    """The stored listings of one folder. Only the thread that changes the folder's rows may use
    them."""

    def __init__(self, database: Database, folder: str) -> None:
        self._database = database
        self._folder = folder
        self._learned: dict[bytes, StoredListing] = {}
        self._page: dict[bytes, tuple[Any, ...]] = {}
        self._page_from, self._page_to = b"", b""
        self._used = 0

    def begin(self) -> None:
        """Call this before a run of comparisons during which no row changes."""
        self._learned.clear()
        self._page.clear()
        self._page_from, self._page_to = b"", b""
        self._used = 0

    def of(self, directory: bytes) -> StoredListing | None:
        """The stored listing of this directory; ``None`` if there is none."""
        row = self._page.get(directory)
        if row is None and not self._page_from < directory <= self._page_to:
            self._read_page(directory)
            row = self._page.get(directory)
        if row is None:
            return None
        self._used += 1
        return _from_row(*row)

    def _read_page(self, first: bytes) -> None:
        """Read the listings of this directory and of the next ones: a scan asks for directories
        nearly in the order of their paths. The more it used of the last page, the longer the next
        one is."""
        most = min(_LEAST_ROWS + 2 * self._used, _MOST_ROWS)
        rows = self._database.query(
            "SELECT directory, digest, device, inode, ctime_ns, listed_at_ns, names, directories,"
            " left_out FROM listing WHERE folder = ? AND directory >= ? ORDER BY directory LIMIT ?",
            (self._folder, first, most),
        )
        self._page = {directory: row for directory, *row in rows}
        self._page_from, self._page_to = first, rows[-1][0] if rows else first
        self._used = 0

    def learn(self, directory: bytes, listing: StoredListing) -> None:
        """Note that this listing, taken since ``begin``, equals the rows."""
        self._learned[directory] = listing

    def save(self) -> None:
        """Store the listings that were noted since ``begin``."""
        if self._learned:
            with self._database.transaction():
                self._database.change_many(
                    "REPLACE INTO listing (folder, directory, digest, device, inode, ctime_ns,"
                    " listed_at_ns, names, directories, left_out)"
                    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    [(self._folder, *_to_row(*item)) for item in self._learned.items()],
                )
            self._learned.clear()

    def keep_only(self, directories: Collection[bytes]) -> None:
        """Forget the listings of all other directories."""
        stored = self._database.query(
            "SELECT directory FROM listing WHERE folder = ?", (self._folder,)
        )
        others = [row for row in stored if row[0] not in directories]
        if others:
            with self._database.transaction():
                self._database.change_many(
                    "DELETE FROM listing WHERE folder = ? AND directory = ?",
                    [(self._folder, directory) for (directory,) in others],
                )


def digest_of(files: dict[bytes, FingerprintKey]) -> bytes:
    """The digest of the wanted files in a listing."""
    return hashlib.sha256(marshal.dumps(files, _MARSHAL_FORMAT)).digest()


def _to_row(directory: bytes, listing: StoredListing) -> tuple[Any, ...]:
    stamp = listing.stamp or (None, None, None)
    names, directories = (_SEPARATOR.join(each) for each in (listing.names, listing.directories))
    return (
        *(directory, listing.digest, *stamp, listing.listed_at_ns),
        *(names, directories, listing.left_out),
    )


def _from_row(
    digest: bytes,
    device: int | None,
    inode: int | None,
    ctime_ns: int | None,
    listed_at_ns: int,
    names: bytes,
    directories: bytes,
    left_out: str,
) -> StoredListing:
    if device is None or inode is None or ctime_ns is None:
        return StoredListing(digest)
    stamp = device, inode, ctime_ns
    return StoredListing(digest, stamp, listed_at_ns, _split(names), _split(directories), left_out)


def _split(names: bytes) -> list[bytes]:
    return names.split(_SEPARATOR) if names else []
