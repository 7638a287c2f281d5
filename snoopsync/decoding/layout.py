"""The answers of decoders as bytes: a picture's features, its pixels, or why it is refused.

A decoder has read untrusted bytes, so its answer is not trusted either: lengths are fixed, every
number is checked, and nothing in the answer is executed. All numbers are little-endian.

=========  =====================================================================
``F``      features: ``_HEAD``, then the thumbnail's ``grey`` and ``colour``, and the
           parts whose lengths are in the head
``P``      pixels: ``_SIZE``, then the pixels of a ``Rendering``
``M``      metadata: ``_METADATA``, the text padded with zeros
``S``      a shot: see ``shots``
``R``      a refusal: the HTTP status (2 bytes), then the reason in UTF-8
=========  =====================================================================

An answer does not contain the size and the SHA-256 of the file, because the caller knows them.
"""

from __future__ import annotations

import struct
from datetime import datetime
from typing import NamedTuple

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.features import (
    CODE_BYTES,
    COLOUR_SIDE,
    FORM_COUNT,
    MAX_REGIONS,
    REGION_BYTES,
    SIDE,
    Features,
    Thumbnail,
)
from snoopsync.decoding.formats import KINDS

_FEATURES, _PIXELS, _METADATA_TAG, _REFUSAL = b"F", b"P", b"M", b"R"

#: The most pixels of a picture in full, and along each side of it (WebP has no more): a larger one
#: is shrunk until it fits.
MAX_RENDERED_PIXELS = 50_000_000
MAX_RENDERED_SIDE = 16_383

#: A question for pixels: the most pixels along each side, 0 for the picture in full.
QUESTION = struct.Struct("<I")

#: The question for metadata.
METADATA_QUESTION = b"M"

#: Format, time and camera of ``Metadata``.
_METADATA = struct.Struct("<8s19s100s")

#: Width and height, and 1 if the pixels have an opacity, else 0.
_SIZE = struct.Struct("<IIB")

#: Format, width, height, frames, quality, flags of the evidence, JPEG quality (0: none), digest,
#: and the lengths of codes, trimmed, alpha, inner and regions.
_HEAD = struct.Struct("<8sIIIBBB16sHHHHH")
_STATUS = struct.Struct("<H")

_GREY_BYTES = SIDE * SIDE
_COLOUR_BYTES = 2 * COLOUR_SIDE * COLOUR_SIDE

_MOST_REASON_BYTES = 2000


#: The statuses that a refusal may have.
_STATUSES = frozenset({400, 413, 415})

#: The fields of ``FileEvidence`` that are flags. Each takes one bit.
_FLAGS = ("camera", "lossless", "palette", "resaved")


class InvalidAnswer(Exception):
    """The bytes that a decoder sent are not a valid answer."""


class Metadata(NamedTuple):
    """What a picture's file says about itself: its format; when the picture was taken, in ISO 8601
    without a zone; and the camera. Empty where the file does not say it."""

    kind: str
    taken_at: str
    camera: str


class Rendering(NamedTuple):
    """A picture as pixels, line by line: a byte for each of red, green and blue, and with
    ``has_alpha`` one for the opacity."""

    width: int
    height: int
    has_alpha: bool
    pixels: bytes | memoryview

    @property
    def mode(self) -> str:
        """Pillow's name for this kind of pixels."""
        return "RGBA" if self.has_alpha else "RGB"


def pack(features: Features) -> bytes:
    """The answer for a decoded picture, whose features must be complete."""
    thumbnail, evidence = features.thumbnail, features.evidence
    assert thumbnail is not None and evidence is not None
    parts = (
        *(features.codes, features.trimmed),
        *(thumbnail.alpha, thumbnail.inner, features.regions),
    )
    head = _HEAD.pack(
        features.kind.encode("ascii"),
        features.width,
        features.height,
        features.frames,
        features.quality,
        sum(getattr(evidence, name) << bit for bit, name in enumerate(_FLAGS)),
        evidence.jpeg_quality or 0,
        features.digest,
        *map(len, parts),
    )
    return b"".join((_FEATURES, head, thumbnail.grey, thumbnail.colour, *parts))


def pack_refusal(refusal: Refused) -> bytes:
    """The answer for a refused picture."""
    reason = refusal.message.encode("utf-8", "replace")[:_MOST_REASON_BYTES]
    return _REFUSAL + _STATUS.pack(refusal.status or 415) + reason


def unpack(answer: bytes, sha256: bytes, size_bytes: int) -> Features:
    """The features in this answer about a file with this SHA-256 and size. Raises ``Refused`` if
    the answer is a refusal, and ``InvalidAnswer`` if it is not valid."""
    tag, body = answer[:1], answer[1:]
    try:
        if tag == _REFUSAL:
            raise _refusal(body)
        if tag == _FEATURES:
            return _features(body, sha256, size_bytes)
    except (struct.error, UnicodeDecodeError, ValueError):
        pass
    raise InvalidAnswer


def pack_rendering(rendering: Rendering) -> bytes:
    """The answer for a rendered picture."""
    size = _SIZE.pack(rendering.width, rendering.height, rendering.has_alpha)
    return b"".join((_PIXELS, size, rendering.pixels))


def most_pixels(side: int) -> int:
    """The most pixels of a picture with at most ``side`` along each side, 0 for one in full."""
    return side * side or MAX_RENDERED_PIXELS


def most_rendering_bytes(side: int) -> int:
    """The length of the longest answer to the question for these pixels."""
    return max(1 + _SIZE.size + 4 * most_pixels(side), 1 + _STATUS.size + _MOST_REASON_BYTES)


def unpack_rendering(answer: bytes, side: int) -> Rendering:
    """The pixels in this answer to the question for at most ``side`` pixels along each side. Raises
    ``Refused`` and ``InvalidAnswer`` as ``unpack`` does."""
    tag = answer[:1]
    try:
        if tag == _REFUSAL:
            raise _refusal(answer[1:])
        if tag == _PIXELS:
            width, height, has_alpha = _SIZE.unpack_from(answer, 1)
            pixels = memoryview(answer)[1 + _SIZE.size :]  # no copy of many megabytes
            is_sound = (
                min(width, height) >= 1
                and max(width, height) <= (side or MAX_RENDERED_SIDE)
                and width * height <= most_pixels(side)
                and has_alpha in (0, 1)
                and len(pixels) == width * height * (3 + has_alpha)
            )
            if is_sound:
                return Rendering(width, height, bool(has_alpha), pixels)
    except (struct.error, UnicodeDecodeError, ValueError):
        pass
    raise InvalidAnswer


def pack_metadata(metadata: Metadata) -> bytes:
    """The answer to the question for metadata."""
    return _METADATA_TAG + _METADATA.pack(*(text.encode("utf-8", "replace") for text in metadata))


def unpack_metadata(answer: bytes) -> Metadata:
    """The metadata in this answer. Raises ``Refused`` and ``InvalidAnswer`` as ``unpack`` does."""
    tag, body = answer[:1], answer[1:]
    try:
        if tag == _REFUSAL:
            raise _refusal(body)
        if tag == _METADATA_TAG:
            kind, taken_at, camera = (
                part.rstrip(b"\0").decode("utf-8", "ignore") for part in _METADATA.unpack(body)
            )
            if kind in KINDS:
                if taken_at:
                    datetime.fromisoformat(taken_at)
                return Metadata(kind, taken_at, _printable(camera))
    except (struct.error, ValueError):
        pass
    raise InvalidAnswer


def refusal_in(answer: bytes) -> Refused | None:
    """The refusal in this answer, if it is one. Raises ``InvalidAnswer``."""
    try:
        return _refusal(answer[1:]) if answer[:1] == _REFUSAL else None
    except struct.error:
        raise InvalidAnswer from None


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


def _refusal(body: bytes) -> Refused:
    (status,) = _STATUS.unpack_from(body)
    reason = body[_STATUS.size : _STATUS.size + _MOST_REASON_BYTES].decode("utf-8", "replace")
    return Undecodable(_printable(reason), status=status if status in _STATUSES else 415)


def _features(body: bytes, sha256: bytes, size_bytes: int) -> Features:
    (kind_bytes, width, height, frames, quality, flags, jpeg_quality, digest, *lengths) = (
        _HEAD.unpack_from(body)
    )
    kind = kind_bytes.rstrip(b"\0").decode("ascii")
    at, parts = _HEAD.size, []
    for length in (_GREY_BYTES, _COLOUR_BYTES, *lengths):
        parts.append(body[at : at + length])
        at += length
    grey, colour, codes, trimmed, alpha, inner, regions = parts
    is_valid = (
        at == len(body)
        and kind in KINDS
        and min(width, height, frames) >= 1
        and max(quality, jpeg_quality) <= 100
        and flags < 1 << len(_FLAGS)
        and {len(codes), len(trimmed)} <= {0, FORM_COUNT * CODE_BYTES}
        and {len(alpha), len(inner)} <= {0, _GREY_BYTES}
        and len(regions) in range(0, MAX_REGIONS * REGION_BYTES + 1, REGION_BYTES)
    )
    if not is_valid:
        raise ValueError("invalid features")
    evidence = FileEvidence(
        **{name: bool(flags >> bit & 1) for bit, name in enumerate(_FLAGS)},
        jpeg_quality=jpeg_quality or None,
    )
    return Features(
        sha256=sha256,
        size_bytes=size_bytes,
        kind=kind,
        width=width,
        height=height,
        digest=digest,
        quality=quality,
        codes=codes,
        trimmed=trimmed,
        thumbnail=Thumbnail(grey, colour, alpha, inner),
        frames=frames,
        evidence=evidence,
        regions=regions,
    )
