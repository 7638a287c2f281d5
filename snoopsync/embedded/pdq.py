"""PDQ, the perceptual code of 256 bits that Facebook published ("The TMK+PDQF Video-Hashing
Algorithm and the PDQ Image-Hashing Algorithm", 2019), written from that description.

It begins with a picture of 64 x 64 shades of grey. How that is made is ours (``decode``): the
published way is a Jarosz filter, so these codes are some bits off those of other programs and are
not for exchange with them.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: Pixels along each side of the picture that is transformed.
SIDE = 64

#: Below this quality a code says too little to compare it.
MIN_QUALITY = 50

_WAVES = 16

#: Rows 1 to 16 of the discrete cosine transform of 64 points (row 0, the mean, is left out).
_DCT = np.sqrt(2 / SIDE) * np.cos(
    np.pi / (2 * SIDE) * np.outer(np.arange(1, _WAVES + 1), 2 * np.arange(SIDE) + 1)
)

#: What mirroring does to the waves along one axis: the odd ones change their sign.
_MIRROR = np.where(np.arange(1, _WAVES + 1) % 2, -1.0, 1.0)


def eight_codes(luma: NDArray[np.float64]) -> bytes:
    """The codes (32 bytes each) of this picture and of its seven turned and mirrored forms.

    Turning and mirroring only moves and negates the waves, so one transform serves all eight. The
    picture as it is comes first; the order of the others means nothing.
    """
    # Not by ``@``: the BLAS behind it keeps 30 MiB for each thread that ever called it, for
    # products so small, and its last digits depend on the machine.
    waves = np.einsum("ik,jk->ij", np.einsum("ik,kj->ij", _DCT, luma), _DCT)
    return b"".join(
        _code(form * rows[:, np.newaxis] * columns)
        for form in (waves, waves.T)
        for rows in (np.ones(_WAVES), _MIRROR)
        for columns in (np.ones(_WAVES), _MIRROR)
    )


def _code(waves: NDArray[np.float64]) -> bytes:
    return np.packbits(waves > np.median(waves)).tobytes()


def quality(luma: NDArray[np.float64]) -> int:
    """How much there is in the picture to tell it by, 0 (one even shade) to 100.

    The sum of the steps between neighbours, each in whole percent of the range, as published.
    """
    steps = sum(np.abs(np.trunc(np.diff(luma, axis=axis) * (100 / 255))).sum() for axis in (0, 1))
    return min(100, int(steps / 90))
