"""Writes camera RAW files: TIFF directories with an embedded preview and values of a sensor.

The files are as small as LibRaw accepts them. Nobody's photographs are in them.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from PIL import Image

from tests.support.pictures import photo

#: A value of a TIFF tag: text, numbers of 16 or 32 bits, or bytes.
Value = str | bytes | Sequence[int]

_TYPE_OF_TEXT, _TYPE_OF_SHORT, _TYPE_OF_LONG, _TYPE_OF_BYTES = 2, 3, 4, 7

#: Tags whose numbers have 32 bits.
_LONG_TAGS = frozenset({254, 256, 257, 273, 278, 279, 330, 513, 514, 34665})

SENSOR = (96, 64)

#: Make, model and the first bytes of the files of cameras, by suffix.
CAMERAS = {
    ".cr2": ("Canon", "Canon EOS 5D Mark III", b"II*\0"),
    ".nef": ("NIKON CORPORATION", "NIKON D700", b"MM\0*"),
    ".arw": ("SONY", "ILCE-7", b"II*\0"),
    ".orf": ("OLYMPUS IMAGING CORP.", "E-M1", b"IIRO"),
    ".pef": ("PENTAX", "PENTAX K-1", b"MM\0*"),
    ".srw": ("SAMSUNG", "NX300", b"II*\0"),
}

#: What a CR2 has after eight bytes.
_CR2_MARK = b"CR\2\0\0\0\0\0"

CAMERA = {271: "Snoop", 272: "Snoop One"}
TAKEN = "2024:05:06 07:08:09"


def preview_jpeg(
    size: tuple[int, int] = (480, 320), seed: int = 7, orientation: int | None = None
) -> bytes:
    """A JPEG as cameras embed it. ``orientation``: of its own EXIF; ``None`` for no EXIF."""
    exif = Image.Exif()
    if orientation is not None:
        exif[274] = orientation
    buffer = io.BytesIO()
    photo(seed, size).save(buffer, "JPEG", quality=90, exif=exif)
    return buffer.getvalue()


def dng(
    preview: bytes | Image.Image | None,
    *,
    sensor: tuple[int, int] = SENSOR,
    orientation: int = 1,
    start: bytes = b"II*\0",
    has_camera: bool = True,
) -> bytes:
    """A DNG: a tiny picture in the first directory, the sensor's values and the ``preview`` (a JPEG
    or a bitmap) in others. ``sensor``: its width and height in pixels. ``has_camera``: whether it
    names the camera and the exposure."""
    first = _bitmap(photo(7, (12, 8)))
    subs = [_sensor(sensor) | {33421: [2, 2], 33422: bytes((0, 1, 1, 2))}]
    if isinstance(preview, bytes):
        subs.append(_jpeg(preview))
    elif preview is not None:
        subs.append(_bitmap(preview))
    else:
        first = {254: [1]}
    if has_camera:
        first |= CAMERA
    first |= {274: [orientation], 50706: bytes((1, 4, 0, 0)), 50708: "Snoop One"}
    exif: dict[int, Value] = {36867: TAKEN} | ({34855: [100]} if has_camera else {})
    return _tiff(first, subs, start=start, exif=exif)


def camera_raw(
    suffix: str, preview: bytes, *, sensor: tuple[int, int] = SENSOR, orientation: int = 1
) -> bytes:
    """A file in the structure that cameras give to files with this ``suffix`` (a key of
    ``CAMERAS``), without their maker notes."""
    make, model, start = CAMERAS[suffix]
    tags: dict[int, Value] = {271: make, 272: model, 274: [orientation]}
    if suffix == ".cr2":
        values: dict[int, Value] = {259: [6], 273: _lossless_jpeg(sensor), 50752: [1, 48, 48]}
        return _tiff({**_jpeg(preview), **tags, 259: [6]}, [values], start=start, mark=_CR2_MARK)
    of_preview: dict[int, Value] = {254: [1], 259: [6], 513: preview, 514: [len(preview)]}
    return _tiff({**_bitmap(photo(7, (12, 8))), **tags}, [of_preview, _sensor(sensor)], start=start)


def _sensor(size: tuple[int, int]) -> dict[int, Value]:
    width, height = size
    values = np.arange(width * height, dtype="<u2").reshape(height, width) % 4096
    return {
        254: [0],
        256: [width],
        257: [height],
        258: [16],
        259: [1],
        262: [32803],
        273: values.tobytes(),
        277: [1],
        278: [height],
        279: [2 * width * height],
        284: [1],
    }


def _jpeg(data: bytes) -> dict[int, Value]:
    width, height = Image.open(io.BytesIO(data)).size
    return {
        254: [1],
        256: [width],
        257: [height],
        258: [8, 8, 8],
        259: [7],
        262: [6],
        273: data,
        277: [3],
        278: [height],
        279: [len(data)],
    }


def _bitmap(picture: Image.Image) -> dict[int, Value]:
    pixels = picture.tobytes()
    return {
        254: [1],
        256: [picture.width],
        257: [picture.height],
        258: [8, 8, 8],
        259: [1],
        262: [2],
        273: pixels,
        277: [3],
        278: [picture.height],
        279: [len(pixels)],
    }


def _lossless_jpeg(size: tuple[int, int]) -> bytes:
    """The segments of a lossless JPEG of two channels, in which Canon stores a sensor's values."""
    width, height = size
    table = bytes((0, 0, 1, *[0] * 14, 0))
    frame = struct.pack(">BHHB6B", 14, height, width // 2, 2, 1, 0x11, 0, 2, 0x11, 0)
    scan = bytes((2, 1, 0, 2, 0, 1, 0, 0))
    segments = ((0xC4, table), (0xC3, frame), (0xDA, scan))
    parts = [struct.pack(">BBH", 0xFF, tag, 2 + len(each)) + each for tag, each in segments]
    return b"\xff\xd8" + b"".join(parts) + bytes(400) + b"\xff\xd9"


def _tiff(
    first: Mapping[int, Value],
    subs: Sequence[Mapping[int, Value]],
    *,
    start: bytes = b"II*\0",
    mark: bytes = b"",
    exif: Mapping[int, Value] | None = None,
) -> bytes:
    """A TIFF that begins with ``start``, and with ``mark`` after eight bytes. It has one directory,
    which points to ``subs`` and to an EXIF directory. Bytes in place of an offset are stored, and
    the tag gets their offset."""
    order = ">" if start[:2] == b"MM" else "<"
    file = bytearray(start + bytes(4) + mark)

    def store(data: bytes) -> int:
        at = len(file)
        file.extend(data + b"\0" * (len(data) % 2))
        return at

    def directory(tags: Mapping[int, Value]) -> int:
        entries = []
        for tag, value in sorted(tags.items()):
            if tag in (273, 513) and isinstance(value, bytes):
                value = [store(value)]
            entries.append(_entry(tag, value, order, store))
        body = struct.pack(order + "H", len(entries)) + b"".join(entries)
        return store(body + struct.pack(order + "I", 0))

    exif_at = directory({36867: TAKEN, 34855: [100]} if exif is None else exif)
    pointers: dict[int, Value] = {330: [directory(each) for each in subs], 34665: [exif_at]}
    struct.pack_into(order + "I", file, 4, directory({**first, **pointers}))
    return bytes(file)


def _entry(tag: int, value: Value, order: str, store: Callable[[bytes], int]) -> bytes:
    if isinstance(value, str):
        kind, data, count = _TYPE_OF_TEXT, value.encode() + b"\0", len(value) + 1
    elif isinstance(value, bytes):
        kind, data, count = _TYPE_OF_BYTES, value, len(value)
    else:
        kind, form = (_TYPE_OF_LONG, "I") if tag in _LONG_TAGS else (_TYPE_OF_SHORT, "H")
        data, count = struct.pack(f"{order}{len(value)}{form}", *value), len(value)
    place = data.ljust(4, b"\0") if len(data) <= 4 else struct.pack(order + "I", store(data))
    return struct.pack(order + "HHI", tag, kind, count) + place
