"""Pictures that are no photographs, many unlike ones of each kind, drawn from a seed."""

from __future__ import annotations

import random
from collections.abc import Callable

from PIL import Image, ImageDraw, ImageFont, ImageOps

from tests.support.pictures import encode

Drawing = Callable[[random.Random], Image.Image]

_COLOURS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def bar_code(dice: random.Random) -> Image.Image:
    """Black lines of three widths."""
    drawn = Image.new("L", (600, 200), 255)
    draw, at = ImageDraw.Draw(drawn), 40
    while at < 560:
        width = dice.choice((2, 4, 6))
        draw.rectangle((at, 20, at + width - 1, 170), fill=0)
        at += width + dice.choice((2, 4, 6))
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


def face(dice: random.Random) -> Image.Image:
    """A yellow face, as an emoji."""
    drawn = Image.new("RGB", (160, 160), "white")
    draw = ImageDraw.Draw(drawn)
    draw.ellipse((10, 10, 150, 150), fill="#ffcc33")
    eyes = dice.randrange(40, 70)
    for left in (48, 96):
        draw.ellipse((left, eyes, left + 16, eyes + 20), fill="black")
    mouth = dice.randrange(70, 105)
    open_by = dice.choice((6, 18, 32))
    draw.ellipse((45, mouth, 115, mouth + open_by), fill=dice.choice(("black", "#aa2222")))
    return drawn


def bar_chart(dice: random.Random) -> Image.Image:
    """Eight bars in a frame."""
    drawn, draw = _frame()
    for bar in range(8):
        top = 290 - dice.randrange(5, 260)
        draw.rectangle((55 + 50 * bar, top, 90 + 50 * bar, 290), fill=_COLOURS[0])
    return drawn


def curve(dice: random.Random) -> Image.Image:
    """A line in a frame."""
    drawn, draw = _frame()
    height, points = 150.0, []
    for across in range(42, 458, 4):
        height = min(285, max(25, height + dice.gauss(0, 9)))
        points.append((across, height))
    draw.line(points, fill=_COLOURS[3], width=3)
    return drawn


def document(dice: random.Random) -> Image.Image:
    """A page of text: a heading, and paragraphs."""
    drawn = Image.new("L", (595, 842), 255)
    draw = ImageDraw.Draw(drawn)
    draw.text((60, 50), _words(dice, 3).title(), fill=0, font=_font(24))
    down = 110
    while down < 780:
        for _ in range(min(dice.randint(2, 7), (800 - down) // 18)):
            draw.text((60, down), _words(dice, 9), fill=0, font=_font(12))
            down += 18
        down += 14
    return drawn


def chess_diagram(dice: random.Random) -> Image.Image:
    """A board with pieces, each a disc with a letter."""
    side = 48
    drawn = Image.new("RGB", (8 * side, 8 * side), "#f0d9b5")
    draw = ImageDraw.Draw(drawn)
    pieces = dice.sample("KQRRBBNNPPPPPPPPkqrrbbnnpppppppp", dice.randint(8, 32))
    places = dice.sample(range(64), len(pieces))
    for place in range(64):
        line, column = divmod(place, 8)
        if (line + column) % 2:
            box = (column * side, line * side, (column + 1) * side - 1, (line + 1) * side - 1)
            draw.rectangle(box, fill="#b58863")
    for piece, place in zip(pieces, places, strict=True):
        x, y = (place % 8 + 0.5) * side, (place // 8 + 0.5) * side
        paper, ink = ("white", "black") if piece.isupper() else ("black", "white")
        draw.ellipse((x - 18, y - 18, x + 18, y + 18), fill=paper, outline="black")
        draw.text((x, y), piece.upper(), fill=ink, font=_font(22), anchor="mm")
    return drawn


def screenshot_of_program(dice: random.Random) -> Image.Image:
    """A window of a mail program: its menu, its folders and its list of messages."""
    drawn = Image.new("RGB", (800, 500), "#fafafa")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((0, 0, 800, 28), fill="#3c3f41")
    draw.text((12, 6), "File    Edit    View    Message    Help", fill="white", font=_font(13))
    draw.rectangle((0, 28, 160, 500), fill="#e4e7ea")
    for number, name in enumerate(("Inbox", "Drafts", "Sent", "Archive", "Spam", "Trash")):
        draw.text((20, 44 + 26 * number), name, fill="#222222", font=_font(13))
    chosen = dice.randrange(18)
    for line in range(18):
        top = 36 + 25 * line
        if line == chosen:
            draw.rectangle((160, top, 800, top + 24), fill="#cfe3ff")
        draw.text((172, top + 5), _words(dice, 2).title(), fill="#222222", font=_font(12))
        draw.text((320, top + 5), _words(dice, 6), fill="#555555", font=_font(12))
        draw.text((740, top + 5), f"{dice.randint(0, 23)}:{dice.randint(10, 59)}", fill="#555555")
    return drawn


def icon(dice: random.Random) -> Image.Image:
    """Two or three white shapes on a round square of one colour."""
    drawn = Image.new("RGB", (128, 128), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rounded_rectangle((4, 4, 124, 124), 24, fill=dice.choice(_COLOURS))
    for _ in range(dice.randint(2, 3)):
        left, top = dice.randint(16, 70), dice.randint(16, 70)
        right, bottom = left + dice.randint(18, 42), top + dice.randint(18, 42)
        shape = dice.choice((draw.ellipse, draw.rectangle, draw.line))
        if shape == draw.line:
            draw.line((left, top, right, bottom), fill="white", width=8)
        else:
            shape((left, top, right, bottom), fill="white")
    return drawn


def letters(dice: random.Random) -> Image.Image:
    """Two large letters, as the initials of a person without a portrait."""
    drawn = Image.new("RGB", (200, 200), dice.choice(_COLOURS))
    text = "".join(dice.sample(_LETTERS.upper(), 2))
    ImageDraw.Draw(drawn).text((100, 100), text, fill="white", font=_font(90), anchor="mm")
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


#: The kinds of pictures that are no photographs.
DRAWINGS: dict[str, Drawing] = {
    "bar codes": bar_code,
    "square codes": square_code,
    "pie charts": pie_chart,
    "bar charts": bar_chart,
    "curves": curve,
    "faces": face,
    "icons": icon,
    "letters": letters,
    "line drawings": line_drawing,
    "documents": document,
    "chess diagrams": chess_diagram,
    "screenshots of one program": screenshot_of_program,
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


def _frame() -> tuple[Image.Image, ImageDraw.ImageDraw]:
    """A white picture with the frame of a chart."""
    drawn = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((40, 20, 460, 290), outline="black", width=2)
    return drawn, draw


def _words(dice: random.Random, count: int) -> str:
    """So many words of random letters."""
    return " ".join("".join(dice.choices(_LETTERS, k=dice.randint(2, 9))) for _ in range(count))


def _font(pixels: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(pixels)
