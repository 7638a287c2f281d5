"""Writes Photoshop files: PSD and PSB, with 1, 8 and 16 bits, uncompressed and packed."""

from __future__ import annotations

import struct
from itertools import groupby

import numpy as np
from PIL import Image, ImageChops

_COLOURS = {"1": 0, "L": 1, "P": 2, "RGB": 3, "CMYK": 4}


def psd(
    picture: Image.Image,
    *,
    bits: int = 8,
    is_big: bool = False,
    is_packed: bool = False,
    is_merged: bool = True,
    exif: bytes = b"",
    more_channels: int = 0,
    layers: bytes = b"",
) -> bytes:
    """This picture as a PSD, or a PSB if ``is_big``. ``is_merged``: whether it is said to have a
    merged picture. ``more_channels``: how many masks follow the colours."""
    channels = [_lines(band, bits) for band in _bands(picture)]
    channels += [[b"\x55" * len(channels[0][0])] * picture.height] * more_channels
    header = struct.pack(
        ">4sH6xHIIHH",
        *(b"8BPS", 2 if is_big else 1, len(channels), picture.height, picture.width),
        *(1 if picture.mode == "1" else bits, _COLOURS[picture.mode]),
    )
    resources = _resource(1057, struct.pack(">IB", 1, is_merged) + b"\0" * 9)
    resources += _resource(1058, exif) if exif else b""
    lengths = struct.pack(">Q" if is_big else ">I", len(layers))
    sections = _section(_palette(picture)) + _section(resources) + lengths + layers
    return header + sections + _data(channels, is_packed=is_packed, is_big=is_big)


def _data(channels: list[list[bytes]], *, is_packed: bool, is_big: bool) -> bytes:
    lines = [line for channel in channels for line in channel]
    if not is_packed:
        return struct.pack(">H", 0) + b"".join(lines)
    packed = [_packed(line) for line in lines]
    counts = struct.pack(f">{len(packed)}{'I' if is_big else 'H'}", *map(len, packed))
    return struct.pack(">H", 1) + counts + b"".join(packed)


def _bands(picture: Image.Image) -> list[Image.Image]:
    bands = list(picture.split()) if picture.mode != "P" else [picture]
    return [ImageChops.invert(band) for band in bands] if picture.mode == "CMYK" else bands


def _lines(band: Image.Image, bits: int) -> list[bytes]:
    if band.mode == "1":
        return [bytes(255 - each for each in line) for line in _rows(band)]
    if bits == 8:
        return _rows(band)
    values = np.asarray(band).astype(">u2") * 257
    return [line.astype(">u2").tobytes() for line in values]


def _rows(band: Image.Image) -> list[bytes]:
    data = band.tobytes()
    length = len(data) // band.height
    return [data[start : start + length] for start in range(0, len(data), length)]


def _packed(line: bytes) -> bytes:
    """The line in PackBits: runs of equal bytes, and single bytes as they are."""
    result = bytearray()
    for value, run in groupby(line):
        count = len(list(run))
        while count:
            part = min(count, 128)
            result += bytes((257 - part, value)) if part > 1 else bytes((0, value))
            count -= part
    return bytes(result)


def _palette(picture: Image.Image) -> bytes:
    if picture.mode != "P":
        return b""
    colours = bytes(picture.getpalette() or ()).ljust(768, b"\0")
    return colours[0::3] + colours[1::3] + colours[2::3]


def _resource(number: int, data: bytes) -> bytes:
    padding = b"\0" * (len(data) % 2)
    return b"8BIM" + struct.pack(">HHI", number, 0, len(data)) + data + padding


def _section(data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + data
