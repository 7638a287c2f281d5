"""Exact search for the nearest of many codes, in memory.

The codes lie in one array; what scans it is faiss (ten times as fast) or numpy (a tenth of the
memory while there are few codes). Both give the same answers.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.features import CODE_BYTES

Codes = NDArray[np.uint8]
Keys = NDArray[np.int64]

#: Position of each hit in the codes, and its distance in bits. A position may come up repeatedly,
#: once for each code that was asked for.
Hits = tuple[NDArray[np.int64], NDArray[np.int64]]

#: Finds the codes within ``radius`` bits: ``scan(codes, queries, radius)``.
Scan = Callable[[Codes, Codes, int], Hits]

#: From this many codes on, faiss is worth its 14 MiB: numpy takes 4 ms for this many.
FAISS_FROM = 16_384

_BLOCK_CODES = 16_384
_FIRST_CAPACITY = 256
_GROWTH = 1.25


class CodeIndex:
    """Codes, each with a key; several may have the same. Not safe for several threads at once."""

    def __init__(self, scan: Scan | None = None) -> None:
        """``scan`` is what searches; by default whatever is best for the number of codes."""
        self._scan = scan
        self._codes = np.empty((_FIRST_CAPACITY, CODE_BYTES), np.uint8)
        self._keys = np.empty(_FIRST_CAPACITY, np.int64)
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def add(self, keys: Keys, codes: Codes) -> None:
        """Add codes (one a row), each under the key at the same place in ``keys``."""
        count = self._count + len(keys)
        if count > len(self._keys):
            capacity = max(count, int(len(self._keys) * _GROWTH))
            # In place (nobody has a view of them between two calls): copies of this size, made and
            # left again and again, would stay with the process as holes in its memory.
            self._codes.resize((capacity, CODE_BYTES), refcheck=False)
            self._keys.resize(capacity, refcheck=False)
        self._keys[self._count : count] = keys
        self._codes[self._count : count] = codes
        self._count = count

    def remove(self, key: int) -> None:
        """Remove every code under this key; there may be none."""
        places = np.flatnonzero(self._keys[: self._count] == key)
        # From the last on, so that the code moved into a hole is never one to be removed.
        for place in places[::-1]:
            self._count -= 1
            self._keys[place] = self._keys[self._count]
            self._codes[place] = self._codes[self._count]

    def search(self, queries: Codes, radius: int) -> dict[int, int]:
        """The smallest distance in bits of any query to any code under each key, if it is within
        ``radius``."""
        scan = self._scan or best_scan(self._count)
        places, distances = scan(self._codes[: self._count], queries, radius)
        # The farthest first: the dictionary keeps what came last, which is the nearest.
        order = np.argsort(-distances, kind="stable")
        keys = self._keys[places[order]]
        return dict(zip(keys.tolist(), distances[order].tolist(), strict=True))


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
    """Counts the bits block by block, so that the counts stay in the processor's cache."""
    places: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    distances: list[NDArray[np.int64]] = [np.empty(0, np.int64)]
    words, asked = codes.view(np.uint64), np.ascontiguousarray(queries).view(np.uint64)
    for start in range(0, len(words), _BLOCK_CODES):
        block = words[start : start + _BLOCK_CODES]
        for query in asked:
            bits = np.einsum("ij->i", np.bitwise_count(block ^ query), dtype=np.uint16)
            near = np.flatnonzero(bits <= radius)
            if near.size:
                places.append(near + start)
                distances.append(bits[near].astype(np.int64))
    return np.concatenate(places), np.concatenate(distances)


def scan_with_faiss(codes: Codes, queries: Codes, radius: int) -> Hits:
    """The scan inside faiss's ``IndexBinaryFlat``, on our own array: no second copy of the codes,
    and removing one needs none of its moves."""
    import faiss  # late: see best_scan

    queries = np.ascontiguousarray(queries)
    # For this thread only: a search of a few milliseconds is not worth waking the other cores.
    faiss.omp_set_num_threads(1)
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
    count = int(faiss.rev_swig_ptr(result.lims, len(queries) + 1)[-1])
    if not count:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    places = faiss.rev_swig_ptr(result.labels, count).astype(np.int64)
    distances = faiss.rev_swig_ptr(result.distances, count).astype(np.int64)
    return places, distances
