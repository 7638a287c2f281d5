"""PDQ, a perceptual code of 256 bits, as published by Facebook in "The TMK+PDQF Video-Hashing
Algorithm and the PDQ Image-Hashing Algorithm" (2019).

A code is computed from 64 x 64 shades of grey. The publication scales the picture with a Jarosz
filter, but ``decode`` uses bilinear scaling. For this reason, these codes differ in some bits from
the codes of other programs, and cannot be compared with them.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import features

#: Pixels along each side of the picture that is transformed.
SIDE = features.SIDE

#: Below this quality (flat pictures, slides, text), equal codes alone do not prove a match.
MIN_QUALITY = 50

#: Below this quality, a code is meaningless: all uniform pictures have the same code.
MIN_QUALITY_OF_CODES = 5

_WAVES = 16

#: Rows 1 to 16 of the discrete cosine transform of 64 points (row 0, the mean, is left out).
DCT = np.sqrt(2 / SIDE) * np.cos(
    np.pi / (2 * SIDE) * np.outer(np.arange(1, _WAVES + 1), 2 * np.arange(SIDE) + 1)
)

#: Mirroring negates the odd waves along one axis.
_MIRROR = np.where(np.arange(1, _WAVES + 1) % 2, -1.0, 1.0)


def waves_of(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 16 x 16 longest waves of a picture of 64 x 64 shades, without the mean."""
    # The operator ``@`` would use BLAS, which keeps 30 MiB for each thread that ever called it, and
    # whose last digits depend on the machine.
    waves: NDArray[np.float64] = np.einsum("ik,jk->ij", np.einsum("ik,kj->ij", DCT, luma), DCT)
    return waves


def codes_of(waves: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The codes of pictures with these waves (picture, 16, 16): a row of 32 bytes for each picture.
    A bit is set if a wave is above the median."""
    flat = waves.reshape(len(waves), -1)
    # Sorting takes a sixth of the time of ``np.median``.
    middle = flat.shape[1] // 2
    medians = np.sort(flat, axis=1)[:, middle - 1 : middle + 1].mean(axis=1, keepdims=True)
    return np.packbits(flat > medians, axis=1)


#: The eight forms of a picture, in the order of ``eight_codes``: whether it is transposed, then
#: flipped upside down, then mirrored.
FORMS = tuple(itertools.product((False, True), repeat=3))


def eight_codes(luma: NDArray[np.float64]) -> bytes:
    """The codes (32 bytes each) of this picture in each of ``FORMS``. The first code is of the
    unchanged picture.

    Rotating and mirroring only move and negate the waves, so one transform is enough for all eight.
    """
    waves = waves_of(luma)
    even = np.ones(_WAVES)
    forms = [
        (waves.T if transposed else waves)
        * (_MIRROR if flipped else even)[:, np.newaxis]
        * (_MIRROR if mirrored else even)
        for transposed, flipped, mirrored in FORMS
    ]
    return codes_of(np.stack(forms)).tobytes()


def quality(luma: NDArray[np.float64]) -> int:
    """How much detail the picture has, from 0 (a single shade) to 100.

    The formula is the published one: the sum of the differences between neighbours, each in whole
    percent of the range, divided by 90.
    """
    steps = sum(np.abs(np.trunc(np.diff(luma, axis=axis) * (100 / 255))).sum() for axis in (0, 1))
    return min(100, int(steps / 90))
