"""The metadata of a PNG is removed, and damage to its pixels is found."""

from __future__ import annotations

import struct
import zlib

import pytest
from PIL import PngImagePlugin

from snoopsync.core.errors import Refused
from tests.decoding.helpers import PICTURE, PLAIN, chunk, extract
from tests.support.pictures import encode

LARGE = zlib.compress(bytes(3 * 2**20))


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
