"""Aligns two thumbnails of which a part may show the same, and compares that part.

A region of one picture that looks like a region of another one shows roughly how to shift and scale
one picture to get the other one. This is refined by least squares, first around the region, then in
all that both pictures show. What differs has little weight, so a caption, or the other pictures of
a collage, do not matter.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq

#: Shades of grey from 0 to 255, a row for each line.
Luma = NDArray[np.float64]

_SIDE = pdq.SIDE

#: How far around the region the first steps look, as a multiple of its size.
_SURROUNDINGS = 1.7

#: For each step of the refinement: the most pixels along each side, whether only the surroundings
#: of the region count, whether both axes have the same change of scale, and the smallest
#: correlation before the step. Of pairs that do not show the same, two thirds correlate less when
#: the step begins that is no longer local; of parts of a collage, one in 50 does.
_STEPS = (
    (20, True, True, 0.5),
    (20, True, True, 0.5),
    (32, True, True, 0.6),
    (32, False, True, 0.4),
    (64, False, False, 0.0),
    (64, False, False, 0.0),
)

#: The largest change of scale and of place in one step, as a share.
_MAX_STEP = 0.15

#: The smallest and the largest scale between two pictures.
_MIN_SCALE, _MAX_SCALE = 0.1, 10.0

#: The fewest pixels along each side of a part that is compared.
_MIN_PIXELS = 5

#: The blocks along each side of the part that both pictures show.
_BLOCKS = 8


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

    def enlarged(self, factor: float) -> Box:
        """The part around the same middle, this many times as large."""
        across = (self.right - self.left) * (factor - 1) / 2
        down = (self.bottom - self.top) * (factor - 1) / 2
        return Box(self.left - across, self.top - down, self.right + across, self.bottom + down)

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

    @classmethod
    def of(cls, one: Box, other: Box) -> Alignment:
        """The alignment by which a part of one picture is a part of the other one."""
        scale_x = (other.right - other.left) / (one.right - one.left)
        scale_y = (other.bottom - other.top) / (one.bottom - one.top)
        return cls(scale_x, other.left - one.left * scale_x, scale_y, other.top - one.top * scale_y)

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

    @property
    def is_possible(self) -> bool:
        """Whether the scales are in the supported range."""
        return _MIN_SCALE < self.scale_x < _MAX_SCALE and _MIN_SCALE < self.scale_y < _MAX_SCALE


@dataclass(frozen=True)
class SharedPart:
    """The part that two aligned pictures show, in the pixels of both.

    ``ours`` and ``theirs``: the pixels. ``box``: the part of our picture. ``alignment``: of our
    picture with theirs.
    """

    ours: Luma
    theirs: Luma
    box: Box
    alignment: Alignment

    @cached_property
    def bits(self) -> int:
        """The distance of the codes of both, in bits."""
        codes = pdq.codes_of(np.stack([pdq.waves_of(each) for each in self.enlarged]))
        return int(np.bitwise_count(codes[0] ^ codes[1]).sum(dtype=np.int64))

    @cached_property
    def enlarged(self) -> tuple[Luma, Luma]:
        """Both as pictures of 64 x 64 pixels."""
        ours, theirs = (_resized(each, (_SIDE, _SIDE)) for each in (self.ours, self.theirs))
        return ours, theirs

    @cached_property
    def likeness(self) -> float:
        """The correlation of the details, from -1 to 1: of the differences between neighbouring
        pixels, which do not depend on light and shade."""
        details = [
            np.concatenate([np.diff(each, axis=axis).ravel() for axis in (0, 1)])
            for each in (self.ours, self.theirs)
        ]
        return _correlation(*details)

    @property
    def share_of_ours(self) -> float:
        """The share of our picture that is in the part."""
        return self.box.area

    @property
    def share_of_theirs(self) -> float:
        """The share of their picture that is in the part."""
        return self.box.area * self.alignment.scale_x * self.alignment.scale_y


def shared_part(ours: Luma, theirs: Luma, one: Box, other: Box) -> SharedPart | None:
    """The part that two pictures both show, if the part ``one`` of our picture is about the part
    ``other`` of theirs; ``None`` if they do not fit together."""
    alignment: Alignment | None = Alignment.of(one, other)
    surroundings = one.enlarged(_SURROUNDINGS)
    for most_pixels, is_local, is_uniform, least in _STEPS:
        if alignment is None or not alignment.is_possible:
            return None
        box = alignment.shared.meet(surroundings) if is_local else alignment.shared
        sampled = _sampled(ours, theirs, alignment, box, most_pixels)
        if sampled is None or _correlation(*sampled) < least:
            return None
        alignment = _refined(*sampled, alignment, box, is_uniform=is_uniform)
    if alignment is None or not alignment.is_possible:
        return None
    sampled = _sampled(ours, theirs, alignment, alignment.shared, _SIDE)
    return None if sampled is None else _agreeing(*sampled, alignment)


def _sampled(
    ours: Luma, theirs: Luma, alignment: Alignment, box: Box, most_pixels: int
) -> tuple[Luma, Luma] | None:
    """This part of our picture and the same part of theirs, with as many pixels as the one with
    fewer pixels has; ``None`` if the part is too small."""
    target = alignment.applied(box)
    across = min(box.right - box.left, target.right - target.left) * _SIDE
    down = min(box.bottom - box.top, target.bottom - target.top) * _SIDE
    if min(across, down) < _MIN_PIXELS:
        return None
    size = min(most_pixels, round(down)), min(most_pixels, round(across))
    return _part(ours, box, size), _part(theirs, target, size)


def _part(picture: Luma, box: Box, size: tuple[int, int]) -> Luma:
    """This part of a picture in this number of lines and columns."""
    lines = _sampling(box.top, box.bottom, size[0], picture.shape[0])
    columns = _sampling(box.left, box.right, size[1], picture.shape[1])
    part: Luma = np.einsum("il,jl->ij", np.einsum("ik,kl->il", lines, picture), columns)
    return part


def _resized(picture: Luma, size: tuple[int, int]) -> Luma:
    return _part(picture, Box(0.0, 0.0, 1.0, 1.0), size)


def _sampling(start: float, end: float, count: int, pixels: int) -> Luma:
    """The matrix that converts the pixels of one axis to ``count`` means of equal parts between
    ``start`` and ``end``."""
    middles = (start + (end - start) * (np.arange(count) + 0.5) / count) * pixels - 0.5
    middles = np.clip(middles, 0, pixels - 1)
    width = max(1.0, (end - start) * pixels / count)
    weights = np.maximum(0, 1 - np.abs(middles[:, np.newaxis] - np.arange(pixels)) / width)
    matrix: Luma = weights / weights.sum(axis=1, keepdims=True)
    return matrix


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    ours, theirs = one - one.mean(), other - other.mean()
    length = float(np.sqrt((ours * ours).sum() * (theirs * theirs).sum()))
    return float((ours * theirs).sum()) / length if length else 0.0


def _refined(
    ours: Luma, theirs: Luma, alignment: Alignment, box: Box, *, is_uniform: bool
) -> Alignment | None:
    """The alignment after one step of least squares with weights; ``None`` if it has no solution.

    The unknowns are the changes of scale and place, and the brightness and contrast.
    """
    lines, columns = ours.shape
    across = (np.arange(columns) + 0.5) / columns - 0.5
    down = (np.arange(lines) + 0.5) / lines - 0.5
    slope_y, slope_x = _slopes(theirs)
    slope_x, slope_y = slope_x * columns, slope_y * lines  # for each width and height of the part
    growth_x, growth_y = slope_x * across, slope_y * down[:, np.newaxis]
    growths = [growth_x + growth_y] if is_uniform else [growth_x, growth_y]
    unknowns = np.stack([*growths, slope_x, slope_y, -ours, -np.ones_like(ours)])
    equations = unknowns.reshape(len(unknowns), -1)
    weighted = equations * _weights(ours, theirs).ravel()
    matrix = np.einsum("ip,jp->ij", weighted, equations)
    solution = _solution(matrix, -np.einsum("ip,p->i", weighted, theirs.ravel()))
    if solution is None:
        return None
    change = np.clip(solution[:-2], -_MAX_STEP, _MAX_STEP).tolist()
    grow_x, grow_y, move_x, move_y = change if len(change) == 4 else (change[0], *change)
    target = alignment.applied(box)
    width, height = target.right - target.left, target.bottom - target.top
    moved = Box(
        target.left + (move_x - grow_x / 2) * width,
        target.top + (move_y - grow_y / 2) * height,
        target.right + (move_x + grow_x / 2) * width,
        target.bottom + (move_y + grow_y / 2) * height,
    )
    return Alignment.of(box, moved)


def _weights(ours: Luma, theirs: Luma) -> Luma:
    """Weights from 0 to 1, which are small where the pictures differ more than in most places."""
    deviation = ours - ours.mean()
    variance = float((deviation * deviation).sum())
    contrast = float((deviation * (theirs - theirs.mean())).sum()) / variance if variance else 0.0
    differences = theirs - theirs.mean() - contrast * deviation
    # Sorting takes less time than ``np.median``.
    usual = max(4.0, 3 * float(np.sort(np.abs(differences), axis=None)[differences.size // 2]))
    weights: Luma = 1 / (1 + (differences / usual) ** 2) ** 2
    return weights


def _solution(matrix: Luma, values: Luma) -> Luma | None:
    """The solution of linear equations with a symmetric matrix; ``None`` if there is none.

    This does not use numpy's solver, because that keeps memory for each thread that uses it.
    """
    count = len(values)
    scale = np.sqrt(np.maximum(matrix.diagonal(), 1e-12))
    table = np.column_stack([matrix / np.outer(scale, scale), values / scale])
    table[np.diag_indices(count)] += 1e-4
    for row in range(count):
        if table[row, row] < 1e-9:
            return None
        table[row] /= table[row, row]
        others = np.arange(count) != row
        table[others] -= np.outer(table[others, row], table[row])
    return table[:, -1] / scale


def _agreeing(ours: Luma, theirs: Luma, alignment: Alignment) -> SharedPart | None:
    """The rectangle of blocks whose details agree most; ``None`` if there is none."""
    lines, columns = (
        np.linspace(0, size, min(_BLOCKS, size // 2) + 1).round().astype(np.int64)
        for size in ours.shape
    )
    one_y, one_x, other_y, other_x = _slopes(ours) + _slopes(theirs)
    common = _sums(one_y * other_y + one_x * other_x, lines, columns)
    one = _sums(one_y**2 + one_x**2, lines, columns)
    other = _sums(other_y**2 + other_x**2, lines, columns)
    if not one.sum() or not other.sum():
        return None
    contrast = float(np.sqrt(other.sum() / one.sum()))
    # Details that are not common count against a block.
    gain = 2 * common - (one * contrast + other / contrast) / 2
    above, left, below, right = _best_rectangle(gain)
    top, bottom, start, end = lines[above], lines[below], columns[left], columns[right]
    shared = alignment.shared
    height = (shared.bottom - shared.top) / ours.shape[0]
    width = (shared.right - shared.left) / ours.shape[1]
    box = Box(
        shared.left + start * width,
        shared.top + top * height,
        shared.left + end * width,
        shared.top + bottom * height,
    )
    return SharedPart(ours[top:bottom, start:end], theirs[top:bottom, start:end], box, alignment)


def _slopes(plane: Luma) -> tuple[Luma, Luma]:
    """The slopes along the columns and along the lines, for each pixel."""
    down, across = (np.asarray(each, np.float64) for each in np.gradient(plane))
    return down, across


def _sums(plane: Luma, lines: NDArray[np.int64], columns: NDArray[np.int64]) -> Luma:
    """The sum of each block between these lines and columns."""
    sums: Luma = np.add.reduceat(np.add.reduceat(plane, lines[:-1], 0), columns[:-1], 1)
    return sums


def _best_rectangle(gain: Luma) -> tuple[int, int, int, int]:
    """The rectangle with the largest sum: its first line and column, and those after its last."""
    total = np.pad(gain.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    above, below = np.triu_indices(len(total), 1)
    left, right = np.triu_indices(total.shape[1], 1)
    strips = total[below] - total[above]
    sums = strips[:, right] - strips[:, left]
    tall, wide = np.unravel_index(int(sums.argmax()), sums.shape)
    return int(above[tall]), int(left[wide]), int(below[tall]), int(right[wide])
