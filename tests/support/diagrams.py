"""Drawings of which different ones look alike: charts, bar codes, icons, text, chess positions."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageDraw

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


#: For each kind of drawing: draws one, from the dice.
DIAGRAMS: dict[str, Callable[[random.Random], Image.Image]] = {
    "documents": document,
    "chess positions": chess_position,
    "icons": icon,
    "emoji": emoji,
    "bar charts": bar_chart,
    "bar codes": bar_code,
    "screens of one program": app_screen,
}
