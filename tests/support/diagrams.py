"""Drawings of which different ones look alike: charts, bar codes, icons, text, chess positions."""

from __future__ import annotations

import random
import string
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageOps

from tests.support.pictures import encode

_WORDS = [
    "the",
    "of",
    "and",
    "a",
    "to",
    "in",
    "is",
    "you",
    "that",
    "it",
    "he",
    "was",
    "for",
    "on",
    "are",
    "as",
    "with",
    "his",
    "they",
    "at",
    "be",
    "this",
]


_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")


def _paper(size: tuple[int, int] = (480, 320)) -> tuple[Image.Image, ImageDraw.ImageDraw]:
    drawn = Image.new("RGB", size, "white")
    return drawn, ImageDraw.Draw(drawn)


def document(dice: random.Random) -> Image.Image:
    """A page of text."""
    drawn, draw = _paper((480, 640))
    for line in range(24):
        text = " ".join(dice.choices(_WORDS, k=11))
        draw.text((40, 40 + 23 * line), text, fill="black", font_size=15)
    return drawn


def chess_position(dice: random.Random) -> Image.Image:
    """A chess board with letters for pieces."""
    drawn, draw = _paper((400, 400))
    for square in range(64):
        x, y = 50 * (square % 8), 50 * (square // 8)
        colour = "#b58863" if (square % 8 + square // 8) % 2 else "#f0d9b5"
        draw.rectangle((x, y, x + 49, y + 49), fill=colour)
        if dice.random() < 0.4:
            ink = dice.choice(("white", "black"))
            draw.text((x + 25, y + 25), dice.choice("KQRBNP"), ink, font_size=38, anchor="mm")
    return drawn


def icon(dice: random.Random) -> Image.Image:
    """A rounded square with a simple shape."""
    drawn, draw = _paper((256, 256))
    colours = ["#1f77b4", "#d62728", "#2ca02c", "#9467bd", "#ff7f0e"]
    draw.rounded_rectangle((16, 16, 240, 240), 48, fill=dice.choice(colours))
    low, high = dice.randint(50, 90), dice.randint(160, 205)
    shape = dice.choice((draw.ellipse, draw.rectangle))
    shape((low, low, high, high), fill="white")
    draw.line((low, high, high, low), fill=dice.choice(colours), width=dice.randint(6, 20))
    return drawn


def emoji(dice: random.Random) -> Image.Image:
    """A round face."""
    drawn, draw = _paper((256, 256))
    draw.ellipse((16, 16, 240, 240), fill="#ffcc33", outline="#aa7700", width=4)
    eye = dice.randint(8, 20)
    for x in (90, 166):
        draw.ellipse((x - eye, 100 - eye, x + eye, 100 + eye), fill="black")
    start = dice.choice((0, 180))
    draw.arc((70, 110, 186, dice.randint(170, 210)), start, start + 180, fill="black", width=8)
    return drawn


def bar_chart(dice: random.Random) -> Image.Image:
    """Bars in a frame."""
    drawn, draw = _paper()
    draw.rectangle((40, 20, 460, 290), outline="black", width=2)
    for bar in range(8):
        top = dice.randint(40, 280)
        draw.rectangle((55 + 50 * bar, top, 90 + 50 * bar, 290), fill="#1f77b4")
    return drawn


def bar_code(dice: random.Random) -> Image.Image:
    """Lines of different widths."""
    drawn, draw = _paper()
    x = 40
    while x < 430:
        width = dice.randint(2, 9)
        draw.rectangle((x, 40, x + width, 260), fill="black")
        x += width + dice.randint(2, 9)
    draw.text((240, 290), str(dice.randrange(10**12)), fill="black", font_size=24, anchor="mm")
    return drawn


def app_screen(dice: random.Random) -> Image.Image:
    """A screenshot of a chat."""
    drawn, draw = _paper((360, 640))
    draw.rectangle((0, 0, 360, 60), fill="#075e54")
    draw.text((20, 20), "Messages", fill="white", font_size=22)
    y = 80
    while y < 540:
        left, lines = dice.choice((12, 100)), dice.randint(1, 3)
        draw.rounded_rectangle((left, y, left + 240, y + 14 + 22 * lines), 10, fill="#dcf8c6")
        for line in range(lines):
            text = " ".join(dice.choices(_WORDS, k=6))
            draw.text((left + 10, y + 6 + 22 * line), text, fill="black", font_size=15)
        y += 30 + 22 * lines
    draw.rectangle((0, 580, 360, 640), fill="#f0f0f0")
    return drawn


def square_code(dice: random.Random) -> Image.Image:
    """Random black squares with three large ones in corners, as in a QR code."""
    count = 29
    cells = Image.frombytes(
        "L", (count, count), bytes(dice.choice((0, 255)) for _ in range(count * count))
    )
    draw = ImageDraw.Draw(cells)
    for left, top in ((0, 0), (count - 7, 0), (0, count - 7)):
        draw.rectangle((left - 1, top - 1, left + 7, top + 7), fill=255)
        draw.rectangle((left, top, left + 6, top + 6), outline=0)
        draw.rectangle((left + 2, top + 2, left + 4, top + 4), fill=0)
    whole = ImageOps.expand(cells, 4, 255)
    return whole.resize((10 * whole.width, 10 * whole.height), Image.Resampling.NEAREST)


def pie_chart(dice: random.Random) -> Image.Image:
    """Five slices of a circle."""
    drawn = Image.new("RGB", (320, 320), "white")
    draw, angle = ImageDraw.Draw(drawn), 0.0
    shares = [dice.uniform(0.3, 3) for _ in range(5)]
    for share, colour in zip(shares, _COLOURS, strict=True):
        end = angle + 360 * share / sum(shares)
        draw.pieslice((40, 40, 280, 280), angle, end, fill=colour)
        angle = end
    return drawn


def curve(dice: random.Random) -> Image.Image:
    """A line in a frame."""
    drawn, draw = _paper()
    draw.rectangle((40, 20, 460, 290), outline="black", width=2)
    height, points = 150.0, []
    for across in range(42, 458, 4):
        height = min(285, max(25, height + dice.gauss(0, 9)))
        points.append((across, height))
    draw.line(points, fill=_COLOURS[3], width=3)
    return drawn


def initials(dice: random.Random) -> Image.Image:
    """Two large letters, as the initials of a person without a portrait."""
    drawn = Image.new("RGB", (200, 200), dice.choice(_COLOURS))
    text = "".join(dice.sample(string.ascii_uppercase, 2))
    ImageDraw.Draw(drawn).text((100, 100), text, fill="white", font_size=90, anchor="mm")
    return drawn


def line_drawing(dice: random.Random) -> Image.Image:
    """Black lines with a few bends, as by a pen."""
    drawn = Image.new("L", (400, 400), 255)
    draw = ImageDraw.Draw(drawn)
    for _ in range(dice.randint(5, 9)):
        x, y = dice.uniform(40, 360), dice.uniform(40, 360)
        points = [(x, y)]
        for _ in range(dice.randint(3, 8)):
            x = min(380, max(20, x + dice.uniform(-90, 90)))
            y = min(380, max(20, y + dice.uniform(-90, 90)))
            points.append((x, y))
        draw.line(points, fill=0, width=4, joint="curve")
    return drawn


#: For each kind of drawing: draws one, from the dice.
DIAGRAMS: dict[str, Callable[[random.Random], Image.Image]] = {
    "documents": document,
    "chess positions": chess_position,
    "icons": icon,
    "emoji": emoji,
    "bar charts": bar_chart,
    "bar codes": bar_code,
    "screens of one program": app_screen,
    "square codes": square_code,
    "pie charts": pie_chart,
    "curves": curve,
    "initials": initials,
    "line drawings": line_drawing,
}


def halved(drawn: Image.Image) -> Image.Image:
    """The drawing at half of its size."""
    return drawn.resize((drawn.width // 2, drawn.height // 2), Image.Resampling.LANCZOS)


#: The ways to save a drawing again.
RESAVED: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda drawn: encode(drawn, quality=85),
    "half the size": lambda drawn: encode(halved(drawn), "PNG"),
    "half the size, as JPEG": lambda drawn: encode(halved(drawn), quality=80),
    "WebP": lambda drawn: encode(drawn, "WEBP", quality=75),
    "turned": lambda drawn: encode(drawn.transpose(Image.Transpose.ROTATE_90), "PNG"),
    "mirrored": lambda drawn: encode(ImageOps.mirror(drawn), quality=85),
}
