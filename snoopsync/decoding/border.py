"""Uniform borders: frames, letterboxes, the white around a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Left, top, right, bottom in pixels, the last two just outside: as Pillow has it.
Box = tuple[int, int, int, int]

#: How far a border's shade may be off its own (0 to 255): the ringing of a strong JPEG. Found by
#: trial on photographs with borders in qualities down to 20: twice it, and less, found fewer.
_TOLERANCE = 32

#: What must remain, or the border is the picture: a part of each side, and pixels.
_MIN_SHARE = 0.25
_MIN_PIXELS = 32


def content_box(grey: NDArray[np.uint8]) -> Box | None:
    """Where the picture is without its uniform borders, or ``None`` if it has none to trim.

    ``grey`` has a row for each line of the picture. ``None`` too if hardly anything would remain.
    """
    height, width = grey.shape
    top, bottom = _content_lines(grey)
    left, right = _content_lines(grey[top:bottom].T)
    if (left, top, right, bottom) == (0, 0, width, height):
        return None
    if right - left < max(_MIN_PIXELS, _MIN_SHARE * width):
        return None
    if bottom - top < max(_MIN_PIXELS, _MIN_SHARE * height):
        return None
    return left, top, right, bottom


def _content_lines(grey: NDArray[np.uint8]) -> tuple[int, int]:
    """The first line that is not border, and the one after the last; equal if all is border."""
    count = len(grey)
    if not grey.size:
        return 0, 0
    above = _border_lines(grey)
    if above == count:
        return 0, 0
    return above, count - _border_lines(grey[::-1])


def _border_lines(grey: NDArray[np.uint8]) -> int:
    """How many of the first lines are all of the outermost one's shade."""
    shade = np.int16(np.median(grey[0]))
    inside: NDArray[np.bool_] = (np.abs(grey - shade) > _TOLERANCE).any(axis=1)
    return int(inside.argmax()) if inside.any() else len(grey)
