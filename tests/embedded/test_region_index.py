"""The index of regions finds what a comparison of all codes finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from snoopsync.decoding.features import INDEXED_REGIONS
from snoopsync.decoding.regions import LONG_WAVES, codes_of_forms
from snoopsync.embedded.region_index import RegionIndex
from snoopsync.embedded.region_pairs import MAX_BITS

#: More codes than the index compares one by one.
MANY = 1_000

LONG = np.uint64((1 << LONG_WAVES) - 1)


def random_regions(count: int, seed: int = 1) -> NDArray[np.uint64]:
    codes = np.random.default_rng(seed).integers(1, 2**63, (count, INDEXED_REGIONS), np.uint64)
    return codes & ~np.uint64(1)  # the bit of the mean


def changed(codes: NDArray[np.uint64], *bits: int) -> NDArray[np.uint64]:
    return codes ^ np.uint64(sum(1 << bit for bit in bits))


@pytest.fixture(params=[20, MANY], ids=["few", "many"])
def index(request: pytest.FixtureRequest) -> RegionIndex:
    filled = RegionIndex()
    marks = np.arange(request.param) + 100
    filled.add(marks, random_regions(request.param))
    return filled


def brute_force(queries: NDArray[np.uint64], codes: NDArray[np.uint64]) -> set[int]:
    differing = codes_of_forms(queries).reshape(-1, 1, 1) ^ codes
    near = (np.bitwise_count(differing) <= MAX_BITS) & (np.bitwise_count(differing & LONG) <= 2)
    return set(np.flatnonzero(near.any(axis=(0, 2))).tolist())


def test_a_search_finds_what_a_comparison_of_all_codes_finds() -> None:
    codes = random_regions(MANY)
    index = RegionIndex()
    index.add(np.arange(MANY), codes)
    dice = np.random.default_rng(7)
    for at in range(0, 40, 2):
        flipped = dice.choice(np.arange(1, 63), int(dice.integers(0, 14)), replace=False)
        query = changed(codes[at, :3], *flipped.tolist())
        assert set(index.search(query, MANY).tolist()) == brute_force(query, codes)


def test_a_turned_region_is_found(index: RegionIndex) -> None:
    codes = random_regions(20)
    for form in codes_of_forms(codes[5, :1]):
        assert index.search(form, 9).tolist() == [105]


def test_the_image_with_the_most_evidence_comes_first(index: RegionIndex) -> None:
    codes = random_regions(20)
    query = np.concatenate([codes[3, :1], changed(codes[4, :4], 50, 51)])
    assert index.search(query, 9).tolist() == [104, 103]
    assert index.search(query, 1).tolist() == [104]


def test_a_removed_image_is_not_found(index: RegionIndex) -> None:
    codes = random_regions(20)
    assert index.search(codes[5], 1).tolist() == [105]
    index.remove(105)
    index.remove(99)  # has no codes
    assert index.search(codes[5], 1).tolist() == []


def test_the_codes_of_many_removed_images_are_dropped() -> None:
    codes = random_regions(2 * MANY)
    index = RegionIndex()
    index.add(np.arange(MANY), codes[:MANY])
    index.search(codes[0], 1)
    for mark in range(MANY):
        if mark % 4:
            index.remove(mark)
    index.add(np.arange(MANY, 2 * MANY), codes[MANY:])
    found = [index.search(codes[mark], 9).tolist() for mark in range(0, 2 * MANY, 97)]
    kept = [[mark] if mark >= MANY or mark % 4 == 0 else [] for mark in range(0, 2 * MANY, 97)]
    assert found == kept
    assert len(index) == 1.25 * MANY * INDEXED_REGIONS


def test_images_without_regions_take_no_room() -> None:
    index = RegionIndex()
    index.add(np.array([1, 2]), np.zeros((2, INDEXED_REGIONS), np.uint64))
    assert len(index) == 0
    assert index.search(random_regions(1)[0], 9).tolist() == []
