"""The kinds of matches, and what variants find."""

from __future__ import annotations

import io
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from snoopsync.decoding.features import Thumbnail
from snoopsync.embedded import EmbeddedCollection
from snoopsync.embedded.kinds import compare, is_photographic
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

SIZE = (480, 360)
SEEDS = range(5)
DUPLICATE = 50

Alteration = Callable[[Image.Image], Image.Image]


def crop(share: float, down: float, across: float) -> Alteration:
    def cropped(picture: Image.Image) -> Image.Image:
        width, height = picture.size
        left, top = across * share * width, down * share * height
        right, bottom = left + (1 - share) * width, top + (1 - share) * height
        return picture.crop((round(left), round(top), round(right), round(bottom)))

    return cropped


def caption_over(picture: Image.Image) -> Image.Image:
    width, height = picture.size
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, height * 9 // 10, width, height), fill="white")
    draw.text((20, height * 9 // 10 + 5), "somewhere, a long time ago", fill="black", font_size=20)
    return picture


def caption_below(picture: Image.Image) -> Image.Image:
    framed = Image.new("RGB", (picture.width, picture.height * 23 // 20), "white")
    framed.paste(picture)
    draw = ImageDraw.Draw(framed)
    draw.text((20, picture.height + 10), "somewhere, a long time ago", fill="black", font_size=20)
    return framed


def gamma(picture: Image.Image) -> Image.Image:
    return picture.point([round(255 * (shade / 255) ** 0.7) for shade in range(256)] * 3)


def tinted(picture: Image.Image) -> Image.Image:
    red, green, blue = picture.split()
    dimmer = [shade * 4 // 5 for shade in range(256)]
    return Image.merge("RGB", (red, green, blue.point(dimmer)))


ALTERED: dict[str, tuple[str, Alteration]] = {
    "half the size": ("reencoded", lambda picture: picture.resize((240, 180))),
    "grey": ("recoloured", lambda picture: picture.convert("L")),
    "brighter": ("recoloured", lambda picture: ImageEnhance.Brightness(picture).enhance(1.2)),
    "gamma": ("recoloured", gamma),
    "tinted": ("recoloured", tinted),
    "caption over it": ("edited", caption_over),
    "caption below it": ("bordered", caption_below),
    "white frame": ("bordered", lambda picture: ImageOps.expand(picture, 24, "white")),
    "letterbox": ("bordered", lambda picture: ImageOps.expand(picture, (0, 60), "black")),
    "turned by 90 degrees": ("rotated", lambda picture: picture.rotate(90, expand=True)),
    "turned by 180 degrees": ("rotated", lambda picture: picture.rotate(180)),
    "turned by 3 degrees": (
        "rotated",
        lambda picture: picture.rotate(3, Image.Resampling.BICUBIC),
    ),
    "mirrored": ("mirrored", ImageOps.mirror),
    "upside down and mirrored": ("mirrored", ImageOps.flip),
    "transposed": ("mirrored", lambda picture: picture.transpose(Image.Transpose.TRANSPOSE)),
    "a corner of 95 percent": ("cropped", crop(0.05, 0, 1)),
    "a side of 95 percent": ("cropped", crop(0.05, 0.5, 1)),
    "the middle 90 percent": ("cropped", crop(0.1, 0.5, 0.5)),
}


@pytest.mark.parametrize(("kind", "alter"), ALTERED.values(), ids=list(ALTERED))
def test_a_match_has_the_right_kind_whichever_picture_came_first(
    collection: EmbeddedCollection, kind: str, alter: Alteration
) -> None:
    for seed in SEEDS:
        collection.add_image(io.BytesIO(encode(photo(seed, SIZE), quality=80)), f"{seed}")
    copies = {seed: encode(alter(photo(seed, SIZE)), quality=80) for seed in SEEDS}
    for seed, copy in copies.items():
        (match,) = collection.search_images(io.BytesIO(copy))["results"]
        assert (match["id"], match["kind"]) == (f"{seed}", kind)
        assert match["rank"] <= DUPLICATE
    for seed, copy in copies.items():
        collection.add_image(io.BytesIO(copy), f"copy of {seed}")
        (match,) = collection.search_images_by_id(f"{seed}")["results"]
        assert (match["id"], match["kind"]) == (f"copy of {seed}", kind)
        assert match["rank"] <= DUPLICATE


def test_only_the_same_bytes_are_identical(collection: EmbeddedCollection) -> None:
    png, bmp = (encode(photo(1), kind) for kind in ("PNG", "BMP"))
    collection.add_image(io.BytesIO(png), "png")
    (match,) = collection.search_images(io.BytesIO(png))["results"]
    assert (match["rank"], match["kind"]) == (0, "identical")
    (match,) = collection.search_images(io.BytesIO(bmp))["results"]
    assert (match["rank"], match["kind"]) == (0, "reencoded")


def test_a_match_has_the_size_of_both_pictures(collection: EmbeddedCollection) -> None:
    large, small = encode(photo(1, (640, 480))), encode(photo(1, (320, 240)))
    collection.add_image(io.BytesIO(large), "large")
    (match,) = collection.search_images(io.BytesIO(small))["results"]
    assert (match["width"], match["height"], match["size_bytes"]) == (640, 480, len(large))
    asked = match["asked"]
    assert (asked["width"], asked["height"], asked["size_bytes"]) == (320, 240, len(small))


def test_a_picture_stored_without_a_thumbnail_is_found_without_its_kind(
    collection: EmbeddedCollection, database: Path
) -> None:
    collection.add_image(io.BytesIO(encode(photo(1))), "old")
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("DELETE FROM small")
    (match,) = collection.search_images(io.BytesIO(encode(photo(1), quality=20)))["results"]
    assert match["id"] == "old" and "kind" not in match
    (match,) = collection.search_images(io.BytesIO(encode(ImageOps.mirror(photo(1)))))["results"]
    assert match["kind"] == "mirrored"


def slide(*lines: str) -> Image.Image:
    page = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(page)
    draw.rectangle((0, 0, 640, 60), fill="#203080")
    for number, line in enumerate(lines):
        draw.text((60, 100 + 60 * number), line, fill="black", font_size=36)
    return page


def test_a_slide_is_found_in_another_size_and_a_different_word_is_an_edit(
    collection: EmbeddedCollection,
) -> None:
    texts = [("Apples", "and pears", "in May"), ("Results", "of the year", "in figures")]
    texts += [("Apples", "and pears", "in June"), ("Thank you", "", "")]
    edited = {0: 2, 2: 0}
    for number, text in enumerate(texts):
        collection.add_image(io.BytesIO(encode(slide(*text), "PNG")), f"{number}")
    for number, text in enumerate(texts):
        smaller = slide(*text).resize((320, 240), Image.Resampling.LANCZOS)
        results = collection.search_images(io.BytesIO(encode(smaller, quality=80)))["results"]
        kinds = {match["id"]: match["kind"] for match in results if match["rank"] <= DUPLICATE}
        expected = {f"{number}": "reencoded"}
        if number in edited:
            expected[f"{edited[number]}"] = "edited"
        assert kinds == expected


def faint(text: str) -> Image.Image:
    page = Image.new("RGB", (640, 480), "white")
    draw = ImageDraw.Draw(page)
    for line in range(6):
        draw.text((60, 60 + 60 * line), f"{text} {line}", fill="#cccccc", font_size=36)
    return page


def test_a_picture_of_low_quality_is_found_in_another_size_and_similar_ones_are_not(
    collection: EmbeddedCollection,
) -> None:
    texts = ("The apples", "The pears", "An answer")
    for text in texts:
        collection.add_image(io.BytesIO(encode(faint(text), "PNG")), text)
    for text in texts:
        smaller = encode(faint(text).resize((320, 240), Image.Resampling.LANCZOS), quality=80)
        assert 5 <= extract(smaller).quality < 50
        results = collection.search_images(io.BytesIO(smaller))["results"]
        assert [(match["id"], match["kind"]) for match in results] == [(text, "reencoded")]


def test_slides_do_not_count_as_photographs() -> None:
    for text in (("Apples", "and pears", "in May"), ("Results", "of the year", "in figures")):
        thumbnail = extract(encode(slide(*text), "PNG")).thumbnail
        assert thumbnail is not None and not is_photographic(thumbnail)


def test_two_skies_with_different_birds_are_not_certainly_the_same() -> None:
    def sky(*birds: int) -> Thumbnail:
        shades = np.linspace(190, 200, 64)[:, None].repeat(64, axis=1)
        for bird in birds:
            shades[bird : bird + 6, bird : bird + 6] = 20
        return Thumbnail(shades.astype(np.uint8).tobytes(), bytes(128))

    difference = compare(sky(4, 20), sky(40, 52))
    assert difference.same_share > 0.7 and not difference.is_certain
    assert compare(sky(4, 20), sky(4, 20)).is_same
