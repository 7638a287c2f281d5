"""The distance of codes, by counting bits."""

from __future__ import annotations

import numpy as np
import pytest

from snoopsync.embedded.hamming import BLOCK_CODES, HammingSearch, empty_block, words_of
from tests.embedded.helpers import RADIUS, forms, random_codes


def test_four_forms_of_a_picture_take_one_pass() -> None:
    assert HammingSearch(np.concatenate([forms(1), forms(2)]), RADIUS).passes == 4
    assert HammingSearch(np.concatenate([forms(1), random_codes(1, 3)]), RADIUS).passes == 5


@pytest.mark.parametrize("threads", [1, 3])
def test_the_chunks_have_every_code_once_and_each_thread_gets_some(threads: int) -> None:
    search = HammingSearch(random_codes(1, 16), RADIUS)
    count = BLOCK_CODES + 7
    blocks = [empty_block(BLOCK_CODES), empty_block(BLOCK_CODES)]
    chunks = search.chunks(blocks, count, threads)
    assert len(chunks) >= threads
    places = [start + at for start, codes in chunks for at in range(codes.shape[1])]
    assert places == list(range(count))


@pytest.mark.parametrize("radius", [0, 1, RADIUS, 256])
def test_the_hits_are_the_codes_within_the_radius(radius: int) -> None:
    queries, stored = random_codes(1, 5), np.concatenate([random_codes(2, 300), random_codes(1, 5)])
    search = HammingSearch(queries, radius)
    places, numbers, distances = search.hits(iter([(0, words_of(stored))]))
    found = set(zip(places.tolist(), numbers.tolist(), distances.tolist(), strict=True))
    bits = np.bitwise_count(stored[:, np.newaxis] ^ queries).sum(axis=2, dtype=np.int64)
    assert found == {
        (at, number, int(bits[at, number])) for at, number in np.argwhere(bits <= radius)
    }
    assert len(found) == len(places)


def test_no_codes_have_no_hits() -> None:
    search = HammingSearch(random_codes(1, 1), RADIUS)
    assert [part.size for part in search.hits(iter([]))] == [0, 0, 0]
