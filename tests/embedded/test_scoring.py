"""Which candidates are matches, with what rank and kind."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageOps

from snoopsync.decoding.features import CODE_BYTES, Features, Thumbnail
from snoopsync.embedded.kinds import MatchKind
from snoopsync.embedded.scoring import CodeMatch, QueryCodes, Score, score
from snoopsync.embedded.variants import CROPS
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

PHOTO = extract(encode(photo(1, (480, 360))))
OTHER = extract(encode(photo(2, (480, 360))))
DIRECT, FIRST_VARIANT = 0, 8


def flat(shade: int) -> Thumbnail:
    shades = np.full((64, 64), shade, np.uint8)
    shades[:8, :8] = 40
    return Thumbnail(shades.tobytes(), bytes(128))


def score_of(ours: Features, theirs: Features, *matches: CodeMatch) -> Score | None:
    queries = QueryCodes(ours, with_variants=True)
    supported = [match for match in matches if queries.supports(match, theirs)]
    return score(queries, theirs, supported) if supported else None


def test_photographs_that_are_certainly_the_same_have_a_rank_of_at_most_50() -> None:
    assert score_of(PHOTO, PHOTO, CodeMatch(60, DIRECT, trimmed=False)) == (50, MatchKind.REENCODED)
    other = score_of(PHOTO, OTHER, CodeMatch(60, DIRECT, trimmed=False))
    assert other is not None and other.rank == 60


DRAWN = replace(PHOTO, thumbnail=flat(200))
PART = FIRST_VARIANT + next(n for n, crop in enumerate(CROPS) if crop.is_part)
MORE = FIRST_VARIANT + next(n for n, crop in enumerate(CROPS) if not crop.is_part)
ROTATED = FIRST_VARIANT + len(CROPS)


@pytest.mark.parametrize(
    ("variant", "ours", "theirs", "is_match"),
    [
        # The part must be a photograph, whatever the whole is.
        (PART, PHOTO, PHOTO, True),
        (PART, DRAWN, PHOTO, True),
        (PART, PHOTO, DRAWN, False),
        (MORE, PHOTO, PHOTO, True),
        (MORE, PHOTO, DRAWN, True),
        (MORE, DRAWN, PHOTO, False),
        # Where neither is a part of the other, both must be photographs.
        (ROTATED, PHOTO, PHOTO, True),
        (ROTATED, DRAWN, PHOTO, False),
        (ROTATED, PHOTO, DRAWN, False),
    ],
)
def test_variants_match_photographs_only(
    variant: int, ours: Features, theirs: Features, is_match: bool
) -> None:
    assert (score_of(ours, theirs, CodeMatch(30, variant, trimmed=False)) is not None) == is_match


@pytest.mark.parametrize("colour", ["white", "black", "red"])
def test_a_stored_picture_with_an_added_bar_of_any_colour_is_near(colour: str) -> None:
    barred = extract(encode(ImageOps.expand(photo(1, (480, 360)), (0, 0, 0, 56), colour)))
    code = np.frombuffer(barred.codes[:CODE_BYTES], np.uint8)
    bits = np.bitwise_count(QueryCodes(PHOTO, with_variants=True).codes ^ code).sum(
        axis=1, dtype=int
    )
    assert bits.min() <= 8


def test_a_caption_below_is_found_even_if_another_edge_has_one_shade() -> None:
    """The caption's edge and the night sky on the other side are no frame."""
    sky = photo(1, (480, 360))
    sky.paste("black", (0, 0, 480, 12))
    captioned = ImageOps.expand(sky, (0, 0, 0, 43), "black")
    ours, theirs = extract(encode(captioned)), extract(encode(sky))
    for one, other in ((ours, theirs), (theirs, ours)):
        queries = QueryCodes(one, with_variants=True)
        code = np.frombuffer(other.codes[:CODE_BYTES], np.uint8)
        bits = np.bitwise_count(queries.codes ^ code).sum(axis=1, dtype=int)
        nearest = [CodeMatch(int(bits[n]), int(n), trimmed=False) for n in np.argsort(bits)[:3]]
        found = score_of(one, other, *nearest)
        assert found is not None and (found.rank <= 31, found.kind) == (True, MatchKind.BORDERED)


@pytest.mark.parametrize("border", [(24, 24), (0, 30), (30, 0)])
def test_a_framed_picture_does_not_count_as_a_photograph(border: tuple[int, int]) -> None:
    """Otherwise any two framed pictures would match by their frames."""
    framed = extract(encode(ImageOps.expand(photo(1, (480, 360)), border, "black")))
    assert score_of(PHOTO, framed, CodeMatch(30, PART, trimmed=False)) is None
    more = MORE - FIRST_VARIANT + len(QueryCodes(framed, with_variants=False).codes)
    assert score_of(framed, PHOTO, CodeMatch(30, more, trimmed=False)) is None
    same = score_of(framed, framed, CodeMatch(60, DIRECT, trimmed=False))
    assert same is not None and same.rank == 60


def test_a_picture_of_low_quality_matches_only_the_same_picture() -> None:
    faint = replace(PHOTO, quality=20, thumbnail=flat(200))
    near = CodeMatch(10, DIRECT, trimmed=False)
    assert score_of(faint, faint, near) == (10, MatchKind.REENCODED)
    assert score_of(faint, replace(faint, thumbnail=OTHER.thumbnail), near) is None
    assert score_of(PHOTO, faint, near) is None
    assert score_of(faint, faint, CodeMatch(40, DIRECT, trimmed=False)) is None


def test_the_nearest_code_decides_the_rank_and_the_kind() -> None:
    matches = CodeMatch(12, DIRECT, trimmed=True), CodeMatch(70, DIRECT, trimmed=False)
    assert score_of(PHOTO, PHOTO, *matches) == (12, MatchKind.BORDERED)


def test_a_picture_without_a_stored_thumbnail_has_no_variants() -> None:
    def has_variants(features: Features) -> bool:
        some, most = (QueryCodes(features, with_variants=each) for each in (False, True))
        return len(most.codes) > len(some.codes)

    assert has_variants(PHOTO)
    assert not has_variants(replace(PHOTO, thumbnail=None))
