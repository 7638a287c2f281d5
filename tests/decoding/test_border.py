"""Uniform borders are trimmed, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageOps

from snoopsync.decoding.border import content_box, part_between_bars
from tests.support.pictures import photo


def grey(picture: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(picture.convert("L"))


def busy(size: tuple[int, int] = (120, 90)) -> Image.Image:
    """Noise, in which no line looks like a border."""
    dots = np.random.default_rng(5).integers(0, 256, (size[1], size[0]), dtype=np.uint8)
    return Image.fromarray(dots).convert("RGB")


@pytest.mark.parametrize("colour", ["white", "black", "#c8b478"])
def test_a_frame_is_trimmed(colour: str) -> None:
    assert content_box(grey(ImageOps.expand(busy(), 10, colour))) == (10, 10, 130, 100)


def test_a_letterbox_is_trimmed() -> None:
    framed = ImageOps.expand(busy(), (0, 25, 0, 15), "black")
    assert content_box(grey(framed)) == (0, 25, 120, 115)


def test_bars_at_the_sides_are_trimmed() -> None:
    framed = ImageOps.expand(busy(), (30, 0, 20, 0), "black")
    assert content_box(grey(framed)) == (30, 0, 150, 90)


def test_bars_of_another_shade_inside_a_letterbox_are_trimmed() -> None:
    framed = ImageOps.expand(ImageOps.expand(busy(), (30, 0), "white"), (0, 25), "black")
    assert content_box(grey(framed)) == (30, 25, 150, 115)


def test_a_noisy_border_is_trimmed() -> None:
    framed = grey(ImageOps.expand(busy(), 10, "#808080")).copy()
    framed[3, 5] += 20
    assert content_box(framed) == (10, 10, 130, 100)


def test_a_picture_without_borders_is_not_trimmed() -> None:
    assert content_box(grey(busy())) is None


@pytest.mark.parametrize("size", [(1, 1), (1, 50), (50, 1), (64, 64)])
def test_a_picture_of_one_shade_is_not_trimmed(size: tuple[int, int]) -> None:
    assert content_box(grey(Image.new("RGB", size, "white"))) is None


@pytest.mark.parametrize("side", [1, 8, 31])
def test_borders_stay_if_too_few_pixels_would_remain(side: int) -> None:
    page = Image.new("RGB", (100, 100), "white")
    page.paste(busy((side, side)), (30, 30))
    assert content_box(grey(page)) is None


def test_borders_stay_if_less_than_a_quarter_of_a_side_would_remain() -> None:
    page = Image.new("RGB", (400, 400), "white")
    page.paste(photo(1, (90, 390)), (100, 5))
    assert content_box(grey(page)) is None


def screen(height: int = 300, bar: int = 60) -> NDArray[np.uint8]:
    """A screen with two bars around a picture. The upper bar has text on it."""
    grey = np.full((height, 200), 12, np.uint8)
    grey[bar:-bar] = np.random.default_rng(1).integers(0, 256, (height - 2 * bar, 200), np.uint8)
    grey[20:30, 40:70] = 240
    return grey


def test_text_on_a_bar_does_not_hide_the_bar() -> None:
    assert content_box(screen()) != (0, 60, 200, 240)
    assert part_between_bars(screen()) == (0, 60, 200, 240)
    assert part_between_bars(np.ascontiguousarray(screen().T)) == (60, 0, 240, 200)


def test_a_picture_without_bars_or_with_nothing_else_has_no_part_between_bars() -> None:
    assert part_between_bars(screen()[60:-60]) is None
    assert part_between_bars(screen(bar=130)) is None
    assert part_between_bars(np.full((90, 90), 7, np.uint8)) is None
