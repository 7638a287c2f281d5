"""Finds uniform borders: frames, letterboxes, and the white margins of a scan."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Left, top, right and bottom in pixels, as in Pillow: right and bottom are just outside of it.
Box = tuple[int, int, int, int]

#: How much a pixel of a border may differ from the border's shade (0 to 255): strong JPEG
#: compression changes pixels near edges. On photographs with borders, at JPEG qualities down to 20,
#: larger and smaller values found fewer borders.
_TOLERANCE = 32

#: How much of each side must remain: a share, and a number of pixels. If less remains, the border
#: is the picture.
_MIN_SHARE = 0.25
_MIN_PIXELS = 32

_FEW_LINES = 8

#: A line is a part of a bar if at least this share of its pixels has the bar's shade. The others
#: may be text. Shades that differ by less than the tolerance count as the same.
_BAR_SHARE = 0.75
_BAR_TOLERANCE = 4


def content_box(grey: NDArray[np.uint8]) -> Box | None:
    """The part of the picture inside its uniform borders.

    ``grey`` has a row for each line of the picture. Returns ``None`` if the picture has no borders,
    or if too little would remain.
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


def part_between_bars(grey: NDArray[np.uint8]) -> Box | None:
    """The part of the picture between bars that may have text on them, as in a screenshot.

    As with ``content_box``, returns ``None`` if there are no bars, or if too little would remain.
    """
    height, width = grey.shape
    top, bottom = _bar_lines(grey), height - _bar_lines(grey[::-1])
    if bottom - top < max(_MIN_PIXELS, _MIN_SHARE * height):
        return None
    columns = grey[top:bottom].T
    left, right = _bar_lines(columns), width - _bar_lines(columns[::-1])
    if right - left < max(_MIN_PIXELS, _MIN_SHARE * width):
        return None
    is_whole = (left, top, right, bottom) == (0, 0, width, height)
    return None if is_whole else (left, top, right, bottom)


def _bar_lines(grey: NDArray[np.uint8]) -> int:
    """How many lines at the start are a bar."""
    shade = np.int16(np.median(grey[0]))
    # Most pictures have no bar, which the first few lines show.
    for lines in (grey[:_FEW_LINES], grey):
        is_bar = (np.abs(lines - shade) <= _BAR_TOLERANCE).mean(axis=1) >= _BAR_SHARE
        if not is_bar.all():
            return int(is_bar.argmin())
    return len(grey)


def _content_lines(grey: NDArray[np.uint8]) -> tuple[int, int]:
    """The first line inside the borders, and the line after the last; equal if all is border."""
    count = len(grey)
    if not grey.size:
        return 0, 0
    above = _border_lines(grey)
    if above == count:
        return 0, 0
    return above, count - _border_lines(grey[::-1])


def _border_lines(grey: NDArray[np.uint8]) -> int:
    """How many lines at the start have only the shade of the first line."""
    shade = np.int16(np.median(grey[0]))
    # Most pictures have no border, which the first few lines show.
    for lines in (grey[:_FEW_LINES], grey):
        has_content: NDArray[np.bool_] = (np.abs(lines - shade) > _TOLERANCE).any(axis=1)
        if has_content.any():
            return int(has_content.argmax())
    return len(grey)
