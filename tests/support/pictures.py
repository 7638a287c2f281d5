"""Pictures for the tests, made from a seed, so that the repository contains no files.

``photo`` draws what a similarity search takes for a photograph: light and shade of every
coarseness, and a few hard edges. Two seeds give different pictures, one seed the same picture at
any size.
"""

from __future__ import annotations

import io
import random
from typing import Any

import pillow_heif
import pillow_jxl  # noqa: F401 - registers JPEG XL
from PIL import Image, ImageDraw

#: Layers of light and shade, from coarse to fine: cells along each side, and the opacity of the
#: layer.
_LAYERS = ((3, 1.0), (6, 0.5), (13, 0.35), (29, 0.2))


def photo(seed: int, size: tuple[int, int] = (320, 240)) -> Image.Image:
    """A picture in RGB that does not match that of any other seed. ``size`` is width and height in
    pixels."""
    dice = random.Random(seed)
    picture = Image.new("RGB", size)
    for cells, share in _LAYERS:
        picture = Image.blend(picture, _layer(dice, cells, size), share)
    draw = ImageDraw.Draw(picture)
    for _ in range(6):
        _draw_shape(draw, dice, size)
    return picture


def _layer(dice: random.Random, cells: int, size: tuple[int, int]) -> Image.Image:
    colour = Image.frombytes("RGB", (cells, cells), dice.randbytes(3 * cells * cells))
    light = Image.frombytes("L", (cells, cells), dice.randbytes(cells * cells)).convert("RGB")
    # Mostly light, as three independent channels would add up to an even grey.
    return Image.blend(light, colour, 0.3).resize(size, Image.Resampling.BICUBIC)


def _draw_shape(draw: ImageDraw.ImageDraw, dice: random.Random, size: tuple[int, int]) -> None:
    width, height = size
    left, top = dice.uniform(0, 0.8), dice.uniform(0, 0.8)
    across, down = dice.uniform(0.05, 0.3), dice.uniform(0.05, 0.3)
    box = (left * width, top * height, (left + across) * width, (top + down) * height)
    colour = (dice.randrange(256), dice.randrange(256), dice.randrange(256))
    shape = draw.ellipse if dice.random() < 0.5 else draw.rectangle
    shape(box, fill=colour)


def encode(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    """The bytes of the picture in the format with this name in Pillow (``HEIF`` is HEIC, ``JXL``
    JPEG XL), with the options of Pillow's ``save``."""
    if kind == "HEIF":
        pillow_heif.register_heif_opener()
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
