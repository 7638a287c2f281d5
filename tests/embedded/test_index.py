"""Exact search: faiss and numpy answer as brute force does."""

from __future__ import annotations

import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from snoopsync.embedded import index
from snoopsync.embedded.index import CodeIndex, Codes, scan_with_faiss, scan_with_numpy

SCANS = [scan_with_numpy, scan_with_faiss]
RADIUS = 75


def random_codes(seed: int, count: int) -> Codes:
    return np.random.default_rng(seed).integers(0, 256, (count, 32), dtype=np.uint8)


def near(code: Codes, bits: int) -> Codes:
    """The code with its first ``bits`` bits turned over."""
    flipped = np.unpackbits(code)
    flipped[:bits] ^= 1
    return np.packbits(flipped)


def keys(*numbers: int) -> NDArray[np.int64]:
    return np.array(numbers, np.int64)


def found(codes: CodeIndex, queries: Codes, radius: int) -> set[tuple[int, int, int]]:
    hits = list(zip(*(part.tolist() for part in codes.search(queries, radius)), strict=True))
    assert len(hits) == len(set(hits))
    return set(hits)


def brute_force(rows: dict[int, bytes], queries: Codes, radius: int) -> set[tuple[int, int, int]]:
    return {
        (key, number, bits)
        for key, code in rows.items()
        for number, query in enumerate(queries)
        if (bits := (int.from_bytes(code) ^ int.from_bytes(query.tobytes())).bit_count()) <= radius
    }


@pytest.mark.parametrize("scan", SCANS)
def test_an_empty_index_has_no_matches(scan: index.Scan) -> None:
    assert found(CodeIndex(scan), random_codes(1, 16), RADIUS) == set()


@pytest.mark.parametrize("scan", SCANS)
def test_the_radius_is_included(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(1, 2), np.stack([near(code, RADIUS), near(code, RADIUS + 1)]))
    assert found(codes, code[np.newaxis], RADIUS) == {(1, 0, RADIUS)}


@pytest.mark.parametrize("scan", SCANS)
def test_all_256_bits_are_counted(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(1), near(code, 256)[np.newaxis])
    assert found(codes, code[np.newaxis], 256) == {(1, 0, 256)}
    assert found(codes, code[np.newaxis], 255) == set()


@pytest.mark.parametrize("scan", SCANS)
def test_each_pair_of_a_query_and_a_code_is_told(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(7, 8), np.stack([near(code, 40), near(code, 9)]))
    assert found(codes, np.stack([near(code, 30), code]), RADIUS) == {
        *((7, 0, 10), (7, 1, 40)),
        *((8, 0, 21), (8, 1, 9)),
    }


@pytest.mark.parametrize("scan", SCANS)
def test_removing_a_key_removes_its_code_and_no_other(scan: index.Scan) -> None:
    stored = random_codes(3, 4)
    codes = CodeIndex(scan)
    codes.add(keys(1, 2, 5, 9), stored)
    for absent_or_not in (2, 2, 3, 100, 0):
        codes.remove(absent_or_not)
    assert len(codes) == 3
    assert found(codes, stored, 0) == {(1, 0, 0), (5, 2, 0), (9, 3, 0)}


def test_an_index_that_is_changed_for_ever_does_not_grow() -> None:
    codes = CodeIndex(scan_with_numpy)
    stored = random_codes(3, 100)
    for key in range(5_000):
        codes.add(keys(key), stored[key % 100][np.newaxis])
        codes.remove(key - 100)
    assert found(codes, stored, 0) == {(key, key % 100, 0) for key in range(4_900, 5_000)}
    assert codes.size_bytes < 100_000


def test_codes_are_found_where_they_are_after_any_number_of_changes() -> None:
    codes, dice = CodeIndex(scan_with_numpy), random.Random(5)
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
def test_any_history_is_answered_as_by_brute_force(data: st.DataObject, seed: int) -> None:
    centres = random_codes(seed, 3)
    indexes = CodeIndex(scan_with_numpy), CodeIndex(scan_with_faiss)
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
            for one in indexes:
                one.add(new, added)
        else:
            for key in data.draw(st.lists(st.sampled_from(sorted(rows) or [0]))):
                rows.pop(key, None)
                for one in indexes:
                    one.remove(key)
    radius = data.draw(st.integers(0, 130))
    expected = brute_force(rows, centres, radius)
    for one in indexes:
        assert found(one, centres, radius) == expected
        assert len(one) == len(rows)


@pytest.mark.parametrize("alone_up_to", [0, index._ALONE_UP_TO])
def test_a_large_index_is_searched_with_faiss_and_answers_as_numpy_does(
    monkeypatch: pytest.MonkeyPatch, alone_up_to: int
) -> None:
    monkeypatch.setattr(index, "_ALONE_UP_TO", alone_up_to)
    count = index.FAISS_FROM + 1_000
    stored = random_codes(4, count)
    chosen, plain = CodeIndex(), CodeIndex(scan_with_numpy)
    for one in (chosen, plain):
        one.add(np.arange(count, dtype=np.int64), stored)
        one.remove(count - 1)
        one.remove(5)
    assert index.best_scan(len(chosen)) is scan_with_faiss
    # Random codes are 128 bits apart: a radius of 95 has some by chance, in every block.
    places = [0, 5, count // 2, count - 3]
    answer = found(chosen, stored[places], 95)
    assert answer == found(plain, stored[places], 95)
    assert {hit for hit in answer if hit[2] == 0} == {
        (0, 0, 0),
        (count // 2, 2, 0),
        (count - 3, 3, 0),
    }


def test_a_small_index_does_without_faiss() -> None:
    assert index.best_scan(index.FAISS_FROM - 1) is scan_with_numpy
