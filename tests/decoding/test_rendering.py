"""Rendering: the pixels of a picture for people, from the sandbox."""

from __future__ import annotations

import io
import random
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from PIL import ExifTags, Image, ImageCms

from snoopsync.core.errors import Refused
from snoopsync.decoding import layout, rendering
from snoopsync.decoding.decoders import Renderers
from snoopsync.decoding.layout import (
    MAX_RENDERED_SIDE,
    InvalidAnswer,
    Rendering,
    pack_rendering,
    unpack_rendering,
)
from snoopsync.decoding.rendering import render
from snoopsync.decoding.samples import samples
from snoopsync.decoding.sandbox import DecoderLimits
from snoopsync.decoding.source import read_picture
from tests.support.hostile_pictures import damaged
from tests.support.pictures import encode, photo

SIDE = 400


@pytest.fixture(scope="module")
def renderers() -> Iterator[Renderers]:
    with closing(Renderers(1)) as renderers:
        yield renderers


def image_of(rendering: Rendering) -> Image.Image:
    size = rendering.width, rendering.height
    return Image.frombytes(rendering.mode, size, rendering.pixels)


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    value = image.getpixel((x, y))
    assert isinstance(value, tuple)
    return value


def saved(image: Image.Image, kind: str, **options: object) -> io.BytesIO:
    return io.BytesIO(encode(image, kind, **options))


@pytest.mark.parametrize("codec", samples())
@pytest.mark.parametrize("side", [8, 0])
def test_each_codec_gives_the_same_pixels_in_the_sandbox(
    renderers: Renderers, codec: str, side: int
) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        rendered = renderers.render(picture, side)
    assert rendered == render(io.BytesIO(content), side)
    assert rendered.width == rendered.height == (side or 16)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_a_small_picture_is_upright_and_fits(renderers: Renderers, kind: str) -> None:
    image = Image.new("RGB", (1200, 900), "green")
    image.paste("red", (0, 0, 1200, 300))
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = 6  # rotate it clockwise to see it upright
    with read_picture(saved(image, kind, exif=exif).getvalue()) as picture:
        shown = image_of(renderers.render(picture, SIDE))
    assert shown.size == (300, 400)
    assert pixel(shown, 280, 200)[0] > 200
    assert pixel(shown, 20, 200)[0] < 60


def test_a_picture_in_full_has_all_its_pixels(renderers: Renderers) -> None:
    image = photo(1)
    with read_picture(saved(image, "TIFF").getvalue()) as picture:
        rendered = renderers.render(picture)
    assert image_of(rendered).tobytes() == image.convert("RGB").tobytes()


def test_a_picture_with_too_many_pixels_is_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rendering, "MAX_RENDERED_PIXELS", 10_000)
    rendered = render(saved(Image.new("RGB", (400, 100)), "PNG"), 0)
    assert (rendered.width, rendered.height) == (200, 50)


def test_a_picture_that_is_too_wide_is_shrunk() -> None:
    rendered = render(saved(Image.new("L", (20_000, 100)), "TIFF"), 0)
    assert (rendered.width, rendered.height) == (16_383, 81)


def test_a_strip_keeps_one_line() -> None:
    rendered = render(saved(Image.new("RGB", (5000, 2)), "PNG"), SIDE)
    assert (rendered.width, rendered.height) == (400, 1)


def test_transparency_stays_and_its_colour_does_not_mix() -> None:
    image = Image.new("RGBA", (800, 800), (255, 0, 0, 0))
    image.paste((0, 0, 255, 255), (0, 0, 401, 800))
    shown = image_of(render(saved(image, "PNG"), 100))
    assert shown.mode == "RGBA"
    red, _, blue, opacity = pixel(shown, 50, 50)
    assert (red, blue) == (0, 255)
    assert 0 < opacity < 128


def test_an_opaque_picture_has_no_opacity() -> None:
    assert render(saved(Image.new("RGBA", (20, 20), "red"), "PNG"), SIDE).mode == "RGB"


def exchanged_profile() -> bytes:
    """A colour profile in which red is blue, and blue is red."""
    content = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"...."), (b"bXYZ", b"rXYZ"), (b"....", b"bXYZ")):
        content = content.replace(one, other)
    return content


@pytest.mark.parametrize(("kind", "mode"), [("JPEG", "RGB"), ("TIFF", "RGB"), ("WEBP", "RGBA")])
@pytest.mark.parametrize("side", [SIDE, 0])
def test_colours_are_converted_to_srgb(kind: str, mode: str, side: int) -> None:
    image = Image.new(mode, (800, 600), (255, 0, 0) if mode == "RGB" else (255, 0, 0, 128))
    shown = image_of(render(saved(image, kind, icc_profile=exchanged_profile()), side))
    assert shown.mode == mode
    red, _, blue, *_ = pixel(shown, 10, 10)
    assert blue > 200
    assert red < 60


def test_a_damaged_profile_leaves_the_colours_as_they_are() -> None:
    image = Image.new("RGB", (80, 60), "red")
    shown = image_of(render(saved(image, "TIFF", icc_profile=b"no profile" * 20), SIDE))
    assert pixel(shown, 10, 10) == (255, 0, 0)


def test_what_is_not_a_picture_is_refused(renderers: Renderers) -> None:
    with read_picture(b"<svg/>") as picture, pytest.raises(Refused) as refused:
        renderers.render(picture, SIDE)
    assert refused.value.status == 415


# What a decoder may pass to its parent: a refusal, or pixels of the size that was asked for.

_SIZE = struct.Struct("<IIB")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"P",
        b"P" + _SIZE.pack(2, 2, 0) + bytes(11),
        b"P" + _SIZE.pack(2, 2, 0) + bytes(13),
        b"P" + _SIZE.pack(2, 2, 1) + bytes(12),
        b"P" + _SIZE.pack(2, 2, 2) + bytes(20),
        b"P" + _SIZE.pack(0, 2, 0),
        b"P" + _SIZE.pack(5, 1, 0) + bytes(15),
        b"P" + _SIZE.pack(2**32 - 1, 2**32 - 1, 0),
        b"F" + bytes(100),
    ],
)
def test_only_the_pixels_that_were_asked_for_are_a_valid_answer(answer: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        unpack_rendering(answer, 4)


def test_an_answer_in_full_has_a_limited_number_of_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAX_RENDERED_PIXELS", 11)
    assert unpack_rendering(b"P" + _SIZE.pack(11, 1, 0) + bytes(33), 0).width == 11
    with pytest.raises(InvalidAnswer):
        unpack_rendering(b"P" + _SIZE.pack(4, 3, 0) + bytes(36), 0)


def test_a_valid_answer_has_the_pixels() -> None:
    rendered = Rendering(2, 3, True, bytes(range(24)))
    assert unpack_rendering(pack_rendering(rendered), 4) == rendered


@pytest.mark.parametrize(
    "content",
    [b"lies", b"talks", b"drips", b"P" + _SIZE.pack(500, 1, 0) + bytes(1500), b"P" * (1 << 20)],
)
def test_any_other_answer_of_a_decoder_is_a_refusal(content: bytes) -> None:
    limits = DecoderLimits(wall_seconds=2.0)
    work = "tests.support.decoder_work:by_its_content"
    with (
        closing(Renderers(1, limits, work)) as renderers,
        read_picture(content) as picture,
        pytest.raises(Refused, match=r"the decoder crashes|takes longer than"),
    ):
        renderers.render(picture, SIDE)


def test_a_long_answer_arrives_whole() -> None:
    pixels = bytes(range(256)) * 1875
    content = pack_rendering(Rendering(400, 400, False, pixels))
    with (
        closing(Renderers(1, work="tests.support.decoder_work:by_its_content")) as renderers,
        read_picture(content) as picture,
    ):
        assert renderers.render(picture, SIDE).pixels == pixels


@pytest.mark.parametrize("size", [(4032, 3024), (3000, 4000), (1999, 1001), (5000, 5000), (401, 3)])
@pytest.mark.parametrize("kind", ["JPEG", "TIFF"])
def test_the_longer_side_of_a_small_picture_is_exact(size: tuple[int, int], kind: str) -> None:
    """A JPEG is decoded at a reduced size first."""
    rendered = render(saved(Image.new("L", size), kind), SIDE)
    width, height = rendered.width, rendered.height
    assert max(width, height) == SIDE
    assert abs(width / height - size[0] / size[1]) < 0.01 * size[0] / size[1] or min(size) < 10


def test_damaged_pictures_are_rendered_or_refused_and_end_no_decoder(renderers: Renderers) -> None:
    dice = random.Random(1)
    for number in range(120):
        content = damaged(dice)
        if not content:
            continue
        side = (SIDE, 0)[number % 2]
        try:
            with read_picture(content) as picture:
                rendered = renderers.render(picture, side)
        except Refused as refusal:
            assert "the decoder crashes" not in refusal.message
        else:
            assert max(rendered.width, rendered.height) <= (side or MAX_RENDERED_SIDE)
