"""Pictures of several frames: animations, and scans of several pages.

A code describes one picture. So the frames are put on one sheet, in their order, and the sheet is
what is compared: two animations that only begin alike are two different sheets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image

from snoopsync.embedded.pdq import SIDE
from snoopsync.embedded.pixels import opacity_of

#: More frames than this are not decoded.
MAX_FRAMES = 1_000

#: Formats whose further frames belong to the picture. In a JPEG (MPO) and a HEIC they are previews,
#: depth maps, or other pictures of a burst.
_FORMATS = frozenset({"GIF", "WEBP", "PNG", "TIFF", "AVIF"})

#: A sheet has so many frames along each side, the fewest that hold all of them.
_SHEET_SIDES = (2, 4, 8)

#: What a page of a TIFF is that is no page: a smaller version of another one, or its mask.
_NO_PAGE = 1 | 4


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of a picture. ``sheet`` shows them, ``digest`` is one of all of them. If
    ``is_complete`` is false, there are more, which were not decoded."""

    count: int
    sheet: Image.Image
    digest: bytes
    is_complete: bool


def has_more_frames(image: Image.Image) -> bool:
    """Are there frames that belong to this picture, besides the first one?"""
    return image.format in _FORMATS and bool(getattr(image, "is_animated", False))


def has_other_pictures(image: Image.Image) -> bool:
    """Are there pictures in this file that are not compared?"""
    return image.format not in _FORMATS and int(getattr(image, "n_frames", 1)) > 1


def frames_of(
    image: Image.Image, first: Image.Image, following: Callable[[], Image.Image], max_pixels: int
) -> Frames | None:
    """All frames of a picture; ``None`` if all of them look like the first one.

    ``first`` is the first frame; ``following`` decodes the one that ``image`` stands at. At most
    ``max_pixels`` pixels are decoded. Raises what Pillow raises.
    """
    small = [_small(first)]
    pixels = image.width * image.height
    is_complete = True
    number = 1
    while _seek(image, number):
        number += 1
        if image.format == "TIFF" and _is_no_page(image):
            continue
        pixels += image.width * image.height
        if number > MAX_FRAMES or pixels > max_pixels:
            is_complete = False
            break
        frame = _small(following())
        # How long a frame stays says nothing, and encoders write a still one once or many times.
        if image.format == "TIFF" or not _is_equal(frame, small[-1]):
            small.append(frame)
    if len(small) == 1 and is_complete:
        return None
    digest = hashlib.blake2b()
    for frame in small:
        digest.update(frame.mode.encode() + frame.tobytes())
    return Frames(max(2, len(small)), _sheet(small), digest.digest(), is_complete)


def _seek(image: Image.Image, number: int) -> bool:
    try:
        image.seek(number)
    except EOFError:
        return False
    return True


def _is_no_page(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(int(tags.get(ExifTags.Base.NewSubfileType, 0)) & _NO_PAGE)


def _small(frame: Image.Image) -> Image.Image:
    # Formats differ in whether a frame that is opaque has a channel that says so.
    mode = "RGB" if opacity_of(frame) is None else "RGBA"
    return frame.convert(mode).resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _is_equal(one: Image.Image, other: Image.Image) -> bool:
    return one.mode == other.mode and one.tobytes() == other.tobytes()


def _sheet(frames: list[Image.Image]) -> Image.Image:
    count = len(frames)
    side = next((each for each in _SHEET_SIDES if each**2 >= count), _SHEET_SIDES[-1])
    mode = "RGBA" if any(frame.mode == "RGBA" for frame in frames) else "RGB"
    sheet = Image.new(mode, (side * SIDE, side * SIDE))
    for tile in range(side**2):
        frame = frames[tile * count // side**2]
        sheet.paste(frame.convert(mode), (tile % side * SIDE, tile // side * SIDE))
    return sheet
