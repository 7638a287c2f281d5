"""What people do to pictures so that only a part of them, or a photograph of them, remains."""

from __future__ import annotations

import io
import math
import random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageOps

from tests.support.lettering import bar_of_text
from tests.support.pictures import photo

#: The sizes of phones' screens, in pixels at half of their resolution.
_SCREENS = ((585, 1266), (540, 1200), (375, 667))

#: The side of a part of a collage, and the width of the gaps, in pixels.
_PART, _GAP = 320, 4

_TURNS = (
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.TRANSPOSE,
)


def cropped_area(picture: Image.Image, dice: random.Random, share: float) -> Image.Image:
    """Remove this share of the area, with the same ratio, at any position."""
    scale = math.sqrt(1 - share)
    width, height = round(picture.width * scale), round(picture.height * scale)
    left, top = dice.randint(0, picture.width - width), dice.randint(0, picture.height - height)
    return picture.crop((left, top, left + width, top + height))


def cropped_and_turned(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Remove a tenth of the width and of the height, and turn or mirror the rest."""
    return cropped_area(picture, dice, 1 - 0.9**2).transpose(dice.choice(_TURNS))


def screenshot(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A phone that shows the picture with rounded corners, between bars with text."""
    width, height = dice.choice(_SCREENS)
    paper, ink = dice.choice((("#000000", "#ffffff"), ("#ffffff", "#000000")))
    screen = Image.new("RGB", (width, height), paper)
    shown = ImageOps.contain(picture, (width, round(height * 0.8)), Image.Resampling.LANCZOS)
    mask = Image.new("L", shown.size, 0)
    ImageDraw.Draw(mask).rounded_rectangle((0, 0, *shown.size), round(width * 0.03), fill=255)
    screen.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2), mask)
    draw = ImageDraw.Draw(screen)
    clock = f"{dice.randint(0, 23)}:{dice.randint(0, 59):02d}"
    draw.text((width * 0.08, height * 0.015), clock, fill=ink, font_size=width // 20)
    draw.rectangle((width * 0.85, height * 0.018, width * 0.92, height * 0.03), fill=ink)
    words = (width * 0.08, height * 0.93)
    draw.text(words, "Share     Edit     Delete", fill=ink, font_size=width // 22)
    return screen


def collage(picture: Image.Image, dice: random.Random, count: int) -> Image.Image:
    """The middle of the picture as a square, beside those of others."""
    parts = [picture, *(photo(dice.randrange(10**6), (480, 360)) for _ in range(count - 1))]
    dice.shuffle(parts)
    lines = count // 2
    size = 2 * _PART + 3 * _GAP, lines * _PART + (lines + 1) * _GAP
    whole = Image.new("RGB", size, "white")
    for number, part in enumerate(parts):
        line, column = divmod(number, 2)
        place = _GAP + column * (_PART + _GAP), _GAP + line * (_PART + _GAP)
        whole.paste(ImageOps.fit(part, (_PART, _PART)), place)
    return whole


def meme_with_bar(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A white bar with a joke, a third as high as the picture, above it."""
    bar = bar_of_text((picture.width, picture.height // 3), dice, "#ffffff", "#000000")
    whole = Image.new("RGB", (picture.width, picture.height + bar.height))
    whole.paste(bar, (0, 0))
    whole.paste(picture, (0, bar.height))
    return whole


def film_look(picture: Image.Image, dice: random.Random) -> Image.Image:
    """Faded blacks, other tones for each colour, grain, and dark corners."""
    values = np.asarray(picture, np.float64) / 255
    values = values * (1 - 0.35 * _from_middle(picture.size))[..., np.newaxis]
    faded = 0.08 + 0.87 * values ** np.array((0.85, 1.0, 1.2))
    noise = np.random.default_rng(dice.randrange(10**6)).normal(0, 0.03, faded.shape[:2])
    return _as_image(255 * (faded + noise[..., np.newaxis]))


def vignette(picture: Image.Image, _: random.Random) -> Image.Image:
    """Dark corners."""
    shade = 1 - 0.7 * _from_middle(picture.size)
    return _as_image(np.asarray(picture, np.float64) * shade[..., np.newaxis])


def photographed_screen(picture: Image.Image, dice: random.Random) -> Image.Image:
    """A photograph of a screen: perspective, a moire pattern, other tones, less sharp."""
    width, height = picture.size
    corners = []
    for x, y in ((0, 0), (0, height), (width, height), (width, 0)):
        corners.append(x + dice.uniform(0.01, 0.06) * (width if x else -width))
        corners.append(y + dice.uniform(0.01, 0.06) * (height if y else -height))
    seen = picture.transform(
        picture.size, Image.Transform.QUAD, corners, Image.Resampling.BICUBIC, fillcolor="#202020"
    )
    down, across = np.indices((height, width))
    moire = 6 * np.sin(2.1 * across + 0.3 * down) * np.sin(1.9 * down)
    values = np.clip(np.asarray(seen, np.float64) + moire[..., np.newaxis], 0, 255)
    darker = 255 * (values / 255) ** 1.25 * 0.92 + 10
    return _as_image(darker).filter(ImageFilter.GaussianBlur(0.7))


def scanned_print(picture: Image.Image, dice: random.Random, scale: float) -> Image.Image:
    """A scan of a print at this resolution: faded, with a white margin, a little askew."""
    values = np.asarray(picture, np.float64)
    noise = np.random.default_rng(dice.randrange(10**6)).normal(0, 4, values.shape[:2])
    faded = _as_image(25 + values * 0.82 + noise[..., np.newaxis])
    margin = round(0.03 * max(picture.size))
    page = ImageOps.expand(faded, margin, "#f2efe8")
    page = page.rotate(dice.uniform(-0.5, 0.5), Image.Resampling.BICUBIC, fillcolor="#f2efe8")
    size = round(page.width * scale), round(page.height * scale)
    return page.resize(size, Image.Resampling.LANCZOS)


def as_16_bit_grey(picture: Image.Image) -> bytes:
    """A PNG in grey with 16 bits."""
    grey = np.asarray(picture.convert("L"), np.uint16) * 257
    data = io.BytesIO()
    Image.fromarray(grey).save(data, "PNG")
    return data.getvalue()


def _from_middle(size: tuple[int, int]) -> NDArray[np.float64]:
    """For each pixel, how far it is from the middle: 0 there, 1 in the corners."""
    width, height = size
    down, across = np.indices((height, width))
    far: NDArray[np.float64] = 2 * ((across / width - 0.5) ** 2 + (down / height - 0.5) ** 2)
    return far


def _as_image(values: NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))
