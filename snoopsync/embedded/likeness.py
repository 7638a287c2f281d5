"""Which stored pictures are like this one: an index in memory that follows the store.

Importing this imports numpy and Pillow.

An image's moment is never given twice, so the index need only ask for what is after the last one
it has seen; and a code whose image is gone or has changed, here or in another process, can never
be taken for another's: it is dropped when a search comes upon it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np

from snoopsync.embedded import pdq
from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import CODE_BYTES, Features
from snoopsync.embedded.index import FAISS_FROM, CodeIndex, Keys, best_scan, scan_with_faiss
from snoopsync.embedded.kinds import FORM_KINDS, Kind, compare, is_photographic, luma_of
from snoopsync.embedded.source import Body
from snoopsync.embedded.store import Candidate, Store, StoredCodes, StoredImage
from snoopsync.embedded.views import DEEP_KINDS, deep_codes

#: The largest distance, in bits, that is still a match: the last one at which 90 million pairs of
#: distinct photographs had no false one.
MAX_RANK = 75

#: The same for pictures of a low quality, whose thumbnails must be the same besides: a faint slide
#: in half its size is 20 bits off.
_MAX_RANK_OF_LOW_QUALITY = 31

#: The largest rank of pictures that certainly are the same for the most part, however much their
#: codes differ: a caption over a tenth of a photograph takes up to 60 bits.
_MAX_RANK_OF_CERTAIN = 50

#: How much nearer another view must come than the picture as it is to be what they match by.
_NEARER_BITS = 8

#: Up to so many codes, the views of ``deep_codes`` are searched for too: they cost 25 ms here, with
#: faiss and with numpy alone.
_DEEP_UP_TO = 250_000
_DEEP_UP_TO_WITH_NUMPY = 25_000

_FOLLOW_ROWS = 4_096


@dataclass(frozen=True, slots=True)
class Alike:
    """A stored picture that is like the one that was searched for. ``rank`` 0 is the same picture;
    above, it is the distance in bits of whichever view of the one comes nearest to the other.
    ``kind`` is what they are to each other, ``None`` if too little was kept to tell."""

    stored: StoredImage
    features: Features
    rank: int
    kind: Kind | None


class _Hit(NamedTuple):
    """A code of a stored picture (``trimmed``: of it without its borders) that is near to one of
    what was searched for. ``query`` is that one's place."""

    bits: int
    query: int
    trimmed: bool


class _Queries:
    """The codes of a picture that are searched for: of its forms, of its forms without borders,
    and, if ``deep``, of its views."""

    def __init__(self, features: Features, *, deep: bool) -> None:
        codes = features.codes + features.trimmed
        self.codes = np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)
        self._forms = len(features.codes) // CODE_BYTES
        self._trimmed_end = len(self.codes)
        if deep and _is_photograph(features):
            assert features.thumbnail is not None
            self.codes = np.concatenate([self.codes, deep_codes(luma_of(features.thumbnail))])

    def is_view(self, hit: _Hit) -> bool:
        """Was it a view that matched?"""
        return hit.query >= self._trimmed_end

    def is_upright(self, hit: _Hit) -> bool:
        """Did the picture as it is match another as it is?"""
        return hit.query == 0 and not hit.trimmed

    def kind(self, hit: _Hit) -> Kind:
        """What they are to each other that match so."""
        if self.is_view(hit):
            return DEEP_KINDS[hit.query - self._trimmed_end]
        form = FORM_KINDS[hit.query % self._forms]
        if form is Kind.REENCODED and (hit.query >= self._forms) != hit.trimmed:
            return Kind.BORDERED
        return form


class Likeness:
    """Finds stored pictures by what they look like. Any thread may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._index = CodeIndex()
        self._seen = 0

    def __len__(self) -> int:
        """How many codes are in memory."""
        with self._lock:
            return len(self._index)

    def look_at(self, body: Body) -> Features:
        """What this picture looks like. Raises ``Refused`` if it can't be decoded."""
        return features_of(body)

    def matches(self, features: Features) -> list[Alike]:
        """The images like this one, the most alike first."""
        queries, hits = self._near(features)
        same = set(self._store.same_as(features))
        candidates = self._store.at(list(same | hits.keys()))
        for gone in (same | hits.keys()) - {each.stored.moment for each in candidates}:
            self.forget(gone)
        found = []
        for candidate in candidates:
            moment = candidate.stored.moment
            if moment in same:
                found.append(_the_same(features, candidate))
            elif alike := _judged(features, candidate, queries, hits[moment]):
                found.append(alike)
        return sorted(found, key=lambda alike: (alike.rank, alike.stored.image_id))

    def forget(self, moment: int) -> None:
        """The image of this moment is gone from the store."""
        with self._lock:
            for trimmed in (False, True):
                self._index.remove(_key(moment, trimmed=trimmed))

    def _near(self, features: Features) -> tuple[_Queries, dict[int, list[_Hit]]]:
        """The hits by the moment of their image, each image's nearest first."""
        is_low = features.quality < pdq.MIN_QUALITY
        with self._lock:
            self._follow()
            queries = _Queries(features, deep=not is_low and _affords_views(len(self._index)))
            if not len(queries.codes):
                return queries, {}
            radius = _MAX_RANK_OF_LOW_QUALITY if is_low else MAX_RANK
            keys, asked, bits = self._index.search(queries.codes, radius)
        hits: dict[int, list[_Hit]] = {}
        order = np.argsort(bits, kind="stable")
        for key, query, distance in zip(
            *(part[order].tolist() for part in (keys, asked, bits)), strict=True
        ):
            hits.setdefault(key >> 1, []).append(_Hit(distance, query, bool(key & 1)))
        return queries, hits

    def _follow(self) -> None:
        while rows := self._store.codes_after(self._seen, _FOLLOW_ROWS):
            self._add(rows)
            self._seen = rows[-1][0]

    def _add(self, rows: list[StoredCodes]) -> None:
        moments, codes, trimmed = zip(*rows, strict=True)
        bordered = [moment for moment, each in zip(moments, trimmed, strict=True) if each]
        keys = np.concatenate(
            [
                _key(np.array(moments, np.int64), trimmed=False),
                _key(np.array(bordered, np.int64), trimmed=True),
            ]
        )
        joined = np.frombuffer(b"".join(codes + trimmed), np.uint8).reshape(-1, CODE_BYTES)
        order = np.argsort(keys)
        self._index.add(keys[order], joined[order])


_Moment = TypeVar("_Moment", int, Keys)


def _key(moment: _Moment, *, trimmed: bool) -> _Moment:
    return moment * 2 + trimmed


def _affords_views(codes: int) -> bool:
    if codes < FAISS_FROM or best_scan(codes) is scan_with_faiss:
        return codes <= _DEEP_UP_TO
    return codes <= _DEEP_UP_TO_WITH_NUMPY


def _is_photograph(features: Features) -> bool:
    return features.thumbnail is not None and is_photographic(features.thumbnail)


def _the_same(features: Features, candidate: Candidate) -> Alike:
    is_identical = candidate.features.sha256 == features.sha256
    kind = Kind.IDENTICAL if is_identical else Kind.REENCODED
    return Alike(candidate.stored, candidate.features, 0, kind)


def _judged(
    features: Features, candidate: Candidate, queries: _Queries, hits: list[_Hit]
) -> Alike | None:
    """The candidate with its rank and kind; ``None`` if it only seemed to be like the picture."""
    photographs = _is_photograph(features) and _is_photograph(candidate.features)
    if not photographs:
        hits = [hit for hit in hits if not queries.is_view(hit)]
    if not hits:
        return None
    nearest = hits[0]
    rank = max(1, nearest.bits)
    upright = next((hit for hit in hits if queries.is_upright(hit)), None)
    comparison = None
    if upright is not None and features.thumbnail and candidate.features.thumbnail:
        comparison = compare(features.thumbnail, candidate.features.thumbnail)
    if min(features.quality, candidate.features.quality) < pdq.MIN_QUALITY:
        is_same = comparison is not None and comparison.is_same
        if not is_same or rank > _MAX_RANK_OF_LOW_QUALITY:
            return None
    if comparison is not None and photographs and comparison.is_certain:
        rank = min(rank, _MAX_RANK_OF_CERTAIN)
    kind: Kind | None = queries.kind(nearest)
    if upright is not None and upright.bits <= nearest.bits + _NEARER_BITS:
        # Where they don't lie upon each other, it is by the next view that they match.
        other = next((hit for hit in hits if not queries.is_upright(hit)), None)
        kind = None if comparison is None else comparison.kind
        if comparison is not None and kind is None:
            kind = Kind.CROPPED if other is None else queries.kind(other)
    return Alike(candidate.stored, candidate.features, rank, kind)
