"""Draws text and logos on pictures, in the font that comes with Pillow."""

from __future__ import annotations

import random

from PIL import Image, ImageDraw, ImageFont

_WORDS = (
    "when the light is right",
    "Sunday, on the way back",
    "seen from the bridge",
    "nobody expected this",
    "before the rain",
    "photograph: the author",
)

#: The largest share of the width that a text takes.
_TEXT_SHARE = 0.9


def bar_of_text(size: tuple[int, int], dice: random.Random, paper: str, ink: str) -> Image.Image:
    """A bar of one colour, ``size`` is width and height in pixels, with a text in its middle."""
    bar = Image.new("RGB", size, paper)
    text = dice.choice(_WORDS)
    font = _font(text, size[0], size[1] * 0.5)
    middle = (size[0] / 2, size[1] / 2)
    ImageDraw.Draw(bar).text(middle, text, fill=ink, font=font, anchor="mm")
    return bar


def draw_outlined(picture: Image.Image, dice: random.Random, share: float = 0.09) -> Image.Image:
    """A copy with white, outlined letters near the upper and the lower edge, which are as high as
    this share of the picture."""
    lettered = picture.copy()
    draw = ImageDraw.Draw(lettered)
    width, height = picture.size
    for text, y in zip(dice.sample(_WORDS, 2), (0.01 + share, 0.99 - share), strict=True):
        font = _font(text.upper(), width, height * share)
        draw.text(
            (width / 2, height * y),
            text.upper(),
            fill="#ffffff",
            font=font,
            anchor="mm",
            stroke_width=max(1, round(font.size / 12)),
            stroke_fill="#000000",
        )
    return lettered


def draw_watermark(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A copy with a semi-transparent, tilted text across it, as picture agencies do."""
    width, height = picture.size
    mask = Image.new("L", picture.size)
    text = dice.choice(("SAMPLE", "PREVIEW", "© THE AUTHOR"))
    font = _font(text, width, height * 0.25)
    ImageDraw.Draw(mask).text((width / 2, height / 2), text, fill=110, font=font, anchor="mm")
    mask = mask.rotate(20, Image.Resampling.BILINEAR)
    return Image.composite(Image.new("RGB", picture.size, "#ffffff"), picture, mask)


def draw_logo(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A copy with a small semi-transparent logo in a corner."""
    width, height = picture.size
    side, margin = max(8, round(min(picture.size) * 0.12)), round(min(picture.size) * 0.03)
    left = dice.choice((margin, width - margin - side))
    top = dice.choice((margin, height - margin - side))
    mask = Image.new("L", picture.size)
    draw = ImageDraw.Draw(mask)
    draw.ellipse((left, top, left + side, top + side), fill=190)
    font = _font("S", side, side * 0.7)
    draw.text((left + side / 2, top + side / 2), "S", fill=0, font=font, anchor="mm")
    return Image.composite(Image.new("RGB", picture.size, "#f4d03f"), picture, mask)


def _font(text: str, width: float, height: float) -> ImageFont.FreeTypeFont:
    """A font in which this text is about that high and fits into the width, both in pixels."""
    font = _sized(height)
    excess = font.getlength(text) / (_TEXT_SHARE * width)
    return font if excess <= 1 else _sized(height / excess)


def _sized(pixels: float) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(4, pixels))
    assert isinstance(font, ImageFont.FreeTypeFont), "Pillow was built without FreeType"
    return font
