"""What is kept of a picture: everything but its bytes."""

from __future__ import annotations

from dataclasses import dataclass

#: Which pixels the codes are made from, and how. Codes of two versions can't be compared, so this
#: grows with every change to ``decode``, ``border`` or ``pdq`` that moves a bit.
FEED_VERSION = 1

#: Bytes of one code: 256 bits.
CODE_BYTES = 32


@dataclass(frozen=True, slots=True)
class Features:
    """What one picture looks like, and what it is.

    ``width`` and ``height`` are in pixels, of the upright picture. ``thumbnail`` is a digest of
    the picture at 64 x 64 pixels in RGB. ``quality`` (0 to 100) says how much there is in it to
    tell it by. ``codes`` are the codes of its eight forms (as it is, turned and mirrored), 32 bytes
    each, the picture as it is first; empty if the quality is too low to compare them.
    ``trimmed`` are the same for the picture without its uniform borders; empty if it has none.
    """

    sha256: bytes
    size_bytes: int
    kind: str
    width: int
    height: int
    thumbnail: bytes
    quality: int
    codes: bytes
    trimmed: bytes
