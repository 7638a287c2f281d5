"""Hostile pictures, made from a seed: damaged files, and decompression bombs."""

from __future__ import annotations

import itertools
import random
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Any

from PIL import Image

from snoopsync.decoding import png
from snoopsync.decoding.opening import MAX_PIXELS
from tests.support.pictures import encode, photo
from tests.support.psd_pictures import psd
from tests.support.raw_pictures import camera_raw, dng

#: The supported formats by their names in Pillow, with options that make small files.
_KINDS: dict[str, dict[str, Any]] = {
    "JPEG": {"quality": 70, "exif": Image.Exif()},
    "PNG": {},
    "WEBP": {"quality": 60},
    "GIF": {},
    "TIFF": {"compression": "tiff_lzw"},
    "BMP": {},
    "AVIF": {"quality": 50, "speed": 10},
    "HEIF": {"quality": 50},
}

#: The values that damage sets a length or a size to.
_ODD_NUMBERS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)

#: The sides, in pixels, of the largest square that is decoded, and of one that is too large.
UNDER = int(MAX_PIXELS**0.5)
OVER = UNDER + 1


@cache
def sound() -> tuple[bytes, ...]:
    """An intact file of each format, and of some of their variants."""
    small = photo(1, (96, 72))
    odd = [
        encode(small, "JPEG", progressive=True),
        encode(small.convert("CMYK"), "JPEG"),
        encode(small.convert("I;16"), "PNG"),
        encode(small.convert("RGBA"), "WEBP", lossless=True),
        encode(small, "TIFF", compression="jpeg"),
        encode(small, "TIFF", compression="tiff_deflate"),
        encode(small.convert("1"), "TIFF", compression="group4"),
    ]
    for kind in ("GIF", "WEBP", "PNG", "TIFF", "AVIF", "HEIF"):
        frames = [photo(seed, (48, 36)) for seed in (2, 3, 4)]
        odd.append(encode(small.resize((48, 36)), kind, save_all=True, append_images=frames))
    return (*(encode(small, kind, **options) for kind, options in _KINDS.items()), *odd, *newer())


@cache
def newer() -> tuple[bytes, ...]:
    """Intact files of the formats that are not decoded by Pillow or pillow-heif."""
    small = photo(1, (96, 72))
    preview = encode(small, "JPEG", quality=70)
    return (
        dng(preview),
        dng(small),
        camera_raw(".cr2", preview),
        camera_raw(".nef", preview),
        camera_raw(".orf", preview),
        psd(small, is_packed=True),
        psd(small.convert("CMYK"), bits=16, is_big=True),
        psd(small.quantize(100), is_packed=True, is_big=True),
        encode(small, "JXL", quality=70),
        encode(small, "JXL", lossless=True, use_container=True),
    )


def damaged(dice: random.Random, intact: Sequence[bytes] = ()) -> bytes:
    """An ``intact`` file after one to three kinds of damage; by default, of any format."""
    data = dice.choice(intact or sound())
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        data = dice.choice(_DAMAGES)(data, dice)
    return data


def _truncate(data: bytes, dice: random.Random) -> bytes:
    return data[: dice.randrange(len(data) + 1)]


def _flip(data: bytes, dice: random.Random) -> bytes:
    within = dice.choice((len(data), min(len(data), 200)))
    changed = bytearray(data)
    for _ in range(dice.choice((1, 3, 30)) if within else 0):
        changed[dice.randrange(within)] = dice.randrange(256)
    return bytes(changed)


def _set_number(data: bytes, dice: random.Random) -> bytes:
    size = dice.choice((1, 2, 4))
    at = dice.randrange(min(len(data), dice.choice((60, 400, 1 << 20))) + 1)
    number = (dice.choice(_ODD_NUMBERS) & (1 << 8 * size) - 1).to_bytes(
        size, dice.choice(("big", "little"))
    )
    return data[:at] + number + data[at + size :]


def _splice(data: bytes, dice: random.Random) -> bytes:
    other = dice.choice(sound())
    return data[: dice.randrange(len(data) + 1)] + other[dice.randrange(len(other)) :]


def _insert(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + dice.randbytes(dice.choice((1, 4, 300))) + data[at:]


def _cut_out(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return data[:at] + data[at + dice.choice((1, 4, 300)) :]


def _repeat(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data) + 1)
    return (
        data[:at] + data[at : at + dice.choice((8, 100, 2000))] * dice.choice((2, 50)) + data[at:]
    )


_DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _truncate,
    _flip,
    _set_number,
    _splice,
    _insert,
    _cut_out,
    _repeat,
)


# Pictures that no collection may take.


def unacceptable(seed: int) -> Iterator[tuple[str, bytes]]:
    """Endless and all different: files that have to be refused, with the names of their kinds."""
    dice = random.Random(seed)
    for number in itertools.count():
        for kind, make in _UNACCEPTABLE.items():
            yield kind, make(number, dice)
        if number % _RARELY == 0:
            yield "more memory than a decoder has", _memory_bomb(number)
            yield "more pixels than are decoded", _flat(OVER + number, OVER, 1, 0, 1)


def _cut(number: int, dice: random.Random) -> bytes:
    kind, options = list(_KINDS.items())[number % len(_KINDS)]
    data = encode(photo(dice.randrange(1 << 30), (320, 240)), kind, **options)
    return data[: int(len(data) * dice.uniform(0.2, 0.6))]


def _claim(number: int, dice: random.Random) -> bytes:
    claims = [data for _, data in _claims(50_000 + dice.randrange(10_000))]
    return claims[number % len(claims)] + _unlike(dice)


def _scans(number: int, dice: random.Random) -> bytes:
    return _with_scans(photo(number, (8, 8)), dice.randrange(1000, 50_000))


def _bad_tiff(number: int, dice: random.Random) -> bytes:
    tiffs = [data for _, data in _tiffs()]
    return tiffs[number % len(tiffs)] + _unlike(dice)


def _foreign(number: int, dice: random.Random) -> bytes:
    """A format that is not taken, whatever the file is called."""
    picture = photo(dice.randrange(1 << 30), (64, 48))
    foreign = (
        *(encode(picture, kind) for kind in ("PPM", "PCX", "TGA", "ICO", "EPS", "PDF", "SGI")),
        b"\x7fELF\2\1\1" + dice.randbytes(1000),
        b"PK\3\4" + dice.randbytes(1000),
        b"<svg xmlns='http://www.w3.org/2000/svg'><!-- %d --></svg>" % number,
        b"<html><script>%d</script></html>" % number,
        b"\xff\xd8\xff" + dice.randbytes(2000),
        png.SIGNATURE + dice.randbytes(2000),
    )
    return foreign[number % len(foreign)] + _unlike(dice)


def _unlike(dice: random.Random) -> bytes:
    """No two files are the same."""
    return dice.randbytes(8)


def _memory_bomb(number: int) -> bytes:
    """Just few enough pixels, and more bytes than a decoder may have."""
    return _flat(UNDER, UNDER - number, 16, 6, 8)


_UNACCEPTABLE: dict[str, Callable[[int, random.Random], bytes]] = {
    "cut": _cut,
    "a size that is not its own": _claim,
    "thousands of scans": _scans,
    "a TIFF of lies": _bad_tiff,
    "no picture of a kind that is taken": _foreign,
}

#: Of those that are costly to make there are few.
_RARELY = 20


# Bombs.


def bombs() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of files that claim to be large, or expand to something large, and that take
    little time."""
    yield from _claims(0, 60_000, 0x7FFFFFFF, 0xFFFFFFFF)
    yield from _tiffs()
    frames = [Image.new("L", (8, 8), number % 251) for number in range(3000)]
    yield "a GIF of 3000 frames", encode(frames[0], "GIF", save_all=True, append_images=frames)
    frames = [frame.convert("RGB") for frame in frames]
    yield "a WebP of 3000 frames", encode(frames[0], "WEBP", save_all=True, append_images=frames)
    yield "a PNG of 3000 frames", encode(frames[0], "PNG", save_all=True, append_images=frames)
    grey = _ihdr(64, 64, 8, 0), _chunk(b"IDAT", zlib.compress(bytes(65 * 64)))
    large = zlib.compress(bytes(200 << 20))
    for kind, content in (
        (b"zTXt", b"Comment\0\0" + large),
        (b"iTXt", b"Comment\0\1\0\0\0" + large),
        (b"iCCP", b"profile\0\0" + large),
    ):
        yield (
            f"a PNG with 200 MiB of {kind.decode()}",
            _png(grey[0], _chunk(kind, content), grey[1]),
        )
    many = b"".join(_chunk(b"tEXt", b"k%d\0" % number + bytes(1000)) for number in range(5000))
    yield "a PNG with 5000 texts", _png(grey[0], many, grey[1])
    yield "a PNG with more data than pixels", _png(grey[0], _chunk(b"IDAT", large))
    yield "a JPEG with 10 MB of EXIF", _with_segments(0xE1, b"Exif\0\0" + bytes(65000), 160)
    yield (
        "a JPEG with an ICC profile of 255 parts",
        _with_segments(0xE2, b"ICC_PROFILE\0\1\xff" + bytes(65000), 255),
    )
    yield "a JPEG with 50000 comments", _with_segments(0xFE, b"", 50000)
    yield "an EXIF that contains itself", _with_segments(0xE1, b"Exif\0\0" + _looping_exif(), 1)
    yield "half a million scans", _with_scans(photo(1, (8, 8)), 500_000)


def heavy_bombs() -> Iterator[tuple[str, bytes]]:
    """Names and bytes of files that take seconds, up to the limits of a picture."""
    yield from _claims(UNDER, OVER)
    for side, size in ((UNDER, "under"), (OVER, "over")):
        for colour, depth, channels, name in (
            (0, 1, 1, "1 bit"),
            (0, 8, 1, "grey"),
            (0, 16, 1, "16 bits of grey"),
            (2, 8, 3, "RGB"),
            (6, 8, 4, "RGBA"),
            (6, 16, 4, "RGBA of 16 bits"),
        ):
            data = _flat(side, side, depth, colour, channels)
            yield f"a PNG of {name}, just {size} the limit", data
    yield "a JPEG just under the limit", encode(Image.new("RGB", (UNDER, UNDER)))
    yield "a long strip", _flat(MAX_PIXELS, 1, 8, 0, 1)
    yield "a tall strip", _flat(1, MAX_PIXELS // 2, 8, 0, 1)
    yield "a large WebP", encode(Image.new("RGB", (16383, 10000)), "WEBP", method=0)
    yield "thousands of scans of a large JPEG", _with_scans(photo(1, (4000, 3000)), 20_000)


def _claims(*sides: int) -> Iterator[tuple[str, bytes]]:
    """Files with headers that claim sizes other than that of their data."""
    idat = _chunk(b"IDAT", zlib.compress(bytes(100)))
    for side in sides:
        yield f"a PNG that says {side}", _png(_ihdr(side, side, 8, 6), idat)
    for data, kind, at, format_ in (
        (encode(photo(1, (64, 48)), "GIF"), "GIF", 6, "<HH"),
        (encode(photo(1, (64, 48)), "BMP"), "BMP", 18, "<II"),
        (encode(photo(1, (64, 48)), "JPEG"), "JPEG", None, ">HH"),
        (encode(photo(1, (64, 48)), "AVIF"), "AVIF", None, ">II"),
        (encode(photo(1, (64, 48)), "HEIF"), "HEIF", None, ">II"),
    ):
        largest = 0xFFFF if "H" in format_ else 0x7FFFFFFF
        for side in sorted({min(side, largest) for side in sides}):
            claim = struct.pack(format_, side, side)
            start = at if at is not None else _offset_of_size(data, kind)
            yield f"a {kind} that says {side}", data[:start] + claim + data[start + len(claim) :]
    webp = b"VP8X" + struct.pack("<I", 10) + b"\x02\0\0\0" + b"\xff\xff\xff" * 2
    yield "a WebP that says 16 million", b"RIFF" + struct.pack("<I", 4 + len(webp)) + b"WEBP" + webp


def _offset_of_size(data: bytes, kind: str) -> int:
    if kind == "JPEG":
        return data.index(b"\xff\xc0") + 5
    return data.index(b"ispe") + 8


def _tiffs() -> Iterator[tuple[str, bytes]]:
    strip = {256: 64, 257: 64, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 64, 279: 4096}
    yield "a TIFF whose next page is itself", _tiff(strip, following=8)
    yield "a TIFF that says 2**31", _tiff(strip | {256: 0x7FFFFFFF, 257: 0x7FFFFFFF})
    yield "a TIFF just under the limit, without data", _tiff(strip | {256: UNDER, 257: UNDER})
    yield "a TIFF of 65535 samples", _tiff(strip | {277: 65535})
    yield "a TIFF of EXIF in EXIF", _tiff(strip | {34665: 8})
    yield "a TIFF of pages in pages", _tiff(strip | {330: 8})
    for tag in (256, 258, 273, 279, 320, 339, 700, 34377):
        yield f"a TIFF with 4 thousand million of tag {tag}", _tiff(strip, many=tag)
    pages = b"".join(
        struct.pack("<H", 0) + struct.pack("<I", 8 + 6 * (n + 1)) for n in range(50000)
    )
    yield "a TIFF of 50000 empty pages", b"II*\0" + struct.pack("<I", 8) + pages
    lzw = encode(photo(1, (64, 48)), "TIFF", compression="tiff_lzw")
    yield "a BigTIFF of nothing", b"II+\0" + lzw[4:]


def _tiff(tags: dict[int, int], following: int = 0, many: int | None = None) -> bytes:
    entries = b"".join(
        struct.pack("<HHII", tag, 4, 0xFFFFFFFF if tag == many else 1, value)
        for tag, value in sorted((tags | ({many: 8} if many else {})).items())
    )
    count = entries and struct.pack("<H", len(entries) // 12)
    return b"II*\0" + struct.pack("<I", 8) + count + entries + struct.pack("<I", following)


def _looping_exif() -> bytes:
    return _tiff({0x0112: 6, 0x8769: 8, 0x8825: 8}, following=8)


def _png(*chunks: bytes) -> bytes:
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, content: bytes) -> bytes:
    check = struct.pack(">I", zlib.crc32(kind + content))
    return struct.pack(">I", len(content)) + kind + content + check


def _ihdr(width: int, height: int, depth: int, colour: int) -> bytes:
    return _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))


def _flat(width: int, height: int, depth: int, colour: int, channels: int) -> bytes:
    """A PNG with only zeros."""
    packer, left = zlib.compressobj(1), height * (1 + (width * depth * channels + 7) // 8)
    pieces = (bytes(min(1 << 20, left - at)) for at in range(0, left, 1 << 20))
    idat = b"".join([*map(packer.compress, pieces), packer.flush()])
    return _png(_ihdr(width, height, depth, colour), _chunk(b"IDAT", idat))


def _with_segments(marker: int, content: bytes, count: int) -> bytes:
    data = encode(photo(1, (64, 48)))
    segment = bytes((0xFF, marker)) + struct.pack(">H", 2 + len(content)) + content
    return data[:2] + segment * count + data[2:]


def _with_scans(picture: Image.Image, count: int) -> bytes:
    """A progressive JPEG with ``count`` copies of its second scan."""
    data = encode(picture.convert("L").point(lambda _: 128), "JPEG", progressive=True)
    first = data.index(b"\xff\xda")
    begin = data.index(b"\xff\xda", first + 2)
    tables = data.rindex(b"\xff\xc4", first, begin) if b"\xff\xc4" in data[first:begin] else begin
    end = min(
        at
        for marker in (b"\xff\xda", b"\xff\xc4", b"\xff\xd9")
        if (at := data.find(marker, begin + 2)) >= 0
    )
    scan = data[begin:end]
    return data[:end] + scan * count + data[end:] if tables else data
