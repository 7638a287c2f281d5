"""The codes and the regions of the images that one version described, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding.features import CODE_BYTES, INDEXED_REGIONS
from snoopsync.decoding.regions import from_bytes
from snoopsync.embedded.hamming import Codes, joined
from snoopsync.embedded.index import CodeIndex, Keys
from snoopsync.embedded.pairing import ComparablePicture
from snoopsync.embedded.region_index import RegionIndex
from snoopsync.storage.images import ImageStore, Position, StoredCodes

#: How many images that may share a part with a picture are compared with it. Of a million different
#: photographs, so many have more evidence than 9 in 10 crops of half of a picture.
_MOST_SHARING = 24


class VersionIndex:
    """The codes of one version. Not thread-safe."""

    def __init__(self, version: int) -> None:
        self._version = version
        self._codes = CodeIndex()
        self._regions = RegionIndex()
        self._last_mark = 0
        self._followed: Position | None = None
        #: The number of images with a code.
        self.images = 0

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def size_bytes(self) -> int:
        """The size of the codes in memory."""
        return self._codes.size_bytes + self._regions.size_bytes

    def follow(self, store: ImageStore, position: Position) -> None:
        """Add the new codes of the store, which was at ``position`` a moment ago."""
        if position == self._followed:
            return
        for stored in store.codes_after(self._last_mark, self._version):
            self._add(stored)
            self._last_mark = stored.last_mark
        self._regions.prepare()
        self._followed = position

    def near(self, forms: Codes, variants: Codes, radius: int) -> Keys:
        """The marks of the images with a code within ``radius`` bits of one of these codes of forms
        and variants of a picture, the nearest first."""
        hits = [self._codes.search(forms, radius)]
        if len(variants):
            hits.append(self._codes.search_variants(variants, radius))
        keys, _, distances = joined(hits)
        return _marks_of(keys[np.argsort(distances, kind="stable")])

    def near_each(self, pictures: Sequence[ComparablePicture]) -> list[Keys]:
        """As ``near`` for each of these pictures, in less time than one after another."""
        return [_marks_of(keys) for keys in _near_keys(self._codes, pictures)]

    def sharing(self, regions: NDArray[np.uint64], known: Keys) -> Keys:
        """The marks of the images that may share a part with the picture that has regions with
        these codes, the likeliest first, without those that are ``known``."""
        found = self._regions.search(regions, _MOST_SHARING + len(known))
        return found[~np.isin(found, known)][:_MOST_SHARING]

    def after(self) -> VersionIndex:
        """An index for the codes that the store gets from now on."""
        index = VersionIndex(self._version)
        index._last_mark, index._followed = self._last_mark, self._followed
        return index

    def remove(self, mark: int) -> None:
        """Remove the codes with this mark, if any."""
        self._regions.remove(mark)
        self.images -= self._codes.remove(_key(mark, trimmed=False))
        self._codes.remove(_key(mark, trimmed=True))

    def _add(self, stored: StoredCodes) -> None:
        marks, bordered = (
            np.frombuffer(each, np.int64) for each in (stored.marks, stored.trimmed_marks)
        )
        keys = np.concatenate([_key(marks, trimmed=False), _key(bordered, trimmed=True)])
        codes = np.frombuffer(stored.codes + stored.trimmed, np.uint8).reshape(-1, CODE_BYTES)
        order = np.argsort(keys)
        self._codes.add(keys[order], codes[order])
        regions = from_bytes(stored.regions)["code"].astype(np.uint64)
        self._regions.add(marks, regions.reshape(-1, INDEXED_REGIONS))
        self.images += len(marks)


_Mark = TypeVar("_Mark", int, Keys)


def _key(mark: _Mark, *, trimmed: bool) -> _Mark:
    return mark * 2 + trimmed


def _marks_of(keys: Keys) -> Keys:
    """The marks of these keys, each at its first position."""
    marks = keys >> 1
    _, first = np.unique(marks, return_index=True)
    distinct: Keys = marks[np.sort(first)]
    return distinct


def _near_keys(codes: CodeIndex, pictures: Sequence[ComparablePicture]) -> list[Keys]:
    """For each of these pictures: the keys of the codes that are near to its forms or variants, the
    nearest first. A key may occur several times."""
    if not pictures:
        return []
    radius = max(each.radius for each in pictures)
    forms = [each.form_codes for each in pictures]
    of_query = np.repeat(np.arange(len(pictures)), [len(each) for each in forms])
    keys, queries, distances = codes.search(np.concatenate(forms), radius)
    hits = [(keys, of_query[queries], distances)]
    deep = [number for number, each in enumerate(pictures) if len(each.queries.variants)]
    if deep:
        variants = [pictures[number].queries.variants for number in deep]
        keys, queries, distances = codes.search_variants(
            np.concatenate(variants), radius, len(deep)
        )
        hits.append((keys, np.array(deep)[queries // len(variants[0])], distances))
    keys, of_picture, distances = joined(hits)
    order = np.argsort(distances, kind="stable")
    found = []
    for number, picture in enumerate(pictures):
        near = order[of_picture[order] == number]
        found.append(keys[near[distances[near] <= picture.radius]])
    return found
