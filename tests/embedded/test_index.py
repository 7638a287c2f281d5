"""The searches return the results of brute force."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snoopsync.decoding.features import CODE_BYTES
from snoopsync.embedded import index
from snoopsync.embedded.hamming import BLOCK_CODES, Codes, Hits
from snoopsync.embedded.index import CodeIndex
from tests.embedded.helpers import RADIUS, brute_force_of_variants, forms, random_codes


def near(code: Codes, bits: int) -> Codes:
    """The code with its first ``bits`` bits inverted."""
    flipped = np.unpackbits(code)
    flipped[:bits] ^= 1
    return np.packbits(flipped)


def keys(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def found(codes: CodeIndex, queries: Codes, radius: int) -> set[tuple[int, int, int]]:
    return as_set(codes.search(queries, radius))


def as_set(hits: Hits) -> set[tuple[int, int, int]]:
    rows = list(zip(*(part.tolist() for part in hits), strict=True))
    assert len(rows) == len(set(rows))
    return set(rows)


def brute_force(rows: dict[int, bytes], queries: Codes, radius: int) -> set[tuple[int, int, int]]:
    return {
        (key, number, bits)
        for key, code in rows.items()
        for number, query in enumerate(queries)
        if (bits := (int.from_bytes(code) ^ int.from_bytes(query.tobytes())).bit_count()) <= radius
    }


def of_variants(rows: dict[int, bytes], variants: Codes, radius: int) -> set[tuple[int, int, int]]:
    """What a search for variants finds, by brute force."""
    keys = list(rows)
    codes = np.frombuffer(b"".join(rows.values()), np.uint8).reshape(-1, CODE_BYTES)
    hits = brute_force_of_variants(codes, variants, radius)
    return {(keys[at], number, bits) for at, number, bits in hits}


def test_an_empty_index_has_no_matches() -> None:
    assert found(CodeIndex(), random_codes(1, 16), RADIUS) == set()
    assert as_set(CodeIndex().search_variants(random_codes(1, 16), RADIUS)) == set()


def test_the_radius_is_included() -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex()
    codes.add(keys(1, 2), np.stack([near(code, RADIUS), near(code, RADIUS + 1)]))
    assert found(codes, code[np.newaxis], RADIUS) == {(1, 0, RADIUS)}


def test_all_256_bits_are_counted() -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex()
    codes.add(keys(1), near(code, 256)[np.newaxis])
    assert found(codes, code[np.newaxis], 256) == {(1, 0, 256)}
    assert found(codes, code[np.newaxis], 255) == set()


def test_every_near_pair_of_query_and_code_is_a_hit() -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex()
    codes.add(keys(7, 8), np.stack([near(code, 40), near(code, 9)]))
    assert found(codes, np.stack([near(code, 30), code]), RADIUS) == {
        *((7, 0, 10), (7, 1, 40)),
        *((8, 0, 21), (8, 1, 9)),
    }


def test_removing_a_key_removes_its_code_and_no_other() -> None:
    stored = random_codes(3, 4)
    codes = CodeIndex()
    codes.add(keys(1, 2, 5, 9), stored)
    for absent_or_not in (2, 2, 3, 100, 0):
        codes.remove(absent_or_not)
    assert len(codes) == 3
    assert found(codes, stored, 0) == {(1, 0, 0), (5, 2, 0), (9, 3, 0)}


def test_an_index_does_not_grow_with_the_number_of_changes() -> None:
    codes = CodeIndex()
    stored = random_codes(3, 100)
    for key in range(5_000):
        codes.add(keys(key), stored[key % 100][np.newaxis])
        codes.remove(key - 100)
    assert found(codes, stored, 0) == {(key, key % 100, 0) for key in range(4_900, 5_000)}
    assert codes.size_bytes < BLOCK_CODES * CODE_BYTES + 100_000


def test_codes_are_found_after_any_number_of_changes() -> None:
    codes, dice = CodeIndex(), random.Random(5)
    stored = random_codes(3, 4_000)
    there: list[int] = []
    for key in range(4_000):
        codes.add(keys(key), stored[key][np.newaxis])
        there.append(key)
        if len(there) > 90:
            codes.remove(there.pop(dice.randrange(len(there))))
    assert found(codes, stored, 0) == {(key, key, 0) for key in there}


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_history_gives_the_results_of_brute_force(data: st.DataObject, seed: int) -> None:
    centres = random_codes(seed, 3)
    codes = CodeIndex()
    rows: dict[int, bytes] = {}
    for step in range(data.draw(st.integers(0, 30))):
        if data.draw(st.integers(0, 3)):
            centre = centres[data.draw(st.integers(0, 2))]
            added = np.stack(
                [
                    near(centre, bits)
                    for bits in data.draw(st.lists(st.integers(0, 120), max_size=90))
                ]
                or [centre]
            )
            new = keys(*range(100 * step, 100 * step + len(added)))
            rows.update(zip(new.tolist(), map(bytes, added), strict=True))
            codes.add(new, added)
        else:
            for key in data.draw(st.lists(st.sampled_from(sorted(rows) or [0]))):
                rows.pop(key, None)
                codes.remove(key)
    radius = data.draw(st.integers(0, 130))
    expected = brute_force(rows, centres, radius)
    assert found(codes, centres, radius) == expected
    variants = codes.search_variants(centres, radius)
    assert as_set(variants) == of_variants(rows, centres, radius)
    assert len(codes) == len(rows)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    changed=st.lists(st.tuples(st.integers(0, 15), st.sets(st.integers(0, 255))), max_size=40),
    radius=st.integers(0, 100),
    order=st.randoms(use_true_random=False),
)
def test_a_search_for_forms_gives_the_results_of_brute_force(
    seed: int, changed: list[tuple[int, set[int]]], radius: int, order: random.Random
) -> None:
    """The forms are queries in the order that one pass serves, and in other orders."""
    queries = np.concatenate([forms(seed), forms(seed + 1)])
    stored = np.unpackbits(queries[[number for number, _ in changed]], axis=1)
    for row, (_, bits) in zip(stored, changed, strict=True):
        row[list(bits)] ^= 1
    codes = CodeIndex()
    rows = dict(enumerate(map(bytes, np.packbits(stored, axis=1))))
    codes.add(keys(*rows), np.packbits(stored, axis=1).reshape(-1, CODE_BYTES))
    assert found(codes, queries, radius) == brute_force(rows, queries, radius)
    shuffled = queries[order.sample(range(16), 16)]
    assert found(codes, shuffled, radius) == brute_force(rows, shuffled, radius)


@pytest.mark.parametrize("alone_up_to", [0, index._ONE_CORE_COMPARISONS])
def test_many_codes_are_searched_block_by_block(
    monkeypatch: pytest.MonkeyPatch, alone_up_to: int
) -> None:
    monkeypatch.setattr(index, "_ONE_CORE_COMPARISONS", alone_up_to)
    count = 2 * BLOCK_CODES + 10_000
    stored = random_codes(4, count)
    codes = CodeIndex()
    codes.add(np.arange(count, dtype=np.int64), stored)
    # Random codes are about 128 bits apart: within 98 bits, every block has some by chance.
    positions = [0, 5, BLOCK_CODES - 1, BLOCK_CODES, count - 3]
    queries = np.concatenate([stored[positions], forms(1)])
    differing = np.bitwise_count(stored[:, np.newaxis] ^ queries).sum(axis=2, dtype=np.int64)
    expected = {
        (key, query, int(differing[key, query])) for key, query in np.argwhere(differing <= 98)
    }
    assert len({key // BLOCK_CODES for key, query, _ in expected if query >= len(positions)}) == 3
    assert found(codes, queries, 98) == expected
    for key in (count - 1, 5, BLOCK_CODES):
        codes.remove(key)
    left = {hit for hit in expected if hit[0] not in (count - 1, 5, BLOCK_CODES)}
    assert found(codes, queries, 98) == left
    near = {hit[0]: stored[hit[0]].tobytes() for hit in left}
    assert as_set(codes.search_variants(queries, 98)) == of_variants(near, queries, 98)


@pytest.mark.parametrize("count", [1, 1023, 1024, 1025, 8191, 8192, 8193, 65537])
def test_a_small_index_takes_little_memory_and_grows(count: int) -> None:
    codes = CodeIndex()
    stored = random_codes(5, count)
    at_once = count // 2
    codes.add(np.arange(at_once, dtype=np.int64), stored[:at_once])
    codes.add(np.arange(at_once, count, dtype=np.int64), stored[at_once:])
    assert codes.size_bytes < max(64 << 10, 11 * count * CODE_BYTES)
    places = sorted({0, at_once, count - 1})
    assert found(codes, stored[places], 0) == {
        (place, number, 0) for number, place in enumerate(places)
    }
    codes.remove(0)
    assert found(codes, stored[[0]], 0) == set()


def test_empty_blocks_are_freed() -> None:
    codes = CodeIndex()
    stored = random_codes(4, BLOCK_CODES + 1)
    codes.add(np.arange(BLOCK_CODES + 1, dtype=np.int64), stored)
    large = codes.size_bytes
    codes.remove(0)
    assert codes.size_bytes == large - BLOCK_CODES * CODE_BYTES
    codes.add(keys(BLOCK_CODES + 1), stored[:1])
    assert found(codes, stored[[0, 1, -1]], 0) == {
        *((BLOCK_CODES + 1, 0, 0), (1, 1, 0), (BLOCK_CODES, 2, 0))
    }


def test_the_variants_of_several_pictures_are_searched_as_those_of_each() -> None:
    pictures = [random_codes(seed, 16) for seed in range(3)]
    codes = CodeIndex()
    stored = np.concatenate([*pictures, random_codes(9, 200)])
    codes.add(np.arange(len(stored)), stored)
    together = as_set(codes.search_variants(np.concatenate(pictures), RADIUS, len(pictures)))
    each = {
        (key, 16 * number + query, bits)
        for number, variants in enumerate(pictures)
        for key, query, bits in as_set(codes.search_variants(variants, RADIUS))
    }
    assert together == each
    assert len(each) >= 48
