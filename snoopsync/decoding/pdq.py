"""PDQ, the perceptual code of 256 bits that Facebook published ("The TMK+PDQF Video-Hashing
Algorithm and the PDQ Image-Hashing Algorithm", 2019), written from that description.

It begins with a picture of 64 x 64 shades of grey. How that is made is ours (``decode``): the
published way is a Jarosz filter, so these codes are some bits off those of other programs and are
not for exchange with them.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

from snoopsync.decoding import features

#: Pixels along each side of the picture that is transformed.
SIDE = features.SIDE

#: Below this quality (flat pictures, slides, text) a code alone says too little.
MIN_QUALITY = 50

#: Below this one it says nothing: all even pictures have the same.
MIN_QUALITY_OF_CODES = 5

_WAVES = 16

#: Rows 1 to 16 of the discrete cosine transform of 64 points (row 0, the mean, is left out).
DCT = np.sqrt(2 / SIDE) * np.cos(
    np.pi / (2 * SIDE) * np.outer(np.arange(1, _WAVES + 1), 2 * np.arange(SIDE) + 1)
)

#: What mirroring does to the waves along one axis: the odd ones change their sign.
_MIRROR = np.where(np.arange(1, _WAVES + 1) % 2, -1.0, 1.0)


def waves_of(luma: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 16 x 16 longest waves of this picture."""
    # Not by ``@``: the BLAS behind it keeps 30 MiB for each thread that ever called it, for
    # products so small, and its last digits depend on the machine.
    waves: NDArray[np.float64] = np.einsum("ik,jk->ij", np.einsum("ik,kj->ij", DCT, luma), DCT)
    return waves


def codes_of(waves: NDArray[np.float64]) -> NDArray[np.uint8]:
    """The codes of pictures with these waves (16 x 16 each, one after the other): a row each."""
    flat = waves.reshape(len(waves), -1)
    return np.packbits(flat > np.median(flat, axis=1, keepdims=True), axis=1)


#: The eight forms of a picture, in the order of ``eight_codes``: is it transposed, then turned
#: upside down, then mirrored?
FORMS = tuple(itertools.product((False, True), repeat=3))


def eight_codes(luma: NDArray[np.float64]) -> bytes:
    """The codes (32 bytes each) of this picture in each of ``FORMS``, the picture as it is first.

    Turning and mirroring only moves and negates the waves, so one transform serves all eight.
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
    """How much there is in the picture to tell it by, 0 (one even shade) to 100.

    The sum of the steps between neighbours, each in whole percent of the range, as published.
    """
    steps = sum(np.abs(np.trunc(np.diff(luma, axis=axis) * (100 / 255))).sum() for axis in (0, 1))
    return min(100, int(steps / 90))
