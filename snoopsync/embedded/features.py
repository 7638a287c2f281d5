"""What is kept of a picture: everything but its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from snoopsync.embedded.evidence import Evidence

#: Which pixels the codes are made from, and how. Codes of two versions can't be compared, so this
#: grows with every change to ``decode``, ``pixels``, ``frames``, ``border`` or ``pdq`` that moves a
#: bit.
FEED_VERSION = 2

#: Bytes of one code: 256 bits.
CODE_BYTES = 32

#: Pixels along each side of a thumbnail's colours.
COLOUR_SIDE = 8


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A picture at 64 x 64 shades of ``grey``, and its ``colour`` at 8 x 8 (two chroma values
    each): a byte a value, line by line.

    ``alpha`` says how opaque each of the 64 x 64 pixels is; empty if all of it is opaque.
    ``inner`` has the shades of grey of the picture without its uniform borders; empty if it has
    none.
    """

    grey: bytes
    colour: bytes
    alpha: bytes = b""
    inner: bytes = b""


@dataclass(frozen=True, slots=True)
class Features:
    """What one picture looks like, and what it is.

    ``width`` and ``height`` are in pixels, of the upright picture. ``frames`` is how many frames or
    pages it has; of more than one, all else describes a sheet that shows them. ``digest`` is one of
    all frames at 64 x 64 pixels, with their transparency; ``thumbnail`` is ``None`` for a picture
    that an older snoopsync looked at. ``quality`` (0 to 100) says how much there is in it to tell
    it by. ``codes`` are the codes of its eight forms (as it is, turned and mirrored), 32 bytes
    each, the picture as it is first; empty if there is next to nothing in it. ``trimmed`` are the
    same for the picture without its uniform borders; empty if it has none. ``evidence`` is
    ``None`` for a picture that an older snoopsync looked at.
    """

    sha256: bytes
    size_bytes: int
    kind: str
    width: int
    height: int
    digest: bytes
    quality: int
    codes: bytes
    trimmed: bytes
    thumbnail: Thumbnail | None
    frames: int = 1
    evidence: Evidence | None = None
