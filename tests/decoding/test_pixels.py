"""Features describe what a person sees, with transparency and with wide grey."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageDraw

from snoopsync.embedded import EmbeddedCollection
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

SIZE = (160, 120)
ONE, OTHER = (np.asarray(photo(seed, SIZE).convert("L")).astype(np.float64) for seed in (1, 2))


def icon(number: int, colour: str = "white") -> Image.Image:
    """Digits of one colour on transparency, like icons for dark backgrounds."""
    drawn = Image.new("RGBA", (96, 96), (0, 0, 0, 0))
    ImageDraw.Draw(drawn).text((8, 20), f"{number}", fill=colour, font_size=44)
    return drawn


def found(collection: EmbeddedCollection, data: bytes) -> dict[str, str | None]:
    """The IDs and kinds of the matches for a picture."""
    results = collection.search_images(io.BytesIO(data))["results"]
    return {match["id"]: match.get("kind") for match in results}


@pytest.mark.parametrize("colour", ["white", "#eeeeee", "black", "red"])
def test_different_icons_on_transparency_are_different_pictures(
    collection: EmbeddedCollection, colour: str
) -> None:
    for number in range(100, 130):
        collection.add_image(io.BytesIO(encode(icon(number, colour), "PNG")), f"{number}")
    for number in range(100, 130):
        smaller = icon(number, colour).resize((72, 72), Image.Resampling.LANCZOS)
        assert found(collection, encode(icon(number, colour), "PNG")) == {f"{number}": "identical"}
        assert found(collection, encode(smaller, "PNG")) == {f"{number}": "reencoded"}


def test_white_icons_on_transparency_are_compared(
    collection: EmbeddedCollection,
) -> None:
    def framed(shape: str) -> bytes:
        drawn = Image.new("RGBA", (128, 128), (0, 0, 0, 0))
        draw = ImageDraw.Draw(drawn)
        for side in (4, 16, 28):
            draw.rectangle((side, side, 127 - side, 127 - side), outline="black", width=4)
        getattr(draw, shape)((40, 40, 88, 88), fill="white")
        return encode(drawn, "PNG")

    collection.add_image(io.BytesIO(framed("ellipse")), "ellipse")
    assert found(collection, framed("rectangle")) == {}


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_a_transparent_picture_saved_on_white_is_a_re_encoding(
    collection: EmbeddedCollection, kind: str
) -> None:
    clear = photo(1, SIZE).convert("RGBA")
    clear.putalpha(Image.new("L", SIZE).point(lambda _: 0))
    clear.paste(photo(1, SIZE), (0, 0), Image.radial_gradient("L").resize(SIZE))
    white = Image.new("RGB", SIZE, "white")
    white.paste(clear, mask=clear.getchannel("A"))
    collection.add_image(io.BytesIO(encode(clear, kind)), "clear")
    assert found(collection, encode(white, quality=85)) == {"clear": "reencoded"}
    (match,) = collection.search_images(io.BytesIO(encode(white, "PNG")))["results"]
    assert match["rank"] > 0, "transparency is a part of the picture"


def test_the_colour_of_transparent_pixels_does_not_matter() -> None:
    half = Image.new("RGBA", (600, 600), (0, 255, 0, 0))
    half.paste((200, 60, 60, 255), (0, 0, 300, 600))
    other = Image.new("RGBA", (600, 600), (0, 0, 255, 0))
    other.paste((200, 60, 60, 255), (0, 0, 300, 600))
    assert extract(encode(half, "PNG")).digest == extract(encode(other, "PNG")).digest


WIDE: dict[str, tuple[str, Callable[[np.ndarray], np.ndarray]]] = {
    "16 bits": ("PNG", lambda grey: (grey * 257).astype(np.uint16)),
    "16 bits, of which 14 are used": ("TIFF", lambda grey: (grey * 64.2).astype(np.uint16)),
    "16 bits, of which 12 are used": ("TIFF", lambda grey: (grey * 16.05).astype(np.uint16)),
    "16 bits, of which 10 are used": ("PNG", lambda grey: (grey * 4.01).astype(np.uint16)),
    "16 bits, of which 8 are used": ("PNG", lambda grey: grey.astype(np.uint16)),
    "32 bits, of which 8 are used": ("TIFF", lambda grey: grey.astype(np.int32)),
    "32 bits": ("TIFF", lambda grey: (grey * 2**23).astype(np.int32)),
    "a narrow range of 16 bits": ("PNG", lambda grey: (28_000 + grey * 4).astype(np.uint16)),
    "negative values": ("TIFF", lambda grey: (grey * 90 - 9_000).astype(np.int32)),
    "floats up to 1": ("TIFF", lambda grey: (grey / 255).astype(np.float32)),
    "floats up to 255": ("TIFF", lambda grey: grey.astype(np.float32)),
    "floats, shifted": ("TIFF", lambda grey: (grey * 1e-4 - 273.15).astype(np.float32)),
}


@pytest.mark.parametrize(("kind", "widened"), WIDE.values(), ids=list(WIDE))
def test_wide_grey_gives_the_same_picture_as_8_bits(
    collection: EmbeddedCollection, kind: str, widened: Callable[[np.ndarray], np.ndarray]
) -> None:
    for name, grey in (("one", ONE), ("other", OTHER)):
        data = encode(Image.fromarray(grey.astype(np.uint8)), "PNG")
        collection.add_image(io.BytesIO(data), name)
    assert list(found(collection, encode(Image.fromarray(widened(ONE)), kind))) == ["one"]
    assert list(found(collection, encode(Image.fromarray(widened(OTHER)), kind))) == ["other"]


@pytest.mark.parametrize("outlier", [65_535, 0])
@pytest.mark.parametrize("name", ["16 bits, of which 8 are used", "floats up to 1"])
def test_a_few_hot_pixels_do_not_change_the_other_shades(name: str, outlier: int) -> None:
    kind, widened = WIDE[name]
    values = widened(ONE)
    hot = values.copy()
    hot[60, 80], hot[10, 10] = outlier, outlier
    one, other = (extract(encode(Image.fromarray(each), kind)) for each in (values, hot))
    assert one.thumbnail is not None and other.thumbnail is not None
    ours, theirs = (
        np.frombuffer(each.grey, np.uint8).astype(int) for each in (one.thumbnail, other.thumbnail)
    )
    assert np.median(np.abs(ours - theirs)) <= 1


@pytest.mark.parametrize("values", [np.full((64, 64), 7), np.full((64, 64), -7)])
def test_a_picture_of_one_value_has_one_shade(values: np.ndarray) -> None:
    for kind in (np.int32, np.float32):
        assert extract(encode(Image.fromarray(values.astype(kind)), "TIFF")).quality == 0
    nothing = np.full((64, 64), np.nan, np.float32)
    assert extract(encode(Image.fromarray(nothing), "TIFF")).quality == 0


def test_a_strip_of_millions_of_columns_is_shrunk() -> None:
    strip = extract(encode(Image.new("L", (3_000_000, 2), 99), "PNG"))
    assert (strip.width, strip.height, strip.quality) == (3_000_000, 2, 0)
