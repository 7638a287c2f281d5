"""Evidence in a file: whether it is an original or a copy."""

from __future__ import annotations

import io
import random
from typing import Any

import pytest
from PIL import ExifTags, Image, ImageDraw

from snoopsync.decoding.evidence import FileEvidence
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

#: Large enough that a decoder shrinks it.
LARGE = (1024, 768)


def evidence(data: bytes) -> FileEvidence:
    found = extract(data).evidence
    assert found is not None
    return found


def textured(seed: int, size: tuple[int, int]) -> Image.Image:
    """A picture with as much detail in each block as photographs have."""
    dice = random.Random(seed)
    fine = (size[0] // 3, size[1] // 3)
    texture = Image.frombytes("L", fine, dice.randbytes(fine[0] * fine[1])).resize(size)
    return Image.blend(photo(seed, size), texture.convert("RGB"), 0.15)


def again(
    data: bytes, kind: str = "JPEG", turn: Image.Transpose | None = None, **how: Any
) -> bytes:
    """The picture in these bytes, saved again."""
    picture = Image.open(io.BytesIO(data)).convert("RGB")
    return encode(picture if turn is None else picture.transpose(turn), kind, **how)


@pytest.mark.parametrize("quality", [20, 40, 75, 92, 100])
@pytest.mark.parametrize("size", [(320, 240), LARGE])
def test_a_jpegs_quality_is_estimated(quality: int, size: tuple[int, int]) -> None:
    estimated = evidence(encode(photo(1, size), quality=quality)).jpeg_quality
    assert estimated is not None and abs(estimated - quality) <= 1
    for kind in ("PNG", "WEBP", "GIF"):
        assert evidence(encode(photo(1), kind)).jpeg_quality is None


@pytest.mark.parametrize(
    ("kind", "how", "lossless"),
    [
        ("PNG", {}, True),
        ("BMP", {}, True),
        ("TIFF", {}, True),
        ("TIFF", {"compression": "tiff_lzw"}, True),
        ("TIFF", {"compression": "jpeg"}, False),
        ("WEBP", {"lossless": True, "method": 0}, True),
        ("WEBP", {"quality": 90, "method": 0}, False),
        ("JPEG", {"quality": 100}, False),
        ("AVIF", {"quality": 90, "speed": 10}, False),
        ("HEIF", {"quality": 90}, False),
    ],
)
def test_a_format_is_lossless_if_it_keeps_every_pixel(
    kind: str, how: dict[str, Any], lossless: bool
) -> None:
    assert evidence(encode(photo(1), kind, **how)).lossless == lossless


def test_a_palette_counts_for_photographs_and_not_for_drawings() -> None:
    reduced = photo(1).convert("P", palette=Image.Palette.ADAPTIVE)
    for kind in ("GIF", "PNG"):
        found = evidence(encode(reduced, kind))
        assert (found.palette, found.lossless) == (True, False)
    drawing = Image.new("P", (200, 150), 0)
    drawing.putpalette([0, 0, 0, 255, 255, 255, 200, 30, 30])
    ImageDraw.Draw(drawing).rectangle((30, 30, 90, 90), fill=2, outline=1)
    found = evidence(encode(drawing, "PNG"))
    assert (found.palette, found.lossless) == (False, True)


def test_only_camera_tags_count_as_camera_metadata() -> None:
    exif = Image.Exif()
    exif[ExifTags.Base.Software] = "an editor"
    exif[ExifTags.Base.Orientation] = 1
    assert not evidence(encode(photo(1), exif=exif)).camera
    exif[ExifTags.Base.Model] = "a camera"
    for kind in ("JPEG", "PNG", "WEBP", "TIFF", "HEIF"):
        assert evidence(encode(photo(1), kind, exif=exif)).camera
    exposed = Image.Exif()
    exposed.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.ExposureTime] = 0.01
    assert evidence(encode(photo(1), exif=exposed)).camera


def test_unreadable_metadata_is_no_evidence() -> None:
    assert not evidence(encode(photo(1), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).camera


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("size", [(403, 301), LARGE])
def test_files_made_from_a_jpeg_are_recognised(seed: int, size: tuple[int, int]) -> None:
    original = encode(textured(seed, size), "PNG", compress_level=1)
    assert not evidence(original).resaved
    for quality in (75, 90, 95):
        assert not evidence(again(original, quality=quality)).resaved
    for quality in (60, 85):
        jpeg = again(original, quality=quality)
        assert evidence(again(jpeg, quality=95)).resaved
        for turn in (None, Image.Transpose.ROTATE_90, Image.Transpose.FLIP_LEFT_RIGHT):
            assert evidence(again(jpeg, "PNG", turn, compress_level=1)).resaved


def test_a_jpeg_saved_at_a_lower_quality_is_not_recognised_as_resaved() -> None:
    """Its own quality already shows that it is the copy."""
    jpeg = encode(textured(1, LARGE), quality=95)
    assert not evidence(again(jpeg, quality=60)).resaved


@pytest.mark.parametrize("size", [(64, 48), (3, 2)])
def test_small_pictures_show_no_traces(size: tuple[int, int]) -> None:
    jpeg = encode(photo(1, size), quality=50)
    assert not evidence(again(jpeg, "PNG")).resaved
    assert not evidence(again(jpeg, quality=95)).resaved


def test_a_progressive_jpeg_that_is_decoded_smaller_shows_no_traces() -> None:
    source = again(encode(textured(1, LARGE), quality=50), quality=95, progressive=True)
    assert not evidence(source).resaved
