"""Exact search for the nearest of many codes, in memory."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.hamming import (
    BLOCK_CODES,
    Codes,
    Hits,
    Search,
    Words,
    empty_block,
    joined,
    words_of,
)

Keys = NDArray[np.int64]

#: So many codes are looked through (once for each pass) by one core in some 5 ms. For less, other
#: cores are not worth waking.
_ALONE_UP_TO = 1_000_000

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

    def __init__(self) -> None:
        self._blocks: list[Words] = []
        self._line_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._count = 0
        self._keys = np.empty(_FIRST_CAPACITY, np.int64)
        self._rel_path_of = np.empty(_FIRST_CAPACITY, np.int32)
        self._lines = 0

    def __len__(self) -> int:
        return self._count

    @property
    def size_bytes(self) -> int:
        """The memory that it takes."""
        tables = (self._line_of, self._keys, self._rel_path_of)
        return sum(each.nbytes for each in self._blocks) + sum(each.nbytes for each in tables)

    def add(self, keys: Keys, codes: Codes) -> None:
        """Add codes (one a row), each under the key at the same place in ``keys``: larger than
        every key before it."""
        added = len(keys)
        self._make_room(added)
        places = np.arange(self._count, self._count + added)
        lines = np.arange(self._lines, self._lines + added)
        self._line_of[places] = lines
        self._keys[lines], self._rel_path_of[lines] = keys, places
        self._append(words_of(codes))
        self._lines += added

    def remove(self, key: int) -> None:
        """Remove the code under this key, if there is one."""
        line = int(np.searchsorted(self._keys[: self._lines], key))
        if line == self._lines or self._keys[line] != key or self._rel_path_of[line] == _GONE:
            return
        place, last = int(self._rel_path_of[line]), self._count - 1
        self._code_at(place)[:] = self._code_at(last)
        self._line_of[place] = self._line_of[last]
        self._rel_path_of[self._line_of[place]] = place
        self._rel_path_of[line] = _GONE
        self._count = last
        del self._blocks[-(-last // BLOCK_CODES) :]

    def search(self, queries: Codes, radius: int) -> Hits:
        """All codes within ``radius`` bits of a query: the key of each, the query's place among
        the queries, and the distance. In no order."""
        search = Search(queries, radius)
        is_long = search.passes * self._count > _ALONE_UP_TO
        cores = (os.cpu_count() or 1) if is_long else 1
        pieces = iter(search.pieces(self._blocks, self._count, cores))
        with ThreadPoolExecutor(cores) as threads:
            elsewhere = threads.map(search.hits, [pieces] * (cores - 1))
            places, asked, distances = joined([search.hits(pieces), *elsewhere])
        return self._keys[self._line_of[places]], asked, distances

    def _append(self, words: Words) -> None:
        while words.size:
            number, at = divmod(self._count, BLOCK_CODES)
            if number == len(self._blocks):
                self._blocks.append(empty_block())
            part = words[:, : BLOCK_CODES - at]
            taken = part.shape[1]
            self._blocks[number][:, at : at + taken] = part
            self._count += taken
            words = words[:, taken:]

    def _code_at(self, place: int) -> Words:
        number, at = divmod(place, BLOCK_CODES)
        return self._blocks[number][:, at]

    def _make_room(self, added: int) -> None:
        # In place (nobody has a view of them between two calls): copies of this size, made and
        # left again and again, would stay with the process as holes in its memory.
        if self._count + added > len(self._line_of):
            capacity = max(self._count + added, int(len(self._line_of) * _GROWTH))
            self._line_of.resize(capacity, refcheck=False)
        if self._lines + added > len(self._keys):
            self._drop_lines()
            if self._lines + added > len(self._keys) / _GROWTH:
                capacity = int((self._lines + added) * _GROWTH)
                self._keys.resize(capacity, refcheck=False)
                self._rel_path_of.resize(capacity, refcheck=False)

    def _drop_lines(self) -> None:
        """Leave out the lines of keys that are gone."""
        kept = np.flatnonzero(self._rel_path_of[: self._lines] != _GONE)
        self._lines = len(kept)
        self._keys[: self._lines] = self._keys[kept]
        self._rel_path_of[: self._lines] = self._rel_path_of[kept]
        self._line_of[self._rel_path_of[: self._lines]] = np.arange(self._lines)
