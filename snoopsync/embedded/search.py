"""Finds the stored pictures that are similar to a picture, with indexes in memory.

Importing this module imports numpy and Pillow.

A mark is never used twice, so an index only reads the codes after its last mark from the store. If
this or another process has removed or changed an image, its code cannot be mistaken for that of
another image. The first search that finds such a code removes it.

Codes of different versions cannot be compared. Each version has its own index, and a picture is
searched for only among the images that the same version described.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto

import numpy as np

from snoopsync.decoding.features import FEED_VERSION, Features
from snoopsync.embedded.blocks import Block
from snoopsync.embedded.index import Keys
from snoopsync.embedded.kinds import MatchKind
from snoopsync.embedded.pairing import ComparablePicture, score_pairs, score_sharing_pairs
from snoopsync.embedded.scoring import Score
from snoopsync.embedded.version_index import VersionIndex
from snoopsync.storage.images import (
    Copies,
    DescribedImage,
    ImageStore,
    Position,
    StoredImage,
)

#: After so many changes, codes of images that other processes removed are looked for.
_FEWEST_CHANGES = 1_000

#: How many images a search for those of one owner examines. Thousands of images of other owners may
#: be the same picture.
_MOST_EXAMINED = 1_000

#: How many stored pictures stay in memory for comparison, since searches for copies find the same
#: pictures again. Each takes up to 350 KiB, most of it for its variants.
_MAX_RECENT = 48

#: How many images are compared with a picture together. This limits the memory of a search.
_SCORED_AT_ONCE = 24


class _Way(Enum):
    """By what an image was found."""

    #: The same bytes or the same pixels.
    SAME = auto()
    #: A code near to one of the picture's codes.
    NEAR = auto()
    #: Regions near to those of the picture, and no code.
    SHARING = auto()


@dataclass(frozen=True, slots=True)
class SimilarImage:
    """A stored image that is similar to the picture that was searched for."""

    stored: StoredImage
    features: Features
    score: Score


@dataclass(slots=True)
class _LastSearch:
    """What the last search found that depends on the bytes of the picture only. It is used again
    while the collection is unchanged, because thousands of copies may be searched for, one after
    another. ``key``: what it depends on; ``sha256`` and ``position`` are parts of it. ``same``: the
    first page of images that show the same picture with other bytes. ``near``: the marks of near
    images with other bytes, the nearest first. ``sharing``: those of the images that may share a
    part, the likeliest first."""

    key: object = None
    sha256: bytes = b""
    position: Position | None = None
    copies: Copies | None = None
    same: list[StoredImage] | None = None
    near: Keys | None = None
    sharing: Keys | None = None


class SimilaritySearch:
    """Finds stored images by what they look like. Thread-safe."""

    def __init__(self, store: ImageStore) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._indexes: dict[int, VersionIndex] = {}
        self._position = Position("", 0, 0)
        self._last = _LastSearch()
        self._block = Block(None, ())
        self._recent: OrderedDict[int, ComparablePicture] = OrderedDict()

    def __len__(self) -> int:
        """The number of codes in memory. Does not wait for a search, which has the lock."""
        return sum(map(len, list(self._indexes.values())))

    @property
    def size_bytes(self) -> int:
        """The size of the indexes in memory. Does not wait for a search, which has the lock."""
        return sum(index.size_bytes for index in list(self._indexes.values()))

    def matches(self, features: Features, version: int = FEED_VERSION) -> list[SimilarImage]:
        """The images similar to this picture, most similar first. An image that another version
        than ``version`` described is found only if it has the same bytes."""
        asked = ComparablePicture(features)
        same = set(self._store.marks_of_same_picture(features, version))
        codes_near = self._near_marks(asked, version)
        near = set(codes_near.tolist()) - same
        sharing = set(self._sharing_marks(asked, version, codes_near).tolist()) - same
        found = []
        for marks, way in ((same, _Way.SAME), (near, _Way.NEAR), (sharing, _Way.SHARING)):
            candidates = self._store.with_marks(list(marks))
            for gone in marks - {each.stored.mark for each in candidates}:
                self.forget(gone)
            found += self._scored(asked, candidates, way)
        return sorted(found, key=_order)

    def nearest(
        self, features: Features, version: int, limit: int, asked_id: str | None = None
    ) -> list[tuple[SimilarImage, int]]:
        """As ``matches``, but at most ``limit`` images, of which those with the same bytes count as
        one, with their number. ``asked_id``: an image that does not count. Of images with the same
        bytes, one of another owner than this image's is named, if there is one.

        Thousands of images may be the same picture, so no more of them are read than are needed.
        """
        asked = self._block.comparable(features)
        owner = f"{asked_id.partition('.')[0]}." if asked_id and "." in asked_id else ""
        last = self._last_search(features.sha256, version, limit, owner)
        last.copies = last.copies or self._store.copies(features.sha256, owner)
        identical, count = last.copies.besides(asked_id)
        candidates = self._candidates(asked, version, limit, last)
        found = self._scored_until(asked, identical, candidates, limit)
        nearest = []
        found.sort(key=lambda each: (each.stored.sha256 != features.sha256, _order(each)))
        for each in found[:limit]:
            if each.stored.sha256 == features.sha256:
                nearest.append((each, count))
                continue
            named, copies = self._store.copies(each.stored.sha256, owner).besides(None)
            if named is not None:
                nearest.append((replace(each, stored=named), copies))
        return sorted(nearest, key=lambda each: _order(each[0]))

    def nearest_of_owner(
        self, features: Features, version: int, limit: int, owner: str
    ) -> list[SimilarImage]:
        """At most ``limit`` images similar to this picture whose ID begins with ``owner``, most
        similar first. Of images with the same bytes, one is named."""
        asked = ComparablePicture(features)
        identical = self._store.copy_of_owner(features.sha256, owner)
        last = self._last_search(features.sha256, version, limit, "")
        candidates = _of_owner(self._candidates(asked, version, limit, last), owner)
        found = self._scored_until(asked, identical, candidates, limit)
        return sorted(found, key=_order)[:limit]

    def _scored_until(
        self,
        asked: ComparablePicture,
        identical: StoredImage | None,
        candidates: Iterator[tuple[list[StoredImage], _Way]],
        limit: int,
    ) -> list[SimilarImage]:
        """The image with the same bytes, and those of the ``candidates`` that are similar, until
        there are ``limit``. Of images with the same bytes, one counts."""
        found = []
        if identical is not None:
            described = self._store.with_marks([identical.mark])
            found = self._scored(asked, described, _Way.SAME)
        seen = {asked.features.sha256}
        for images, way in candidates:
            marks = {image.sha256: image.mark for image in images if image.sha256 not in seen}
            seen |= marks.keys()
            new = self._store.with_marks(list(marks.values()))
            found += self._scored(asked, new, way)
            if len(found) >= limit:
                break
        return found

    def compare(self, one: DescribedImage, other: DescribedImage) -> Score | None:
        """How similar two stored images are that the same version described; ``None`` if they are
        not."""
        pictures = [
            (each.features.digest, each.features.width, each.features.height)
            for each in (one, other)
        ]
        is_same = pictures[0] == pictures[1] or one.features.sha256 == other.features.sha256
        way = _Way.SAME if is_same else _Way.NEAR
        found = self._scored(ComparablePicture(one.features), [other], way)
        return found[0].score if found else None

    def _candidates(
        self, asked: ComparablePicture, version: int, count: int, last: _LastSearch
    ) -> Iterator[tuple[list[StoredImage], _Way]]:
        """The images with other bytes that may be similar, in pages, and the way in which those of
        a page were found. The same picture comes first; the others follow in about the order of
        their distance."""
        if last.same is None:
            last.same = self._store.same_picture(asked.features, version, 0, count)
        page = last.same
        while page:
            yield page, _Way.SAME
            is_last = len(page) < count
            after = page[-1].moment
            page = (
                [] if is_last else self._store.same_picture(asked.features, version, after, count)
            )
        if last.near is None:
            near = self._near_marks(asked, version)
            same_bytes = self._store.marks_of_bytes(asked.features.sha256)
            last.near = near[~np.isin(near, np.array(same_bytes, np.int64))]
        # The exact rank may differ from the distance of the codes, so more than enough are read.
        for page in self._pages(last.near, 2 * count):
            yield page, _Way.NEAR
        if last.sharing is None:
            same_bytes = self._store.marks_of_bytes(asked.features.sha256)
            known = np.concatenate([last.near, np.array(same_bytes, np.int64)])
            last.sharing = self._sharing_marks(asked, version, known)
        for page in self._pages(last.sharing, 2 * count):
            yield page, _Way.SHARING

    def _pages(self, found: Keys, count: int) -> Iterator[list[StoredImage]]:
        """The images with these marks, in pages."""
        for start in range(0, len(found), count):
            marks = found[start : start + count].tolist()
            page = self._store.stored_with_marks(marks)
            for gone in set(marks) - {image.mark for image in page}:
                self.forget(gone)
            yield page

    def _last_search(self, sha256: bytes, *asked: int | str) -> _LastSearch:
        """The last search, if it asked for the same, and nothing has changed since."""
        position = self._store.position()
        key = (sha256, *asked, position)
        with self._lock:
            if self._last.key != key:
                self._last = _LastSearch(key, sha256, position)
            return self._last

    def _scored(
        self, asked: ComparablePicture, candidates: Sequence[DescribedImage], way: _Way
    ) -> list[SimilarImage]:
        """The similar ones of these images, which were found in this way, the most similar
        first."""
        found = []
        for first in range(0, len(candidates), _SCORED_AT_ONCE):
            chosen = candidates[first : first + _SCORED_AT_ONCE]
            for candidate, score in zip(chosen, self._scores(asked, chosen, way), strict=True):
                if score is not None:
                    found.append(SimilarImage(candidate.stored, candidate.features, score))
        return sorted(found, key=_order)

    def _scores(
        self, asked: ComparablePicture, candidates: Sequence[DescribedImage], way: _Way
    ) -> list[Score | None]:
        """How similar each of these images is that was found in this way; ``None`` if it is not."""
        if way is _Way.SAME:
            return [_score_of_same(asked.features, each.features) for each in candidates]
        pictures = [self._comparable(each) for each in candidates]
        if way is _Way.SHARING:
            return score_sharing_pairs(asked, pictures)
        return score_pairs(asked, pictures)

    def forget(self, mark: int) -> None:
        """Remove the codes with this mark, whose image was removed or has another mark now."""
        with self._lock:
            self._recent.pop(mark, None)
            for index in self._indexes.values():
                index.remove(mark)

    def _comparable(self, candidate: DescribedImage) -> ComparablePicture:
        mark = candidate.stored.mark
        with self._lock:
            picture = self._recent.pop(mark, None) or ComparablePicture(candidate.features)
            self._recent[mark] = picture
            if len(self._recent) > _MAX_RECENT:
                self._recent.popitem(last=False)
        return picture

    def _near_marks(self, asked: ComparablePicture, version: int) -> Keys:
        """The marks of the images that have a code near to one of this picture's codes, the nearest
        first."""
        with self._lock:
            index = self._followed(version)
            if not len(asked.form_codes):
                return np.empty(0, np.int64)
            near = self._block.near(index, asked, self._store)
        if near is not None:
            return near
        # The lock is released, so that other threads can search while the codes of the variants are
        # computed.
        variants = asked.queries.variants
        with self._lock:
            return index.near(asked.form_codes, variants, asked.radius)

    def prepare(self, pictures: Iterable[Features]) -> None:
        """Search for the near codes of these pictures of this version together, which takes less
        time than one after another. Until the next call, searches for them use the result."""
        by_bytes = {each.sha256: ComparablePicture(each) for each in pictures}
        last = self._last
        if last.near is not None and last.position == self._store.position():
            by_bytes.pop(last.sha256, None)  # copies of the last picture need no search
        asked = [each for each in by_bytes.values() if len(each.form_codes)]
        for each in asked:
            _ = each.queries  # computed without the lock
        with self._lock:
            self._block = Block(self._followed(FEED_VERSION), asked)

    def _sharing_marks(self, asked: ComparablePicture, version: int, known: Keys) -> Keys:
        """The marks of the images that may share a part with this picture, the likeliest first,
        without those that are ``known``."""
        if asked.parts is None:
            return np.empty(0, np.int64)
        with self._lock:
            return self._followed(version).sharing(asked.parts.regions.codes, known)

    def load(self) -> None:
        """Read the codes of this version, so that the first search does not have to."""
        with self._lock:
            self._followed(FEED_VERSION)

    def _followed(self, version: int) -> VersionIndex:
        """The index of this version, with all codes that the store has now."""
        position = self._store.position()
        if position.history != self._position.history or position.changes < self._position.changes:
            # The database may have lost images, and give their marks to others.
            self._indexes.clear()
            self._recent.clear()
            self._position = position
        index = self._indexes.setdefault(version, VersionIndex(version))
        if position.changes - self._position.changes > max(_FEWEST_CHANGES, len(index)):
            self._position = position
            if index.images > 2 * self._store.count():
                index = self._indexes[version] = VersionIndex(version)
        index.follow(self._store, position)
        return index


def _of_owner(
    pages: Iterator[tuple[list[StoredImage], _Way]], owner: str
) -> Iterator[tuple[list[StoredImage], _Way]]:
    """The images of these pages whose ID begins with ``owner``."""
    examined = 0
    for images, way in pages:
        yield [image for image in images if image.image_id.startswith(owner)], way
        examined += len(images)
        if examined >= _MOST_EXAMINED:
            return


def _score_of_same(asked: Features, candidate: Features) -> Score:
    """The score of an image with the same bytes or the same pixels."""
    is_identical = candidate.sha256 == asked.sha256
    return Score(0, MatchKind.IDENTICAL if is_identical else MatchKind.REENCODED)


def _order(similar: SimilarImage) -> tuple[int, str]:
    return similar.score.rank, similar.stored.image_id
