"""Searches for the variants of a picture, in an eighth of the time of comparing all codes with all.

The sketch of a code has its 64 bits for the longest waves, which are about coarse shapes. A crop or
a small rotation changes few of them, so variants that differ little have many of these bits in
common. The variants are divided into groups with nearly half of the sketch in common. A code that
is near to a variant of a group hardly differs in the common bits, while of unrelated codes one in
300 has so few differences. Only such codes are compared with each variant of the group completely.

This is not exact: of crops and small rotations that only a variant matches, it misses one in 600.
The search for the forms of a picture, in ``hamming``, is exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.hamming import BLOCK_CODES, NO_HITS, Codes, Hits, Words, joined, words_of

Sketches = NDArray[np.uint64]

#: Codes that are searched at once, with the position of the first one, and their sketches.
SketchedChunk = tuple[int, Words, Sketches]

#: How many bits the sketches of a group have in common, at least. With more, there are more groups,
#: and fewer matches are missed.
MIN_COMMON_BITS = 28

#: Unrelated codes differ in half of the common bits. A code is compared completely if it differs in
#: fewer, by at least this many standard deviations.
_DEVIATIONS = 2.75


def sketches_of(codes: Codes) -> Sketches:
    """The sketch of each code: eight bits of each of the first eight lines of its 16 x 16 waves."""
    sketches: Sketches = np.ascontiguousarray(codes[:, 0:16:2]).view(np.uint64).ravel()
    return sketches


@dataclass(frozen=True, slots=True)
class VariantGroup:
    """Variants with similar sketches.

    ``numbers``: their positions among all variants. ``sketch``: that of any of them. ``common``:
    the bits that are equal in all their sketches. ``reach``: in how many of these a code may differ
    to be compared completely.
    """

    numbers: NDArray[np.int64]
    sketch: np.uint64
    common: np.uint64
    reach: int


def grouped(sketches: Sketches) -> list[VariantGroup]:
    """The variants with these sketches in groups."""
    groups = []
    waiting = [np.arange(len(sketches))]
    while waiting:
        numbers = waiting.pop()
        members = sketches[numbers]
        common = ~(np.bitwise_or.reduce(members) ^ np.bitwise_and.reduce(members))
        bits = int(common).bit_count()
        if bits >= MIN_COMMON_BITS:
            reach = int((bits - _DEVIATIONS * math.sqrt(bits)) / 2)
            groups.append(VariantGroup(numbers, members[0], common, reach))
            continue
        # Divide the group: each variant goes to the nearer one of the two that differ most.
        differing = np.bitwise_count(members[:, np.newaxis] ^ members)
        one, other = np.unravel_index(differing.argmax(), differing.shape)
        is_nearer = differing[one] <= differing[other]
        waiting += [numbers[is_nearer], numbers[~is_nearer]]
    return groups


class VariantSearch:
    """A search for the codes within ``radius`` bits of any of the variants of some pictures, among
    those that hardly differ in the common bits of the variant's group. Thread-safe."""

    def __init__(self, variants: Codes, radius: int, pictures: int = 1) -> None:
        """``variants``: those of each of so many ``pictures``, one picture after another."""
        self._radius = radius
        self._words = words_of(variants)
        each = len(variants) // pictures
        self._groups = [
            replace(group, numbers=group.numbers + first)
            for first in range(0, len(variants), each or 1)
            for group in grouped(sketches_of(variants[first : first + each]))
        ]

    def hits(self, chunks: Iterator[SketchedChunk]) -> Hits:
        """The hits in these chunks. Several threads may share one iterator of a list."""
        found = [NO_HITS]
        differing = np.empty(BLOCK_CODES, np.uint64)
        counts = np.empty(BLOCK_CODES, np.uint8)
        for start, words, sketches in chunks:
            size = len(sketches)
            for group in self._groups:
                np.bitwise_xor(sketches, group.sketch, out=differing[:size])
                np.bitwise_and(differing[:size], group.common, out=differing[:size])
                np.bitwise_count(differing[:size], out=counts[:size])
                selected = np.flatnonzero(counts[:size] <= group.reach)
                # ``words.take(selected, axis=1)`` would copy all words first.
                codes = np.stack([quarter.take(selected) for quarter in words])
                variants = self._words[:, group.numbers, np.newaxis]
                bits = np.bitwise_count(codes[:, np.newaxis] ^ variants)
                distances = bits.sum(axis=0, dtype=np.uint16)
                rows, places = np.nonzero(distances <= self._radius)
                if places.size:
                    near = distances[rows, places].astype(np.int64)
                    found.append((start + selected[places], group.numbers[rows], near))
        return joined(found)
