"""Converts all kinds of pixels to 8 bits per channel: wide grey, palettes, transparency."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Values = NDArray[Any]

#: The largest values of grey for different numbers of bits. For floats, it may also be 1.
_WHITES = tuple(2**bits - 1 for bits in (8, 10, 12, 14, 15, 16, 24, 31))

#: The percentiles that limit the range of values, so that a few hot or dead pixels do not count.
_LIMITS = (0.1, 99.9)

#: A picture that uses less than this share of its range is spread over all shades.
_NARROW = 1 / 16

#: A longer side is shrunk, whatever the other side is.
_LONGEST_SIDE = 8_192

#: How many pixels are sampled for the range, and how many are converted at a time.
_SAMPLE = 1_000_000


def eight_bits(image: Image.Image, *, is_inverted: bool = False) -> Image.Image:
    """The picture in RGB or RGBA, with 8 bits per channel. Returns ``image`` itself if it already
    has this form.

    ``is_inverted``: whether 0 is white in the picture's wide grey.
    """
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_wide_grey(image, is_inverted).convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def reduced(picture: Image.Image, side: int) -> Image.Image:
    """The picture shrunk by whole numbers, until its shorter side has fewer than twice ``side``
    pixels. The colour of transparent pixels does not affect other pixels."""
    shared = max(1, min(picture.size) // side)
    # Without this, a strip of one line and millions of columns would keep its size.
    across, down = (max(shared, each // _LONGEST_SIDE) for each in picture.size)
    if across == down == 1 or picture.mode == "RGB":
        return picture.reduce((across, down))
    return picture.convert("RGBa").reduce((across, down)).convert("RGBA")


def opacity_of(picture: Image.Image) -> Image.Image | None:
    """The opacity of each pixel (0 to 255); ``None`` if all are opaque."""
    if picture.mode != "RGBA":
        return None
    opacity = picture.getchannel("A")
    return None if opacity.getextrema() == (255, 255) else opacity


def on_background(picture: Image.Image, colour: str) -> Image.Image:
    """The picture in RGB, on a background of this colour."""
    if picture.mode == "RGB":
        return picture
    background = Image.new("RGB", picture.size, colour)
    background.paste(picture, mask=picture.getchannel("A"))
    return background


def _from_wide_grey(image: Image.Image, is_inverted: bool) -> Image.Image:
    values = np.asarray(image)
    low, high = _range_in_use(values)
    grey = np.empty(values.shape, np.uint8)
    rows = max(1, _SAMPLE // values.shape[1])
    for top in range(0, len(values), rows):
        # The picture is converted in parts: as floats, a large picture would take gigabytes.
        part = np.nan_to_num(values[top : top + rows].astype(np.float64), nan=low)
        shades = (np.clip(part, low, high) - low) * (255 / (high - low))
        grey[top : top + rows] = np.rint(255 - shades if is_inverted else shades)
    return Image.fromarray(grey)


def _range_in_use(values: Values) -> tuple[float, float]:
    """The values that become black and white.

    These are 0 and the largest value for the smallest number of bits that holds the picture, so a
    picture has the same shades with 8 bits and with 16 bits. If the picture uses little of this
    range, or has negative values, they are its darkest and its brightest value.
    """
    flat = values.ravel()
    sample = flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
    sample = sample[np.isfinite(sample)]
    if not sample.size:
        return 0.0, 1.0
    low, high = (float(each) for each in np.percentile(sample, _LIMITS))
    if low == high:
        low, high = float(sample.min()), float(sample.max())
    whites = (1, *_WHITES) if values.dtype.kind == "f" else _WHITES
    white = next((float(each) for each in whites if each >= high), 0.0)
    if low >= 0 and high - low >= white * _NARROW > 0:
        return 0.0, white
    return (low, high) if high > low else (low - 1, low)
