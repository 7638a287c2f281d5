"""Corrects what Pillow decodes wrongly in a TIFF, and refuses the kinds that it cannot decode.

The TIFF 6.0 specification and its supplements describe the tags. The documentation of libtiff
describes BigTIFF.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Mapping
from typing import NamedTuple

from PIL import ExifTags, Image, ImageFile, TiffImagePlugin

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding import raw

SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_WHITE_IS_ZERO = 0
_PLANAR = 2

#: Parts of Pillow's error messages for a TIFF of a kind that it cannot decode.
_UNKNOWN_KINDS = (
    "unknown pixel mode",
    "unknown data organization",
    "unknown raw mode",
    "not yet supported",
    "Invalid value for samples per pixel",
)

UNSUPPORTED = "an unsupported kind of TIFF"

#: The modes that libtiff returns for uncompressed samples of 16 bits in one plane per channel.
_PLANAR_MODES = {"RGB": "RGB;16N", "RGBA": "RGBA;16N", "CMYK": "CMYK;16N"}

#: Corrected modes for compressed big-endian samples. libtiff returns them in the machine's byte
#: order, but Pillow considers this only for some modes.
_NATIVE_MODES = {"F;32BF": "F;32NF", "I;16BS": "I;16NS", "I;32BS": "I;32NS"}

#: The tags that describe how the pixels are stored. All others are metadata.
_PIXEL_TAGS = frozenset(
    {254, 255, 256, 257, 258, 259, 262, 266, 273, 274, 277, 278, 279, 284, 292, 293, 317, 320}
    | {322, 323, 324, 325, 332, 336, 338, 339, 347, *range(512, 522), 529, 530, 531, 532}
)
_ORIENTATION = 274

#: The type and the count of a tag that is one number of 16 bits.
_ONE_SHORT = [3, 1]

#: At most this many directories are followed, twice the number of pages that are decoded.
_MAX_DIRECTORIES = 2_000


def correct(image: Image.Image) -> None:
    """Correct how Pillow decodes the current page of a TIFF. Other formats are not changed.

    Raises ``Refused`` (415) for a page that Pillow would decode wrongly.
    """
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return
    bits = image.tag_v2.get(ExifTags.Base.BitsPerSample, (1,))
    if len(image.tile) == 1 and image.tile[0].codec_name == "libtiff":
        tile = image.tile[0]
        assert isinstance(tile.args, tuple)  # Pillow always passes a tuple to libtiff
        mode, *rest = tile.args
        image.tile = [tile._replace(args=(_NATIVE_MODES.get(mode, mode), *rest))]
    elif image.tag_v2.get(ExifTags.Base.PlanarConfiguration) == _PLANAR and max(bits) > 8:
        premultiplied = 1 in image.tag_v2.get(ExifTags.Base.ExtraSamples, ())
        if image.mode not in _PLANAR_MODES or premultiplied or set(bits) != {16}:
            raise _unsupported(image.tag_v2)
        args = (_PLANAR_MODES[image.mode], False, image.tag_v2.offset)
        image.use_load_libtiff = True
        image.tile = [ImageFile._Tile("libtiff", (0, 0, *image.size), 0, args)]


def is_inverted(image: Image.Image) -> bool:
    """Whether this is a TIFF with wide grey in which 0 is white. Pillow itself inverts grey of 8
    bits."""
    if not isinstance(image, TiffImagePlugin.TiffImageFile):
        return False
    photometric = image.tag_v2.get(ExifTags.Base.PhotometricInterpretation)
    return photometric == _WHITE_IS_ZERO and (image.mode == "F" or image.mode.startswith("I"))


def refusal_of_unsupported(content: io.BytesIO) -> Refused | None:
    """The refusal of a TIFF of a kind that cannot be decoded; ``None`` for any other file."""
    try:
        content.seek(0)
        TiffImagePlugin.TiffImageFile(content)
    except Exception as error:  # codecs that read hostile bytes may raise any error
        if is_unknown_kind(error):
            return _unsupported(_tags_of(content))
    return None


def is_unknown_kind(error: BaseException) -> bool:
    """Whether Pillow raised this error because it cannot decode that kind of TIFF."""
    return any(part in str(error) for part in _UNKNOWN_KINDS)


def _unsupported(tags: Mapping[int, object]) -> Refused:
    bits = tags.get(ExifTags.Base.BitsPerSample)
    samples = f" ({len(bits)} x {bits[0]} bits)" if isinstance(bits, tuple) and bits else ""
    return Undecodable(UNSUPPORTED + samples, status=415)


def _tags_of(content: io.BytesIO) -> Mapping[int, object]:
    try:
        content.seek(0)
        tags = TiffImagePlugin.ImageFileDirectory_v2(content.read(8))
        content.seek(tags.next)
        tags.load(content)
        return dict(tags)
    except Exception:  # the tags only make the message more exact
        return {}


class _Layout(NamedTuple):
    """How a directory is stored. ``number`` and ``offset``: the ``struct`` formats of its length
    and of offsets. ``entry_bytes``: the size of an entry."""

    number: str
    entry_bytes: int
    offset: str


_CLASSIC, _BIG = _Layout("H", 12, "I"), _Layout("Q", 20, "Q")


def without_metadata(content: io.BytesIO) -> io.BytesIO | None:
    """A copy of this TIFF with only the tags of its pixels; ``None`` for any other file, such as a
    RAW, or if the directories cannot be followed."""
    data = bytearray(content.getvalue())
    if data[:4] not in SIGNATURES or raw.is_raw(content):
        return None
    order = "<" if data[:2] == b"II" else ">"
    try:
        is_big = struct.unpack_from(order + "H", data, 2) == (43,)
        layout = _BIG if is_big else _CLASSIC
        (at,) = struct.unpack_from(order + layout.offset, data, 8 if is_big else 4)
        for _ in range(_MAX_DIRECTORIES):
            if at == 0:
                break
            at = _strip_directory(data, at, order, layout)
    except (struct.error, OverflowError):  # an offset beyond the file, or beyond any file
        return None
    return io.BytesIO(data)


def _strip_directory(data: bytearray, at: int, order: str, layout: _Layout) -> int:
    """Remove all tags but those of the pixels from the directory at this offset. Returns the offset
    of the next directory; 0 after the last one."""
    (count,) = struct.unpack_from(order + layout.number, data, at)
    first = at + struct.calcsize(order + layout.number)
    last = first + count * layout.entry_bytes
    (following,) = struct.unpack_from(order + layout.offset, data, last)
    kept: dict[int, bytes] = {}
    for place in range(first, last, layout.entry_bytes):
        tag, *form = struct.unpack_from(order + "HH" + layout.offset, data, place)
        if tag in _PIXEL_TAGS and (tag != _ORIENTATION or form == _ONE_SHORT):
            kept.setdefault(tag, bytes(data[place : place + layout.entry_bytes]))
    struct.pack_into(order + layout.number, data, at, len(kept))
    entries = b"".join(kept.values()) + struct.pack(order + layout.offset, following)
    data[first : first + len(entries)] = entries
    return int(following)
