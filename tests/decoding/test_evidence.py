"""Evidence in a file: whether it is an original or a copy."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import ExifTags, Image, ImageDraw

from tests.decoding.helpers import LARGE, evidence
from tests.support.pictures import encode, photo


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


def test_unreadable_metadata_is_not_evidence() -> None:
    assert not evidence(encode(photo(1), exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")).camera
