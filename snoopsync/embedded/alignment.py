"""Aligns thumbnails of which a part may show the same.

A region of one picture that looks like a region of another one shows roughly how to shift and scale
one picture to get the other one. This is refined by least squares, first around the region, then in
all that both pictures show. What differs has little weight, so a caption, or the other pictures of
a collage, do not matter.

Most of the time for one pair is that of the calls of numpy, so many pairs are aligned together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq

#: Shades of grey from 0 to 255, a row for each line.
Luma = NDArray[np.float64]

#: Numbers for each pair of pictures. Alignments are computed with 32 bits, which takes half of the
#: time.
Numbers = NDArray[np.floating[Any]]

#: Whether something is true of each pair of pictures.
Flags = NDArray[np.bool_]

#: How far around the region the first steps look, as a multiple of its size.
_SURROUNDINGS = 1.7

#: How many pairs are aligned together. This limits the memory of a search.
_AT_ONCE = 32

#: The largest change of scale and of place in one step, as a share.
_MAX_STEP = 0.15

#: The smallest and the largest scale between two pictures.
_MIN_SCALE, _MAX_SCALE = 0.1, 10.0

#: The fewest pixels along each side of a part that is compared.
MIN_PIXELS = 5


class _Step(NamedTuple):
    """A step of the refinement: the pixels along each side, whether only the surroundings of the
    region count, whether both axes have the same change of scale, and the smallest correlation
    before the step."""

    pixels: int
    is_local: bool
    is_uniform: bool
    least: float


#: Of pairs that do not show the same, two thirds correlate less when the step begins that is no
#: longer local; of parts of a collage, one in 50 does.
_STEPS = (
    _Step(20, is_local=True, is_uniform=True, least=0.5),
    _Step(20, is_local=True, is_uniform=True, least=0.5),
    _Step(32, is_local=True, is_uniform=True, least=0.6),
    _Step(32, is_local=False, is_uniform=True, least=0.4),
    _Step(64, is_local=False, is_uniform=False, least=0.0),
    _Step(64, is_local=False, is_uniform=False, least=0.0),
)


class Box(NamedTuple):
    """A part of a picture, whose width and height are 1."""

    left: float
    top: float
    right: float
    bottom: float

    def meet(self, other: Box) -> Box:
        """The part that is in both."""
        return Box(
            max(self.left, other.left),
            max(self.top, other.top),
            min(self.right, other.right),
            min(self.bottom, other.bottom),
        )

    @property
    def area(self) -> float:
        """Its share of the picture."""
        return (self.right - self.left) * (self.bottom - self.top)


class Alignment(NamedTuple):
    """Where each place of one picture is in another one: ``place * scale + shift``."""

    scale_x: float
    shift_x: float
    scale_y: float
    shift_y: float

    def applied(self, box: Box) -> Box:
        """Where this part of one picture is in the other one."""
        return Box(
            box.left * self.scale_x + self.shift_x,
            box.top * self.scale_y + self.shift_y,
            box.right * self.scale_x + self.shift_x,
            box.bottom * self.scale_y + self.shift_y,
        )

    @property
    def shared(self) -> Box:
        """The part of one picture that the other one shows."""
        left, top = -self.shift_x / self.scale_x, -self.shift_y / self.scale_y
        whole = Box(left, top, left + 1 / self.scale_x, top + 1 / self.scale_y)
        return whole.meet(Box(0.0, 0.0, 1.0, 1.0))


class Suggestion(NamedTuple):
    """Two pictures, and parts of both that may show about the same."""

    ours: Luma
    theirs: Luma
    our_part: Box
    their_part: Box


@dataclass(frozen=True, slots=True)
class _Pairs:
    """Pairs of pictures that are being aligned. ``numbers``: of their suggestions.
    ``surroundings``: of the region in our picture."""

    numbers: NDArray[np.int64]
    ours: Numbers
    theirs: Numbers
    surroundings: Numbers
    scale: Numbers
    shift: Numbers

    @classmethod
    def of(cls, suggestions: Sequence[Suggestion]) -> _Pairs:
        """The pairs of these suggestions, as these align them."""
        one = np.array([each.our_part for each in suggestions], np.float32).reshape(-1, 2, 2)
        other = np.array([each.their_part for each in suggestions], np.float32).reshape(-1, 2, 2)
        margin = (one[:, 1] - one[:, 0]) * ((_SURROUNDINGS - 1) / 2)
        return cls(
            np.arange(len(suggestions)),
            np.stack([each.ours for each in suggestions], dtype=np.float32, casting="same_kind"),
            np.stack([each.theirs for each in suggestions], dtype=np.float32, casting="same_kind"),
            one + np.stack([-margin, margin], axis=1),
            *_alignment(one, other),
        )

    def only(self, chosen: Flags) -> _Pairs:
        """The chosen ones of these pairs."""
        if chosen.all():
            return self
        return _Pairs(
            self.numbers[chosen],
            self.ours[chosen],
            self.theirs[chosen],
            self.surroundings[chosen],
            self.scale[chosen],
            self.shift[chosen],
        )

    def parts(self, step: _Step) -> tuple[Numbers, Numbers]:
        """The parts of our and of their pictures that the step compares."""
        start, end = -self.shift / self.scale, (1 - self.shift) / self.scale
        start, end = np.maximum(start, 0.0), np.minimum(end, 1.0)
        if step.is_local:
            start = np.maximum(start, self.surroundings[:, 0])
            end = np.minimum(end, self.surroundings[:, 1])
        ours = np.stack([start, end], axis=1)
        return ours, ours * self.scale[:, np.newaxis] + self.shift[:, np.newaxis]


def align(suggestions: Sequence[Suggestion]) -> list[Alignment | None]:
    """For each suggestion: how the pictures fit together; ``None`` if they do not."""
    found: list[Alignment | None] = [None] * len(suggestions)
    for first in range(0, len(suggestions), _AT_ONCE):
        pairs = _Pairs.of(suggestions[first : first + _AT_ONCE])
        for step in _STEPS:
            pairs = _refined(pairs, step)
        pairs = pairs.only(_are_possible(pairs))
        for number, scale, shift in zip(pairs.numbers, pairs.scale, pairs.shift, strict=True):
            (scale_x, scale_y), (shift_x, shift_y) = scale.tolist(), shift.tolist()
            found[first + number] = Alignment(scale_x, shift_x, scale_y, shift_y)
    return found


def _refined(pairs: _Pairs, step: _Step) -> _Pairs:
    """The pairs that still fit together, after this step."""
    pairs = pairs.only(_are_possible(pairs))
    pairs = pairs.only(_are_large(*pairs.parts(step)))
    if not len(pairs.numbers):
        return pairs
    size = step.pixels, step.pixels
    ours, theirs = map(partial(sampled, size=size), (pairs.ours, pairs.theirs), pairs.parts(step))
    are_alike = correlations(_flat(ours), _flat(theirs)) >= step.least
    pairs, ours, theirs = pairs.only(are_alike), ours[are_alike], theirs[are_alike]
    if not len(pairs.numbers):
        return pairs
    growth, move, are_solved = _changes(ours, theirs, is_uniform=step.is_uniform)
    ours, theirs = pairs.parts(step)
    change = np.stack([move - growth / 2, move + growth / 2], axis=1)
    moved = theirs + change * (theirs[:, 1:] - theirs[:, :1])
    scale, shift = _alignment(ours, moved)
    return replace(pairs, scale=scale, shift=shift).only(are_solved)


def _alignment(one: Numbers, other: Numbers) -> tuple[Numbers, Numbers]:
    """The scale and the shift by which the parts of some pictures are the parts of others."""
    scale: Numbers = (other[:, 1] - other[:, 0]) / (one[:, 1] - one[:, 0])
    return scale, other[:, 0] - one[:, 0] * scale


def _are_possible(pairs: _Pairs) -> Flags:
    """Whether the scales are in the supported range."""
    x_and_y: Flags = (pairs.scale > _MIN_SCALE) & (pairs.scale < _MAX_SCALE)
    return x_and_y[:, 0] & x_and_y[:, 1]


def _are_large(ours: Numbers, theirs: Numbers) -> Flags:
    """Whether the parts are large enough in both pictures."""
    sides = np.minimum(ours[:, 1] - ours[:, 0], theirs[:, 1] - theirs[:, 0]) * pdq.SIDE
    x_and_y: Flags = sides >= MIN_PIXELS
    return x_and_y[:, 0] & x_and_y[:, 1]


def _flat(pictures: Numbers) -> Numbers:
    """A row for each picture."""
    return pictures.reshape(len(pictures), -1)


def sampled(pictures: Numbers, parts: Numbers, size: tuple[int, int]) -> Numbers:
    """For each picture, this part of it in this number of lines and columns."""
    lines = _sampling(parts[:, :, 1], size[0], pictures.shape[1])
    columns = _sampling(parts[:, :, 0], size[1], pictures.shape[2])
    # The operator ``@`` would use BLAS: see ``pdq.waves_of``.
    found: Numbers = np.einsum("nil,njl->nij", np.einsum("nik,nkl->nil", lines, pictures), columns)
    return found


def _sampling(parts: Numbers, count: int, pixels: int) -> Numbers:
    """For each part of an axis, a row with its start and its end: the matrix that converts the
    pixels of the axis to ``count`` means of equal parts of it."""
    start, end = parts[:, :1] * pixels, parts[:, 1:] * pixels
    middles = start + (end - start) * ((np.arange(count, dtype=parts.dtype) + 0.5) / count) - 0.5
    middles = np.minimum(np.maximum(middles, 0), pixels - 1)
    width = np.maximum(1.0, (end - start) / count)
    distances = np.abs(middles[:, :, np.newaxis] - np.arange(pixels, dtype=parts.dtype))
    weights = np.maximum(0, 1 - distances / width[:, :, np.newaxis])
    matrices: Numbers = weights / weights.sum(axis=2, keepdims=True)
    return matrices


def correlations(ours: Numbers, theirs: Numbers) -> Numbers:
    """The correlation of each row of one table with that of the other one; 0 if all values of one
    are equal."""
    ours = ours - ours.mean(axis=1, keepdims=True)
    theirs = theirs - theirs.mean(axis=1, keepdims=True)
    lengths = np.sqrt((ours * ours).sum(axis=1) * (theirs * theirs).sum(axis=1))
    products = (ours * theirs).sum(axis=1)
    found: Numbers = np.divide(products, lengths, out=np.zeros_like(products), where=lengths > 0)
    return found


def _changes(ours: Numbers, theirs: Numbers, *, is_uniform: bool) -> tuple[Numbers, Numbers, Flags]:
    """The growth and the move of each of our pictures by which it fits better to theirs, by one
    step of least squares with weights; and whether there is such a step.

    The unknowns are growth and move along both axes, and the brightness and contrast.
    """
    pairs, lines, columns = ours.shape
    across = (np.arange(columns, dtype=np.float32) + 0.5) / columns - 0.5
    down = (np.arange(lines, dtype=np.float32) + 0.5) / lines - 0.5
    slope_y, slope_x = np.gradient(theirs, axis=(1, 2))
    slope_x, slope_y = slope_x * columns, slope_y * lines  # for each width and height of the part
    growth_x, growth_y = slope_x * across, slope_y * down[:, np.newaxis]
    growths = [growth_x + growth_y] if is_uniform else [growth_x, growth_y]
    unknowns = np.stack([*growths, slope_x, slope_y, -ours, -np.ones_like(ours)], axis=1)
    equations = unknowns.reshape(pairs, len(growths) + 4, -1)
    weighted = equations * _weights(_flat(ours), _flat(theirs))[:, np.newaxis]
    matrices = np.einsum("nip,njp->nij", weighted, equations)
    solutions, are_solved = _solutions(matrices, -np.einsum("nip,np->ni", weighted, _flat(theirs)))
    changes = np.minimum(np.maximum(solutions[:, :-2], -_MAX_STEP), _MAX_STEP)
    return changes[:, :-2], changes[:, -2:], are_solved


def _weights(ours: Numbers, theirs: Numbers) -> Numbers:
    """Weights from 0 to 1, which are small where the pictures differ more than in most places."""
    deviation = ours - ours.mean(axis=1, keepdims=True)
    expected = theirs - theirs.mean(axis=1, keepdims=True)
    variance = (deviation * deviation).sum(axis=1)
    contrast = (deviation * expected).sum(axis=1)
    contrast = np.divide(contrast, variance, out=np.zeros_like(contrast), where=variance > 0)
    differences = np.abs(expected - contrast[:, np.newaxis] * deviation)
    middle = differences.shape[1] // 2
    usual = np.maximum(4.0, 3 * np.partition(differences, middle, axis=1)[:, middle])
    weights: Numbers = 1 / (1 + (differences / usual[:, np.newaxis]) ** 2) ** 2
    return weights


def _solutions(matrices: Numbers, values: Numbers) -> tuple[Numbers, Flags]:
    """The solutions of systems of linear equations with symmetric matrices, and whether there is
    one.

    This does not use numpy's solver, because that keeps memory for each thread that uses it.
    """
    count = values.shape[1]
    scale = np.sqrt(np.maximum(matrices.diagonal(axis1=1, axis2=2), 1e-12))
    scaled = matrices / (scale[:, :, np.newaxis] * scale[:, np.newaxis])
    tables = np.concatenate([scaled, (values / scale)[:, :, np.newaxis]], axis=2)
    tables[:, np.arange(count), np.arange(count)] += 1e-4
    are_solved = np.ones(len(tables), np.bool_)
    for row in range(count):
        are_solved &= tables[:, row, row] >= 1e-9
        tables[:, row] /= np.where(are_solved, tables[:, row, row], 1)[:, np.newaxis]
        factors = tables[:, :, row].copy()
        factors[:, row] = 0
        tables -= factors[:, :, np.newaxis] * tables[:, row, np.newaxis]
    return tables[:, :, -1] / scale, are_solved
