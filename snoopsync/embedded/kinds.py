"""The kinds of matches, which depend on the difference of two thumbnails of 64 x 64 shades.

The limits were measured on photographs, slides and drawings, as the comment of each limit states.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding.features import Thumbnail
from snoopsync.decoding.pdq import FORMS, SIDE


class MatchKind(StrEnum):
    """How two similar pictures differ."""

    #: The same bytes.
    IDENTICAL = "identical"
    #: The same picture in another format, quality or size.
    REENCODED = "reencoded"
    #: The same picture with other tones or colours: brighter, in grey, tinted.
    RECOLOURED = "recoloured"
    #: The same picture except for a part: a caption over it, a watermark, a retouched spot.
    EDITED = "edited"
    #: Rotated by 90, 180 or 270 degrees, or by a few degrees.
    ROTATED = "rotated"
    #: A mirror image, rotated or not.
    MIRRORED = "mirrored"
    #: One has a border, or a bar along a side, that the other does not have.
    BORDERED = "bordered"
    #: One is a part of the other.
    CROPPED = "cropped"


#: For each of ``FORMS``: the kind of a match with the code of that form.
FORM_KINDS = tuple(
    MatchKind.MIRRORED if sum(form) % 2 else MatchKind.ROTATED if any(form) else MatchKind.REENCODED
    for form in FORMS
)

_BLOCK = 8

#: If a block was only encoded again, it differs by at most this many shades (of 256, root mean
#: square). Photographs at a quarter of their size or at JPEG quality 10 stay below this limit.
_SAME_BLOCK = 8.0

#: The same limit for the worst block of a picture in which nothing was edited.
_SAME_PICTURE = 10.0

#: The same limit for flat pictures and those with few details. In the worst block, two slides with
#: different faint text differ by 4 shades, and one slide in two sizes by less than 1.
_SAME_FLAT_PICTURE = 3.0

#: If tones or colours differ by more shades than this on average, they were changed. JPEG quality
#: 10 stays below 2.
_OTHER_TONES = 3.0

#: The smallest share of equal blocks if only tones or colours were changed (clipped blocks differ),
#: and if a part was edited.
_UNCLIPPED_SHARE = 0.9
_UNEDITED_SHARE = 0.7

#: If a part of a drawing was edited: the smallest share of equal blocks, and the largest difference
#: of the worst block in shades. In each set of 24 pie charts, barcodes, charts and smileys, the two
#: nearest ones either have a block that differs by 25 shades, or a smaller share of equal blocks.
#: Neither is true of a slide in which one word was replaced.
_UNEDITED_SHARE_OF_DRAWING = 0.93
_EDITED_DRAWING = 24.0

#: The smallest standard deviation of a block with details, in shades. Other equal blocks, such as
#: two skies or the white of two slides, are no evidence.
_DETAIL = 2.0

#: If fewer blocks with details are equal, this is no evidence.
_MIN_DETAILED_BLOCKS = 24

#: The smallest standard deviation of a photograph's blocks, even in its sky, and how many of the 64
#: blocks must have it. Of 124 photographs, all but one have 54 or more such blocks, even at JPEG
#: quality 10. A drawing has areas of one shade, which have less even in a JPEG.
_GRAIN = 1.0
_MIN_GRAINY_BLOCKS = 52

#: The largest standard deviation along the edge of a frame, in shades. All frames had less, at any
#: quality of the file, but also 3 of 484 photographs.
_FRAME_SHADES = 1.0

#: In a bar, at least this share of the pixels is within this many neighbouring shades. All captions
#: under photographs had 0.44 or more. Three in four strips of the photographs had less than 0.37.
_BAR_SHADES = 13
_BAR_SHARE = 0.42

#: The smallest length of a picture's shorter side in pixels, and the size of the squares of the
#: thumbnail that are then compared.
_SQUARES = ((2 * SIDE, 1), (SIDE // 2, 2), (SIDE // 4, 4))

#: The number of groups, with equally many pixels, in which the tones of two pictures are compared.
_TONES = 32


@dataclass(frozen=True, slots=True)
class ThumbnailDifference:
    """How two thumbnails differ after their tones were made equal.

    ``worst_block``: the largest difference of a block, in shades (root mean square).
    ``same_share``: the share of equal blocks. ``detailed_blocks``: the number of blocks with
    details. ``detailed_share``: the share of these that are equal. ``tones`` and ``colours``: the
    mean differences in shades.
    """

    worst_block: float
    same_share: float
    detailed_blocks: int
    detailed_share: float
    tones: float
    colours: float

    @property
    def is_same(self) -> bool:
        """Whether only format, quality and size differ. This is reliable even for pictures with few
        details."""
        return self.worst_block <= _SAME_FLAT_PICTURE and not self._has_other_tones

    @property
    def is_same_drawing(self) -> bool:
        """Whether the pictures are the same. This is reliable even for drawings: since drawings of
        one type have the same layout, they must be equal nearly everywhere."""
        is_faint_edit = (
            self.worst_block <= _EDITED_DRAWING and self.same_share >= _UNEDITED_SHARE_OF_DRAWING
        )
        return self.worst_block <= _SAME_PICTURE or is_faint_edit

    @property
    def is_nearly_same(self) -> bool:
        """Whether nearly all blocks are equal."""
        return self.same_share >= _UNCLIPPED_SHARE

    @property
    def is_certain(self) -> bool:
        """Whether the pictures have most details in common. This is evidence only for
        photographs."""
        has_details = self.detailed_blocks >= _MIN_DETAILED_BLOCKS
        return has_details and self.detailed_share >= _UNEDITED_SHARE

    @property
    def kind(self) -> MatchKind | None:
        """The kind of the match; ``None`` if too many blocks differ."""
        if self._has_other_tones and (self.worst_block <= _SAME_PICTURE or self.is_nearly_same):
            return MatchKind.RECOLOURED
        if self.worst_block <= _SAME_PICTURE:
            return MatchKind.REENCODED
        return MatchKind.EDITED if self.same_share >= _UNEDITED_SHARE else None

    @property
    def _has_other_tones(self) -> bool:
        return self.tones > _OTHER_TONES or self.colours > _OTHER_TONES


def luma_of(thumbnail: Thumbnail) -> NDArray[np.float64]:
    """The shades of grey (0 to 255): 64 x 64, a row for each line of the picture."""
    return _plane(thumbnail.grey)


def _plane(values: bytes) -> NDArray[np.float64]:
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE).astype(np.float64)


def without_borders(thumbnail: Thumbnail) -> Thumbnail | None:
    """The picture without its borders, in grey only; ``None`` if it has no borders."""
    return Thumbnail(thumbnail.inner, b"") if thumbnail.inner else None


def in_form(thumbnail: Thumbnail, form: tuple[bool, ...]) -> Thumbnail:
    """The picture in this form, which is one of ``FORMS``: rotated, mirrored or both."""
    return replace(
        thumbnail,
        grey=_in_form(thumbnail.grey, 1, form),
        colour=_in_form(thumbnail.colour, 2, form),
        alpha=_in_form(thumbnail.alpha, 1, form),
    )


def _in_form(values: bytes, channels: int, form: tuple[bool, ...]) -> bytes:
    side = math.isqrt(len(values) // channels)
    plane = np.frombuffer(values, np.uint8).reshape(side, side, channels)
    transposed, flipped, mirrored = form
    plane = plane.swapaxes(0, 1) if transposed else plane
    return plane[:: -1 if flipped else 1, :: -1 if mirrored else 1].tobytes()


def is_bar(pixels: NDArray[np.float64]) -> bool:
    """Whether these pixels of a strip along a side are a bar, not a part of the picture. A large
    part of a bar has one shade, even if there is text on it."""
    counts = np.bincount(np.rint(pixels).astype(np.int64), minlength=256)
    return int(np.convolve(counts, np.ones(_BAR_SHADES), "same").max()) >= _BAR_SHARE * pixels.size


def is_photographic(thumbnail: Thumbnail) -> bool:
    """Whether the picture has details nearly everywhere and no frame.

    Slides, drawings and screenshots do not count, because different ones have similar parts. Framed
    pictures do not count either, because any two frames are similar.
    """
    luma = luma_of(thumbnail)
    return has_grain(luma) and not _is_framed(luma)


def has_grain(luma: NDArray[np.float64]) -> bool:
    """Whether 64 x 64 shades have details nearly everywhere, as photographs do."""
    grainy = _blocks(luma).std(axis=1) >= _GRAIN
    return int(grainy.sum()) >= _MIN_GRAINY_BLOCKS


def _is_framed(luma: NDArray[np.float64]) -> bool:
    """Whether two opposite sides have a border. One side alone may be a bar, or the night sky."""
    top, bottom, left, right = (
        edge.std() < _FRAME_SHADES for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1])
    )
    return bool((top and bottom) or (left and right))


def compare(one: Thumbnail, other: Thumbnail, side: int = SIDE) -> ThumbnailDifference:
    """The difference of two pictures in the same form and with the same edges.

    ``side``: the shorter side of the smaller picture, in pixels. Finer details are not compared.
    """
    ours, theirs = (_coarse(luma_of(each), side) for each in (one, other))
    expected = _in_tones_of(theirs, ours)
    by_block = _block_differences(expected, theirs)
    if one.alpha and other.alpha:
        opacities = (_coarse(_plane(each.alpha), side) for each in (one, other))
        by_block = np.maximum(by_block, _block_differences(*opacities))
    same = by_block <= _SAME_BLOCK
    detailed = _blocks(theirs).std(axis=1) >= _DETAIL
    return ThumbnailDifference(
        worst_block=float(by_block.max()),
        same_share=float(same.mean()),
        detailed_blocks=int(detailed.sum()),
        detailed_share=float(same[detailed].mean()) if detailed.any() else 0.0,
        tones=float(np.abs(expected - ours).mean()),
        colours=_mean_difference(one.colour, other.colour),
    )


def _mean_difference(one: bytes, other: bytes) -> float:
    if not one or not other:
        return 0.0
    ours, theirs = (np.frombuffer(each, np.uint8).astype(np.int16) for each in (one, other))
    return float(np.abs(ours - theirs).mean())


def _block_differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root mean square difference of each block, in shades."""
    differences: NDArray[np.float64] = np.sqrt((_blocks(one - other) ** 2).mean(axis=1))
    return differences


def _coarse(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The plane with each square of 1, 2, 4 or 8 pixels replaced by its mean. This hides thin
    lines, which a picture with a shorter side of ``side`` pixels cannot show."""
    square = next((each for least, each in _SQUARES if side >= least), _BLOCK)
    if square == 1:
        return plane
    count = SIDE // square
    means = plane.reshape(count, square, count, square).mean(axis=(1, 3))
    coarse: NDArray[np.float64] = means.repeat(square, axis=0).repeat(square, axis=1)
    return coarse


def _in_tones_of(theirs: NDArray[np.float64], ours: NDArray[np.float64]) -> NDArray[np.float64]:
    """Our picture with the tones of theirs. Each shade becomes another shade, as with a change of
    brightness, contrast or gamma. Because medians are used, a change of only a part has no
    effect."""
    order = np.argsort(ours, axis=None, kind="stable")
    pairs = np.stack(
        [
            np.median(picture.ravel()[order].reshape(_TONES, -1), axis=1)
            for picture in (theirs, ours)
        ]
    )
    all_becoming, all_shades = pairs[:, np.lexsort(pairs)]
    # A frequent shade, such as the white of a page, fills several groups, which become different
    # shades. The middle one of these is used.
    shades, first, count = np.unique(all_shades, return_index=True, return_counts=True)
    becoming = all_becoming[first + (count - 1) // 2]
    beyond = ours - np.clip(ours, shades[0], shades[-1])
    expected: NDArray[np.float64] = np.interp(ours, shades, becoming) + beyond
    return expected


def _blocks(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 64 blocks of the picture, each a row of 64 pixels."""
    count = SIDE // _BLOCK
    return picture.reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2).reshape(count**2, -1)
