"""Exact search for the nearest of many codes, in memory.

The codes lie in one array; what scans it is faiss (ten times as fast) or numpy (a tenth of the
memory while there are few codes). Both give the same answers.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.features import CODE_BYTES

Codes = NDArray[np.uint8]
Keys = NDArray[np.int64]

#: Position of each hit in the codes, which of the queries it is, and its distance in bits. A
#: position may come up repeatedly, once for each query.
Hits = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]

#: Finds the codes within ``radius`` bits: ``scan(codes, queries, radius)``.
Scan = Callable[[Codes, Codes, int], Hits]

#: From this many codes on, faiss is worth its 14 MiB: numpy takes 4 ms for this many.
FAISS_FROM = 16_384

#: So many comparisons one core makes in some 5 ms.
_ALONE_UP_TO = 4_000_000

_BLOCK_CODES = 16_384
_FIRST_CAPACITY = 256
_GROWTH = 1.25

#: The place of a code that was removed.
_GONE = -1


class CodeIndex:
    """Codes, each with a key of its own. Not safe for several threads at once.

    Adding and removing take the same time however many there are: the last code moves into the
    place of one that is removed. Where a key's code lies is found by halving, in a table that has
    the keys in the order in which they came: 16 bytes a code, where a dictionary takes 100. A key
    that is gone keeps its line there until the table would have to grow.
    """

    def __init__(self, scan: Scan | None = None) -> None:
        """``scan`` is what searches; by default whatever is best for the number of codes."""
        self._scan = scan
        self._codes = np.empty((_FIRST_CAPACITY, CODE_BYTES), np.uint8)
        self._line_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._count = 0
        self._keys = np.empty(_FIRST_CAPACITY, np.int64)
        self._place_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._lines = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        arrays = (self._codes, self._line_of, self._keys, self._place_of)
        return sum(array.nbytes for array in arrays)

    def add(self, keys: Keys, codes: Codes) -> None:
        """Add codes (one a row), each under the key at the same place in ``keys``: larger than
        every key before it."""
        added = len(keys)
        self._make_room(added)
        places = np.arange(self._count, self._count + added)
        lines = np.arange(self._lines, self._lines + added)
        self._codes[places], self._line_of[places] = codes, lines
        self._keys[lines], self._place_of[lines] = keys, places
        self._count += added
        self._lines += added

    def remove(self, key: int) -> None:
        """Remove the code under this key, if there is one."""
        line = int(np.searchsorted(self._keys[: self._lines], key))
        if line == self._lines or self._keys[line] != key or self._place_of[line] == _GONE:
            return
        place, last = self._place_of[line], self._count - 1
        self._codes[place] = self._codes[last]
        self._line_of[place] = self._line_of[last]
        self._place_of[self._line_of[place]] = place
        self._place_of[line] = _GONE
        self._count = last

    def search(self, queries: Codes, radius: int) -> Hits:
        """All codes within ``radius`` bits of a query: the key of each, the query's place among
        the queries, and the distance. In no order."""
        scan = self._scan or best_scan(self._count)
        places, asked, distances = scan(self._codes[: self._count], queries, radius)
        return self._keys[self._line_of[places]], asked, distances

    def _make_room(self, added: int) -> None:
        # In place (nobody has a view of them between two calls): copies of this size, made and
        # left again and again, would stay with the process as holes in its memory.
        if self._count + added > len(self._codes):
            capacity = max(self._count + added, int(len(self._codes) * _GROWTH))
            self._codes.resize((capacity, CODE_BYTES), refcheck=False)
            self._line_of.resize(capacity, refcheck=False)
        if self._lines + added > len(self._keys):
            self._drop_lines()
            if self._lines + added > len(self._keys) / _GROWTH:
                capacity = int((self._lines + added) * _GROWTH)
                self._keys.resize(capacity, refcheck=False)
                self._place_of.resize(capacity, refcheck=False)

    def _drop_lines(self) -> None:
        """Leave out the lines of keys that are gone."""
        kept = np.flatnonzero(self._place_of[: self._lines] != _GONE)
        self._lines = len(kept)
        self._keys[: self._lines] = self._keys[kept]
        self._place_of[: self._lines] = self._place_of[kept]
        self._line_of[self._place_of[: self._lines]] = np.arange(self._lines)


def best_scan(count: int) -> Scan:
    """What to search this many codes with."""
    if count < FAISS_FROM:
        return scan_with_numpy
    try:
        # Late, because it takes 14 MiB and 0.1 s, which only large collections pay back; numpy
        # does for all where it can't be had.
        import faiss  # noqa: F401
    except ImportError:
        return scan_with_numpy
    return scan_with_faiss


def scan_with_numpy(codes: Codes, queries: Codes, radius: int) -> Hits:
    """Counts the bits block by block, so that all stays in the processor's cache: of the first
    eight bytes of each code, then of the next, so that there is no sum over short rows."""
    none = np.empty(0, np.int64)
    places, numbers, distances = [none], [none], [none]
    words, asked = codes.view(np.uint64), np.ascontiguousarray(queries).view(np.uint64)
    for start in range(0, len(words), _BLOCK_CODES):
        block = words[start : start + _BLOCK_CODES]
        parts = np.ascontiguousarray(block.T)
        for number, query in enumerate(asked):
            bits = np.zeros(len(block), np.uint8)
            for part, wanted in zip(parts, query, strict=True):
                bits += np.bitwise_count(part ^ wanted)
            near = np.flatnonzero(bits <= radius)
            if near.size:
                # Counted again: 256 differing bits are 0 in a byte.
                exactly = np.bitwise_count(block[near] ^ query).sum(axis=1, dtype=np.int64)
                near, exactly = near[exactly <= radius], exactly[exactly <= radius]
                places.append(near + start)
                numbers.append(np.full(near.size, number))
                distances.append(exactly)
    return np.concatenate(places), np.concatenate(numbers), np.concatenate(distances)


def scan_with_faiss(codes: Codes, queries: Codes, radius: int) -> Hits:
    """The scan inside faiss's ``IndexBinaryFlat``, on our own array: no second copy of the codes,
    and removing one needs none of its moves."""
    import faiss  # late: see best_scan

    queries = np.ascontiguousarray(queries)
    # For this thread only: a search of a few milliseconds is not worth waking the other cores.
    is_long = len(queries) * len(codes) > _ALONE_UP_TO
    faiss.omp_set_num_threads((os.cpu_count() or 1) if is_long else 1)
    result = faiss.RangeSearchResult(len(queries))
    faiss.hamming_range_search(
        faiss.swig_ptr(queries),
        faiss.swig_ptr(codes),
        len(queries),
        len(codes),
        radius + 1,  # it takes what is strictly below
        CODE_BYTES,
        result,
    )
    ends = faiss.rev_swig_ptr(result.lims, len(queries) + 1).astype(np.int64)
    count = int(ends[-1])
    if not count:
        none = np.empty(0, np.int64)
        return none, none, none
    places = faiss.rev_swig_ptr(result.labels, count).astype(np.int64)
    distances = faiss.rev_swig_ptr(result.distances, count).astype(np.int64)
    return places, np.repeat(np.arange(len(queries)), np.diff(ends)), distances
