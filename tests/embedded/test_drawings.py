"""Similar drawings do not match; a copy of each one does."""

from __future__ import annotations

import io
import random
from collections.abc import Callable

import pytest
from PIL import Image, ImageDraw, ImageOps

from snoopsync.embedded import EmbeddedCollection
from tests.support.pictures import encode

pytestmark = pytest.mark.integration

COUNT = 14


def barcode(dice: random.Random) -> Image.Image:
    drawn = Image.new("L", (600, 200), 255)
    draw, at = ImageDraw.Draw(drawn), 40
    while at < 560:
        width = dice.choice((2, 4, 6))
        draw.rectangle((at, 20, at + width - 1, 170), fill=0)
        at += width + dice.choice((2, 4, 6))
    return drawn


def pie(dice: random.Random) -> Image.Image:
    drawn = Image.new("RGB", (320, 320), "white")
    draw, angle = ImageDraw.Draw(drawn), 0.0
    shares = [dice.uniform(0.3, 3) for _ in range(5)]
    for share, colour in zip(
        shares, ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd"), strict=True
    ):
        end = angle + 360 * share / sum(shares)
        draw.pieslice((40, 40, 280, 280), angle, end, fill=colour)
        angle = end
    return drawn


def face(dice: random.Random) -> Image.Image:
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


def bars(dice: random.Random) -> Image.Image:
    drawn = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((40, 20, 460, 290), outline="black", width=2)
    for bar in range(8):
        top = 290 - dice.randrange(5, 260)
        draw.rectangle((55 + 50 * bar, top, 90 + 50 * bar, 290), fill="#1f77b4")
    return drawn


def curve(dice: random.Random) -> Image.Image:
    drawn = Image.new("RGB", (480, 320), "white")
    draw = ImageDraw.Draw(drawn)
    draw.rectangle((40, 20, 460, 290), outline="black", width=2)
    height, points = 150.0, []
    for across in range(42, 458, 4):
        height = min(285, max(25, height + dice.gauss(0, 9)))
        points.append((across, height))
    draw.line(points, fill="#d62728", width=3)
    return drawn


DRAWINGS: dict[str, Callable[[random.Random], Image.Image]] = {
    "bar codes": barcode,
    "pie charts": pie,
    "faces": face,
    "bar charts": bars,
    "curves": curve,
}

RESAVED: dict[str, Callable[[Image.Image], bytes]] = {
    "JPEG": lambda drawn: encode(drawn, quality=85),
    "half the size": lambda drawn: encode(
        drawn.resize((drawn.width // 2, drawn.height // 2), Image.Resampling.LANCZOS), "PNG"
    ),
    "half the size, as JPEG": lambda drawn: encode(
        drawn.resize((drawn.width // 2, drawn.height // 2), Image.Resampling.LANCZOS), quality=80
    ),
    "WebP": lambda drawn: encode(drawn, "WEBP", quality=75),
    "turned": lambda drawn: encode(drawn.transpose(Image.Transpose.ROTATE_90), "PNG"),
    "mirrored": lambda drawn: encode(ImageOps.mirror(drawn), quality=85),
}


@pytest.mark.parametrize("draw", DRAWINGS.values(), ids=list(DRAWINGS))
def test_similar_drawings_do_not_match_and_a_re_encoded_one_does(
    collection: EmbeddedCollection, draw: Callable[[random.Random], Image.Image]
) -> None:
    drawings = {f"{number}": draw(random.Random(number)) for number in range(COUNT)}
    for name, drawn in drawings.items():
        collection.add_image(io.BytesIO(encode(drawn, "PNG")), name)
    for name, drawn in drawings.items():
        assert collection.search_images_by_id(name)["results"] == [], name
        for how, saved in RESAVED.items():
            results = collection.search_images(io.BytesIO(saved(drawn)))["results"]
            assert [match["id"] for match in results] == [name], how


@pytest.mark.integration
def test_similar_drawings_on_a_page_do_not_match_without_the_page(
    collection: EmbeddedCollection,
) -> None:
    """Without the page, a large digit fills the picture like a photograph."""
    numbers = range(200, 260)
    for number in numbers:
        page = Image.new("L", (96, 96), 0)
        ImageDraw.Draw(page).text((8, 20), f"{number}", fill=255, font_size=44)
        collection.add_image(io.BytesIO(encode(page, "PNG")), f"{number}")
    for number in numbers:
        assert collection.search_images_by_id(f"{number}")["results"] == []


@pytest.mark.parametrize("colour", ["white", "#b03a2e"])
def test_a_drawing_with_a_border_is_found(collection: EmbeddedCollection, colour: str) -> None:
    for number in range(COUNT):
        drawn = curve(random.Random(number))
        collection.add_image(io.BytesIO(encode(drawn, "PNG")), f"{number}")
    for number in range(COUNT):
        framed = encode(ImageOps.expand(curve(random.Random(number)), 40, colour), quality=85)
        results = collection.search_images(io.BytesIO(framed))["results"]
        assert [match["id"] for match in results] == [f"{number}"]
