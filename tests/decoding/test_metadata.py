"""Metadata never makes a picture unreadable."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from snoopsync.core.errors import Refused
from tests.decoding.helpers import PICTURE, PLAIN, extract
from tests.support.pictures import encode


def test_the_orientation_is_read_when_other_metadata_is_ignored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "x" * 2_000_000, zip=True)
    turned = encode(PICTURE.transpose(Image.Transpose.ROTATE_90), "PNG", exif=exif, pnginfo=info)
    assert extract(turned).digest == extract(PLAIN).digest


def _damaged_exif() -> list[bytes]:
    dice = random.Random(7)
    exif = Image.Exif()
    exif[0x010F] = "camera"
    exif.get_ifd(0x8769)[0x9003] = "2020:01:01 00:00:00"
    exif.get_ifd(0x8825)[1] = "N"
    intact = exif.tobytes()
    found = [b"", dice.randbytes(300), b"Exif\0\0" + dice.randbytes(300)]
    for _ in range(12):
        damaged = bytearray(intact)
        for _ in range(4):
            damaged[dice.randrange(6, len(intact))] = dice.choice((0, 255, dice.randrange(256)))
        found.append(bytes(damaged))
    return found


@pytest.mark.parametrize(
    ("kind", "options"),
    [("JPEG", {}), ("PNG", {}), ("WEBP", {}), ("AVIF", {"speed": 10}), ("HEIF", {})],
)
def test_broken_metadata_of_any_kind_is_ignored(kind: str, options: dict[str, Any]) -> None:
    dice = random.Random(3)
    for exif in _damaged_exif():
        try:
            data = encode(PICTURE, kind, exif=exif, **options)
        except (OSError, SyntaxError, UserWarning, ValueError):
            continue  # an encoder may refuse it
        assert extract(data).width in (160, 120)
    for name in ("icc_profile", "xmp"):
        for content in (dice.randbytes(900), b"x"):
            assert extract(encode(PICTURE, kind, **options, **{name: content})).width == 160


def tiff_with(tag: int, kind: int, count: int, value: int, *, is_big: bool = False) -> bytes:
    """A TIFF with one more tag."""
    data = encode(PICTURE, "TIFF", big_tiff=is_big)
    pointer, counts, entries, numbers = (8, "<Q", 20, "<HHQQ") if is_big else (4, "<H", 12, "<HHII")
    (at,) = struct.unpack_from("<Q" if is_big else "<I", data, pointer)
    (number,) = struct.unpack_from(counts, data, at)
    first = at + struct.calcsize(counts)
    found = [data[first + entries * n : first + entries * (n + 1)] for n in range(number)]
    found.append(struct.pack(numbers, tag, kind, count, value))
    found.sort(key=lambda entry: entry[:2][::-1])
    directory = struct.pack(counts, number + 1) + b"".join(found) + bytes(8)
    offset = struct.pack("<Q" if is_big else "<I", len(data))
    return data[:pointer] + offset + data[pointer + len(offset) :] + directory


@pytest.mark.parametrize("is_big", [False, True])
@pytest.mark.parametrize("tag", [700, 270, 269, 305, 34665, 34853, 33723, 34377, 34675, 37724])
def test_a_tiff_is_decoded_whatever_its_metadata(tag: int, is_big: bool) -> None:
    whole = extract(encode(PICTURE, "TIFF")).digest
    for kind in (1, 2, 3, 4, 5, 7, 13, 99):
        for count, value in ((1, 0), (1, 8), (1, 0xFFFFFFF0), (100_000_000, 8), (0, 0)):
            assert extract(tiff_with(tag, kind, count, value, is_big=is_big)).digest == whole


def test_an_invalid_orientation_of_a_tiff_is_ignored() -> None:
    whole = extract(encode(PICTURE, "TIFF")).digest
    for kind, count in ((2, 1), (3, 50), (5, 1), (99, 1)):
        assert extract(tiff_with(274, kind, count, 0xFFFFFF00)).digest == whole


def test_a_loop_of_tiff_directories_ends() -> None:
    data = bytearray(tiff_with(700, 3, 1, 0))
    (at,) = struct.unpack_from("<I", data, 4)
    (count,) = struct.unpack_from("<H", data, at)
    struct.pack_into("<I", data, at + 2 + 12 * count, at)
    try:
        extract(bytes(data))
    except Refused as refusal:
        assert refusal.status == 415
