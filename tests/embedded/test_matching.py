"""Which of what was found is a match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageOps

from snoopsync.decoding.features import CODE_BYTES, Features, Thumbnail
from snoopsync.embedded.kinds import Kind
from snoopsync.embedded.scoring import Alike, Hit, Queries, judged
from snoopsync.embedded.store import Candidate, StoredImage
from snoopsync.embedded.variants import CUTS
from tests.embedded.helpers import look
from tests.support.pictures import encode, photo

PHOTO = look(encode(photo(1, (480, 360))))
OTHER = look(encode(photo(2, (480, 360))))
UPRIGHT, VIEW = 0, 8


def flat(shade: int) -> Thumbnail:
    shades = np.full((64, 64), shade, np.uint8)
    shades[:8, :8] = 40
    return Thumbnail(shades.tobytes(), bytes(128))


def judge(ours: Features, theirs: Features, *hits: Hit) -> Alike | None:
    candidate = Candidate(StoredImage(1, "stored", theirs.sha256), theirs)
    queries = Queries(ours, deep=True)
    telling = [hit for hit in hits if queries.tells(hit, theirs)]
    return judged(ours, candidate, queries, telling) if telling else None


def test_a_photograph_s_rank_is_at_most_50_where_it_certainly_is_the_same() -> None:
    alike = judge(PHOTO, PHOTO, Hit(60, UPRIGHT, trimmed=False))
    assert alike is not None and (alike.rank, alike.kind) == (50, Kind.REENCODED)
    alike = judge(PHOTO, OTHER, Hit(60, UPRIGHT, trimmed=False))
    assert alike is not None and alike.rank == 60


DRAWN = replace(PHOTO, thumbnail=flat(200))
PART = VIEW + next(n for n, cut in enumerate(CUTS) if cut.is_part)
MORE = VIEW + next(n for n, cut in enumerate(CUTS) if not cut.is_part)
TURN = VIEW + len(CUTS)


@pytest.mark.parametrize(
    ("view", "ours", "theirs", "is_match"),
    [
        # A photograph that is a part of whatever it may be.
        (PART, PHOTO, PHOTO, True),
        (PART, DRAWN, PHOTO, True),
        (PART, PHOTO, DRAWN, False),
        (MORE, PHOTO, PHOTO, True),
        (MORE, PHOTO, DRAWN, True),
        (MORE, DRAWN, PHOTO, False),
        # All of the one is all of the other.
        (TURN, PHOTO, PHOTO, True),
        (TURN, DRAWN, PHOTO, False),
        (TURN, PHOTO, DRAWN, False),
    ],
)
def test_only_photographs_are_matched_by_views(
    view: int, ours: Features, theirs: Features, is_match: bool
) -> None:
    assert (judge(ours, theirs, Hit(30, view, trimmed=False)) is not None) == is_match


@pytest.mark.parametrize("colour", ["white", "black", "red"])
def test_a_bar_that_the_stored_picture_has_more_is_seen_whatever_its_colour(colour: str) -> None:
    barred = look(encode(ImageOps.expand(photo(1, (480, 360)), (0, 0, 0, 56), colour)))
    code = np.frombuffer(barred.codes[:CODE_BYTES], np.uint8)
    bits = np.bitwise_count(Queries(PHOTO, deep=True).codes ^ code).sum(axis=1, dtype=int)
    assert bits.min() <= 8


def test_a_caption_outside_is_seen_whatever_edge_is_even_besides() -> None:
    """The caption's edge and the night sky on the other side are no frame."""
    sky = photo(1, (480, 360))
    sky.paste("black", (0, 0, 480, 12))
    captioned = ImageOps.expand(sky, (0, 0, 0, 43), "black")
    ours, theirs = look(encode(captioned)), look(encode(sky))
    for one, other in ((ours, theirs), (theirs, ours)):
        queries = Queries(one, deep=True)
        code = np.frombuffer(other.codes[:CODE_BYTES], np.uint8)
        bits = np.bitwise_count(queries.codes ^ code).sum(axis=1, dtype=int)
        hits = [Hit(int(bits[n]), int(n), trimmed=False) for n in np.argsort(bits)[:3]]
        alike = judge(one, other, *hits)
        assert alike is not None and (alike.rank <= 31, alike.kind) == (True, Kind.BORDERED)


@pytest.mark.parametrize("border", [(24, 24), (0, 30), (30, 0)])
def test_what_is_framed_is_not_taken_for_a_photograph(border: tuple[int, int]) -> None:
    """Else any two framed pictures are alike by their frames."""
    framed = look(encode(ImageOps.expand(photo(1, (480, 360)), border, "black")))
    assert judge(PHOTO, framed, Hit(30, PART, trimmed=False)) is None
    more = MORE - VIEW + len(Queries(framed, deep=False).codes)
    assert judge(framed, PHOTO, Hit(30, more, trimmed=False)) is None
    certain = Hit(60, UPRIGHT, trimmed=False)
    alike = judge(framed, framed, certain)
    assert alike is not None and alike.rank == 60


def test_a_picture_of_low_quality_is_only_matched_by_the_same_picture() -> None:
    faint = replace(PHOTO, quality=20, thumbnail=flat(200))
    near = Hit(10, UPRIGHT, trimmed=False)
    alike = judge(faint, faint, near)
    assert alike is not None and (alike.rank, alike.kind) == (10, Kind.REENCODED)
    assert judge(faint, replace(faint, thumbnail=OTHER.thumbnail), near) is None
    assert judge(PHOTO, faint, near) is None
    assert judge(faint, faint, Hit(40, UPRIGHT, trimmed=False)) is None


def test_what_is_too_far_by_one_code_is_judged_by_the_nearest() -> None:
    hits = Hit(12, UPRIGHT, trimmed=True), Hit(70, UPRIGHT, trimmed=False)
    alike = judge(PHOTO, PHOTO, *hits)
    assert alike is not None and (alike.rank, alike.kind) == (12, Kind.BORDERED)


def test_a_picture_of_which_no_thumbnail_was_kept_has_no_views() -> None:
    kept = replace(PHOTO, thumbnail=None)
    assert len(Queries(PHOTO, deep=True).codes) > len(Queries(PHOTO, deep=False).codes)
    assert len(Queries(kept, deep=True).codes) == len(Queries(kept, deep=False).codes)
