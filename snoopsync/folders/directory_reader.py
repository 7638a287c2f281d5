"""Reads directories for a scan: lists them, or checks only their known files.

Most directories have not changed since the last scan. If a directory's stamp proves that its
entries are those of the stored listing, only its known files are checked, which takes about half as
long. A file system may break that guarantee, so each directory is still listed once a day.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from snoopsync.core.left_out import dump
from snoopsync.core.model import wrapped
from snoopsync.folders.directory_stamp import DirectoryStamp
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import FolderSession, Listing
from snoopsync.state.images import State
from snoopsync.state.listings import StoredListing, digest_of

#: How long a stored listing may replace listing the directory, in nanoseconds.
_STORED_NS = 86_400 * 1_000_000_000


@dataclass(frozen=True, slots=True)
class Reading:
    """What was read from a directory. Only a scan sets the other fields. ``digest``: the digest of
    the files. ``known_digest``: the digest of the files when they last matched the rows. ``stamp``:
    the directory's stamp while it was listed, at ``listed_at_ns`` (Unix time); ``None`` if only the
    known files were checked, or if the stamp proves nothing."""

    listing: Listing
    digest: bytes | None = None
    known_digest: bytes | None = None
    stamp: DirectoryStamp | None = None
    listed_at_ns: int = 0

    @property
    def is_known(self) -> bool:
        """Whether the files are proven to match the rows."""
        return self.digest is not None and self.digest == self.known_digest


class DirectoryReader:
    """Reads the directories of one folder. Used by one thread.

    ``lists_all``: list every directory, whatever its stamp, because events were lost or the
    directories may be different ones.
    """

    def __init__(self, folder: str, state: State, disk: Disk) -> None:
        self.lists_all = False
        self._listings = state.listings(folder)
        self._disk = disk

    def begin(self) -> None:
        """Call this before a run of comparisons during which no row changes."""
        self._listings.begin()

    def read(self, session: FolderSession, directory: bytes, *, in_full: bool) -> Reading:
        """Read one directory. ``in_full``: list it, whatever its stamp. Raises ``OSError`` or
        ``FolderMissing``: then nothing is known about its entries."""
        stored = self._listings.of(directory)
        known_digest = stored.digest if stored is not None else None
        now_ns = self._disk.now_ns()
        if not in_full and stored is not None and self._is_fresh(stored, now_ns):
            known = session.list_known(directory, stored)
            if known is not None:
                digest = digest_of(known.files)
                if digest != known_digest:
                    files = {name: wrapped(key) for name, key in known.files.items()}
                    known, digest = known._replace(files=files), digest_of(files)
                return Reading(known, digest, known_digest)
        stamp = session.stamp(directory)
        listing = session.list_directory(directory)
        if listing.unclear:
            stamp = None
        if stamp is not None:
            # Listing opened the directory again, and something else may be mounted over it now.
            session.forget()
            if session.stamp(directory) != stamp:
                stamp = None
        return Reading(listing, digest_of(listing.files), known_digest, stamp, now_ns)

    def _is_fresh(self, stored: StoredListing, now_ns: int) -> bool:
        if self.lists_all or stored.stamp is None:
            return False
        # A listing with a time in the future was stored before the clock was set back.
        return 0 <= now_ns - stored.listed_at_ns < _STORED_NS

    def learn(self, directory: bytes, reading: Reading) -> None:
        """Note that what was read matches the rows."""
        listing, stamp = reading.listing, reading.stamp
        if reading.digest is None:
            return
        if stamp is not None:
            names = [path.rpartition(b"/")[2] for path in listing.directories]
            stored = StoredListing(
                *(reading.digest, stamp, reading.listed_at_ns),
                *(list(listing.files), names, dump(listing.left_out)),
            )
            self._listings.learn(directory, stored)
        elif listing.files and not reading.is_known:
            self._listings.learn(directory, StoredListing(reading.digest))

    def save(self) -> None:
        """Store what was learned since ``begin``."""
        self._listings.save()

    def end(self, directories: Collection[bytes]) -> None:
        """Note that a scan has ended, and found these directories."""
        self.lists_all = False
        self._listings.keep_only(directories)
