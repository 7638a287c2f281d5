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

from collections.abc import Iterator, Sequence
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

#: Codes that are looked through at once, with the position of the first.
Piece = tuple[int, Words]

_NOWHERE = np.empty(0, np.int64)

NO_HITS: Hits = (_NOWHERE, _NOWHERE, _NOWHERE)

#: So many codes lie together in memory.
BLOCK_CODES = 131_072

#: So many comparisons are made at once: what is counted for them stays in the processor's cache,
#: and Python's own time does not show.
_AT_ONCE = 131_072

#: For so many queries, or pictures in four forms, if there are as many.
_QUERIES_AT_ONCE = 4

_QUARTERS = 4

#: Half of the bits of two quarters.
_HALF_OF_TWO = 64

#: How far codes are from each other that have nothing to do with each other, give or take 8.
_UNLIKE = 128

#: Up to this distance there are few of a million codes that have nothing to do with the query.
_MAX_REACH = 112

_ODD_COLUMNS, _EVEN_COLUMNS = 0xAAAA, 0x5555

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
    lines = np.ascontiguousarray(codes).view(">u2")
    words = np.empty((2, 2, len(codes), 4), np.uint16)
    for even in (0, 1):
        # Two lines, with every other bit each, make one.
        one, other = lines[:, even::4], lines[:, even + 2 :: 4]
        words[even, 0] = one & _ODD_COLUMNS | (other & _ODD_COLUMNS) >> 1
        words[even, 1] = (one & _EVEN_COLUMNS) << 1 | other & _EVEN_COLUMNS
    quarters: Words = words.view(np.uint64).reshape(_QUARTERS, len(codes))
    return quarters


def empty_block() -> Words:
    """Room for ``BLOCK_CODES`` codes."""
    return np.empty((_QUARTERS, BLOCK_CODES), np.uint64)


class Search:
    """A search for all codes within ``radius`` bits of any of the queries. Queries that are the
    forms of one picture are best given one after the other, in the order of ``pdq.FORMS``. Any
    thread may use it."""

    def __init__(self, queries: Codes, radius: int) -> None:
        self._radius = radius
        self._sought = _sought(words_of(queries), radius)

    @property
    def passes(self) -> int:
        """How often each code is looked at."""
        return sum(len(each.numbers) for each in self._sought)

    def pieces(self, blocks: Sequence[Words], count: int, threads: int) -> list[Piece]:
        """The first ``count`` codes in these blocks, in pieces to look through at once; not so
        large that there is nothing for one of so many threads."""
        largest = _AT_ONCE // min(max(self.passes, 1), _QUERIES_AT_ONCE)
        found = []
        for begin, block in zip(range(0, count, BLOCK_CODES), blocks, strict=True):
            codes = block[:, : count - begin]
            size = codes.shape[1]
            step = min(largest, -(-size // threads))
            found += [(begin + at, codes[:, at : at + step]) for at in range(0, size, step)]
        return found

    def hits(self, pieces: Iterator[Piece]) -> Hits:
        """The hits in these pieces. Several threads may share an iterator of a list: each takes
        the next piece, however fast its core is."""
        found = [NO_HITS]
        scratch = _Scratch()
        for start, piece in pieces:
            for each in self._sought:
                for some in each.parts(max(1, _AT_ONCE // piece.shape[1])):
                    rows, places = scratch.near(piece, some)
                    if places.size:
                        at, numbers, distances = some.counted_exactly(piece, rows, places)
                        near = distances <= self._radius
                        found.append((start + at[near], numbers[near], distances[near]))
        return joined(found)


def joined(hits: Sequence[Hits]) -> Hits:
    """All of these hits, of which there is at least one set."""
    places, queries, distances = (np.concatenate(parts) for parts in zip(*hits, strict=True))
    return places, queries, distances


@dataclass(frozen=True, slots=True)
class _Sought:
    """What is looked for together: queries, or pictures in four forms. ``queries`` has, for each
    quarter, a row for each picture, of its forms. ``numbers`` are the places of the first forms
    among all queries, ``reach`` the bits up to which a code may be near to one of them."""

    queries: Words
    numbers: NDArray[np.int64]
    reach: NDArray[np.int64]

    @property
    def forms(self) -> int:
        """How many forms each of the pictures has."""
        return int(self.queries.shape[2])

    def parts(self, size: int) -> Iterator[_Sought]:
        """So many of them at a time."""
        for start in range(0, len(self.numbers), size):
            part = slice(start, start + size)
            yield _Sought(self.queries[:, part], self.numbers[part], self.reach[part])

    def counted_exactly(
        self, piece: Words, rows: NDArray[np.int64], places: NDArray[np.int64]
    ) -> Hits:
        """The distances of the codes in these places from each form of the pictures in these
        rows."""
        differing = piece[:, places, np.newaxis] ^ self.queries[:, rows]
        distances = np.bitwise_count(differing).sum(axis=0, dtype=np.int64).ravel()
        numbers = self.numbers[rows, np.newaxis] + np.arange(self.forms)
        return np.repeat(places, self.forms), numbers.ravel(), distances


class _Scratch:
    """Where it is counted, in memory that serves again and again: it is larger than what the
    allocator keeps at hand, and to get it anew takes longer than to count."""

    def __init__(self) -> None:
        self._differing = np.empty(_AT_ONCE, np.uint64)
        self._counts = np.empty((_QUARTERS, _AT_ONCE), np.int8)
        self._sums = np.empty((2, _AT_ONCE), np.int8)
        self._differences = np.empty((2, _AT_ONCE), np.int8)

    def near(self, piece: Words, sought: _Sought) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Which of what is sought may be near to which code of the piece: their rows and places.
        All is counted in bytes, from half of the bits on: -128 is none that differs."""
        shape = len(sought.numbers), piece.shape[1]
        size = shape[0] * shape[1]
        differing = self._differing[:size].reshape(shape)
        counts = self._counts[:, :size].reshape(_QUARTERS, *shape)
        for words, wanted, count in zip(piece, sought.queries[:, :, :1], counts, strict=True):
            np.bitwise_xor(words, wanted, out=differing)
            np.bitwise_count(differing, out=count.view(np.uint8))
        sums = np.add(counts[2:], counts[:2], out=self._sums[:, :size].reshape(2, *shape))
        sums -= _HALF_OF_TWO
        if sought.forms == 1:
            # All 256 are 128 as well as -128 in a byte: a needless look, and no code is missed.
            nearest = np.add(sums[0], sums[1], out=sums[0])
        else:
            # As it is and mirrored, then turned over and both: first + second, second - first.
            differences = self._differences[:, :size].reshape(2, *shape)
            np.subtract(counts[2:], counts[:2], out=differences)
            for first, second in (sums, differences):
                np.absolute(first, out=first)
                np.subtract(second, first, out=second)
            nearest = np.minimum(sums[1], differences[1], out=sums[1])
        reach = sought.reach - _UNLIKE
        if nearest.min() > reach.max():
            return _NOWHERE, _NOWHERE
        rows, places = np.nonzero(nearest <= reach[:, np.newaxis])
        return rows, places


def _sought(queries: Words, radius: int) -> list[_Sought]:
    """The queries as they are looked for: as pictures in four forms where they are that, the rest
    one by one."""
    count, at_once = queries.shape[1], len(_FORMS)
    reach = radius + _granted(queries)
    fours, singles, number = [], [], 0
    while number < count:
        if number < len(reach) and reach[number] <= _MAX_REACH:
            fours.append(number)
            number += at_once
        else:
            singles.append(number)
            number += 1
    of_fours = np.array(fours, np.int64)
    forms = of_fours[:, np.newaxis] + np.arange(at_once)
    alone = np.full(len(singles), min(radius, 2 * _UNLIKE - 1))
    return [
        _Sought(queries[:, forms], of_fours, reach[of_fours]),
        _Sought(queries[:, singles, np.newaxis], np.array(singles, np.int64), alone),
    ]


def _granted(queries: Words) -> NDArray[np.int64]:
    """For each four of the queries that come one after the other: the most bits by which one of
    them is not what the first would become as that form."""
    if queries.shape[1] < len(_FORMS):
        return _NOWHERE
    fours = np.lib.stride_tricks.sliding_window_view(queries, len(_FORMS), axis=1)
    differing = fours ^ fours[:, :, :1] ^ _FORMS[:, np.newaxis, :]
    bits: NDArray[np.int64] = np.bitwise_count(differing).sum(axis=0, dtype=np.int64).max(axis=1)
    return bits
