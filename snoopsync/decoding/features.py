"""What is stored about a picture instead of its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from snoopsync.decoding.evidence import FileEvidence

#: The version of the method that computes codes from pixels. Codes of two versions cannot be
#: compared. Increase this number with every change to ``decode``, ``pixels``, ``frames``,
#: ``border``, ``pdq`` or ``regions`` that changes a bit of any code.
FEED_VERSION = 3

#: Bytes of one code: 256 bits.
CODE_BYTES = 32

#: The number of forms of a picture: rotated by each quarter turn, and each of these mirrored.
FORM_COUNT = 8

#: Pixels along each side of a thumbnail.
SIDE = 64

#: Pixels along each side of a thumbnail's colours.
COLOUR_SIDE = 8


#: Bytes of one region, the most regions of a picture, and how many of them an index has in memory,
#: with their bytes.
REGION_BYTES = 11
MAX_REGIONS = 32
INDEXED_REGIONS = 12
INDEXED_REGION_BYTES = INDEXED_REGIONS * REGION_BYTES


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small version of a picture: a byte for each value, line by line.

    - ``grey``: 64 x 64 shades.
    - ``colour``: 8 x 8 pixels, two chroma values each; empty if only grey is known.
    - ``alpha``: the opacity of the 64 x 64 pixels; empty if all are opaque.
    - ``inner``: 64 x 64 shades of the picture without its uniform borders; empty if it has none.
    """

    grey: bytes
    colour: bytes
    alpha: bytes = b""
    inner: bytes = b""


@dataclass(frozen=True, slots=True)
class Features:
    """What a picture looks like, and what is known about its file.

    - ``width``, ``height``: of the upright picture, in pixels.
    - ``digest``: 16 bytes, equal for pictures with the same 64 x 64 pixels and opacity in all
      frames. If the file was not decoded completely, the digest depends on every byte of the file.
    - ``quality``: how much detail the picture has, from 0 to 100.
    - ``codes``: eight codes of 32 bytes each, in the order of ``pdq.FORMS``; empty if the picture
      has almost no details.
    - ``trimmed``: the same for the picture without its uniform borders; empty if it has none.
    - ``thumbnail``: ``None`` if an older version described the picture.
    - ``frames``: the number of frames or pages. If there are several, quality, codes and thumbnail
      describe one sheet that shows them all.
    - ``evidence``: ``None`` if an older version described the picture.
    - ``regions``: see ``decoding/regions``; empty for a picture with little detail, transparent
      pixels or several frames.
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
    evidence: FileEvidence | None = None
    regions: bytes = b""
