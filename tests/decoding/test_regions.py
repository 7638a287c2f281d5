"""Regions of pictures: where they are found, and their codes in every form."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from snoopsync.decoding.features import MAX_REGIONS, REGION_BYTES
from snoopsync.decoding.pdq import FORMS
from snoopsync.decoding.regions import REGION, UNIT, codes_of_forms, from_bytes, regions_of
from tests.support.pictures import photo

PICTURE = photo(3, (360, 300)).convert("L")


def codes(picture: Image.Image) -> NDArray[np.uint64]:
    return from_bytes(regions_of(picture))["code"].astype(np.uint64)


def smallest_distance(one: NDArray[np.uint64], other: NDArray[np.uint64]) -> int:
    return int(np.bitwise_count(one[:, np.newaxis] ^ other).min())


def test_a_picture_has_a_limited_number_of_regions_of_a_known_size() -> None:
    regions = regions_of(PICTURE)
    assert REGION.itemsize == REGION_BYTES
    assert len(regions) == MAX_REGIONS * REGION_BYTES


def test_regions_are_inside_the_part_in_which_they_are_searched_for() -> None:
    left, top, right, bottom = box = 60, 50, 300, 250
    regions = from_bytes(regions_of(PICTURE, box))
    assert len(regions)
    radius = regions["radius"] * UNIT * 360
    x, y = regions["x"] * UNIT * 360, regions["y"] * UNIT * 300
    rounding = 2.0
    assert (x - radius >= left - rounding).all() and (x + radius <= right + rounding).all()
    assert (y - radius >= top - rounding).all() and (y + radius <= bottom + rounding).all()


def test_a_uniform_picture_has_no_regions() -> None:
    assert regions_of(Image.new("L", (300, 200), 90)) == b""


@pytest.mark.parametrize("size", [(300, 1), (1, 300), (3000, 20)])
def test_a_picture_that_is_too_narrow_has_no_regions(size: tuple[int, int]) -> None:
    assert regions_of(photo(1, (64, 64)).resize(size).convert("L")) == b""


def test_a_crop_and_another_size_keep_some_codes() -> None:
    cropped = PICTURE.crop((40, 30, 350, 290))
    larger = PICTURE.resize((540, 450), Image.Resampling.BICUBIC)
    for changed in (cropped, larger):
        assert smallest_distance(codes(changed), codes(PICTURE)) <= 4


def test_unlike_pictures_have_unlike_codes() -> None:
    others = [photo(seed, (360, 300)).convert("L") for seed in range(10, 14)]
    assert all(smallest_distance(codes(other), codes(PICTURE)) > 4 for other in others)


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_the_codes_of_a_form_are_those_of_the_turned_or_mirrored_picture(form: int) -> None:
    transposed, flipped, mirrored = FORMS[form]
    changed = PICTURE.transpose(Image.Transpose.TRANSPOSE) if transposed else PICTURE
    changed = ImageOps.flip(changed) if flipped else changed
    changed = ImageOps.mirror(changed) if mirrored else changed
    assert smallest_distance(codes_of_forms(codes(PICTURE))[form], codes(changed)) <= 2


def test_the_first_form_is_the_picture_itself() -> None:
    assert (codes_of_forms(codes(PICTURE))[0] == codes(PICTURE)).all()
