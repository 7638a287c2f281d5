"""Exact search for all codes within a distance of some query codes, by counting differing bits.

The counts of one query are enough for up to four queries. Mirroring a picture negates some of its
waves, and so inverts some bits of its code. Flipping the picture upside down inverts others. The
bits are divided into quarters: mirroring inverts two of them, flipping inverts one of these and a
third, and the fourth never changes. In an inverted quarter, exactly those bits differ that were
equal before. For this reason, the number of differing bits in each quarter gives the distances of
all four forms. These distances are only approximate: each form compares its waves with another
median, which changes about ten bits. The counts, with this tolerance, only select codes that may be
near, and the distances of these codes are counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Codes of 32 bytes, one in each row.
Codes = NDArray[np.uint8]

#: The same codes as ``words_of`` arranges them: a row of 64-bit words for each quarter of their
#: bits, a column for each code.
Words = NDArray[np.uint64]

#: For each hit: the position of the code, the position of the query, and the distance in bits. A
#: code that is near to several queries has several hits.
Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

#: Codes that are searched at once, with the position of the first one.
Chunk = tuple[int, Words]

_NONE = np.empty(0, np.int64)

NO_HITS: Hits = (_NONE, _NONE, _NONE)

#: The number of codes in one block of memory.
BLOCK_CODES = 131_072

#: The number of comparisons that are made at once: few enough that their counts stay in the
#: processor's cache, and enough that the time of the Python interpreter does not matter.
_COMPARISONS_AT_ONCE = 131_072

#: The largest number of queries (or pictures in four forms) in these comparisons.
_QUERIES_AT_ONCE = 4

_QUARTERS = 4

#: Half of the number of bits in two quarters.
_HALF_OF_TWO = 64

#: The typical distance of unrelated codes: half of the bits, plus or minus 8.
_UNRELATED = 128

#: Within this distance of a query, there are few of a million unrelated codes.
_MAX_REACH = 112

_ODD_COLUMNS, _EVEN_COLUMNS = 0xAAAA, 0x5555

_KEPT, _INVERTED = np.uint64(0), ~np.uint64(0)

#: Which quarters of the bits (a row each) are inverted in each of four forms of a picture (a column
#: each). The forms differ by mirroring and flipping, in the order of ``pdq.FORMS``.
_FORMS = np.array(
    [
        [_KEPT, _INVERTED, _INVERTED, _KEPT],
        [_KEPT, _KEPT, _INVERTED, _INVERTED],
        [_KEPT, _INVERTED, _KEPT, _INVERTED],
        [_KEPT, _KEPT, _KEPT, _KEPT],
    ]
)


def words_of(codes: Codes) -> Words:
    """The codes with their bits arranged in quarters: the odd and the even lines of the 16 x 16
    waves, and within these the odd and the even columns."""
    lines = np.ascontiguousarray(codes).view(">u2")
    words = np.empty((2, 2, len(codes), 4), np.uint16)
    for even in (0, 1):
        # Every other bit of two lines makes one line.
        one, other = lines[:, even::4], lines[:, even + 2 :: 4]
        words[even, 0] = one & _ODD_COLUMNS | (other & _ODD_COLUMNS) >> 1
        words[even, 1] = (one & _EVEN_COLUMNS) << 1 | other & _EVEN_COLUMNS
    quarters: Words = words.view(np.uint64).reshape(_QUARTERS, len(codes))
    return quarters


def empty_block(codes: int) -> Words:
    """Memory for this number of codes, at most ``BLOCK_CODES``."""
    return np.empty((_QUARTERS, codes), np.uint64)


class HammingSearch:
    """A search for all codes within ``radius`` bits of any of the queries.

    Thread-safe. The search is faster if queries that are forms of one picture follow each other in
    the order of ``pdq.FORMS``.
    """

    def __init__(self, queries: Codes, radius: int) -> None:
        self._radius = radius
        self._groups = _grouped(words_of(queries), radius)

    @property
    def passes(self) -> int:
        """How often the search compares each code."""
        return sum(len(group.first) for group in self._groups)

    def chunks(self, blocks: Sequence[Words], count: int, threads: int) -> list[Chunk]:
        """The first ``count`` codes of these blocks, in chunks for ``hits``. The chunks are small
        enough that each of ``threads`` threads gets some."""
        largest = _COMPARISONS_AT_ONCE // min(max(self.passes, 1), _QUERIES_AT_ONCE)
        found = []
        for begin, block in zip(range(0, count, BLOCK_CODES), blocks, strict=True):
            codes = block[:, : count - begin]
            size = codes.shape[1]
            step = min(largest, -(-size // threads))
            found += [(begin + at, codes[:, at : at + step]) for at in range(0, size, step)]
        return found

    def hits(self, chunks: Iterator[Chunk]) -> Hits:
        """The hits in these chunks. Several threads may share one iterator of a list. Each thread
        takes the next chunk when it has finished one."""
        found = [NO_HITS]
        buffers = _Buffers()
        for start, codes in chunks:
            for group in self._groups:
                for part in group.parts(max(1, _COMPARISONS_AT_ONCE // codes.shape[1])):
                    rows, places = buffers.near(codes, part)
                    if places.size:
                        at, queries, distances = part.exact_hits(codes, rows, places)
                        near = distances <= self._radius
                        found.append((start + at[near], queries[near], distances[near]))
        return joined(found)


def joined(hits: Sequence[Hits]) -> Hits:
    """All hits of one or more sets of hits."""
    places, queries, distances = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    return places, queries, distances


@dataclass(frozen=True, slots=True)
class _QueryGroup:
    """Queries that are compared together: pictures in one form or in four.

    ``queries``: has the shape (quarter, picture, form). ``first``: the position of each picture's
    first form among all queries. ``reach``: for each picture, the approximate distance in bits up
    to which a code may be near to any of its forms.
    """

    queries: Words
    first: NDArray[np.int64]
    reach: NDArray[np.int64]

    @property
    def forms(self) -> int:
        """How many forms each picture has."""
        return int(self.queries.shape[2])

    def parts(self, size: int) -> Iterator[_QueryGroup]:
        """The group, divided into parts of ``size`` pictures."""
        for start in range(0, len(self.first), size):
            part = slice(start, start + size)
            yield _QueryGroup(self.queries[:, part], self.first[part], self.reach[part])

    def exact_hits(self, codes: Words, rows: NDArray[np.int64], places: NDArray[np.int64]) -> Hits:
        """The distances between the codes at ``places`` and each form of the pictures at ``rows``,
        pair by pair."""
        differing = codes[:, places, np.newaxis] ^ self.queries[:, rows]
        distances = np.bitwise_count(differing).sum(axis=0, dtype=np.int64).ravel()
        queries = self.first[rows, np.newaxis] + np.arange(self.forms)
        return np.repeat(places, self.forms), queries.ravel(), distances


class _Buffers:
    """Memory for the counts, which is used again for each chunk. Otherwise the allocator would
    return such large pieces to the system, and getting them back takes longer than counting."""

    def __init__(self) -> None:
        self._differing = np.empty(_COMPARISONS_AT_ONCE, np.uint64)
        self._counts = np.empty((_QUARTERS, _COMPARISONS_AT_ONCE), np.int8)
        self._sums = np.empty((2, _COMPARISONS_AT_ONCE), np.int8)
        self._differences = np.empty((2, _COMPARISONS_AT_ONCE), np.int8)

    def near(self, codes: Words, group: _QueryGroup) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The pictures (their rows in the group) and the codes (their places) that may be near to
        each other, pair by pair.

        Half of the number of bits is subtracted from each count, so that it fits in a byte: a sum
        of -128 means that no bit differs.
        """
        shape = len(group.first), codes.shape[1]
        size = shape[0] * shape[1]
        differing = self._differing[:size].reshape(shape)
        counts = self._counts[:, :size].reshape(_QUARTERS, *shape)
        for words, wanted, count in zip(codes, group.queries[:, :, :1], counts, strict=True):
            np.bitwise_xor(words, wanted, out=differing)
            np.bitwise_count(differing, out=count.view(np.uint8))
        sums = np.add(counts[2:], counts[:2], out=self._sums[:, :size].reshape(2, *shape))
        sums -= _HALF_OF_TWO
        if group.forms == 1:
            # 256 differing bits overflow to -128. This costs an exact count, but misses no code.
            nearest = np.add(sums[0], sums[1], out=sums[0])
        else:
            # For each pair of forms that differ by mirroring, this is the nearer form.
            differences = self._differences[:, :size].reshape(2, *shape)
            np.subtract(counts[2:], counts[:2], out=differences)
            for first, second in (sums, differences):
                np.absolute(first, out=first)
                np.subtract(second, first, out=second)
            nearest = np.minimum(sums[1], differences[1], out=sums[1])
        reach = group.reach - _UNRELATED
        if nearest.min() > reach.max():
            return _NONE, _NONE
        rows, places = np.nonzero(nearest <= reach[:, np.newaxis])
        return rows, places


def _grouped(queries: Words, radius: int) -> list[_QueryGroup]:
    """The queries in two groups: pictures in four forms, and the remaining queries one by one."""
    count, forms = queries.shape[1], len(_FORMS)
    reach = radius + _form_tolerances(queries)
    fours, singles, number = [], [], 0
    while number < count:
        if number < len(reach) and reach[number] <= _MAX_REACH:
            fours.append(number)
            number += forms
        else:
            singles.append(number)
            number += 1
    first = np.array(fours, np.int64)
    numbers = first[:, np.newaxis] + np.arange(forms)
    exact = np.full(len(singles), min(radius, 2 * _UNRELATED - 1))
    return [
        _QueryGroup(queries[:, numbers], first, reach[first]),
        _QueryGroup(queries[:, singles, np.newaxis], np.array(singles, np.int64), exact),
    ]


def _form_tolerances(queries: Words) -> NDArray[np.int64]:
    """For each query and the three queries after it: in how many bits at most one of them differs
    from the first query with the form's quarters inverted."""
    if queries.shape[1] < len(_FORMS):
        return _NONE
    fours = np.lib.stride_tricks.sliding_window_view(queries, len(_FORMS), axis=1)
    differing = fours ^ fours[:, :, :1] ^ _FORMS[:, np.newaxis, :]
    bits: NDArray[np.int64] = np.bitwise_count(differing).sum(axis=0, dtype=np.int64).max(axis=1)
    return bits
