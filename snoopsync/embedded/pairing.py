"""The rank and the kind of a pair of pictures: the same, whichever of the two is searched for.

``matching`` judges in one direction: the views of one picture are compared with the other as it is
stored. Here both directions are looked at, and the one that comes nearer counts.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, Features
from snoopsync.embedded.scoring import (
    MAX_RANK,
    MAX_RANK_OF_LOW_QUALITY,
    Alike,
    Hit,
    Queries,
    judged,
)
from snoopsync.embedded.store import Candidate, StoredImage

#: What judging does not look at.
_NOT_STORED = StoredImage(0, "", b"", 0, 0)


class Described:
    """A picture as it is compared with others: its features, and what is made from them."""

    def __init__(self, features: Features) -> None:
        self.features = features

    @property
    def is_low(self) -> bool:
        """Is there too little in it for its codes to say much?"""
        return self.features.quality < pdq.MIN_QUALITY

    @property
    def form_codes(self) -> NDArray[np.uint8]:
        """The codes of its forms, with and without its borders."""
        codes = self.features.codes + self.features.trimmed
        return np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)

    @cached_property
    def queries(self) -> Queries:
        """All codes that it is searched by."""
        return Queries(self.features, deep=not self.is_low)

    @cached_property
    def stored_codes(self) -> NDArray[np.uint64]:
        """The codes that it is found by: as it is, and without its borders if it has any."""
        codes = (self.features.codes[:CODE_BYTES], self.features.trimmed[:CODE_BYTES])
        return _words(b"".join(codes))


def alike(asked: Described, candidate: Described, stored: StoredImage) -> Alike | None:
    """The stored image of ``candidate`` with its rank and kind; ``None`` if they are not alike.
    Exchanging the two changes neither. Not for what ``matching.the_same`` is for."""
    radius = MAX_RANK_OF_LOW_QUALITY if asked.is_low or candidate.is_low else MAX_RANK
    ways = [
        (one, other, hits)
        for one, other in ((asked, candidate), (candidate, asked))
        if (hits := _hits(one, other, radius))
    ]
    # Of two ways that come as near, the one that begins with the same picture, whoever asks.
    ways.sort(key=lambda way: (way[2][0].bits, way[0].features.sha256))
    for one, other, hits in ways:
        found = judged(one.features, Candidate(_NOT_STORED, other.features), one.queries, hits)
        if found is not None:
            return Alike(stored, candidate.features, found.rank, found.kind)
    return None


def _hits(one: Described, other: Described, radius: int) -> list[Hit]:
    """Which codes of the one are near to the other's stored ones, and say something; the nearest
    first."""
    queries = one.queries
    if not len(queries.codes) or not len(other.stored_codes):
        return []
    differing = _words(queries.codes.tobytes())[:, None] ^ other.stored_codes
    bits = np.bitwise_count(differing).sum(axis=2, dtype=np.int64)
    near = np.argwhere(bits <= radius)
    hits = sorted(Hit(int(bits[place, at]), int(place), bool(at)) for place, at in near)
    return [hit for hit in hits if queries.tells(hit, other.features)]


def _words(codes: bytes) -> NDArray[np.uint64]:
    return np.frombuffer(codes, np.uint64).reshape(-1, CODE_BYTES // 8)
