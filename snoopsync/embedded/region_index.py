"""The codes of regions in memory, and a search for the pictures that have near ones.

The codes are sorted by their longest waves, which a crop or another size hardly changes. A search
looks up each code of the picture in each form, with no, one or two of these bits inverted, and
compares the codes at these places completely. So it finds exactly the codes that differ in at most
two bits of the longest waves and in at most ``MAX_BITS`` in all, and compares one in 9,000.
"""

from __future__ import annotations

import itertools
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding.features import INDEXED_REGIONS
from snoopsync.decoding.regions import LONG_WAVES, codes_of_forms
from snoopsync.embedded.region_pairs import MAX_BITS, MIN_EVIDENCE, MOST_EVIDENCE

Marks = NDArray[np.int64]
RegionCodes = NDArray[np.uint64]
_Rows = NDArray[np.int32]

#: The first bit is that of the mean, which is always 0.
_KEYS = 1 << (LONG_WAVES - 1)

#: How many bits of the longest waves may differ.
_MAX_INVERTED = 2

#: So many new codes are compared one by one. If there are more, they are sorted.
_MOST_UNSORTED = 2_048

#: So many new codes are sorted at once. This limits the memory of a start.
_MOST_SORTED = 1 << 20

#: How many codes are looked up at once. This limits the memory of a search.
_AT_ONCE = 32

#: When more than this share of the images was removed, their codes are dropped.
_MAX_REMOVED_SHARE = 0.25


class RegionIndex:
    """The first ``INDEXED_REGIONS`` codes of each image, under the image's mark. Not
    thread-safe."""

    def __init__(self) -> None:
        self._marks = np.empty(0, np.int64)
        self._is_removed = np.empty(0, np.bool_)
        #: Codes in the order of their keys, the row of each one's image in ``_marks``, and where
        #: the codes of each key begin: empty as long as no codes were sorted.
        self._codes = np.empty(0, np.uint64)
        self._rows = np.empty(0, np.int32)
        self._starts = np.empty(0, np.int32)
        #: Codes that were added since, and their rows.
        self._new_codes: list[RegionCodes] = []
        self._new_rows: list[_Rows] = []
        self._new = 0

    def __len__(self) -> int:
        """The number of codes."""
        return len(self._codes) + self._new

    @property
    def size_bytes(self) -> int:
        """The size of the codes and the tables in memory."""
        arrays = (self._marks, self._is_removed, self._codes, self._rows, self._starts)
        return sum(each.nbytes for each in arrays) + 12 * self._new

    def add(self, marks: Marks, codes: RegionCodes) -> None:
        """Add the codes of images, whose marks must be ascending and larger than all earlier ones:
        a row of ``INDEXED_REGIONS`` codes for each image, of which 0 is none."""
        has_codes = codes.any(axis=1)
        marks, codes = marks[has_codes], codes[has_codes]
        if not len(marks):
            return
        rows = np.arange(len(self._marks), len(self._marks) + len(marks), dtype=np.int32)
        rows_of_codes: _Rows = rows.repeat(INDEXED_REGIONS)[codes.ravel() != 0]
        codes = codes[codes != 0]
        self._marks = np.concatenate([self._marks, marks])
        self._is_removed = np.concatenate([self._is_removed, np.zeros(len(marks), np.bool_)])
        self._new_codes.append(codes)
        self._new_rows.append(rows_of_codes)
        self._new += len(codes)
        if self._new > _MOST_SORTED:
            self._sort()

    def remove(self, mark: int) -> None:
        """Remove the codes of the image with this mark, if any."""
        row = int(np.searchsorted(self._marks, mark))
        if row < len(self._marks) and self._marks[row] == mark:
            self._is_removed[row] = True

    def prepare(self) -> None:
        """Sort the new codes if there are many, so that the next search does not have to."""
        if self._new > _MOST_UNSORTED:
            self._sort()
        elif len(self._new_codes) > 1:
            self._new_codes = [np.concatenate(self._new_codes)]
            self._new_rows = [np.concatenate(self._new_rows)]

    def search(self, codes: RegionCodes, most: int) -> Marks:
        """The marks of at most ``most`` images that may share a part with the picture that has
        these regions, those with the most evidence first. There are none with less than
        ``MIN_EVIDENCE``."""
        if not len(codes) or not len(self):
            return np.empty(0, np.int64)
        self.prepare()
        forms = codes_of_forms(codes)
        queries = forms.ravel()
        at_once = range(0, len(queries), _AT_ONCE) if len(self._codes) else ()
        found = [self._lookup(queries, at) for at in at_once]
        for new, rows in zip(self._new_codes, self._new_rows, strict=True):
            bits = np.bitwise_count(queries[:, np.newaxis] ^ new)
            numbers, places = np.nonzero(bits <= MAX_BITS)
            found.append((numbers, rows[places], bits[numbers, places]))
        numbers, rows, bits = (np.concatenate(each) for each in zip(*found, strict=True))
        is_present = ~self._is_removed[rows]
        found_rows, evidence = _evidence_of_rows(
            rows[is_present].astype(np.int64),
            numbers[is_present] // len(codes),
            numbers[is_present] % len(codes),
            bits[is_present].astype(np.int64),
        )
        best = np.lexsort((found_rows, -evidence))[:most]
        return self._marks[found_rows[best[evidence[best] >= MIN_EVIDENCE]]]

    def _lookup(
        self, queries: RegionCodes, first: int
    ) -> tuple[NDArray[np.int64], _Rows, NDArray[np.uint8]]:
        """The sorted codes near to some of the queries, from ``first`` on: the numbers of the
        queries, the rows of the images, and the differing bits."""
        keys = _keys_of(queries[first : first + _AT_ONCE])[:, np.newaxis] ^ _inversions()
        starts = self._starts[keys].ravel()
        counts = self._starts[keys + 1].ravel() - starts
        used = np.flatnonzero(counts)
        starts, counts = starts[used], counts[used]
        ends = counts.cumsum(dtype=np.int64)
        # The places of all codes with these keys, one after another.
        places = np.arange(counts.sum(dtype=np.int64)) + np.repeat(starts - ends + counts, counts)
        numbers = np.repeat(first + used // keys.shape[1], counts)
        bits = np.bitwise_count(self._codes[places] ^ queries[numbers])
        near = np.flatnonzero(bits <= MAX_BITS)
        return numbers[near], self._rows[places[near]], bits[near]

    def _sort(self) -> None:
        """Move the new codes to the sorted ones."""
        codes, rows = np.concatenate(self._new_codes), np.concatenate(self._new_rows)
        self._new_codes, self._new_rows, self._new = [], [], 0
        if self._is_removed.mean() > _MAX_REMOVED_SHARE:
            codes, rows = self._without_removed(
                np.concatenate([self._codes, codes]), np.concatenate([self._rows, rows])
            )
            self._codes, self._rows = self._codes[:0], self._rows[:0]
            self._starts = np.empty(0, np.int32)
        if not len(self._starts):
            self._starts = np.zeros(_KEYS + 1, np.int32)
        keys = _keys_of(codes)
        order = _order_of(keys)
        if len(self._codes):
            places = self._starts[keys[order] + 1]
            self._codes = np.insert(self._codes, places, codes[order])
            self._rows = np.insert(self._rows, places, rows[order])
        else:
            self._codes, self._rows = codes[order], rows[order]
        self._starts[1:] += np.bincount(keys, minlength=_KEYS).cumsum().astype(np.int32)

    def _without_removed(self, codes: RegionCodes, rows: _Rows) -> tuple[RegionCodes, _Rows]:
        """Forget the removed images. Returns the codes of the others, and their new rows."""
        kept = ~self._is_removed
        new_rows = (kept.cumsum() - 1).astype(np.int32)
        is_kept = kept[rows]
        self._marks, self._is_removed = self._marks[kept], self._is_removed[kept]
        return codes[is_kept], new_rows[rows[is_kept]]


def _keys_of(codes: RegionCodes) -> NDArray[np.int64]:
    """The bits of the longest waves."""
    keys: NDArray[np.int64] = (codes >> np.uint64(1) & np.uint64(_KEYS - 1)).astype(np.int64)
    return keys


@lru_cache(maxsize=1)
def _inversions() -> NDArray[np.int64]:
    """All keys with at most ``_MAX_INVERTED`` bits."""
    bits = [1 << bit for bit in range(LONG_WAVES - 1)]
    chosen = (itertools.combinations(bits, count) for count in range(_MAX_INVERTED + 1))
    return np.array([sum(each) for each in itertools.chain.from_iterable(chosen)], np.int64)


def _order_of(keys: NDArray[np.int64]) -> NDArray[np.int64]:
    """The order of these keys. Numpy sorts numbers of 16 bits in a fraction of the time of others,
    so the lower and the upper bits are sorted one after the other."""
    lower = np.argsort((keys & 0xFFFF).astype(np.uint16), kind="stable")
    upper = np.argsort((keys >> 16).astype(np.uint16)[lower], kind="stable")
    order: NDArray[np.int64] = lower[upper]
    return order


def _evidence_of_rows(
    rows: NDArray[np.int64],
    forms: NDArray[np.int64],
    regions: NDArray[np.int64],
    bits: NDArray[np.int64],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows, each once, and the evidence for each of them: that of the form with the most, in
    which each region of the picture counts once."""
    if not len(rows):
        return rows, bits
    order = np.lexsort((bits, regions, forms, rows))
    rows, forms, regions, bits = (each[order] for each in (rows, forms, regions, bits))
    is_other_form = np.diff(rows, prepend=-1).astype(np.bool_) | np.diff(forms, prepend=-1).astype(
        np.bool_
    )
    counts = is_other_form | np.diff(regions, prepend=-1).astype(np.bool_)
    weights = np.where(counts, MOST_EVIDENCE - bits, 0)
    first = np.flatnonzero(is_other_form)
    of_form = np.add.reduceat(weights, first)
    rows = rows[first]
    first = np.flatnonzero(np.diff(rows, prepend=-1))
    return rows[first], np.maximum.reduceat(of_form, first)
