"""Stores codes in memory under keys, and searches them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.hamming import (
    BLOCK_CODES,
    Codes,
    HammingSearch,
    Hits,
    Words,
    chunks_of,
    empty_block,
    joined,
    words_of,
)
from snoopsync.embedded.sketches import VariantSearch, sketches_of

Keys = NDArray[np.int64]

#: One core makes this many comparisons in about 5 ms. For fewer, other cores are not worth using.
_ONE_CORE_COMPARISONS = 1_000_000

#: Searching a code for all variants takes as long as this many comparisons of ``HammingSearch``.
_COMPARISONS_FOR_VARIANTS = 8

_FIRST_CAPACITY = 256
_GROWTH = 1.25

#: The first block of a small index has this size, and is copied to a larger one when it is full. A
#: service may have hundreds of small collections, and a whole block takes 4 MiB.
_SMALL_BLOCK_CODES = 1024
_BLOCK_GROWTH = 8

#: The place of a code that was removed.
_REMOVED = -1


_Chunk = TypeVar("_Chunk")


class CodeIndex:
    """Codes, each under its own key. Not thread-safe.

    Adding and removing take constant time, because the last code moves to the place of a removed
    code. A table lists the keys in ascending order, which is the order of adding, with the place of
    each code. A binary search in the table finds a key. The table takes 16 bytes for each code; a
    dictionary would take 100. The line of a removed key stays in the table until the table would
    have to grow.
    """

    def __init__(self) -> None:
        self._blocks: list[Words] = []
        self._line_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._sketches = np.empty(_FIRST_CAPACITY, np.uint64)
        self._count = 0
        self._keys = np.empty(_FIRST_CAPACITY, np.int64)
        self._place_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._lines = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """The size in memory of the codes and the tables."""
        tables = (self._line_of, self._sketches, self._keys, self._place_of)
        return sum(each.nbytes for each in self._blocks) + sum(each.nbytes for each in tables)

    def add(self, keys: Keys, codes: Codes) -> None:
        """Add codes (one in each row) under ``keys``, which must be ascending and larger than all
        earlier keys."""
        added = len(keys)
        self._make_room(added)
        places = np.arange(self._count, self._count + added)
        lines = np.arange(self._lines, self._lines + added)
        self._line_of[places] = lines
        self._sketches[places] = sketches_of(codes)
        self._keys[lines], self._place_of[lines] = keys, places
        self._append(words_of(codes))
        self._lines += added

    def remove(self, key: int) -> bool:
        """Remove the code under this key. Returns whether there was one."""
        line = int(np.searchsorted(self._keys[: self._lines], key))
        if line == self._lines or self._keys[line] != key or self._place_of[line] == _REMOVED:
            return False
        place, last = int(self._place_of[line]), self._count - 1
        self._code_at(place)[:] = self._code_at(last)
        self._line_of[place] = self._line_of[last]
        self._sketches[place] = self._sketches[last]
        self._place_of[self._line_of[place]] = place
        self._place_of[line] = _REMOVED
        self._count = last
        del self._blocks[-(-last // BLOCK_CODES) :]
        return True

    def search(self, queries: Codes, radius: int) -> Hits:
        """All codes within ``radius`` bits of a query, in any order. For each hit: the key of the
        code, the position of the query, and the distance in bits."""
        search = HammingSearch(queries, radius)
        cores = _cores(search.passes * self._count)
        chunks = search.chunks(self._blocks, self._count, cores)
        return self._hits(search.hits, chunks, cores)

    def search_variants(self, variants: Codes, radius: int, pictures: int = 1) -> Hits:
        """As ``search``, for the codes of all variants of so many ``pictures``, one picture after
        another. Codes whose sketch is not near to those of a group of variants are left out."""
        search = VariantSearch(variants, radius, pictures)
        cores = _cores(_COMPARISONS_FOR_VARIANTS * pictures * self._count)
        chunks = [
            (start, words, self._sketches[start : start + words.shape[1]])
            for start, words in chunks_of(self._blocks, self._count, BLOCK_CODES, cores)
        ]
        return self._hits(search.hits, chunks, cores)

    def _hits(
        self, search: Callable[[Iterator[_Chunk]], Hits], chunks: list[_Chunk], cores: int
    ) -> Hits:
        """What ``search`` finds in these chunks with this many threads, under the codes' keys."""
        shared = iter(chunks)
        if cores == 1:
            places, numbers, distances = search(shared)
            return self._keys[self._line_of[places]], numbers, distances
        with ThreadPoolExecutor(cores) as threads:
            elsewhere = threads.map(search, [shared] * (cores - 1))
            places, numbers, distances = joined([search(shared), *elsewhere])
        return self._keys[self._line_of[places]], numbers, distances

    def _append(self, words: Words) -> None:
        while words.size:
            block, at = self._block_with_room()
            part = words[:, : block.shape[1] - at]
            taken = part.shape[1]
            block[:, at : at + taken] = part
            self._count += taken
            words = words[:, taken:]

    def _block_with_room(self) -> tuple[Words, int]:
        """The block for the next code, and the column of that code."""
        number, at = divmod(self._count, BLOCK_CODES)
        if number == len(self._blocks):
            self._blocks.append(empty_block(BLOCK_CODES if number else _SMALL_BLOCK_CODES))
        elif at == self._blocks[number].shape[1]:
            larger = empty_block(min(BLOCK_CODES, _BLOCK_GROWTH * at))
            larger[:, :at] = self._blocks[number]
            self._blocks[number] = larger
        return self._blocks[number], at

    def _code_at(self, place: int) -> Words:
        number, at = divmod(place, BLOCK_CODES)
        return self._blocks[number][:, at]

    def _make_room(self, added: int) -> None:
        # The arrays are resized in place, since nothing refers to them between two calls. If copies
        # of this size were made and freed repeatedly, they would fragment the process's memory.
        if self._count + added > len(self._line_of):
            capacity = max(self._count + added, int(len(self._line_of) * _GROWTH))
            self._line_of.resize(capacity, refcheck=False)
            self._sketches.resize(capacity, refcheck=False)
        if self._lines + added > len(self._keys):
            self._compact_table()
            if self._lines + added > len(self._keys) / _GROWTH:
                capacity = int((self._lines + added) * _GROWTH)
                self._keys.resize(capacity, refcheck=False)
                self._place_of.resize(capacity, refcheck=False)

    def _compact_table(self) -> None:
        """Remove the lines of removed keys from the table."""
        kept = np.flatnonzero(self._place_of[: self._lines] != _REMOVED)
        self._lines = len(kept)
        self._keys[: self._lines] = self._keys[kept]
        self._place_of[: self._lines] = self._place_of[kept]
        self._line_of[self._place_of[: self._lines]] = np.arange(self._lines)


def _cores(comparisons: int) -> int:
    """How many cores a search with this many comparisons uses."""
    return (os.cpu_count() or 1) if comparisons > _ONE_CORE_COMPARISONS else 1
