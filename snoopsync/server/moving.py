"""Moves all collections from a data directory to a database, or back.

The keys are moved last, so that no client can use a part of a collection. Until then, the move can
be stopped at any instruction: the next one compares what the target has already, and continues.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass

from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.text import images
from snoopsync.server.master_key import (
    USE_THAT_KEY,
    load_master_key,
    require_master_key,
    store_master_key,
)
from snoopsync.server.storage import Location, open_hosting_alone
from snoopsync.storage.hosting import HostedCollection, Hosting
from snoopsync.storage.rows import ImageRow, ImageRows, RowDigest

#: With thumbnails, so many rows are some 10 MB.
_ROWS_PER_BLOCK = 2_000

_CHOOSE_EMPTY = "choose an empty target"

#: Shows the progress: what is being done, the number of images that are done, and that of all.
Show = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True)
class MovedCollection:
    """A collection of the target that equals that of the source. ``images``: how many it has.
    ``moved``: how many of them this move added. ``digest``: the SHA-256 over all rows."""

    collection_id: str
    collection_name: str
    images: int
    moved: int
    digest: str


@dataclass(frozen=True, slots=True)
class Move:
    """All collections of ``source``, to be moved to ``target``. Nobody else uses either.
    ``block``: how many rows are moved in one transaction."""

    source: Hosting
    target: Hosting
    block: int = _ROWS_PER_BLOCK

    def run(self, show: Show) -> Iterator[MovedCollection]:
        """Move and compare one collection after the other, then the keys. A target that has the
        keys already is only compared. Raises ``SnoopsyncError`` if the target has anything that the
        source does not have, or if both are not equal in the end."""
        collections, keys = self.source.collections(), self.source.all_keys()
        self._require_part()
        is_complete = bool(self.target.all_keys())
        for collection in collections:
            if not is_complete:
                self.target.insert_collection(collection)
            with (
                closing(self.source.image_rows(collection)) as source,
                closing(self.target.image_rows(collection)) as target,
            ):
                yield self._move_images(collection, source, target, is_complete, show)
        if not is_complete:
            self.target.insert_keys(keys)
        if (self.target.collections(), self.target.all_keys()) != (collections, keys):
            raise SnoopsyncError(f"the keys of {self._differ}")

    @property
    def _differ(self) -> str:
        return f"{self.target.description} differ from those of {self.source.description}"

    def _require_part(self) -> None:
        """Refuse a target that is neither empty nor a part of the same move."""
        collections = self.source.collections()
        if not collections:
            raise SnoopsyncError(f"{self.source.description} has no collections")
        for each in self.target.collections():
            if each not in collections:
                raise SnoopsyncError(
                    f"{self.target.description} has a collection {each.name} of its own:"
                    f" {_CHOOSE_EMPTY}"
                )
        keys = self.target.all_keys()
        if keys and keys != self.source.all_keys():
            raise SnoopsyncError(f"the keys of {self._differ}: {_CHOOSE_EMPTY}")

    def _move_images(
        self,
        collection: HostedCollection,
        source: ImageRows,
        target: ImageRows,
        is_complete: bool,
        show: Show,
    ) -> MovedCollection:
        total, newest = source.count(), target.newest()
        expected, found = RowDigest(), RowDigest()
        # Never continue a collection that has other images.
        for rows in self._blocks(target, 0):
            found.add(rows)
            show("comparing", found.count, total)
        for rows in self._blocks(source, 0, newest):
            expected.add(rows)
            show("comparing", expected.count, total)
        self._require_equal(collection, expected, found)
        already = found.count
        if not is_complete:
            for rows in self._blocks(source, newest):
                target.insert(rows)
                expected.add(rows)
                show("moving", expected.count, total)
            target.set_position(source.position())
        for rows in self._blocks(target, newest):
            found.add(rows)
            show("verifying", found.count, total)
        self._require_equal(collection, expected, found)
        if source.count() != found.count or source.position() != target.position():
            raise SnoopsyncError(
                f"the collection {collection.name} of {self.source.description} has changed since"
                f" it was moved to {self.target.description}"
            )
        return MovedCollection(
            collection.collection_id,
            collection.name,
            found.count,
            found.count - already,
            found.digest,
        )

    def _blocks(
        self, rows: ImageRows, after: int, last: int | None = None
    ) -> Iterator[list[ImageRow]]:
        """All rows after a moment, in order, up to the moment ``last``."""
        while block := rows.after(after, self.block):
            if last is not None and block[-1].moment > last:
                if block := [row for row in block if row.moment <= last]:
                    yield block
                return
            yield block
            after = block[-1].moment

    def _require_equal(
        self, collection: HostedCollection, expected: RowDigest, found: RowDigest
    ) -> None:
        if (expected.count, expected.digest) != (found.count, found.digest):
            raise SnoopsyncError(
                f"the images of the collection {collection.name} in {self._differ}:"
                f" {images(found.count)} with the digest {found.digest}, not"
                f" {images(expected.count)} with the digest {expected.digest}"
            )


@contextmanager
def open_import(location: Location) -> Iterator[Move]:
    """The move from the data directory to the database of this location. Raises ``StateLocked`` if
    a service uses one of them, and ``SnoopsyncError`` if the database has another master key."""
    with _both_opened(location, must_exist=True) as (directory, database):
        key = load_master_key(
            location.data, os.environ, given=location.master_key, may_create=False
        )
        require_master_key(directory, key, USE_THAT_KEY)
        require_master_key(database, key, _CHOOSE_EMPTY)
        yield Move(directory, database)


@contextmanager
def open_export(location: Location) -> Iterator[Move]:
    """The move from the database to the data directory of this location, which gets a copy of the
    master key. Raises ``StateLocked`` if a service uses one of them, and ``SnoopsyncError`` if the
    master key is not that of the database."""
    with _both_opened(location, must_exist=False) as (directory, database):
        key = load_master_key(
            location.data, os.environ, given=location.master_key, may_create=False
        )
        require_master_key(database, key, USE_THAT_KEY)
        require_master_key(directory, key, _CHOOSE_EMPTY)
        store_master_key(location.data, key)
        yield Move(database, directory)


@contextmanager
def _both_opened(location: Location, *, must_exist: bool) -> Iterator[tuple[Hosting, Hosting]]:
    """The collections of the directory and of the database, which only this process uses."""
    if must_exist and not (location.data / "keys.sqlite3").exists():
        raise SnoopsyncError(
            f"{location.data} has no keys.sqlite3, so it is not the data directory of a service"
        )
    with ExitStack() as stack:
        yield (
            stack.enter_context(open_hosting_alone(Location(location.data))),
            stack.enter_context(open_hosting_alone(location)),
        )
