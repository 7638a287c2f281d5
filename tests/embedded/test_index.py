"""Exact search: faiss and numpy answer as brute force does."""

from __future__ import annotations

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


def brute_force(rows: list[tuple[int, bytes]], queries: Codes, radius: int) -> dict[int, int]:
    nearest: dict[int, int] = {}
    for key, code in rows:
        for query in queries:
            bits = (int.from_bytes(code) ^ int.from_bytes(query.tobytes())).bit_count()
            if bits <= radius:
                nearest[key] = min(bits, nearest.get(key, bits))
    return nearest


@pytest.mark.parametrize("scan", SCANS)
def test_an_empty_index_has_no_matches(scan: index.Scan) -> None:
    assert CodeIndex(scan).search(random_codes(1, 16), RADIUS) == {}


@pytest.mark.parametrize("scan", SCANS)
def test_the_radius_is_included(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(1, 2), np.stack([near(code, RADIUS), near(code, RADIUS + 1)]))
    assert codes.search(code[np.newaxis], RADIUS) == {1: RADIUS}


@pytest.mark.parametrize("scan", SCANS)
def test_all_256_bits_are_counted(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(1), near(code, 256)[np.newaxis])
    assert codes.search(code[np.newaxis], 256) == {1: 256}
    assert codes.search(code[np.newaxis], 255) == {}


@pytest.mark.parametrize("scan", SCANS)
def test_the_nearest_of_all_codes_and_queries_counts(scan: index.Scan) -> None:
    (code,) = random_codes(1, 1)
    codes = CodeIndex(scan)
    codes.add(keys(7, 7, 7), np.stack([near(code, 40), near(code, 9), near(code, 20)]))
    assert codes.search(np.stack([near(code, 30), code]), RADIUS) == {7: 9}


@pytest.mark.parametrize("scan", SCANS)
def test_removing_a_key_removes_all_of_its_codes_and_no_other(scan: index.Scan) -> None:
    stored = random_codes(3, 6)
    codes = CodeIndex(scan)
    codes.add(keys(1, 2, 1, 3, 1, 1), stored)
    codes.remove(1)
    assert len(codes) == 2
    assert codes.search(stored, 0) == {2: 0, 3: 0}
    codes.remove(1)
    assert len(codes) == 2


@settings(max_examples=60, deadline=None)
@given(data=st.data(), seed=st.integers(0, 2**32 - 1))
def test_any_history_is_answered_as_by_brute_force(data: st.DataObject, seed: int) -> None:
    centres = random_codes(seed, 3)
    numpy_index, faiss_index = CodeIndex(scan_with_numpy), CodeIndex(scan_with_faiss)
    rows: list[tuple[int, bytes]] = []
    for _ in range(data.draw(st.integers(0, 30))):
        key = data.draw(st.integers(1, 8))
        if data.draw(st.integers(0, 3)):
            centre = centres[data.draw(st.integers(0, 2))]
            code = near(centre, data.draw(st.integers(0, 120)))
            rows.append((key, code.tobytes()))
            for one in (numpy_index, faiss_index):
                one.add(keys(key), code[np.newaxis])
        else:
            rows = [row for row in rows if row[0] != key]
            for one in (numpy_index, faiss_index):
                one.remove(key)
    radius = data.draw(st.integers(0, 130))
    expected = brute_force(rows, centres, radius)
    assert numpy_index.search(centres, radius) == expected
    assert faiss_index.search(centres, radius) == expected


def test_a_large_index_is_searched_with_faiss_and_answers_as_numpy_does() -> None:
    count = index.FAISS_FROM + 1_000
    stored = random_codes(4, count)
    chosen, plain = CodeIndex(), CodeIndex(scan_with_numpy)
    for one in (chosen, plain):
        one.add(np.arange(count, dtype=np.int64), stored)
        one.remove(count - 1)
        one.remove(5)
    assert index.best_scan(len(chosen)) is scan_with_faiss
    # Random codes are 128 bits apart: a radius of 95 has some by chance, in every block.
    queries = stored[[0, 5, count // 2, count - 3]]
    answer = chosen.search(queries, 95)
    assert answer == plain.search(queries, 95)
    assert answer[0] == answer[count // 2] == answer[count - 3] == 0
    assert 5 not in answer or answer[5] > 0


def test_a_small_index_does_without_faiss() -> None:
    assert index.best_scan(index.FAISS_FROM - 1) is scan_with_numpy
