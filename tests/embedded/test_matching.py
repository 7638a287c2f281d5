"""Which of what was found is a match."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from PIL import ImageOps

from snoopsync.embedded.features import Features, Thumbnail
from snoopsync.embedded.kinds import Kind
from snoopsync.embedded.matching import Alike, Hit, Queries, judged
from snoopsync.embedded.store import Candidate, StoredImage
from tests.embedded.helpers import look
from tests.pictures import encode, photo

PHOTO = look(encode(photo(1, (480, 360))))
OTHER = look(encode(photo(2, (480, 360))))
UPRIGHT, VIEW = 0, 8


def flat(shade: int) -> Thumbnail:
    shades = np.full((64, 64), shade, np.uint8)
    shades[:8, :8] = 40
    return Thumbnail(shades.tobytes(), bytes(128))


def judge(ours: Features, theirs: Features, *hits: Hit) -> Alike | None:
    candidate = Candidate(StoredImage(1, "stored", theirs.sha256), theirs)
    return judged(ours, candidate, Queries(ours, deep=True), list(hits))


def test_a_photograph_s_rank_is_at_most_50_where_it_certainly_is_the_same() -> None:
    alike = judge(PHOTO, PHOTO, Hit(60, UPRIGHT, trimmed=False))
    assert alike is not None and (alike.rank, alike.kind) == (50, Kind.REENCODED)
    alike = judge(PHOTO, OTHER, Hit(60, UPRIGHT, trimmed=False))
    assert alike is not None and alike.rank == 60


def test_only_photographs_are_matched_by_views() -> None:
    hit = Hit(30, VIEW, trimmed=False)
    assert judge(PHOTO, PHOTO, hit) is not None
    assert judge(PHOTO, replace(PHOTO, thumbnail=flat(200)), hit) is None


@pytest.mark.parametrize("border", [(24, 24), (0, 30), (30, 0)])
def test_what_is_framed_is_not_taken_for_a_photograph(border: tuple[int, int]) -> None:
    """Else any two framed pictures are alike by their frames."""
    framed = look(encode(ImageOps.expand(photo(1, (480, 360)), border, "black")))
    hit = Hit(30, VIEW, trimmed=False)
    assert judge(PHOTO, framed, hit) is None
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


def test_only_a_photograph_is_asked_for_by_views() -> None:
    assert len(Queries(PHOTO, deep=True).codes) > len(Queries(PHOTO, deep=False).codes)
    drawn = replace(PHOTO, thumbnail=flat(200))
    assert len(Queries(drawn, deep=True).codes) == len(Queries(drawn, deep=False).codes)
