"""Camera RAW: the preview that the camera embedded, with the size of the sensor.

LibRaw finds the preview. The sensor's values are never decoded: that is slow, and most of LibRaw's
vulnerabilities were found in that code. The tags are those of TIFF/EP, DNG and EXIF.
"""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from PIL import ExifTags, Image

from snoopsync.core.errors import Refused, Undecodable

#: What formats begin with: Canon's CR2 (after eight bytes) and CR3 (after four), Fujifilm, and
#: those of Olympus and Panasonic, which are TIFFs with another start.
_CR2 = b"CR\2\0"
_CR3_BRAND = b"ftypcrx "
_FUJIFILM = b"FUJIFILMCCD-RAW"
_TIFF_LIKE = (b"IIRO", b"IIRS", b"MMOR", b"IIU\0")

_TIFF = (b"II*\0", b"MM\0*")

#: The values of PhotometricInterpretation for the values of a sensor: a mosaic of colours, or one
#: value for each colour.
_SENSOR_VALUES = frozenset({32803, 34892})

_PHOTOMETRIC = 262
_SUB_DIRECTORIES = 330
_DNG_VERSION = 50706

#: At most this many directories are followed, of at most this many tags. Cameras write fewer than
#: ten directories of fewer than 200 tags.
_MAX_DIRECTORIES = 40
_MAX_TAGS = 1_000

#: The ``struct`` format of a value, by the type of its tag: SHORT, LONG and IFD. No other matters.
_TYPES = {3: "H", 4: "I", 13: "I"}

#: Metadata is read from the start of the file, where all cameras write it.
_METADATA_BYTES = 1 << 20

_EXIF_START = b"Exif\0\0"

#: The boxes of a CR3 with the main directory and the EXIF directory, each a TIFF.
_CR3_DIRECTORIES = (b"CMT1", b"CMT2")

#: The orientation in EXIF for each of LibRaw's (``imgdata.sizes.flip``).
_ORIENTATIONS = {0: 1, 1: 2, 2: 4, 3: 3, 4: 5, 5: 8, 6: 6, 7: 7}
_SIDEWAYS = frozenset({5, 6, 7, 8})


class Preview(NamedTuple):
    """The preview in a RAW: a JPEG, or a decoded picture. ``sensor``: the sensor's width and height
    in pixels. ``orientation``: of the RAW, as in EXIF."""

    picture: bytes | Image.Image
    sensor: tuple[int, int]
    orientation: int


def is_raw(content: io.BytesIO) -> bool:
    """Whether these bytes are a RAW, whatever the file's name is."""
    data = content.getvalue()
    head = data[:16]
    if head.startswith((_FUJIFILM, *_TIFF_LIKE)) or head[4:12] == _CR3_BRAND:
        return True
    if not head.startswith(_TIFF):
        return False
    return head[8:12] == _CR2 or any(map(_is_of_sensor, _directories(data)))


def preview_of(content: io.BytesIO) -> Preview:
    """The preview of the RAW in ``content``. Raises ``Refused`` (415) for a RAW without one."""
    # LibRaw decodes in threads, but a decoder's process must have one thread.
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        # Imported late: it is needed only for RAW, and may not be installed.
        import rawpy
    except ImportError as error:
        raise Undecodable("RAW needs rawpy: pip install 'snoopsync[raw]'", status=415) from error
    content.seek(0)
    try:
        with rawpy.imread(content) as raw:
            preview = raw.extract_thumb()
            sizes = raw.sizes
    except rawpy.LibRawFileUnsupportedError as error:
        raise _refusal("a RAW of a camera that LibRaw does not know, or damaged") from error
    except (rawpy.LibRawNoThumbnailError, rawpy.LibRawUnsupportedThumbnailError) as error:
        raise _refusal("a RAW without a preview that can be decoded") from error
    except rawpy.LibRawError as error:
        raise _refusal(f"a damaged or truncated RAW ({_text(error)})") from error
    data = preview.data
    picture = data if isinstance(data, bytes) else Image.fromarray(data)
    return Preview(picture, (sizes.width, sizes.height), _ORIENTATIONS.get(sizes.flip, 1))


def described(image: Image.Image, preview: Preview, content: io.BytesIO) -> tuple[int, int]:
    """Give the opened ``image`` of a preview the format, the orientation and the metadata of its
    RAW. Returns the RAW's width and height in pixels, before it is turned upright."""
    image.format = "RAW"
    exif = image.getexif()
    own = exif.get(ExifTags.Base.Orientation)
    orientation = _orientation(image.size, preview, own)
    _read_metadata(exif, content.getvalue()[:_METADATA_BYTES])
    exif[ExifTags.Base.Orientation] = orientation
    is_turned = (orientation in _SIDEWAYS) == (preview.orientation in _SIDEWAYS)
    return preview.sensor if is_turned else preview.sensor[::-1]


def _text(error: Exception) -> str:
    message = error.args[0] if error.args else ""
    return message.decode("ascii", "replace") if isinstance(message, bytes) else str(message)


def _refusal(message: str) -> Refused:
    return Undecodable(message, status=415)


def _orientation(size: tuple[int, int], preview: Preview, own: object) -> int:
    """The orientation that makes a preview of this size upright. ``own``: the one in its EXIF.

    Some cameras turn the preview before they store it, and still store how to turn the RAW. For
    this reason, the result must have the shape of the RAW: a portrait or a landscape.
    """
    is_portrait = _is_portrait(preview.sensor, preview.orientation)
    candidates = [preview.orientation, 1]
    if isinstance(own, int) and 1 <= own <= 8:
        candidates.insert(0, own)
    for orientation in candidates:
        if _is_portrait(size, orientation) == is_portrait:
            return orientation
    return candidates[0]


def _is_portrait(size: tuple[int, int], orientation: int) -> bool:
    width, height = size[::-1] if orientation in _SIDEWAYS else size
    return height > width


def _read_metadata(exif: Image.Exif, head: bytes) -> None:
    """Replace the metadata of a preview with that of its RAW, which begins with ``head``."""
    try:
        if head[4:12] == _CR3_BRAND:
            main, photograph = (_tiff_after(head, box) for box in _CR3_DIRECTORIES)
            exif.load(_EXIF_START + main)
            of_photograph = Image.Exif()
            of_photograph.load(_EXIF_START + photograph)
            exif.get_ifd(ExifTags.IFD.Exif).update(of_photograph)
        elif not head.startswith(_FUJIFILM):  # its preview has all metadata
            order = head[:2]
            exif.load(_EXIF_START + order + (b"*\0" if order == b"II" else b"\0*") + head[4:])
    except Exception:  # parsers of metadata may raise any error, and the preview may be intact
        exif.load(b"")


def _tiff_after(data: bytes, box: bytes) -> bytes:
    return data[data.index(box) + len(box) :]


def _is_of_sensor(tags: dict[int, tuple[int, ...]]) -> bool:
    return _DNG_VERSION in tags or not _SENSOR_VALUES.isdisjoint(tags.get(_PHOTOMETRIC, ()))


def _directories(data: bytes) -> Iterator[dict[int, tuple[int, ...]]]:
    """The tags of each directory of this TIFF, and of its subdirectories, with the numbers that can
    be read. Ends at the first damage."""
    order = "<" if data[:2] == b"II" else ">"
    try:
        places = [*struct.unpack_from(order + "I", data, 4)]
        for _ in range(_MAX_DIRECTORIES):
            if not places:
                return
            if not (at := places.pop()):
                continue
            (count,) = struct.unpack_from(order + "H", data, at)
            if count > _MAX_TAGS:
                return
            tags = {}
            for entry in range(at + 2, at + 2 + 12 * count, 12):
                tag, kind, length = struct.unpack_from(order + "HHI", data, entry)
                tags[tag] = _numbers(data, order, kind, length, entry + 8)
            yield tags
            places.extend(struct.unpack_from(order + "I", data, at + 2 + 12 * count))
            places.extend(tags.get(_SUB_DIRECTORIES, ()))
    except struct.error:
        return


def _numbers(data: bytes, order: str, kind: int, count: int, at: int) -> tuple[int, ...]:
    """The numbers of a tag whose entry has its value or its offset at ``at``; none of other
    types."""
    form = _TYPES.get(kind)
    if form is None or count > _MAX_DIRECTORIES:
        return ()
    if count * struct.calcsize(form) > 4:
        (at,) = struct.unpack_from(order + "I", data, at)
    return struct.unpack_from(f"{order}{count}{form}", data, at)
