"""Variants of a picture: cropped, extended, without a strip at one side, or rotated a little.

A search for the codes of all variants finds pictures that were cropped, framed or straightened.
The variants are computed from the stored 64 x 64 grey thumbnail, so a search for a stored picture
finds as much as a search for a new file.

A crop, and its inverse, is a matrix for the lines and a matrix for the columns. The transform of a
variant is the product of these matrices with the transform's own matrix, which is computed once.
This does not need the pixels of the variant.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.embedded.kinds import MatchKind

#: Shades of grey from 0 to 255, 64 x 64, a row for each line of the picture.
Luma = NDArray[np.float64]

_SIDE = pdq.SIDE


class Span(NamedTuple):
    """A part of one axis. The picture extends from 0 to 1. A span may extend beyond the picture."""

    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Crop:
    """The picture between these lines and columns.

    ``kind``: the kind of the match if this variant of one picture equals the other picture.
    ``has_bar``: whether the variant has one shade beyond the picture's edge, instead of the
    mirrored picture.
    """

    kind: MatchKind
    lines: Span
    columns: Span
    has_bar: bool = False

    @property
    def is_part(self) -> bool:
        """Whether the variant is inside the picture."""
        return _is_within(self.lines) and _is_within(self.columns)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The picture, rotated about its middle by ``degrees`` and enlarged ``zoom`` times."""

    degrees: float
    zoom: float


WHOLE = Span(0.0, 1.0)


def _crops() -> Iterator[Crop]:
    # A crop of 10 % is found only if a variant is within about 2 % of its position, so this share
    # needs a finer grid.
    for share, steps in ((0.05, 3), (0.1, 4)):
        places = [step / (steps - 1) for step in range(steps)]
        corners = [(down, across) for down in places for across in places]
        for down, across in corners if steps % 2 else [*corners, (0.5, 0.5)]:
            yield Crop(MatchKind.CROPPED, _inner_span(share, down), _inner_span(share, across))
            yield Crop(MatchKind.CROPPED, _outer_span(share, down), _outer_span(share, across))
    # A caption or a bar along one side.
    for share in (0.07, 0.1, 0.135, 0.18):
        for side in (0.0, 1.0):
            for make, has_bar in ((_inner_span, False), (_outer_span, True)):
                span = make(share, side)
                yield Crop(MatchKind.BORDERED, span, WHOLE, has_bar)
                yield Crop(MatchKind.BORDERED, WHOLE, span, has_bar)


def _inner_span(share: float, place: float) -> Span:
    """The span that leaves out this share of the picture: its end for the ``place`` 0, its start
    for the ``place`` 1."""
    return Span(place * share, place * share + 1 - share)


def _outer_span(share: float, place: float) -> Span:
    """The inverse of ``_inner_span``: leaving out the share of this span gives the picture."""
    width = 1 / (1 - share)
    return Span(-place * (width - 1), width - place * (width - 1))


_CLOSE_DEGREES = (-1.0, 1.0)

#: The share of the picture that close variants leave out or add.
_CLOSE_SHARE = 0.02

#: A close variant decides the kind only if its difference from the other picture is smaller than
#: this share of the difference between the two pictures.
_CLOSER = 0.5


def _rotations() -> Iterator[Rotation]:
    for degrees in _CLOSE_DEGREES:
        yield Rotation(degrees, 1.0)
    # A straightened horizon, with empty corners, or cropped until no corner is empty.
    for degrees in (-3.0, 3.0):
        for zoom in (1.0, 0.92, 1 / 0.92):
            yield Rotation(degrees, zoom)


CROPS = tuple(_crops())
ROTATIONS = tuple(_rotations())

#: For each of ``variant_codes``: the kind of a match with that code.
VARIANT_KINDS = tuple(crop.kind for crop in CROPS) + (MatchKind.ROTATED,) * len(ROTATIONS)


def variant_codes(luma: Luma) -> NDArray[np.uint8]:
    """The codes of all variants, each a row of 32 bytes, in the order of ``VARIANT_KINDS``."""
    # These products take a quarter of the time with BLAS. Its last digits depend on the machine,
    # which does not matter here, because codes of variants are never stored.
    matrices = _crop_matrices()
    spans = matrices.waves @ luma
    cropped = spans[matrices.lines] @ matrices.columns
    rotated = pdq.DCT @ _rotated(luma) @ pdq.DCT.T
    return pdq.codes_of(np.concatenate([cropped, rotated]))


def _rotated(luma: Luma) -> Luma:
    """The pictures of all ``ROTATIONS``, stacked along the first axis."""
    shades = luma.ravel()
    variants = np.empty((len(ROTATIONS), _SIDE, _SIDE))
    # One after another, because getting memory for all of them takes longer than computing them.
    for variant, pixels, weights in zip(variants, *_rotation_sampling(), strict=True):
        np.einsum("kp,kp->p", weights, shades.take(pixels), out=variant.ravel())
    return variants


def pixels_outside_overlap(crop: Crop, ours: Luma, theirs: Luma) -> NDArray[np.float64]:
    """The pixels that the larger of two pictures has around the smaller one, if ``crop`` of ours
    equals theirs. Returns shades from 0 to 255 on one axis."""
    if crop.is_part:
        return ours[~_covered(crop.lines, crop.columns)]
    return theirs[~_covered(_inverse(crop.lines), _inverse(crop.columns))]


def _is_within(span: Span) -> bool:
    return span.start >= 0 and span.end <= 1


def _inverse(span: Span) -> Span:
    """The part of the variant's axis that the whole picture covers."""
    width = span.end - span.start
    return Span(-span.start / width, (1 - span.start) / width)


def _covered(lines: Span, columns: Span) -> NDArray[np.bool_]:
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    down, across = ((middle >= span.start) & (middle <= span.end) for span in (lines, columns))
    covered: NDArray[np.bool_] = down[:, None] & across
    return covered


class CloseVariants:
    """The variants whose codes are near to the picture's own code: slightly cropped, extended or
    rotated."""

    def __init__(self, luma: Luma) -> None:
        crops = [crop for crop in _close_crops() if crop.lines != WHOLE or crop.columns != WHOLE]
        cropped = [_sampled(luma, crop) for crop in crops]
        rotated = _rotated(luma)[: len(_CLOSE_DEGREES)]
        self._kinds = [crop.kind for crop in crops] + [MatchKind.ROTATED] * len(rotated)
        self._variants = np.stack([_normal(each) for each in (luma, *cropped, *rotated)])

    def kind_of(self, theirs: Luma) -> MatchKind | None:
        """The kind of the variant that is nearest to the other picture; ``None`` if no variant is
        much nearer than this picture itself."""
        differences = 1 - np.einsum("vp,p->v", self._variants, _normal(theirs))
        best = int(differences.argmin())
        if not best or differences[best] > _CLOSER * differences[0]:
            return None
        return self._kinds[best - 1]


def _close_crops() -> Iterator[Crop]:
    for make in (_inner_span, _outer_span):
        spans = (WHOLE, *(make(_CLOSE_SHARE, place) for place in (0.0, 0.5, 1.0)))
        for lines in spans:
            for columns in spans:
                yield Crop(MatchKind.CROPPED, lines, columns)


def _normal(luma: Luma) -> NDArray[np.float64]:
    """The picture as a vector of length 1, independent of brightness and contrast."""
    vector = (luma - luma.mean()).ravel()
    length = float(np.sqrt(np.einsum("p,p->", vector, vector)))
    normal: NDArray[np.float64] = vector / length if length else vector
    return normal


def _sampled(luma: Luma, crop: Crop) -> Luma:
    lines, columns = _sampling(crop.lines), _sampling(crop.columns)
    variant: Luma = np.einsum("il,jl->ij", np.einsum("ik,kl->il", lines, luma), columns)
    return variant


class _CropMatrices(NamedTuple):
    """``waves``: for each span in use, the matrix that converts the picture's lines to the waves
    along the span. ``lines``: the position in ``waves`` that each crop uses. ``columns``: the
    matrix that converts the picture's columns for each crop."""

    waves: NDArray[np.float64]
    lines: list[int]
    columns: NDArray[np.float64]


@lru_cache(maxsize=1)
def _crop_matrices() -> _CropMatrices:
    # The shade of a bar does not matter, because a uniform area has no waves.
    used = [((crop.lines, crop.has_bar), (crop.columns, crop.has_bar)) for crop in CROPS]
    spans = sorted({each for both in used for each in both})
    waves = np.stack([np.einsum("ik,kl->il", pdq.DCT, _sampling(*each)) for each in spans])
    lines, columns = zip(*used, strict=True)
    for_columns = waves[[*map(spans.index, columns)]].swapaxes(1, 2)
    return _CropMatrices(waves, [*map(spans.index, lines)], for_columns)


@lru_cache(maxsize=64)  # holds all spans in use; each takes 32 KiB
def _sampling(span: Span, has_bar: bool = False) -> NDArray[np.float64]:
    """The 64 x 64 matrix that converts the picture's lines to those of the span. The lines of a bar
    are 0."""
    middle = (np.arange(_SIDE) + 0.5) / _SIDE
    at = (span.start + (span.end - span.start) * middle) * _SIDE - 0.5
    first, share = np.floor(at).astype(int), at % 1
    matrix = np.zeros((_SIDE, _SIDE))
    for line in range(_SIDE):
        matrix[line, _mirrored_inside(first[line])] += 1 - share[line]
        matrix[line, _mirrored_inside(first[line] + 1)] += share[line]
    if has_bar:
        matrix[(at < 0) | (at > _SIDE - 1)] = 0
    return matrix


class _RotationSampling(NamedTuple):
    """For each rotation and each of its pixels, the four source pixels around it and their weights.
    Both have the shape (rotation, 4, pixel)."""

    pixels: NDArray[np.int64]
    weights: NDArray[np.float64]


@lru_cache(maxsize=1)
def _rotation_sampling() -> _RotationSampling:
    middle = (_SIDE - 1) / 2
    down, across = np.indices((_SIDE, _SIDE)).reshape(2, -1) - middle
    pixels, weights = [], []
    for rotation in ROTATIONS:
        cosine = math.cos(math.radians(rotation.degrees)) / rotation.zoom
        sine = math.sin(math.radians(rotation.degrees)) / rotation.zoom
        line, column = (
            cosine * down - sine * across + middle,
            sine * down + cosine * across + middle,
        )
        above, left = np.floor(line).astype(int), np.floor(column).astype(int)
        low, right = line % 1, column % 1
        corners = ((above + y, left + x) for y in (0, 1) for x in (0, 1))
        pixels.append(
            np.stack([_mirrored_inside(y) * _SIDE + _mirrored_inside(x) for y, x in corners])
        )
        weights.append(
            np.stack([(1 - low) * (1 - right), (1 - low) * right, low * (1 - right), low * right])
        )
    return _RotationSampling(np.stack(pixels), np.stack(weights))


def _mirrored_inside(place: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places, with those outside of the picture mirrored at its edges into the picture."""
    place = np.where(place < 0, -1 - place, place)
    return np.where(place >= _SIDE, 2 * _SIDE - 1 - place, place)
