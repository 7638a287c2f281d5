"""Pairs of regions, and what they suggest about two pictures."""

from __future__ import annotations

import numpy as np
import pytest

from snoopsync.decoding.pdq import FORMS
from snoopsync.embedded.region_pairs import (
    MOST_EVIDENCE,
    LocatedRegions,
    evidence,
    in_forms,
    luma_in_form,
    region_matches,
)

CODES = np.random.default_rng(1).integers(1, 2**62, 3, np.uint64) << np.uint64(1)
BOXES = np.array([[0.1, 0.1, 0.4, 0.5], [0.5, 0.2, 0.8, 0.6], [0.2, 0.5, 0.5, 0.9]])
REGIONS = LocatedRegions(CODES, BOXES)


def test_regions_that_suggest_the_same_are_evidence_together() -> None:
    smaller = LocatedRegions(CODES, BOXES / 2 + 0.3)
    matches = region_matches(REGIONS, smaller)
    assert evidence(matches).tolist() == [3 * MOST_EVIDENCE] * 3


def test_regions_at_unrelated_places_are_evidence_alone() -> None:
    elsewhere = LocatedRegions(CODES, BOXES[[1, 2, 0]])
    assert evidence(region_matches(REGIONS, elsewhere)).tolist() == [MOST_EVIDENCE] * 3


def test_a_region_counts_once() -> None:
    twice = LocatedRegions(np.repeat(CODES[:1], 2), np.repeat(BOXES[:1], 2, axis=0))
    assert evidence(region_matches(REGIONS, twice)).tolist() == [MOST_EVIDENCE] * 2


def test_unlike_regions_are_no_pairs() -> None:
    unlike = LocatedRegions(~CODES, BOXES)
    assert not len(region_matches(LocatedRegions(CODES[:1], BOXES[:1]), unlike).bits)


@pytest.mark.parametrize("form", range(len(FORMS)))
def test_a_box_shows_the_same_part_in_every_form(form: int) -> None:
    picture = np.zeros((64, 64))
    picture[8:24, 16:56] = 1  # top to bottom, left to right
    box = np.array([[16, 8, 56, 24]]) / 64
    left, top, right, bottom = (in_forms(box, np.array([form])) * 64)[0].astype(int)
    changed = luma_in_form(picture, form)
    assert changed[top:bottom, left:right].all()
    assert changed.sum() == picture.sum()
