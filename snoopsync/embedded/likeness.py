"""Which stored pictures are like this one: an index in memory that follows the store.

Importing this imports numpy and Pillow.

An image's moment is never given twice, so the index need only ask for what is after the last one
it has seen; and a code whose image is gone or has changed, here or in another process, can never
be taken for another's: it is dropped when a search comes upon it.
"""

from __future__ import annotations

import threading
from typing import TypeVar

import numpy as np

from snoopsync.embedded import pdq
from snoopsync.embedded.decode import features_of
from snoopsync.embedded.features import CODE_BYTES, Features
from snoopsync.embedded.index import CodeIndex, Keys
from snoopsync.embedded.matching import (
    MAX_RANK,
    MAX_RANK_OF_LOW_QUALITY,
    Alike,
    Hit,
    Queries,
    judged,
    the_same,
)
from snoopsync.embedded.source import Body
from snoopsync.embedded.store import Store, StoredCodes

#: Up to so many codes, the views of ``deep_codes`` are searched for too: they cost 25 ms here, on a
#: slow machine of two cores.
_DEEP_UP_TO = 50_000

_FOLLOW_ROWS = 4_096


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
                found.append(the_same(features, candidate))
            elif alike := judged(features, candidate, queries, hits[moment]):
                found.append(alike)
        return sorted(found, key=lambda alike: (alike.rank, alike.stored.image_id))

    def forget(self, moment: int) -> None:
        """The image of this moment is gone from the store."""
        with self._lock:
            for trimmed in (False, True):
                self._index.remove(_key(moment, trimmed=trimmed))

    def _near(self, features: Features) -> tuple[Queries, dict[int, list[Hit]]]:
        """The hits by the moment of their image, each image's nearest first."""
        is_low = features.quality < pdq.MIN_QUALITY
        with self._lock:
            self._follow()
            affords_views = len(self._index) <= _DEEP_UP_TO
        # Made while others search.
        queries = Queries(features, deep=not is_low and affords_views)
        if not len(queries.codes):
            return queries, {}
        radius = MAX_RANK_OF_LOW_QUALITY if is_low else MAX_RANK
        with self._lock:
            keys, asked, bits = self._index.search(queries.codes, radius)
        hits: dict[int, list[Hit]] = {}
        order = np.argsort(bits, kind="stable")
        for key, query, distance in zip(
            *(part[order].tolist() for part in (keys, asked, bits)), strict=True
        ):
            hits.setdefault(key >> 1, []).append(Hit(distance, query, bool(key & 1)))
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
