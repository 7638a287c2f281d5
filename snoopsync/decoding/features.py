"""What is stored of a picture instead of its bytes."""

from __future__ import annotations

from dataclasses import dataclass

from snoopsync.decoding.evidence import FileEvidence

#: The version of how codes are made from pixels. Codes of two versions cannot be compared, so a
#: change to ``decode``, ``pixels``, ``frames``, ``border`` or ``pdq`` that changes any bit of any
#: code increases this number.
FEED_VERSION = 2

#: Bytes of one code: 256 bits.
CODE_BYTES = 32

#: The number of forms of a picture: as it is, rotated by quarters, and mirrored.
FORM_COUNT = 8

#: Pixels along each side of a thumbnail.
SIDE = 64

#: Pixels along each side of a thumbnail's colours.
COLOUR_SIDE = 8


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small version of a picture: a byte for each value, line by line.

    - ``grey``: 64 x 64 shades.
    - ``colour``: 8 x 8 pixels, two chroma values each; empty where only grey is known.
    - ``alpha``: the opacity of the 64 x 64 pixels; empty if all are opaque.
    - ``inner``: 64 x 64 shades of the picture without its uniform borders; empty if it has none.
    """

    grey: bytes
    colour: bytes
    alpha: bytes = b""
    inner: bytes = b""


@dataclass(frozen=True, slots=True)
class Features:
    """What one picture looks like, and what is known about its file.

    - ``width``, ``height``: of the upright picture, in pixels.
    - ``digest``: 16 bytes, equal for pictures with the same 64 x 64 pixels and opacity in all
      frames. Of a file that was not decoded completely, it depends on every byte.
    - ``quality``: how much detail the picture has, from 0 to 100.
    - ``codes``: eight codes of 32 bytes each, in the order of ``pdq.FORMS``; empty if the picture
      has almost no details.
    - ``trimmed``: the same for the picture without its uniform borders; empty if it has none.
    - ``thumbnail``: ``None`` if an older version described the picture.
    - ``frames``: the number of frames or pages. If there are several, quality, codes and thumbnail
      are those of one sheet that shows them.
    - ``evidence``: ``None`` if an older version described the picture.
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
