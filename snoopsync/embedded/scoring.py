"""Scores candidates: which pictures with a near code are similar, and with what rank and kind.

This module scores one direction: it compares the codes of one picture and of its variants with
another picture as it is stored. ``pairing`` combines both directions.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.decoding.features import CODE_BYTES, Features, Thumbnail
from snoopsync.decoding.pdq import FORMS
from snoopsync.embedded.kinds import (
    FORM_KINDS,
    MatchKind,
    ThumbnailDifference,
    compare,
    in_form,
    is_bar,
    is_photographic,
    luma_of,
    without_borders,
)
from snoopsync.embedded.variants import (
    CROPS,
    VARIANT_KINDS,
    CloseVariants,
    Crop,
    Luma,
    pixels_outside_overlap,
    variant_codes,
)

#: The largest distance of a match, in bits. Within this distance, 90 million pairs of different
#: photographs had no false match.
MAX_RANK = 75

#: The same for pictures of low quality, whose thumbnails must be the same too. A faint slide at
#: half its size has a distance of 20 bits.
MAX_RANK_OF_LOW_QUALITY = 31

#: The largest rank of pictures that certainly have most details in common, even if their codes
#: differ more: a caption over a tenth of a photograph changes up to 60 bits.
_MAX_RANK_OF_CERTAIN = 50

#: Another form or variant decides the kind only if it is nearer by at least this many bits.
_NEARER_BITS = 8


class Score(NamedTuple):
    """How similar two pictures are.

    ``rank``: 0 for the same picture, otherwise the distance in bits between one picture's nearest
    form or variant and the other picture. ``kind``: ``None`` if too little is stored to decide it.
    """

    rank: int
    kind: MatchKind | None


class CodeMatch(NamedTuple):
    """A stored code that is near to a query code.

    ``bits``: their distance. ``query``: the position of the query code. ``trimmed``: whether the
    stored code is that of the picture without its borders.
    """

    bits: int
    query: int
    trimmed: bool


class QueryCodes:
    """The codes that a search for a picture uses: those of its forms, of its forms without borders
    and, if ``with_variants``, of its variants."""

    def __init__(self, features: Features, *, with_variants: bool) -> None:
        self.features = features
        self._thumbnail = features.thumbnail
        codes = features.codes + features.trimmed
        self.codes = np.frombuffer(codes, np.uint8).reshape(-1, CODE_BYTES)
        self._forms = len(features.codes) // CODE_BYTES
        self._first_variant = len(self.codes)
        if with_variants and self._thumbnail is not None:
            self.codes = np.concatenate([self.codes, variant_codes(self.luma)])

    @property
    def variants(self) -> NDArray[np.uint8]:
        """The codes of the variants; none if the search does not use variants."""
        return self.codes[self._first_variant :]

    @cached_property
    def luma(self) -> Luma:
        """The shades of the picture's thumbnail. The picture must have a thumbnail."""
        assert self._thumbnail is not None
        return luma_of(self._thumbnail)

    @cached_property
    def is_photograph(self) -> bool:
        """Whether the picture is a photograph; false if no thumbnail is stored."""
        return _is_photograph(self.features)

    @cached_property
    def close_variants(self) -> CloseVariants:
        """The variants that are very near to the picture. The picture must have a thumbnail."""
        return CloseVariants(self.luma)

    def supports(self, match: CodeMatch, candidate: Features) -> bool:
        """Whether this match of codes is evidence that the pictures are similar."""
        if self._is_variant(match):
            return self._variant_supports(match, is_of_photograph=_is_photograph(candidate))
        thumbnails = self._as_matched(match, candidate)
        if thumbnails is None:
            return True
        # A drawing on a uniform page can look like a photograph after the page is trimmed.
        is_photograph = self.is_photograph or _is_photograph(candidate)
        if is_photograph and all(is_photographic(each) for each in thumbnails):
            return True
        ours, theirs = thumbnails
        side = _shorter_side(self.features, candidate)
        difference = compare(ours, theirs, side)
        # It may be possible to make one picture's tones from the other's, but not the reverse.
        return difference.is_same_drawing or (
            difference.is_nearly_same and compare(theirs, ours, side).is_same_drawing
        )

    def is_direct(self, match: CodeMatch) -> bool:
        """Whether both codes are those of the unchanged pictures: upright, and with borders."""
        return match.query == 0 and not match.trimmed

    def crop_of(self, match: CodeMatch) -> Crop | None:
        """The crop whose code matched; ``None`` if the code is not that of a crop."""
        number = match.query - self._first_variant
        return CROPS[number] if 0 <= number < len(CROPS) else None

    def kind_of(self, match: CodeMatch) -> MatchKind:
        """The kind that the matching codes alone suggest."""
        if self._is_variant(match):
            return VARIANT_KINDS[match.query - self._first_variant]
        kind = FORM_KINDS[match.query % self._forms]
        if kind is MatchKind.REENCODED and (match.query >= self._forms or match.trimmed):
            return MatchKind.BORDERED
        return kind

    def _is_variant(self, match: CodeMatch) -> bool:
        return match.query >= self._first_variant

    def _variant_supports(self, match: CodeMatch, *, is_of_photograph: bool) -> bool:
        """Whether a match with a variant is evidence, which it is only for photographs. If one
        picture is a part of the other, only the part must be a photograph, because the other one
        may also have a bar, for example."""
        crop = self.crop_of(match)
        if crop is None:
            return self.is_photograph and is_of_photograph
        return is_of_photograph if crop.is_part else self.is_photograph

    def _as_matched(
        self, match: CodeMatch, candidate: Features
    ) -> tuple[Thumbnail, Thumbnail] | None:
        """The two thumbnails that the matching codes describe; ``None`` if too little is stored."""
        ours, theirs = self._thumbnail, candidate.thumbnail
        if ours is not None and match.query >= self._forms:
            ours = without_borders(ours)
        if theirs is not None and match.trimmed:
            theirs = without_borders(theirs)
        if ours is None or theirs is None:
            return None
        return in_form(ours, FORMS[match.query % self._forms]), theirs


def score(queries: QueryCodes, candidate: Features, matches: list[CodeMatch]) -> Score | None:
    """How similar the candidate is to the picture of ``queries``; ``None`` if it is not similar.

    ``matches``: at least one match, nearest first. ``queries.supports`` must accept each of them.
    """
    features = queries.features
    if (features.frames > 1) != (candidate.frames > 1):
        return None
    nearest = matches[0]
    rank = max(1, nearest.bits)
    direct = next((match for match in matches if queries.is_direct(match)), None)
    difference = None
    if direct is not None and features.thumbnail and candidate.thumbnail:
        side = _shorter_side(features, candidate)
        difference = compare(features.thumbnail, candidate.thumbnail, side)
    if min(features.quality, candidate.quality) < pdq.MIN_QUALITY:
        is_same = difference is not None and difference.is_same
        if not is_same or rank > MAX_RANK_OF_LOW_QUALITY:
            return None
    are_photographs = queries.is_photograph and _is_photograph(candidate)
    if difference is not None and are_photographs and difference.is_certain:
        rank = min(rank, _MAX_RANK_OF_CERTAIN)
    if direct is None or direct.bits > nearest.bits + _NEARER_BITS:
        return Score(rank, _kind_by_code(queries, nearest, candidate))
    if difference is None:
        return Score(rank, None)
    return Score(rank, _kind_by_difference(difference, queries, candidate))


def _kind_by_code(queries: QueryCodes, match: CodeMatch, candidate: Features) -> MatchKind:
    """The kind of two pictures if a form or variant of one matches the other."""
    crop = queries.crop_of(match)
    kind = queries.kind_of(match)
    if crop is None or kind is not MatchKind.BORDERED or candidate.thumbnail is None:
        return kind
    # The larger picture has either a bar or more of the scene around the smaller one.
    outside = pixels_outside_overlap(crop, queries.luma, luma_of(candidate.thumbnail))
    return MatchKind.BORDERED if is_bar(outside) else MatchKind.CROPPED


def _kind_by_difference(
    difference: ThumbnailDifference, queries: QueryCodes, candidate: Features
) -> MatchKind:
    """The kind of two pictures that match without a change of form."""
    kind = difference.kind
    if kind is MatchKind.RECOLOURED or kind is MatchKind.REENCODED:
        return kind
    assert candidate.thumbnail is not None  # otherwise there is no difference
    # If a picture was cropped or rotated slightly, every block differs slightly.
    variant_kind = queries.close_variants.kind_of(luma_of(candidate.thumbnail))
    return variant_kind or kind or MatchKind.EDITED


def _is_photograph(features: Features) -> bool:
    if features.thumbnail is None or features.frames > 1:
        return False
    return is_photographic(features.thumbnail)


def _shorter_side(one: Features, other: Features) -> int:
    """The shorter side of the smaller of two pictures, in pixels."""
    return min(one.width, one.height, other.width, other.height)
