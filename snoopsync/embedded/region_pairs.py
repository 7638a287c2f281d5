"""Finds the part that two pictures share, by their regions.

Two regions with near codes suggest how one picture was cropped, enlarged, turned or put into the
other one. Other regions that suggest the same are further evidence. The suggestions with the most
evidence are tried: the thumbnails are aligned, and what both show is compared.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding.pdq import FORMS
from snoopsync.decoding.regions import UNIT, Regions, codes_of_forms
from snoopsync.embedded.alignment import Box, Luma

#: The most bits in which the codes of two regions differ if they may show the same.
MAX_BITS = 10

#: The evidence of a pair of regions is this number minus the distance of their codes in bits.
MOST_EVIDENCE = 13

#: The least evidence of a suggestion that is tried. Of a million pairs of different photographs,
#: 5,100 have regions with near codes, and 700 have this evidence. 98 of 100 pictures and their
#: collages of two have it.
MIN_EVIDENCE = 5

#: How many suggestions are tried for a pair of pictures, and how many are examined for evidence.
_MOST_TRIED = 4
_MOST_EXAMINED = 64

#: Two pairs of regions suggest the same if their scales differ by less than this factor, and their
#: middles by less than this share of their sizes.
_SAME_SCALE = 1.33
_SAME_PLACE = 0.15


class LocatedRegions(NamedTuple):
    """The codes of some regions, and their boxes in the picture: a row of left, top, right and
    bottom for each, where the picture's width and height are 1."""

    codes: NDArray[np.uint64]
    boxes: NDArray[np.float64]


class RegionMatches(NamedTuple):
    """Pairs of regions of two pictures that may show the same: the bits in which their codes
    differ, the form of our picture, and the boxes of both, ours in that form."""

    bits: NDArray[np.int64]
    forms: NDArray[np.int64]
    ours: NDArray[np.float64]
    theirs: NDArray[np.float64]


def located(regions: Regions, width: int, height: int) -> LocatedRegions:
    """The regions of a picture of this width and height in pixels."""
    radius = regions["radius"] * (UNIT * max(width, height))
    across, down = radius / width, radius / height
    x, y = regions["x"] * UNIT, regions["y"] * UNIT
    boxes = np.stack([x - across, y - down, x + across, y + down], axis=1)
    return LocatedRegions(regions["code"].astype(np.uint64), boxes)


def in_forms(boxes: NDArray[np.float64], forms: NDArray[np.int64]) -> NDArray[np.float64]:
    """Where each of these boxes is in this form of the picture."""
    transposed, flipped, mirrored = np.array(FORMS)[forms].T[:, :, np.newaxis]
    boxes = np.where(transposed, boxes[:, [1, 0, 3, 2]], boxes)
    boxes = np.where(flipped, _reflected(boxes, [0, 3, 2, 1]), boxes)
    return np.where(mirrored, _reflected(boxes, [2, 1, 0, 3]), boxes)


def _reflected(boxes: NDArray[np.float64], order: list[int]) -> NDArray[np.float64]:
    """The boxes with this order of their sides, of which the exchanged ones are reflected."""
    exchanged = np.array(order) != np.arange(4)
    return np.where(exchanged, 1 - boxes[:, order], boxes)


def region_matches(ours: LocatedRegions, theirs: LocatedRegions) -> RegionMatches:
    """The pairs of regions of two pictures with near codes."""
    differing = codes_of_forms(ours.codes)[:, :, np.newaxis] ^ theirs.codes
    bits = np.bitwise_count(differing).astype(np.int64)
    forms, one, other = np.nonzero(bits <= MAX_BITS)
    nearest = np.argsort(bits[forms, one, other], kind="stable")[:_MOST_EXAMINED]
    forms, one, other = forms[nearest], one[nearest], other[nearest]
    return RegionMatches(
        bits[forms, one, other],
        forms,
        in_forms(ours.boxes[one], forms),
        theirs.boxes[other],
    )


def evidence(matches: RegionMatches) -> NDArray[np.int64]:
    """For each pair of regions, how much evidence for its suggestion there is: of the pair and of
    the other pairs that suggest the same. Each region counts once."""
    weights = MOST_EVIDENCE - matches.bits
    found = weights.copy()
    if len(weights) > 1:
        agree = _agreeing(matches)
        for at in range(len(weights)):
            others = np.flatnonzero(agree[at])
            kept: list[int] = [at]
            for other in others[np.argsort(matches.bits[others], kind="stable")].tolist():
                if all(_are_distinct(matches, other, each) for each in kept):
                    kept.append(other)
            found[at] = weights[kept].sum()
    return found


def _agreeing(matches: RegionMatches) -> NDArray[np.bool_]:
    """Which pairs suggest the same as each pair: a row for each."""
    size = matches.theirs[:, 2:] - matches.theirs[:, :2]
    scale = size / (matches.ours[:, 2:] - matches.ours[:, :2])
    ours = (matches.ours[:, 2:] + matches.ours[:, :2]) / 2
    theirs = (matches.theirs[:, 2:] + matches.theirs[:, :2]) / 2
    expected = (ours - ours[:, np.newaxis]) * scale[:, np.newaxis] + theirs[:, np.newaxis]
    apart = np.abs(expected - theirs) / (size + size[:, np.newaxis])
    ratio = np.abs(np.log(scale[:, 0] / scale[:, np.newaxis, 0]))
    agree: NDArray[np.bool_] = (
        (apart < _SAME_PLACE).all(axis=2)
        & (ratio < np.log(_SAME_SCALE))
        & (matches.forms == matches.forms[:, np.newaxis])
    )
    return agree


def _are_distinct(matches: RegionMatches, one: int, other: int) -> bool:
    """Whether two pairs have no region in common."""
    return not (
        np.array_equal(matches.ours[one], matches.ours[other])
        or np.array_equal(matches.theirs[one], matches.theirs[other])
    )


class SuggestedParts(NamedTuple):
    """A part of our picture in the form with this number, and the part of their picture that may
    show the same."""

    form: int
    ours: Box
    theirs: Box


def suggestions(ours: LocatedRegions, theirs: LocatedRegions) -> list[SuggestedParts]:
    """The parts of two pictures that may show the same, those with the most evidence first."""
    matches = region_matches(ours, theirs)
    found = evidence(matches)
    best = np.argsort(-found, kind="stable")[:_MOST_TRIED]
    return [
        SuggestedParts(
            int(matches.forms[at]),
            Box(*matches.ours[at].tolist()),
            Box(*matches.theirs[at].tolist()),
        )
        for at in best[found[best] >= MIN_EVIDENCE].tolist()
    ]


def luma_in_form(luma: Luma, form: int) -> Luma:
    """The picture in the form with this number in ``FORMS``."""
    transposed, flipped, mirrored = FORMS[form]
    luma = luma.T if transposed else luma
    return luma[:: -1 if flipped else 1, :: -1 if mirrored else 1]
