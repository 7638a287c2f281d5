"""Metadata never makes a picture unreadable; damage to the pixels is still found."""

from __future__ import annotations

import random
import struct
import zlib
from typing import Any

import pytest
from PIL import Image, PngImagePlugin

from snoopsync.core.errors import Refused
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

PICTURE = photo(1, (160, 120))
PLAIN = encode(PICTURE, "PNG")
LARGE = zlib.compress(bytes(3 * 2**20))


def chunk(name: bytes, body: bytes, *, check: int | None = None) -> bytes:
    check = zlib.crc32(name + body) if check is None else check
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", check)


def chunks_of(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        found.append((name, data[at : at + 12 + length]))
        at += 12 + length
    return found


def with_chunk(extra: bytes, *, before: bytes) -> bytes:
    parts = [(extra if name == before else b"") + whole for name, whole in chunks_of(PLAIN)]
    return PLAIN[:8] + b"".join(parts)


EXTRA = {
    "a large compressed text": chunk(b"zTXt", b"Comment\0\0" + LARGE),
    "a large international text": chunk(b"iTXt", b"XML:com.adobe.xmp\0\1\0\0\0" + LARGE),
    "a large plain text": chunk(b"tEXt", b"Comment\0" + b"x" * 3_000_000),
    "a large colour profile": chunk(b"iCCP", b"profile\0\0" + LARGE),
    "a colour profile that is none": chunk(b"iCCP", b"profile\0\0rubbish"),
    "a text with a bad checksum": chunk(b"tEXt", b"Comment\0short", check=1),
    "an EXIF block with a bad checksum": chunk(b"eXIf", b"II*\0\x08\0\0\0\0\0", check=1),
    "a time with a bad checksum": chunk(b"tIME", bytes(7), check=1),
    "a chunk that nobody knows": chunk(b"quUx", b"?" * 100, check=1),
}


@pytest.mark.parametrize("before", [b"IDAT", b"IEND"])
@pytest.mark.parametrize("extra", EXTRA.values(), ids=list(EXTRA))
def test_a_png_is_decoded_whatever_its_metadata(extra: bytes, before: bytes) -> None:
    assert extract(with_chunk(extra, before=before)).digest == extract(PLAIN).digest


def test_many_texts_in_a_png_are_ignored() -> None:
    many = b"".join(chunk(b"tEXt", b"k%d\0" % number + bytes(50_000)) for number in range(200))
    assert extract(with_chunk(many, before=b"IDAT")).digest == extract(PLAIN).digest


@pytest.mark.parametrize("name", [b"IHDR", b"IDAT", b"PLTE", b"tRNS"])
def test_a_chunk_of_pixels_with_a_bad_checksum_is_damage(name: bytes) -> None:
    palette = PICTURE.convert("P")
    buffer = encode(palette, "PNG", transparency=3)
    damaged = bytearray(buffer)
    damaged[buffer.index(name) + 5] ^= 0x40
    with pytest.raises(Refused) as refused:
        extract(bytes(damaged))
    assert refused.value.status in (413, 415)


@pytest.mark.parametrize("text", ["zTXt", "tEXt"])
def test_a_png_that_ends_in_its_metadata_is_refused(text: str) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", "word " * 200, zip=text == "zTXt")
    data = encode(PICTURE, "PNG", pnginfo=info)
    for part in range(1, 19):
        with pytest.raises(Refused):
            extract(data[: len(data) * part // 20])


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
