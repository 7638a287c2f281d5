"""What two pictures that are alike are to each other: told from what their codes match by, and from
the pictures themselves at 64 x 64 shades of grey."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from snoopsync.embedded.features import Thumbnail
from snoopsync.embedded.pdq import FORMS, SIDE


class Kind(StrEnum):
    """What one picture is to another."""

    #: The same bytes.
    IDENTICAL = "identical"
    #: The same picture in another format, quality or size.
    REENCODED = "reencoded"
    #: The same picture with other tones or colours: brighter, in grey, tinted.
    RECOLOURED = "recoloured"
    #: The same picture but for a part of it: a caption over it, a watermark, a retouched spot.
    EDITED = "edited"
    #: Turned, by quarters or a little.
    ROTATED = "rotated"
    #: A mirror image, turned or not.
    MIRRORED = "mirrored"
    #: One has a border, or a bar along a side, that the other has not.
    BORDERED = "bordered"
    #: One is a part of the other.
    CROPPED = "cropped"


#: Of a picture turned or mirrored so, in the order of the codes of a picture.
FORM_KINDS = tuple(
    Kind.MIRRORED if sum(form) % 2 else Kind.ROTATED if any(form) else Kind.REENCODED
    for form in FORMS
)

_BLOCK = 8

#: Shades (of 256, root of the mean square) by which a block may differ, that was only encoded anew:
#: photographs in a quarter of their size or at JPEG's quality of 10 stay below.
_SAME_BLOCK = 8.0

#: The same for the worst block of a picture in which nothing was edited.
_SAME_PICTURE = 10.0

#: The same for pictures that are flat, or in which only a little stands out: two slides with faint
#: text of their own are 4 shades apart in the worst block, one of them in two sizes less than 1.
_SAME_FLAT_PICTURE = 3.0

#: Shades by which the tones, or the colours, differ on the average, if somebody changed them:
#: JPEG's quality of 10 stays below 2.
_OTHER_TONES = 3.0

#: Parts of the blocks that have to be the same: where only tones or colours were changed (those
#: that were clipped are not), and where a part was edited.
_UNCLIPPED_SHARE = 0.9
_UNEDITED_SHARE = 0.7

#: The same where the pictures are no photographs: a part that was edited is small, and what is in
#: it differs little. Of 24 pie charts, barcodes, charts and smileys each, the nearest two that are
#: not the same have a block that differs by 25 shades, or less than this share of equal blocks; a
#: slide with one other word has neither.
_UNEDITED_SHARE_OF_DRAWING = 0.93
_EDITED_DRAWING = 24.0

#: Shades by which the pixels of a block differ in which there is something to see: that two skies,
#: or the white of two slides, are the same says nothing.
_TEXTURE = 2.0

#: So many blocks must have something in them for their being the same to say anything.
_MIN_TEXTURED_BLOCKS = 24

#: The least that is in any block of a photograph, be it the sky, and how many blocks of a picture
#: must have it: of 124 photographs all but one have 54 or more, also with a JPEG quality of 10;
#: what is drawn has areas of one shade, in which a JPEG leaves less than that.
_GRAIN = 1.0
_MIN_GRAINY_BLOCKS = 52

#: Shades by which the pixels along an edge differ at most if that is a frame's: all frames had
#: less, whatever the file's quality, and 3 of 484 photographs.
_FRAME_SHADES = 1.0

#: Neighbouring shades that a bar has, and the part of it that has them: of captions under
#: photographs all had 0.44 and more, of strips of the photographs 3 in 4 less than 0.37.
_BAR_SHADES = 13
_BAR_SHARE = 0.42

#: Pixels that a picture must have along each side, and the squares in which it is compared.
_SQUARES = ((2 * SIDE, 1), (SIDE // 2, 2), (SIDE // 4, 4))

#: Shades that are brought together when the tones of two pictures are compared.
_TONES = 32


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two pictures put upon each other, their tones made alike. ``worst`` is the largest difference
    of a block, in shades; ``same_share`` the part of the blocks that are the same;
    ``textured_blocks`` how many have something in them, and ``textured_share`` the part of those
    that are the same; ``tones`` and ``colours`` by how many shades those differ on the average."""

    worst: float
    same_share: float
    textured_blocks: int
    textured_share: float
    tones: float
    colours: float

    @property
    def is_same(self) -> bool:
        """Nothing but format, quality and size differs, however little there is to see."""
        return self.worst <= _SAME_FLAT_PICTURE and not self._other_tones

    @property
    def is_same_drawing(self) -> bool:
        """Are they one picture also if they are drawn? Drawings of one kind are built alike, so
        only what is equal nearly everywhere is the same."""
        is_faint_edit = (
            self.worst <= _EDITED_DRAWING and self.same_share >= _UNEDITED_SHARE_OF_DRAWING
        )
        return self.worst <= _SAME_PICTURE or is_faint_edit

    @property
    def is_nearly_same(self) -> bool:
        """Are nearly all blocks the same?"""
        return self.same_share >= _UNCLIPPED_SHARE

    @property
    def is_certain(self) -> bool:
        """Most of what there is to see in the one is in the other. It says something of
        photographs."""
        is_enough = self.textured_blocks >= _MIN_TEXTURED_BLOCKS
        return is_enough and self.textured_share >= _UNEDITED_SHARE

    @property
    def kind(self) -> Kind | None:
        """What they are to each other, if they do lie upon each other."""
        if self._other_tones and (self.worst <= _SAME_PICTURE or self.is_nearly_same):
            return Kind.RECOLOURED
        if self.worst <= _SAME_PICTURE:
            return Kind.REENCODED
        return Kind.EDITED if self.same_share >= _UNEDITED_SHARE else None

    @property
    def _other_tones(self) -> bool:
        return self.tones > _OTHER_TONES or self.colours > _OTHER_TONES


def luma_of(thumbnail: Thumbnail) -> NDArray[np.float64]:
    """Its shades of grey, a row for each line."""
    return _plane(thumbnail.grey)


def _plane(values: bytes) -> NDArray[np.float64]:
    return np.frombuffer(values, np.uint8).reshape(SIDE, SIDE).astype(np.float64)


def inner_of(thumbnail: Thumbnail) -> Thumbnail | None:
    """The picture without its borders, of which only the grey is kept; ``None`` without it."""
    return Thumbnail(thumbnail.inner, b"") if thumbnail.inner else None


def in_form(thumbnail: Thumbnail, form: tuple[bool, ...]) -> Thumbnail:
    """The picture turned or mirrored like the code of this one of ``FORMS``."""
    return replace(
        thumbnail,
        grey=_turned(thumbnail.grey, 1, form),
        colour=_turned(thumbnail.colour, 2, form),
        alpha=_turned(thumbnail.alpha, 1, form),
    )


def _turned(values: bytes, channels: int, form: tuple[bool, ...]) -> bytes:
    side = math.isqrt(len(values) // channels)
    plane = np.frombuffer(values, np.uint8).reshape(side, side, channels)
    transposed, flipped, mirrored = form
    plane = plane.swapaxes(0, 1) if transposed else plane
    return plane[:: -1 if flipped else 1, :: -1 if mirrored else 1].tobytes()


def is_bar(pixels: NDArray[np.float64]) -> bool:
    """Are these pixels, of a strip along a side, a bar rather than more of the picture? Much of a
    bar has one shade, whatever is written on it."""
    counts = np.bincount(np.rint(pixels).astype(np.int64), minlength=256)
    return int(np.convolve(counts, np.ones(_BAR_SHADES), "same").max()) >= _BAR_SHARE * pixels.size


def is_photographic(thumbnail: Thumbnail) -> bool:
    """Is there something to see nearly everywhere? Not in slides, drawings and dialogs, of which
    the parts are alike that are not the same; nor in a frame, which is like any other frame."""
    luma = luma_of(thumbnail)
    grainy = _blocks(luma).std(axis=1) >= _GRAIN
    return int(grainy.sum()) >= _MIN_GRAINY_BLOCKS and not _is_framed(luma)


def _is_framed(luma: NDArray[np.float64]) -> bool:
    """Have two sides that face each other a border? One alone may be a bar, or the night's sky."""
    top, bottom, left, right = (
        edge.std() < _FRAME_SHADES for edge in (luma[0], luma[-1], luma[:, 0], luma[:, -1])
    )
    return bool((top and bottom) or (left and right))


def compare(one: Thumbnail, other: Thumbnail, side: int = SIDE) -> Comparison:
    """How two pictures differ that are the same way up and have the same edges.

    ``side``: the shorter side of the smaller one, in pixels. It has no more details than that.
    """
    ours, theirs = (_coarse(luma_of(each), side) for each in (one, other))
    expected = _with_tones_of(ours, theirs)
    by_block = _differences(expected, theirs)
    if one.alpha and other.alpha:
        opacities = (_coarse(_plane(each.alpha), side) for each in (one, other))
        by_block = np.maximum(by_block, _differences(*opacities))
    same = by_block <= _SAME_BLOCK
    textured = _blocks(theirs).std(axis=1) >= _TEXTURE
    return Comparison(
        worst=float(by_block.max()),
        same_share=float(same.mean()),
        textured_blocks=int(textured.sum()),
        textured_share=float(same[textured].mean()) if textured.any() else 0.0,
        tones=float(np.abs(expected - ours).mean()),
        colours=_mean_difference(one.colour, other.colour),
    )


def _mean_difference(one: bytes, other: bytes) -> float:
    if not one or not other:
        return 0.0
    ours, theirs = (np.frombuffer(each, np.uint8).astype(np.int16) for each in (one, other))
    return float(np.abs(ours - theirs).mean())


def _differences(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """By how many shades each block differs."""
    differences: NDArray[np.float64] = np.sqrt((_blocks(one - other) ** 2).mean(axis=1))
    return differences


def _coarse(plane: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """The picture in squares of 1, 2, 4 or 8 pixels, which hide what a picture of so many pixels
    shows no better: thin lines."""
    square = next((each for least, each in _SQUARES if side >= least), _BLOCK)
    if square == 1:
        return plane
    count = SIDE // square
    means = plane.reshape(count, square, count, square).mean(axis=(1, 3))
    coarse: NDArray[np.float64] = means.repeat(square, axis=0).repeat(square, axis=1)
    return coarse


def _with_tones_of(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Our picture in the tones of theirs: whatever was done to all pixels of a shade alike
    (brightness, contrast, gamma) is done. Medians, so that what was done to a part is not."""
    order = np.argsort(ours, axis=None, kind="stable")
    pairs = np.stack(
        [
            np.median(picture.ravel()[order].reshape(_TONES, -1), axis=1)
            for picture in (theirs, ours)
        ]
    )
    all_becoming, all_shades = pairs[:, np.lexsort(pairs)]
    # A shade that much of the picture has, as the white of a page, becomes one shade: the middle
    # one of those that its parts become.
    shades, first, count = np.unique(all_shades, return_index=True, return_counts=True)
    becoming = all_becoming[first + (count - 1) // 2]
    beyond = ours - np.clip(ours, shades[0], shades[-1])
    expected: NDArray[np.float64] = np.interp(ours, shades, becoming) + beyond
    return expected


def _blocks(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The picture's blocks, a row of pixels each."""
    count = SIDE // _BLOCK
    return picture.reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2).reshape(count**2, -1)
