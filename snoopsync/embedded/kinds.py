"""What two pictures that are alike are to each other: told from what their codes match by, and from
the pictures themselves at 64 x 64 shades of grey."""

from __future__ import annotations

from dataclasses import dataclass
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

#: Shades by which the pixels of a block differ in which there is something to see: that two skies,
#: or the white of two slides, are the same says nothing.
_TEXTURE = 2.0

#: So many blocks must have something in them for their being the same to say anything.
_MIN_TEXTURED_BLOCKS = 24

#: The least that is in any block of a photograph, be it the sky, and how many blocks of a picture
#: must have it: of 484 photographs all but two have, and most have it in all 64; what is drawn has
#: areas of one shade, slides at least 16 blocks of them.
_GRAIN = 0.5
_MIN_GRAINY_BLOCKS = 52

#: Shades by which the pixels along an edge differ at most if that is a frame's: all frames had
#: less, whatever the file's quality, and 3 of 484 photographs.
_FRAME_SHADES = 1.0

#: Neighbouring shades that a bar has, and the part of it that has them: of captions under
#: photographs all had 0.44 and more, of strips of the photographs 3 in 4 less than 0.37.
_BAR_SHADES = 13
_BAR_SHARE = 0.42

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
    def is_certain(self) -> bool:
        """Most of what there is to see in the one is in the other. It says something of
        photographs."""
        is_enough = self.textured_blocks >= _MIN_TEXTURED_BLOCKS
        return is_enough and self.textured_share >= _UNEDITED_SHARE

    @property
    def kind(self) -> Kind | None:
        """What they are to each other, if they do lie upon each other."""
        if self._other_tones and (
            self.worst <= _SAME_PICTURE or self.same_share >= _UNCLIPPED_SHARE
        ):
            return Kind.RECOLOURED
        if self.worst <= _SAME_PICTURE:
            return Kind.REENCODED
        return Kind.EDITED if self.same_share >= _UNEDITED_SHARE else None

    @property
    def _other_tones(self) -> bool:
        return self.tones > _OTHER_TONES or self.colours > _OTHER_TONES


def luma_of(thumbnail: Thumbnail) -> NDArray[np.float64]:
    """Its shades of grey, a row for each line."""
    return np.frombuffer(thumbnail.grey, np.uint8).reshape(SIDE, SIDE).astype(np.float64)


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


def compare(one: Thumbnail, other: Thumbnail) -> Comparison:
    """How two pictures differ that are the same way up and have the same edges."""
    ours, theirs = luma_of(one), luma_of(other)
    expected = _with_tones_of(ours, theirs)
    difference = _blocks(theirs - expected)
    by_block = np.sqrt((difference**2).mean(axis=1))
    same = by_block <= _SAME_BLOCK
    textured = _blocks(theirs).std(axis=1) >= _TEXTURE
    colours = np.frombuffer(one.colour, np.uint8).astype(np.int16)
    return Comparison(
        worst=float(by_block.max()),
        same_share=float(same.mean()),
        textured_blocks=int(textured.sum()),
        textured_share=float(same[textured].mean()) if textured.any() else 0.0,
        tones=float(np.abs(expected - ours).mean()),
        colours=float(np.abs(colours - np.frombuffer(other.colour, np.uint8)).mean()),
    )


def _with_tones_of(ours: NDArray[np.float64], theirs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Our picture in the tones of theirs: whatever was done to all pixels of a shade alike
    (brightness, contrast, gamma) is done. Medians, so that what was done to a part is not."""
    order = np.argsort(ours, axis=None, kind="stable")
    shades, becoming = (
        np.median(picture.ravel()[order].reshape(_TONES, -1), axis=1) for picture in (ours, theirs)
    )
    beyond = ours - np.clip(ours, shades[0], shades[-1])
    return np.interp(ours, shades, becoming) + beyond


def _blocks(picture: NDArray[np.float64]) -> NDArray[np.float64]:
    """The picture's blocks, a row of pixels each."""
    count = SIDE // _BLOCK
    return picture.reshape(count, _BLOCK, count, _BLOCK).swapaxes(1, 2).reshape(count**2, -1)
