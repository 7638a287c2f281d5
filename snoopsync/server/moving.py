"""Moves all collections and keys from one storage to another, and proves that they are the same.

A move that was interrupted continues after the last image that it stored. The keys come last, so
that nobody can change the target before everything is proven.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from snoopsync.core.errors import SnoopsyncError
from snoopsync.storage.features import restored_values, small_values
from snoopsync.storage.hosting import HostedCollection, Hosting
from snoopsync.storage.images import DescribedImage, ImageStore

#: About 20 MB of memory.
_IMAGES_PER_BATCH = 1_000


@dataclass(frozen=True, slots=True)
class Moved:
    """A collection that both storages have. ``digest``: of all rows, in hexadecimal."""

    name: str
    collection_id: str
    images: int
    digest: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How many images of a collection were copied, or compared."""

    phase: str
    done: int
    total: int


def move(source: Hosting, target: Hosting, show: Callable[[Progress], None]) -> list[Moved]:
    """Copy everything that the target does not have, compare all of it, and return what was moved.
    The caller has checked that both have the same master key. Raises ``SnoopsyncError`` if the
    target has anything else, if the two differ, or if the source changed meanwhile."""
    collections = source.collections()
    _require_nothing_else(target, collections)
    moved = []
    for hosted in collections:
        target.restore_collection(hosted)
        ours, theirs = source.images(hosted), target.images(hosted)
        try:
            moved.append(_move_images(hosted, ours, theirs, show))
        finally:
            ours.close()
            theirs.close()
    for key in source.all_keys():
        target.restore_key(key)
    if set(source.all_keys()) != set(target.all_keys()):
        raise SnoopsyncError("the keys differ after they were copied: run the command again")
    return moved


def _require_nothing_else(target: Hosting, collections: Sequence[HostedCollection]) -> None:
    others = [each.name for each in target.collections() if each not in collections]
    if others:
        raise SnoopsyncError(
            f"{target.description} has other collections already, among them {others[0]!r}: choose"
            " an empty one"
        )


def _move_images(
    hosted: HostedCollection,
    source: ImageStore,
    target: ImageStore,
    show: Callable[[Progress], None],
) -> Moved:
    before, total = source.position(), source.count()
    newest = target.page(None, 1)
    last = newest[0].moment if newest else 0
    done = target.count()
    while batch := source.described_after(last, _IMAGES_PER_BATCH):
        target.restore(batch, batch[-1].stored.moment)
        last = batch[-1].stored.moment
        done += len(batch)
        show(Progress("copying", done, total))
    target.restore([], before.moment)
    one, other = (_digest(store, total, show) for store in (source, target))
    if source.position() != before:
        raise SnoopsyncError(
            f"the collection {hosted.name!r} changed while it was copied: stop the service that"
            " uses it, and run the command again"
        )
    if one != other:
        raise SnoopsyncError(
            f"the collection {hosted.name!r} differs after it was copied, perhaps because it"
            " changed since the copy was begun: empty the target, and run the command again"
        )
    count, digest = one
    return Moved(hosted.name, hosted.collection_id, count, digest)


def _digest(store: ImageStore, total: int, show: Callable[[Progress], None]) -> tuple[int, str]:
    """The number of images, and the SHA-256 of all that is stored about them."""
    digest, count, last = hashlib.sha256(), 0, 0
    while batch := store.described_after(last, _IMAGES_PER_BATCH):
        for image in batch:
            for part in _parts(image):
                digest.update(b"%d:%b" % (len(part), part))
        last = batch[-1].stored.moment
        count += len(batch)
        show(Progress("comparing", count, total))
    digest.update(b"%d" % store.position().moment)
    return count, digest.hexdigest()


def _parts(image: DescribedImage) -> Iterator[bytes]:
    stored, features = image.stored, image.features
    names = (stored.moment, stored.mark, stored.image_id, stored.label)
    small = small_values(features) or ()
    for value in (*names, *restored_values(features, stored.version), *small):
        yield value if isinstance(value, bytes) else repr(value).encode()
