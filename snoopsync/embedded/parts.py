"""Scores pairs of pictures of which one shows a part of the other, or both show a common part.

``scoring`` compares pictures as a whole. This module compares what their regions have in common:
a crop, a picture in a screenshot or in a collage, in any of the eight forms. Only photographs
count, because drawings and screenshots of one program have equal parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np

from snoopsync.decoding.features import Features, Thumbnail
from snoopsync.decoding.regions import from_bytes
from snoopsync.embedded.agreement import SharedPart, shared_part
from snoopsync.embedded.alignment import Alignment, Box, Luma, Suggestion, align
from snoopsync.embedded.kinds import (
    FORM_KINDS,
    MatchKind,
    has_grain,
    is_bar,
    is_photographic,
    luma_of,
)
from snoopsync.embedded.region_pairs import located, luma_in_form, suggestions
from snoopsync.embedded.scoring import Score

#: The rank of a match is the distance of the parts' codes in bits, within these limits. A part says
#: less than a whole picture, so it never ranks before those that are nearly the same.
MIN_RANK_OF_PARTS = 32
MAX_RANK_OF_PARTS = 42

#: The smallest correlation of the details of both. Of 97 million pairs of different photographs and
#: altered copies, six had parts within 50 bits, and one of these was within 42 bits, with a
#: correlation of 0.74. One in 200 true parts has less than 0.81.
_MIN_LIKENESS = 0.78

#: How much more the part must be like the other picture's than like itself, moved. Two chess
#: positions have -0.01, and 99 in 100 parts of photographs have 0.08 or more.
_MIN_SURPLUS = 0.05

#: The smallest share of the picture that is mostly in the part, and of the other one. Of a million
#: pairs of different photographs, none had a part of this size within 59 bits.
_MIN_LARGER_SHARE = 0.3
_MIN_SMALLER_SHARE = 0.06

#: Where the aligned pictures overlap, at least this share must be the part. Parts of a collage have
#: 0.44 or more, pictures with large captions 0.5; other pictures with the same logo have less.
_MIN_SHARE_OF_OVERLAP = 0.4

#: From these shares on, the part is nearly the whole picture. If it is nearly the whole of both
#: pictures, one was edited, not cropped.
_WHOLE = 0.8
_WHOLE_OF_BOTH = 0.93

#: Blurred surroundings have less than this share of the details of the part, for the same area.
_BLURRED = 0.55


class PictureParts:
    """What the parts of a picture are compared by."""

    def __init__(self, features: Features, thumbnail: Thumbnail) -> None:
        self.regions = located(from_bytes(features.regions), features.width, features.height)
        self._thumbnail = thumbnail

    @cached_property
    def luma(self) -> Luma:
        """The shades of grey."""
        return luma_of(self._thumbnail)

    @cached_property
    def is_photographic(self) -> bool:
        """Whether this is a photograph, whose parts are evidence."""
        return is_photographic(self._thumbnail)


class _Trial(NamedTuple):
    """Parts of the pair with this number that may show the same. ``ours``: our picture in its
    form."""

    pair: int
    form: int
    ours: Luma


def score_parts(pairs: Sequence[tuple[PictureParts, PictureParts]]) -> list[Score | None]:
    """For each pair of pictures: how similar the parts are that both share; ``None`` if they share
    none. The pictures of a pair must be in an order that does not depend on which one is searched
    for."""
    trials: list[_Trial] = []
    suggested: list[Suggestion] = []
    for number, (ours, theirs) in enumerate(pairs):
        if not (ours.is_photographic or theirs.is_photographic):
            continue
        for each in suggestions(ours.regions, theirs.regions):
            trials.append(_Trial(number, each.form, luma_in_form(ours.luma, each.form)))
            suggested.append(Suggestion(trials[-1].ours, theirs.luma, each.ours, each.theirs))
    scores: list[Score | None] = [None] * len(pairs)
    for trial, alignment in zip(trials, align(suggested), strict=True):
        if alignment is not None and scores[trial.pair] is None:
            scores[trial.pair] = _score(trial, alignment, *pairs[trial.pair])
    return scores


def _score(
    trial: _Trial, alignment: Alignment, ours: PictureParts, theirs: PictureParts
) -> Score | None:
    """The score of what two aligned pictures show; ``None`` if that is no evidence."""
    part = shared_part(trial.ours, theirs.luma, alignment)
    if part is None or not _is_evidence(part):
        return None
    smaller = ours if part.share_of_ours > part.share_of_theirs else theirs
    if not smaller.is_photographic:
        return None
    rank = max(MIN_RANK_OF_PARTS, part.bits)
    return Score(rank, _kind(trial.ours, theirs.luma, trial.form, part))


def _is_evidence(part: SharedPart) -> bool:
    """Whether the part is so large, so similar and so detailed that it is no accident."""
    smaller, larger = sorted((part.share_of_ours, part.share_of_theirs))
    return (
        larger >= _MIN_LARGER_SHARE
        and smaller >= _MIN_SMALLER_SHARE
        and part.box.area >= _MIN_SHARE_OF_OVERLAP * part.alignment.shared.area
        and part.likeness >= _MIN_LIKENESS
        and part.bits <= MAX_RANK_OF_PARTS
        and all(has_grain(each) for each in part.enlarged)
        and part.likeness >= part.repetition + _MIN_SURPLUS
    )


def _kind(ours: Luma, theirs: Luma, form: int, part: SharedPart) -> MatchKind:
    if form:
        return FORM_KINDS[form]
    shared = part.alignment.shared
    around = (
        (shared.area, ours, shared),
        (
            shared.area * part.alignment.scale_x * part.alignment.scale_y,
            theirs,
            part.alignment.applied(shared),
        ),
    )
    (share, picture, box), (other_share, _, _) = sorted(around, key=lambda each: each[0])
    if share >= _WHOLE_OF_BOTH:
        return MatchKind.EDITED
    is_whole = other_share >= _WHOLE
    return MatchKind.BORDERED if is_whole and _is_plain(picture, box) else MatchKind.CROPPED


def _is_plain(picture: Luma, inside: Box) -> bool:
    """Whether the picture is plain or blurred outside of this part."""
    count = len(picture)
    middles = (np.arange(count) + 0.5) / count
    margin = 2 / count  # the edge of the part is sharp
    is_inside = ((middles > inside.top - margin) & (middles < inside.bottom + margin))[
        :, np.newaxis
    ] & ((middles > inside.left - margin) & (middles < inside.right + margin))
    if is_inside.all():
        return True
    slope_y, slope_x = np.gradient(picture)
    details = np.hypot(slope_y, slope_x)
    is_blurred = details[~is_inside].mean() < _BLURRED * details[is_inside].mean()
    return bool(is_blurred) or is_bar(picture[~is_inside])
