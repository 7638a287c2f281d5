"""A picture and another one that shows a part of it match; pictures with a common logo do not."""

from __future__ import annotations

import hashlib
import io
import random
from functools import lru_cache

import pytest
from PIL import Image, ImageDraw, ImageOps

from snoopsync.decoding.decode import features_of
from snoopsync.embedded.kinds import MatchKind
from snoopsync.embedded.pairing import ComparablePicture, score_pairs, score_sharing_pairs
from snoopsync.embedded.parts import MAX_RANK_OF_PARTS, MIN_RANK_OF_PARTS
from snoopsync.embedded.scoring import Score
from tests.support import hard_alterations as hard
from tests.support.alterations import Change, alterations
from tests.support.diagrams import DIAGRAMS
from tests.support.pictures import encode, photo

SIZE = (480, 360)

#: Makes a picture of which only a part is the original, and the kinds that are right.
CHANGES: dict[str, tuple[Change, set[str]]] = {
    "a third is cropped": (lambda one, dice: hard.cropped_area(one, dice, 0.3), {"cropped"}),
    "cropped and turned": (hard.cropped_and_turned, {"cropped", "rotated", "mirrored"}),
    "a screenshot": (hard.screenshot, {"bordered", "cropped"}),
    "in a collage of two": (lambda one, dice: hard.collage(one, dice, 2), {"cropped", "bordered"}),
}


@lru_cache(maxsize=64)
def original(seed: int) -> ComparablePicture:
    return described(photo(seed, SIZE))


def described(picture: Image.Image) -> ComparablePicture:
    data = encode(picture, quality=90)
    return ComparablePicture(features_of(io.BytesIO(data), hashlib.sha256(data).digest()))


def score_pair(asked: ComparablePicture, candidate: ComparablePicture) -> Score | None:
    [score] = score_pairs(asked, [candidate])
    return score


def score_sharing_pair(asked: ComparablePicture, candidate: ComparablePicture) -> Score | None:
    [score] = score_sharing_pairs(asked, [candidate])
    return score


@pytest.mark.parametrize(("change", "kinds"), CHANGES.values(), ids=list(CHANGES))
def test_a_part_of_a_picture_matches_it_in_either_order(change: Change, kinds: set[str]) -> None:
    for seed in (3, 5):
        altered = described(change(photo(seed, SIZE), random.Random(seed)))
        score = score_pair(altered, original(seed))
        assert score is not None
        assert score == score_pair(original(seed), altered)
        assert score.kind in kinds
        assert score.rank <= MAX_RANK_OF_PARTS


def test_the_rank_of_a_part_is_within_its_limits() -> None:
    altered = described(hard.cropped_area(photo(3, SIZE), random.Random(1), 0.5))
    score = score_sharing_pair(altered, original(3))
    assert score is not None
    assert MIN_RANK_OF_PARTS <= score.rank <= MAX_RANK_OF_PARTS
    assert score.kind is MatchKind.CROPPED


def test_a_picture_in_a_blurred_square_is_bordered() -> None:
    square = next(each for each in alterations() if each.name == "in a blurred square")
    picture = Image.open(io.BytesIO(square.apply(photo(3, SIZE), 1)))
    score = score_sharing_pair(described(picture), original(3))
    assert score is not None
    assert score.kind is MatchKind.BORDERED


def test_pictures_of_different_scenes_share_no_part() -> None:
    for one in range(8):
        for other in range(one):
            assert score_sharing_pair(original(one), original(other)) is None


def with_logo(picture: Image.Image) -> Image.Image:
    """The picture with a detailed logo that takes a tenth of its area."""
    logo = photo(99, (150, 115))
    ImageDraw.Draw(logo).text((10, 40), "LOGO", fill="white", font_size=40)
    marked = picture.copy()
    marked.paste(logo, (320, 235))
    return marked


def test_a_common_logo_makes_no_match() -> None:
    marked = [described(with_logo(photo(seed, SIZE))) for seed in range(4)]
    for one in range(4):
        for other in range(one):
            assert score_pair(marked[one], marked[other]) is None


def test_drawings_of_one_kind_share_no_part() -> None:
    def drawing(seed: int) -> Image.Image:
        drawn, dice = Image.new("RGB", SIZE, "white"), random.Random(seed)
        draw = ImageDraw.Draw(drawn)
        draw.rectangle((40, 40, 440, 320), outline="black", width=3)
        for bar in range(6):
            draw.rectangle((60 + 60 * bar, dice.randint(60, 280), 100 + 60 * bar, 320), fill="navy")
        return drawn

    pictures = [described(drawing(seed)) for seed in range(5)]
    for one in range(5):
        for other in range(one):
            assert score_sharing_pair(pictures[one], pictures[other]) is None


def test_two_chess_positions_share_no_part() -> None:
    drawn = [DIAGRAMS["chess positions"](random.Random(seed)) for seed in (8, 28)]
    turned = drawn[0].transpose(Image.Transpose.ROTATE_90)
    for one in (drawn[0], turned):
        for other in (drawn[1], drawn[1].transpose(Image.Transpose.ROTATE_90)):
            assert score_pair(described(one), described(other)) is None


def test_many_pictures_give_the_scores_of_each_alone() -> None:
    asked = described(hard.cropped_area(photo(3, SIZE), random.Random(1), 0.5))
    candidates = [original(seed) for seed in (9, 3, 1, 3, 8)] * 9
    for scored in (score_pairs, score_sharing_pairs):
        alone = [scored(asked, [each])[0] for each in candidates]
        assert scored(asked, candidates) == alone
        assert [each is not None for each in alone] == [False, True, False, True, False] * 9


def test_pictures_without_regions_share_no_part() -> None:
    flat = described(ImageOps.expand(Image.new("RGB", (200, 200), "grey"), 20, "white"))
    assert score_sharing_pair(flat, original(1)) is None
