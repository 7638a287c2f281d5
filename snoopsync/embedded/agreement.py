"""Finds the part that two aligned pictures both show, and says how similar it is in both."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import pdq
from snoopsync.embedded.alignment import (
    MIN_PIXELS,
    Alignment,
    Box,
    Luma,
    correlations,
    sampled,
)

#: The blocks along each side of the part that both pictures show.
_BLOCKS = 8

#: The smallest shift that counts as a repetition, as a share of a side, and the smallest overlap
#: that is compared, as a share of the picture.
_LEAST_MOVE = 1 / 8
_LEAST_SHARED = 0.3


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
        whole, size = Box(0.0, 0.0, 1.0, 1.0), (pdq.SIDE, pdq.SIDE)
        return _part(self.ours, whole, size), _part(self.theirs, whole, size)

    @cached_property
    def likeness(self) -> float:
        """The correlation of the details, from -1 to 1: of the differences between neighbouring
        pixels, which do not depend on light and shade."""
        ours, theirs = (
            np.concatenate([np.diff(each, axis=axis).ravel() for axis in (0, 1)])
            for each in (self.ours, self.theirs)
        )
        return float(correlations(ours[np.newaxis], theirs[np.newaxis])[0])

    @cached_property
    def repetition(self) -> float:
        """The largest correlation of the details of one of both with themselves, moved, from -1 to
        1. That of a checked pattern is nearly 1."""
        return max(_repetition(self.ours), _repetition(self.theirs))

    @property
    def share_of_ours(self) -> float:
        """The share of our picture that is in the part."""
        return self.box.area

    @property
    def share_of_theirs(self) -> float:
        """The share of their picture that is in the part."""
        return self.box.area * self.alignment.scale_x * self.alignment.scale_y


def shared_part(ours: Luma, theirs: Luma, alignment: Alignment) -> SharedPart | None:
    """The rectangle of blocks of two pictures whose details agree most; ``None`` if there is none.

    As many pixels are compared as the picture with fewer pixels has in what both show.
    """
    shared = alignment.shared
    target = alignment.applied(shared)
    across = min(shared.right - shared.left, target.right - target.left) * pdq.SIDE
    down = min(shared.bottom - shared.top, target.bottom - target.top) * pdq.SIDE
    if min(across, down) < MIN_PIXELS:
        return None
    size = min(pdq.SIDE, round(down)), min(pdq.SIDE, round(across))
    ours, theirs = _part(ours, shared, size), _part(theirs, target, size)
    lines, columns = (
        np.linspace(0, count, min(_BLOCKS, count // 2) + 1).round().astype(np.int64)
        for count in size
    )
    one_y, one_x, other_y, other_x = *_slopes(ours), *_slopes(theirs)
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
    height = (shared.bottom - shared.top) / size[0]
    width = (shared.right - shared.left) / size[1]
    box = Box(
        shared.left + start * width,
        shared.top + top * height,
        shared.left + end * width,
        shared.top + bottom * height,
    )
    return SharedPart(ours[top:bottom, start:end], theirs[top:bottom, start:end], box, alignment)


def _repetition(picture: Luma) -> float:
    """The largest correlation of the details with themselves, moved by ``_LEAST_MOVE`` or more."""
    lines, columns = picture.shape
    size = 2 * lines, 2 * columns  # the transform continues a picture with its other end
    products = np.zeros(size)
    for slopes in _slopes(picture):
        waves = np.fft.rfft2(slopes, size)
        products += np.fft.irfft2(waves * waves.conj(), size)
    if products[0, 0] <= 0:
        return 1.0
    down, across = (
        np.minimum(np.arange(2 * count), np.arange(2 * count, 0, -1)) / count
        for count in (lines, columns)
    )
    shared = np.outer(1 - down, 1 - across)
    is_moved = np.maximum(down[:, np.newaxis], across) >= _LEAST_MOVE
    is_moved &= shared >= _LEAST_SHARED
    return float((products[is_moved] / shared[is_moved]).max() / products[0, 0])


def _part(picture: Luma, box: Box, size: tuple[int, int]) -> Luma:
    """This part of a picture in this number of lines and columns."""
    part: Luma = sampled(picture[np.newaxis], np.array(box).reshape(1, 2, 2), size)[0]
    return part


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
