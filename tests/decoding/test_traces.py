"""Traces of an earlier JPEG."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from PIL import Image

from tests.decoding.helpers import LARGE, evidence
from tests.support.pictures import encode, photo


def textured(seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture with as much detail in each block as photographs have."""
    dice = random.Random(seed)
    fine = (size[0] // 3, size[1] // 3)
    texture = Image.frombytes("L", fine, dice.randbytes(fine[0] * fine[1])).resize(size)
    return Image.blend(photo(seed, size), texture.convert("RGB"), 0.15)


def again(
    data: bytes, kind: str = "JPEG", turn: Image.Transpose | None = None, **how: Any
) -> bytes:
    """The picture in these bytes, saved again."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return encode(picture if turn is None else picture.transpose(turn), kind, **how)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [(403, 301), LARGE])
def test_files_made_from_a_jpeg_are_recognised(seed: int, size: tuple[int, int]) -> None:
    original = encode(textured(seed, size), "PNG", compress_level=1)
    assert not evidence(original).resaved
    for quality in (75, 90, 95):
        assert not evidence(again(original, quality=quality)).resaved
    for quality in (60, 85):
        jpeg = again(original, quality=quality)
        assert evidence(again(jpeg, quality=95)).resaved
        for turn in (None, Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT):
            assert evidence(again(jpeg, "PNG", turn, compress_level=1)).resaved


def test_a_jpeg_saved_at_a_lower_quality_is_not_recognised_as_resaved() -> None:
    """Its own quality already shows that it is the copy."""
    jpeg = encode(textured(1, LARGE), quality=95)
    assert not evidence(again(jpeg, quality=60)).resaved


@pytest.mark.parametrize("size", [(64, 48), (3, 2)])
def test_small_pictures_show_no_traces(size: tuple[int, int]) -> None:
    jpeg = encode(photo(1, size), quality=50)
    assert not evidence(again(jpeg, "PNG")).resaved
    assert not evidence(again(jpeg, quality=95)).resaved


def test_a_progressive_jpeg_that_is_decoded_smaller_shows_no_traces() -> None:
    source = again(encode(textured(1, LARGE), quality=50), quality=95, progressive=True)
    assert not evidence(source).resaved
