"""Which stored pictures are like this one: indexes in memory that follow the store.

Importing this imports numpy and Pillow.

An image's mark is never given twice, so an index need only ask for what is after the last one it
has seen; and a code whose image is gone or has changed, here or in another process, can never be
taken for another's: it is dropped when a search comes upon it.

Codes of different versions can't be compared. So each version has an index of its own, and a
picture is searched for among those that its own version has described.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from snoopsync.decoding.features import CODE_BYTES, FEED_VERSION, Features
from snoopsync.embedded.hamming import Codes
from snoopsync.embedded.index import CodeIndex, Keys
from snoopsync.embedded.pairing import Described, alike
from snoopsync.embedded.scoring import (
    MAX_RANK,
    MAX_RANK_OF_LOW_QUALITY,
    Alike,
    the_same,
)
from snoopsync.embedded.store import Candidate, Store, StoredCodes

#: Up to so many codes, the views of ``deep_codes`` are searched for too: they cost 25 ms here, on a
#: slow machine of two cores.
_DEEP_UP_TO = 50_000

_FOLLOW_ROWS = 4_096

#: So many stored pictures are kept as they are compared: copies that are searched for one after
#: the other find the same ones. Each takes up to 350 KiB, most of it for its views.
_REMEMBERED = 48


class SimilaritySearch:
    """Finds stored pictures by what they look like. Any thread may."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()
        self._indexes: dict[int, _VersionIndex] = {}
        self._described: OrderedDict[int, Described] = OrderedDict()

    def __len__(self) -> int:
        """How many codes are in memory."""
        with self._lock:
            return sum(map(len, self._indexes.values()))

    def matches(self, features: Features, feed: int = FEED_VERSION) -> list[Alike]:
        """The images like this one, the most alike first: among those that this version has
        described, and of all others those with the same bytes."""
        same = set(self._store.same_as(features, feed))
        asked = Described(features)
        near = self._near(asked, feed)
        candidates = self._store.at(list(same | near))
        for gone in (same | near) - {each.stored.mark for each in candidates}:
            self.forget(gone)
        found = []
        for candidate in candidates:
            if candidate.stored.mark in same:
                found.append(the_same(features, candidate))
            elif match := alike(asked, self._as_compared(candidate), candidate.stored):
                found.append(match)
        return sorted(found, key=lambda match: (match.rank, match.stored.image_id))

    def forget(self, mark: int) -> None:
        """What had this mark is gone from the store, or has another one."""
        with self._lock:
            self._described.pop(mark, None)
            for index in self._indexes.values():
                index.remove(mark)

    def _as_compared(self, candidate: Candidate) -> Described:
        mark = candidate.stored.mark
        with self._lock:
            described = self._described.pop(mark, None) or Described(candidate.features)
            self._described[mark] = described
            if len(self._described) > _REMEMBERED:
                self._described.popitem(last=False)
        return described

    def _near(self, asked: Described, feed: int) -> set[int]:
        """The marks of the images that have a code near to one of this picture's."""
        with self._lock:
            index = self._indexes.setdefault(feed, _VersionIndex(feed))
            index.follow(self._store)
            affords_views = len(index) <= _DEEP_UP_TO
        # Made while others search.
        codes = asked.queries.codes if affords_views else asked.form_codes
        if not len(codes):
            return set()
        radius = MAX_RANK_OF_LOW_QUALITY if asked.is_low else MAX_RANK
        with self._lock:
            return index.near(codes, radius)


class _VersionIndex:
    """The codes that one version has made. Not safe for several threads at once."""

    def __init__(self, feed: int) -> None:
        self._feed = feed
        self._codes = CodeIndex()
        self._seen = 0

    def __len__(self) -> int:
        return len(self._codes)

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        return self._codes.size_bytes

    def follow(self, store: Store) -> None:
        """Take in what is new in the store."""
        while rows := store.codes_after(self._seen, _FOLLOW_ROWS, self._feed):
            self._add(rows)
            self._seen = rows[-1][0]

    def near(self, codes: Codes, radius: int) -> set[int]:
        """The marks of what has a code within this distance of one of these."""
        keys, _, _ = self._codes.search(codes, radius)
        return set((keys >> 1).tolist())

    def remove(self, mark: int) -> None:
        """Leave out what has this mark, if it is here."""
        for trimmed in (False, True):
            self._codes.remove(_key(mark, trimmed=trimmed))

    def _add(self, rows: Sequence[StoredCodes]) -> None:
        marks, codes, trimmed = zip(*rows, strict=True)
        bordered = [mark for mark, each in zip(marks, trimmed, strict=True) if each]
        keys = np.concatenate(
            [
                _key(np.array(marks, np.int64), trimmed=False),
                _key(np.array(bordered, np.int64), trimmed=True),
            ]
        )
        joined = np.frombuffer(b"".join(codes + trimmed), np.uint8).reshape(-1, CODE_BYTES)
        order = np.argsort(keys)
        self._codes.add(keys[order], joined[order])


_Mark = TypeVar("_Mark", int, Keys)


def _key(mark: _Mark, *, trimmed: bool) -> _Mark:
    return mark * 2 + trimmed
