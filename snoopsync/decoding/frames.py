"""Pictures with several frames: animations, and scans of several pages.

A code describes one picture. For this reason, all frames are put on one sheet, in order, and
searches compare the sheets. Two animations that share only the first frame have different sheets.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from PIL import ExifTags, Image

from snoopsync.decoding.formats import KINDS_WITH_FRAMES
from snoopsync.decoding.pdq import SIDE
from snoopsync.decoding.pixels import opacity_of

#: At most this many frames are decoded.
MAX_FRAMES = 1_000

#: The possible numbers of frames along each side of a sheet. The smallest sheet that holds all
#: frames is used.
_SHEET_SIDES = (2, 4, 8)

#: Flags of a directory in a TIFF that is not a page: a smaller version of a page, or a mask.
_REDUCED_OR_MASK = 1 | 4


@dataclass(frozen=True, slots=True)
class Frames:
    """The decoded frames of a picture. ``count``: how many there are, at least 2. ``sheet``: one
    picture that shows them. ``digest``: of all their pixels. ``is_complete``: whether all frames of
    the file were decoded."""

    count: int
    sheet: Image.Image
    digest: bytes
    is_complete: bool


def has_more_frames(image: Image.Image) -> bool:
    """Whether this picture has more than one frame."""
    return image.format in KINDS_WITH_FRAMES and bool(getattr(image, "is_animated", False))


def has_other_pictures(image: Image.Image) -> bool:
    """Whether the file has other pictures, which are not compared."""
    return image.format not in KINDS_WITH_FRAMES and int(getattr(image, "n_frames", 1)) > 1


def frames_of(
    image: Image.Image, first: Image.Image, following: Callable[[], Image.Image], max_pixels: int
) -> Frames | None:
    """All frames of a picture; ``None`` if all look like the first one.

    ``first``: the decoded first frame. ``following`` decodes the current frame of ``image``. At
    most ``max_pixels`` pixels are decoded in total. Raises the errors of Pillow.
    """
    small = [_small(first)]
    pixels = image.width * image.height
    is_complete = True
    number = 1
    while _seek(image, number):
        number += 1
        if image.format == "TIFF" and _is_reduced_or_mask(image):
            continue
        pixels += image.width * image.height
        if number > MAX_FRAMES or pixels > max_pixels:
            is_complete = False
            break
        frame = _small(following())
        # Equal frames in a row count as one: some encoders write an unchanged frame once, others
        # many times. Equal pages count separately.
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


def _is_reduced_or_mask(image: Image.Image) -> bool:
    tags = getattr(image, "tag_v2", {})
    return bool(int(tags.get(ExifTags.Base.NewSubfileType, 0)) & _REDUCED_OR_MASK)


def _small(frame: Image.Image) -> Image.Image:
    # Some formats give an opaque frame an alpha channel, others do not.
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
