"""What is asked for, and what becomes of what it finds: which of the pictures whose codes are near
are like this one, how much, and what they are to it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, Features, Thumbnail
from snoopsync.decoding.pdq import FORMS
from snoopsync.embedded.kinds import (
    FORM_KINDS,
    Comparison,
    Kind,
    compare,
    in_form,
    inner_of,
    is_bar,
    is_photographic,
    luma_of,
)
from snoopsync.embedded.store import Candidate, StoredImage
from snoopsync.embedded.variants import CUTS, DEEP_KINDS, CloseViews, Cut, Luma, beside, deep_codes

#: The largest distance, in bits, that is still a match: the last one at which 90 million pairs of
#: distinct photographs had no false one.
MAX_RANK = 75

#: The same for pictures of a low quality, whose thumbnails must be the same besides: a faint slide
#: in half its size is 20 bits off.
MAX_RANK_OF_LOW_QUALITY = 31

#: The largest rank of pictures that certainly are the same for the most part, however much their
#: codes differ: a caption over a tenth of a photograph takes up to 60 bits.
_MAX_RANK_OF_CERTAIN = 50

#: How much nearer another view must come than the picture as it is to be what they match by.
_NEARER_BITS = 8


@dataclass(frozen=True, slots=True)
class Alike:
    """A stored picture that is like the one that was searched for. ``rank`` 0 is the same picture;
    above, it is the distance in bits of whichever view of the one comes nearest to the other.
    ``kind`` is what they are to each other, ``None`` if too little was kept to tell."""

    stored: StoredImage
    features: Features
    rank: int
    kind: Kind | None


class Hit(NamedTuple):
    """A code of a stored picture (``trimmed``: of it without its borders) that is near to one of
    what was searched for. ``query`` is that one's place."""

    bits: int
    query: int
    trimmed: bool


class Queries:
    """The codes of a picture that are searched for: of its forms, of its forms without borders,
    and, if ``deep``, of its views."""

    def __init__(self, features: Features, *, deep: bool) -> None:
        self.features = features
        self._thumbnail = features.thumbnail
        codes = features.codes + features.trimmed
        self.codes = np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)
        self._forms = len(features.codes) // CODE_BYTES
        self._trimmed_end = len(self.codes)
        if deep and self._thumbnail is not None:
            self.codes = np.concatenate([self.codes, deep_codes(self.luma)])

    @cached_property
    def luma(self) -> Luma:
        """The picture's thumbnail, which it must have."""
        assert self._thumbnail is not None
        return luma_of(self._thumbnail)

    @cached_property
    def is_photograph(self) -> bool:
        """Is the picture one, as far as was kept?"""
        return _is_photographic(self.features)

    @cached_property
    def close_views(self) -> CloseViews:
        """The picture's views that are very near to it. It must have a thumbnail."""
        return CloseViews(self.luma)

    def is_view(self, hit: Hit) -> bool:
        """Was it a view that matched?"""
        return hit.query >= self._trimmed_end

    def tells(self, hit: Hit, candidate: Features) -> bool:
        """Does this hit say that the candidate is like the picture?"""
        if self.is_view(hit):
            return self._view_tells(hit, is_of_photograph=_is_photographic(candidate))
        seen = self._seen(hit, candidate)
        if seen is None:
            return True
        # What is drawn on an even page can look like a photograph without that page.
        is_photograph = self.is_photograph or _is_photographic(candidate)
        if is_photograph and all(is_photographic(each) for each in seen):
            return True
        ours, theirs = seen
        side = _side(self.features, candidate)
        comparison = compare(ours, theirs, side)
        # One's tones can be made from the other's where that is not so the other way round.
        return comparison.is_same_drawing or (
            comparison.is_nearly_same and compare(theirs, ours, side).is_same_drawing
        )

    def _view_tells(self, hit: Hit, *, is_of_photograph: bool) -> bool:
        """By a view, only a photograph matches: the one that is a part of the other, if one is.
        What else is in the other, as a bar, says nothing against it."""
        cut = self.cut(hit)
        if cut is None:
            return self.is_photograph and is_of_photograph
        return is_of_photograph if cut.is_part else self.is_photograph

    def _seen(self, hit: Hit, candidate: Features) -> tuple[Thumbnail, Thumbnail] | None:
        """The two pictures as the codes of this hit describe them; ``None`` if too little was kept
        to show them."""
        ours, theirs = self._thumbnail, candidate.thumbnail
        if ours is not None and hit.query >= self._forms:
            ours = inner_of(ours)
        if theirs is not None and hit.trimmed:
            theirs = inner_of(theirs)
        if ours is None or theirs is None:
            return None
        return in_form(ours, FORMS[hit.query % self._forms]), theirs

    def is_upright(self, hit: Hit) -> bool:
        """Did the picture as it is match another as it is?"""
        return hit.query == 0 and not hit.trimmed

    def cut(self, hit: Hit) -> Cut | None:
        """The cut that matched, if it was one."""
        number = hit.query - self._trimmed_end
        return CUTS[number] if 0 <= number < len(CUTS) else None

    def kind(self, hit: Hit) -> Kind:
        """What they are to each other that match so."""
        if self.is_view(hit):
            return DEEP_KINDS[hit.query - self._trimmed_end]
        form = FORM_KINDS[hit.query % self._forms]
        if form is Kind.REENCODED and (hit.query >= self._forms or hit.trimmed):
            return Kind.BORDERED
        return form


def _is_photographic(features: Features) -> bool:
    if features.thumbnail is None or features.frames > 1:
        return False
    return is_photographic(features.thumbnail)


def _side(one: Features, other: Features) -> int:
    """The shorter side of the smaller of two pictures, in pixels."""
    return min(one.width, one.height, other.width, other.height)


def the_same(features: Features, candidate: Candidate) -> Alike:
    """A candidate with the picture's bytes, or with its very pixels in other bytes."""
    is_identical = candidate.features.sha256 == features.sha256
    kind = Kind.IDENTICAL if is_identical else Kind.REENCODED
    return Alike(candidate.stored, candidate.features, 0, kind)


def judged(
    features: Features, candidate: Candidate, queries: Queries, hits: list[Hit]
) -> Alike | None:
    """The candidate with its rank and kind; ``None`` if it only seemed to be like the picture.
    ``hits``: at least one, those that tell something, the nearest first."""
    if (features.frames > 1) != (candidate.features.frames > 1):
        return None
    is_of_photograph = _is_photographic(candidate.features)
    nearest = hits[0]
    rank = max(1, nearest.bits)
    upright = next((hit for hit in hits if queries.is_upright(hit)), None)
    comparison = None
    if upright is not None and features.thumbnail and candidate.features.thumbnail:
        side = _side(features, candidate.features)
        comparison = compare(features.thumbnail, candidate.features.thumbnail, side)
    if min(features.quality, candidate.features.quality) < pdq.MIN_QUALITY:
        is_same = comparison is not None and comparison.is_same
        if not is_same or rank > MAX_RANK_OF_LOW_QUALITY:
            return None
    are_photographs = queries.is_photograph and is_of_photograph
    if comparison is not None and are_photographs and comparison.is_certain:
        rank = min(rank, _MAX_RANK_OF_CERTAIN)
    is_upright = upright is not None and upright.bits <= nearest.bits + _NEARER_BITS
    if not is_upright:
        kind: Kind | None = _kind_by(queries, nearest, candidate)
    elif comparison is None:
        kind = None
    else:
        kind = _upright_kind(comparison, queries, candidate)
    return Alike(candidate.stored, candidate.features, rank, kind)


def _kind_by(queries: Queries, hit: Hit, candidate: Candidate) -> Kind:
    """What they are to each other that match by this code."""
    cut = queries.cut(hit)
    kind = queries.kind(hit)
    if cut is None or kind is not Kind.BORDERED or candidate.features.thumbnail is None:
        return kind
    # What one has beside the other: more of the picture, or a bar?
    ours, theirs = queries.luma, luma_of(candidate.features.thumbnail)
    return Kind.BORDERED if is_bar(beside(cut, ours, theirs)) else Kind.CROPPED


def _upright_kind(comparison: Comparison, queries: Queries, candidate: Candidate) -> Kind:
    """What they are to each other that match as they are."""
    kind = comparison.kind
    if kind is Kind.RECOLOURED or kind is Kind.REENCODED:
        return kind
    assert candidate.features.thumbnail is not None  # without one they were not compared
    # A little cropped or turned, all of it differs a little.
    return queries.close_views.kind_of(luma_of(candidate.features.thumbnail)) or kind or Kind.EDITED
