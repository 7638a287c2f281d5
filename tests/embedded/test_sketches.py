"""The search for variants returns the near codes that hardly differ in the bits of their group."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snoopsync.embedded.hamming import Codes, words_of
from snoopsync.embedded.pairing import ComparablePicture
from snoopsync.embedded.sketches import MIN_COMMON_BITS, VariantSearch, grouped, sketches_of
from tests.decoding.helpers import extract
from tests.embedded.helpers import RADIUS, brute_force_of_variants, random_codes
from tests.support.pictures import encode, photo


def test_a_sketch_has_the_eight_longest_waves_in_each_direction() -> None:
    codes = random_codes(1, 50)
    waves = np.unpackbits(codes, axis=1).reshape(-1, 16, 16)[:, :8, :8]
    expected = (waves[:, np.newaxis] != waves).sum(axis=(2, 3))
    sketches = sketches_of(codes)
    np.testing.assert_array_equal(np.bitwise_count(sketches[:, np.newaxis] ^ sketches), expected)


@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), kinds=st.integers(1, 60))
def test_each_variant_is_in_one_group_whose_sketches_are_equal_in_the_common_bits(
    seed: int, count: int, kinds: int
) -> None:
    sketches = sketches_of(random_codes(seed, kinds))[np.arange(count) % kinds]
    groups = grouped(sketches)
    assert sorted(np.concatenate([each.numbers for each in groups])) == list(range(count))
    for group in groups:
        members = [int(sketch) for sketch in sketches[group.numbers]]
        differing = [member ^ int(group.sketch) for member in members]
        assert not any(bits & int(group.common) for bits in differing)
        assert int(group.common).bit_count() >= MIN_COMMON_BITS
        assert 0 < group.reach < int(group.common).bit_count() / 2


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    count=st.integers(1, 20),
    altered=st.lists(st.sets(st.integers(0, 255), max_size=90), max_size=40),
    radius=st.integers(0, 100),
)
def test_a_search_gives_the_results_of_brute_force(
    seed: int, count: int, altered: list[set[int]], radius: int
) -> None:
    variants = random_codes(seed, count)
    stored = np.unpackbits(variants[np.arange(len(altered)) % count], axis=1)
    for row, bits in zip(stored, altered, strict=True):
        row[list(bits)] ^= 1
    codes = np.concatenate([np.packbits(stored, axis=1).reshape(-1, 32), random_codes(9, 20)])
    assert found(codes, variants, radius) == brute_force_of_variants(codes, variants, radius)


def test_a_code_that_differs_in_too_many_common_bits_is_no_match() -> None:
    variant = random_codes(1, 1)
    (group,) = grouped(sketches_of(variant))
    coarse = [16 * line + column for line in range(8) for column in range(8)]
    codes = np.unpackbits(np.concatenate([variant, variant]), axis=1)
    codes[0, coarse[: group.reach]] ^= 1
    codes[1, coarse[: group.reach + 1]] ^= 1
    hits = found(np.packbits(codes, axis=1), variant, RADIUS)
    assert hits == {(0, 0, group.reach)}


def test_crops_and_rotations_match_the_variants_that_a_complete_comparison_matches() -> None:
    for seed in range(12):
        picture = photo(seed, (240, 180))
        variants = ComparablePicture(extract(encode(picture))).queries.variants
        altered = (
            picture.crop((3, 9, 231, 180)),
            picture.crop((20, 0, 240, 165)),
            picture.rotate(3, Image.Resampling.BICUBIC),
        )
        codes = np.concatenate([first_code(encode(each)) for each in altered])
        distances = np.bitwise_count(codes[:, np.newaxis] ^ variants).sum(axis=2, dtype=np.int64)
        expected = set(np.flatnonzero((distances <= RADIUS).any(axis=1)).tolist())
        assert {at for at, _, _ in found(codes, variants, RADIUS)} == expected
        assert expected


def test_no_codes_have_no_hits() -> None:
    search = VariantSearch(random_codes(1, 1), RADIUS)
    assert [part.size for part in search.hits(iter([]))] == [0, 0, 0]


def first_code(data: bytes) -> Codes:
    """The code of an unaltered picture, as one row."""
    return np.frombuffer(extract(data).codes[:32], np.uint8).reshape(1, -1)


def found(codes: Codes, variants: Codes, radius: int) -> set[tuple[int, int, int]]:
    search = VariantSearch(variants, radius)
    half = len(codes) // 2
    chunks = [
        (start, words_of(part), sketches_of(part))
        for start, part in ((0, codes[:half]), (half, codes[half:]))
    ]
    hits = list(zip(*(part.tolist() for part in search.hits(iter(chunks))), strict=True))
    assert len(hits) == len(set(hits))
    return set(hits)
