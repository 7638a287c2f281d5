"""Which changes of a picture the perceptual code survives."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES
from tests.support.pictures import photo

SEEDS = range(8)


def luma(picture: Image.Image) -> NDArray[np.float64]:
    small = picture.convert("L").resize((pdq.SIDE, pdq.SIDE), Image.Resampling.BILINEAR)
    return np.asarray(small, dtype=np.float64)


def distance(one: bytes, other: bytes) -> int:
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()


def codes(grey: NDArray[np.float64]) -> list[bytes]:
    every = pdq.eight_codes(grey)
    return [every[at : at + CODE_BYTES] for at in range(0, len(every), CODE_BYTES)]


def turned_and_mirrored(grey: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    return [np.rot90(form, turns) for form in (grey, np.fliplr(grey)) for turns in range(4)]


@pytest.mark.parametrize("seed", SEEDS)
def test_the_eight_codes_are_those_of_the_turned_and_mirrored_pictures(seed: int) -> None:
    grey = luma(photo(seed))
    derived = set(codes(grey))
    assert len(derived) == 8
    assert {codes(form)[0] for form in turned_and_mirrored(grey)} == derived


@pytest.mark.parametrize("seed", SEEDS)
def test_half_of_the_bits_are_set(seed: int) -> None:
    for code in codes(luma(photo(seed))):
        assert int.from_bytes(code).bit_count() == 128


@pytest.mark.parametrize("seed", SEEDS)
def test_brightness_and_contrast_change_nothing(seed: int) -> None:
    grey = luma(photo(seed))
    assert distance(codes(grey)[0], codes(grey * 0.5 + 40)[0]) <= 2


@pytest.mark.parametrize("seed", SEEDS)
def test_a_resized_picture_stays_within_31_bits(seed: int) -> None:
    large, small = luma(photo(seed, (640, 480))), luma(photo(seed, (640, 480)).resize((160, 120)))
    assert distance(codes(large)[0], codes(small)[0]) <= 31


def test_other_pictures_are_more_than_75_bits_away_in_every_form() -> None:
    first_codes = [codes(luma(photo(seed)))[0] for seed in SEEDS]
    for seed in SEEDS:
        for other in SEEDS[seed + 1 :]:
            forms = codes(luma(photo(other)))
            assert min(distance(first_codes[seed], form) for form in forms) > 75


def test_the_transform_is_the_discrete_cosine_transform_by_its_definition() -> None:
    grey = luma(photo(1))
    waves = np.empty((16, 16))
    points = np.arange(pdq.SIDE)
    for down in range(16):
        for across in range(16):
            wave_down = np.cos(np.pi / 128 * (down + 1) * (2 * points + 1))
            wave_across = np.cos(np.pi / 128 * (across + 1) * (2 * points + 1))
            waves[down, across] = (grey * np.outer(wave_down, wave_across)).sum()
    assert codes(grey)[0] == np.packbits(waves > np.median(waves)).tobytes()


@pytest.mark.parametrize(("shade", "expected"), [(0, 0), (128, 0), (255, 0)])
def test_an_even_shade_has_no_quality(shade: int, expected: int) -> None:
    assert pdq.quality(np.full((64, 64), float(shade))) == expected


def test_quality_is_the_steps_in_percent_over_90() -> None:
    grey = np.zeros((64, 64))
    grey[:, 32:] = 255  # 64 steps of 100 %
    assert pdq.quality(grey) == 64 * 100 // 90


def test_quality_is_at_most_100() -> None:
    checkers = np.indices((64, 64)).sum(axis=0) % 2 * 255.0
    assert pdq.quality(checkers) == 100
