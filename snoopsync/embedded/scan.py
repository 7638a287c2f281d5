"""Which of many codes are near to any of a few: the bits of all of them are counted, but not for
every query anew.

Mirroring a picture, or turning it upside down, negates some of its waves, and so turns over the
same bits of its code: of a quarter of the bits when it is mirrored, of another when it is turned,
of a third by either, of the last by none. Once it is counted for each quarter how many of its bits
differ from a code's, that is known for all four forms of the picture: in a quarter that is turned
over, just those bits differ that did not. It is not quite so, because the median that the waves
are compared with is another in each form; that takes some ten bits. So this only tells which codes
may be near, with as many bits granted, and those are counted exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Codes of 32 bytes, a row each.
Codes = NDArray[np.uint8]

#: The same codes, a column each: for each quarter of their bits, a word of 64.
Words = NDArray[np.uint64]

#: Position of each hit in the codes, which of the queries it is, and its distance in bits. A
#: position may come up repeatedly, once for each query.
Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

NO_HITS: Hits = (np.empty(0, np.int64),) * 3

#: So many codes are looked through at once: what is counted of them stays in the processor's
#: cache, and Python's own time does not show.
BLOCK_CODES = 32_768

_QUARTERS = 4

#: The bits of two words, half of which differ if the codes have nothing to do with each other.
_HALF = 2 * 64

#: Up to this distance there are few of a million codes that have nothing to do with the query: they
#: are 128 bits from it, give or take 8.
_MAX_REACH = 112

_KEPT, _OVER = np.uint64(0), ~np.uint64(0)

#: Which quarters of the bits are turned over in the four forms of a picture that differ from each
#: other by being mirrored and turned, in the order of ``pdq.FORMS``; a row for each quarter.
_FORMS = np.array(
    [
        [_KEPT, _OVER, _OVER, _KEPT],
        [_KEPT, _KEPT, _OVER, _OVER],
        [_KEPT, _OVER, _KEPT, _OVER],
        [_KEPT, _KEPT, _KEPT, _KEPT],
    ]
)


def words_of(codes: Codes) -> Words:
    """The codes with their bits in quarters: the waves' lines 1, 3, 5... and 2, 4, 6..., in each
    the columns 1, 3, 5... and 2, 4, 6..."""
    bits = np.unpackbits(codes, axis=1).reshape(len(codes), 8, 2, 8, 2)
    quarters = bits.transpose(2, 4, 0, 1, 3).reshape(_QUARTERS, len(codes), 64)
    words: Words = np.packbits(quarters, axis=2).view(np.uint64)[..., 0]
    return words


def empty_block() -> Words:
    """Room for ``BLOCK_CODES`` codes."""
    return np.empty((_QUARTERS, BLOCK_CODES), np.uint64)


class Search:
    """A search for all codes within ``radius`` bits of any of the queries, block by block. Queries
    that are the forms of one picture are best given one after the other, in the order of
    ``pdq.FORMS``. Any thread may use it."""

    def __init__(self, queries: Codes, radius: int) -> None:
        self._radius = radius
        self._passes = _passes(words_of(queries), radius)

    @property
    def passes(self) -> int:
        """How often each block is gone through."""
        return len(self._passes)

    def hits(self, block: Words) -> Hits:
        """The hits in a block of at most ``BLOCK_CODES``, with their positions in it."""
        differing = np.empty(block.shape[1], np.uint64)
        counts = np.empty(block.shape, np.uint8)
        found = [NO_HITS]
        for each in self._passes:
            for words, wanted, count in zip(block, each.queries[:, 0], counts, strict=True):
                np.bitwise_xor(words, wanted, out=differing)
                np.bitwise_count(differing, out=count)
            if (near := np.flatnonzero(each.may_be_near(counts))).size:
                found.append(self._counted_exactly(block, near, each))
        return joined(found)

    def _counted_exactly(self, block: Words, places: NDArray[np.int64], each: _Pass) -> Hits:
        differing = block[:, places, np.newaxis] ^ each.queries[:, np.newaxis, :]
        distances = np.bitwise_count(differing).sum(axis=0, dtype=np.int64)
        near, queries = np.nonzero(distances <= self._radius)
        return places[near], queries + each.number, distances[near, queries]


def joined(hits: Sequence[Hits]) -> Hits:
    """All of these hits, of which there is at least one set."""
    places, queries, distances = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    return places, queries, distances


@dataclass(frozen=True, slots=True)
class _Pass:
    """One query, or the four forms of a picture, that are looked for together. ``number`` is the
    place of the first among all; ``reach`` the bits up to which a code may be near."""

    queries: Words
    number: int
    reach: int

    def may_be_near(self, counts: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Which codes may be near, of which so many bits differ from the first query's, by
        quarters. (256 differing bits are 0 in a byte: a needless look, and no code that is
        missed.)"""
        sums = counts[2:] + counts[:2]
        near: NDArray[np.bool_] = sums[0] + sums[1] <= self.reach
        if self.queries.shape[1] > 1:
            differences = counts[2:] - counts[:2]
            for turned_over in (
                sums[1] - sums[0],
                differences[0] + differences[1],
                differences[1] - differences[0],
            ):
                # The distance is _HALF more: as a signed byte it is 128 less than that.
                near |= turned_over.view(np.int8) <= self.reach - _HALF
        return near


def _passes(queries: Words, radius: int) -> list[_Pass]:
    passes = []
    count = queries.shape[1]
    number = 0
    while number < count:
        four = queries[:, number : number + len(_FORMS)]
        reach = radius + _granted(four) if four.shape == _FORMS.shape else _MAX_REACH + 1
        if reach <= _MAX_REACH:
            passes.append(_Pass(four, number, reach))
        else:
            four = four[:, :1]
            passes.append(_Pass(four, number, min(radius, 255)))
        number += four.shape[1]
    return passes


def _granted(forms: Words) -> int:
    """The most bits by which one of four forms is not what the first would become."""
    differing = forms ^ forms[:, :1] ^ _FORMS
    return int(np.bitwise_count(differing).sum(axis=0, dtype=np.int64).max())
