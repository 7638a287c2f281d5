"""JPEG XL: reads how large a picture is before it is decoded, and decodes it.

libjxl decodes the whole picture in one call, so its size has to be known before. The header is
described in ISO/IEC 18181-1 (annex D), the boxes of a container in ISO/IEC 18181-2.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterable
from typing import NamedTuple, Protocol

from PIL import ExifTags, Image

from snoopsync.core.errors import Refused, Undecodable

_CODESTREAM = b"\xff\x0a"
_CONTAINER = b"\0\0\0\x0cJXL \r\n\x87\n"
SIGNATURES = (_CODESTREAM, _CONTAINER)

#: The boxes that a codestream is in: whole, or in parts that each begin with a number.
_WHOLE, _PART = b"jxlc", b"jxlp"
_PART_NUMBER_BYTES = 4

#: The header takes fewer bytes than this.
_HEADER_BYTES = 64

#: At most this many boxes come before the codestream.
_MAX_BOXES = 100

#: The width as a share of the height, by the number of the ratio in the header.
_RATIOS = {1: (1, 1), 2: (12, 10), 3: (4, 3), 4: (3, 2), 5: (16, 9), 6: (5, 4), 7: (2, 1)}

#: The number of bits of a side, by its selector.
_SIDE_BITS = (9, 13, 18, 30)

#: The modes of decoded pixels that Pillow has.
_MODES = frozenset({"L", "LA", "RGB", "RGBA", "I;16", "F"})

_NO_THREADS = 0

_EXIF_START = b"Exif\0\0"
_EXIF_OFFSET_BYTES = 4
_TIFF_STARTS = (b"II*\0", b"MM\0*")


class _Box(Protocol):
    """A box of a container, as the decoder returns it."""

    box_type: bytes
    data: bytes


class Header(NamedTuple):
    """The header. ``has_more``: the file has an animation, or a preview besides the picture."""

    width: int
    height: int
    has_more: bool


def header_of(content: io.BytesIO) -> Header:
    """The header of the picture in ``content``. Raises ``Undecodable`` if there is none."""
    bits = _Bits(_codestream(content.getvalue())[len(_CODESTREAM) :])
    width, height = _size(bits)
    has_more = False
    if not bits.read(1) and bits.read(1):  # not all defaults, and extra fields
        bits.read(3)  # the orientation
        if bits.read(1):
            _size(bits)  # the size at which the picture should be shown
        has_more = bool(bits.read(1) or bits.read(1))
    return Header(width, height, has_more)


def decode(content: io.BytesIO) -> Image.Image | bytes:
    """The picture in ``content``, upright; or the JPEG file that it was made from, if it was made
    so that it can be restored."""
    try:
        # Imported late: it is needed only for JPEG XL, and may not be installed.
        from pillow_jxl import Decoder
    except ImportError as error:
        raise Undecodable(
            "JPEG XL needs pillow-jxl-plugin: pip install 'snoopsync[jxl]'", status=415
        ) from error
    try:
        decoded = Decoder(num_threads=_NO_THREADS)(content.getvalue())
    except RuntimeError as error:
        raise _damaged() from error
    is_jpeg, info, data, profile, boxes = decoded
    if is_jpeg:
        return bytes(data)
    mode = "F" if info.mode == "F;16" else info.mode
    if mode not in _MODES:
        raise Undecodable(f"an unsupported kind of JPEG XL ({info.mode})", status=415)
    image = Image.frombytes(mode, (info.width, info.height), data)
    image.format = "JXL"
    if profile:
        image.info["icc_profile"] = bytes(profile)
    _add_metadata(image, boxes)
    return image


def _add_metadata(image: Image.Image, boxes: Iterable[_Box]) -> None:
    exif = image.getexif()
    for box in boxes:
        if bytes(box.box_type) == b"Exif":
            data = bytes(box.data)
            # A number, the offset of the first byte, comes before it.
            start = 0 if data.startswith(_TIFF_STARTS) else _EXIF_OFFSET_BYTES
            try:
                exif.load(_EXIF_START + data[start:])
            except Exception:  # parsers of metadata may raise any error
                exif.load(b"")
            break
    # libjxl turned the picture upright.
    exif[ExifTags.Base.Orientation] = 1


def _codestream(data: bytes) -> bytes:
    """The start of the codestream in these bytes, also if boxes are around it."""
    if data.startswith(_CODESTREAM):
        return data[:_HEADER_BYTES]
    at = 0
    found = b""
    for _ in range(_MAX_BOXES):
        if at + 8 > len(data):
            break
        length, kind = struct.unpack_from(">I4s", data, at)
        begin = at + 8
        if length == 1 and begin + 8 <= len(data):
            (length,) = struct.unpack_from(">Q", data, begin)
            begin += 8
        end = at + length if length else len(data)
        if end < begin:
            break
        if kind == _WHOLE:
            return data[begin:end][:_HEADER_BYTES]
        if kind == _PART:
            found += data[begin + _PART_NUMBER_BYTES : end][:_HEADER_BYTES]
            if len(found) >= _HEADER_BYTES:
                break
        at = end
    if not found.startswith(_CODESTREAM):
        raise _damaged()
    return found


class _Bits:
    """Reads numbers from bytes, beginning with the lowest bit of the first byte."""

    def __init__(self, data: bytes) -> None:
        self._left = len(data) * 8
        self._number = int.from_bytes(data, "little")

    def read(self, count: int) -> int:
        """The next number, of ``count`` bits. Raises ``Undecodable`` at the end of the bytes."""
        if count > self._left:
            raise _damaged()
        value = self._number & ((1 << count) - 1)
        self._number >>= count
        self._left -= count
        return value


def _size(bits: _Bits) -> tuple[int, int]:
    """The next width and height in pixels."""
    is_small = bits.read(1)

    def side() -> int:
        if is_small:
            return 8 * (bits.read(5) + 1)
        return bits.read(_SIDE_BITS[bits.read(2)]) + 1

    height = side()
    ratio = bits.read(3)
    if ratio == 0:
        return side(), height
    across, down = _RATIOS[ratio]
    return height * across // down, height


def _damaged() -> Refused:
    # libjxl reports all failures in the same way.
    return Undecodable(
        "a JPEG XL that is damaged or truncated, or that takes more memory than a decoder may use",
        status=415,
    )
