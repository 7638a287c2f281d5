"""The part that two aligned thumbnails show is found, and compared."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from snoopsync.embedded.agreement import SharedPart, shared_part
from snoopsync.embedded.alignment import Alignment, Box, Luma, Suggestion, align
from tests.embedded.helpers import luma
from tests.support.pictures import photo

SIZE = (480, 480)


def crop(picture: Image.Image, box: Box) -> Image.Image:
    left, top, right, bottom = (round(480 * each) for each in box)
    return picture.crop((left, top, right, bottom))


def found_part(one: Luma, other: Luma, ours: Box, theirs: Box) -> SharedPart | None:
    [alignment] = align([Suggestion(one, other, ours, theirs)])
    return alignment and shared_part(one, other, alignment)


def aligned(one: Image.Image, other: Image.Image, ours: Box, theirs: Box) -> SharedPart:
    part = found_part(luma(one), luma(other), ours, theirs)
    assert part is not None
    return part


def test_an_inexact_suggestion_leads_to_the_exact_crop() -> None:
    whole, box = photo(3, SIZE), Box(0.1, 0.2, 0.8, 0.95)
    region = Box(0.3, 0.4, 0.6, 0.7)
    seen = Alignment(1 / 0.7, -0.1 / 0.7, 1 / 0.75, -0.2 / 0.75)
    moved = seen.applied(Box(0.32, 0.41, 0.63, 0.72))
    part = aligned(whole, crop(whole, box), region, moved)
    assert part.box == pytest.approx(box, abs=0.02)
    assert part.share_of_theirs == pytest.approx(1, abs=0.05)
    assert part.share_of_ours == pytest.approx(box.area, abs=0.03)
    assert part.bits <= 20
    assert part.likeness > 0.9


def test_other_brightness_and_contrast_do_not_matter() -> None:
    whole, box = photo(3, SIZE), Box(0.3, 0.4, 0.6, 0.7)
    darker = whole.point(lambda level: level * 0.6 + 20)
    assert aligned(whole, darker, box, box).likeness > 0.95


def test_what_only_one_picture_shows_is_left_out() -> None:
    whole = photo(3, SIZE)
    covered = whole.copy()
    covered.paste(photo(8, (480, 160)), (0, 320))
    box = Box(0.2, 0.1, 0.6, 0.5)
    part = aligned(whole, covered, box, box)
    assert part.box.bottom <= 0.76
    assert part.share_of_ours > 0.5
    assert part.likeness > 0.9


def test_pictures_that_do_not_fit_are_not_alike() -> None:
    box = Box(0.2, 0.2, 0.7, 0.7)
    for seed in range(10, 20):
        part = found_part(luma(photo(3, SIZE)), luma(photo(seed, SIZE)), box, box)
        assert part is None or part.bits > 50 or max(part.share_of_ours, part.share_of_theirs) < 0.3


def test_a_uniform_picture_fits_nothing() -> None:
    box = Box(0.2, 0.2, 0.7, 0.7)
    assert found_part(np.full((64, 64), 9.0), luma(photo(1, SIZE)), box, box) is None


def test_a_checked_pattern_repeats_itself_and_a_photograph_does_not() -> None:
    box = Box(0.2, 0.2, 0.7, 0.7)
    board = Image.fromarray(np.kron(np.indices((8, 8)).sum(0) % 2, np.ones((60, 60))) * 255)
    assert aligned(board, board, box, box).repetition > 0.9
    assert aligned(photo(3, SIZE), photo(3, SIZE), box, box).repetition < 0.5
    assert aligned(photo(3, SIZE), photo(3, SIZE), box, box).likeness == pytest.approx(1)
