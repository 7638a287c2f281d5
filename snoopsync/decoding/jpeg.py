"""Reads the structure of a JPEG before it is decoded: how much work decoding takes, and whether the
file is complete.

The markers are described in ITU-T T.81, annex B.
"""

from __future__ import annotations

import io
import re
import struct
from dataclasses import dataclass
from typing import NamedTuple

_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SEQUENTIAL = frozenset({0xC0, 0xC1})
_SOS, _EOI, _DRI, _FRAME = 0xDA, 0xD9, 0xDD, 0xC0
_BLOCK = 8
_ALONE = frozenset({0x01, *range(0xD0, 0xD9)})

#: The next marker after compressed data. Within the data, 0 or RST0 to RST7 follows each 0xFF.
_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")

#: Counting stops at this number of scans, which no encoder writes.
MAX_SCANS = 100

#: Two different paddings for a file without an end marker. If the decoder reads any of the padding,
#: the two results differ.
PADDINGS = (b"\x00" * 256, b"\xa5\x3c\x5a\xc3\x96\x69\x78\x87" * 32)
END = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class JpegStructure:
    """How a JPEG file is built.

    - ``width``, ``height``: in pixels.
    - ``scans``: the number of scans, which the decoder processes one by one; at most ``MAX_SCANS``
      + 1.
    - ``has_end``: whether the file has an end marker.
    - ``is_too_short``: whether the compressed data is too short for the number of pixels.
    """

    width: int
    height: int
    scans: int
    has_end: bool
    is_too_short: bool


def structure_of(content: io.BytesIO) -> JpegStructure | None:
    """The structure of this JPEG; ``None`` if its headers cannot be followed."""
    data = content.getvalue()
    headers: dict[int, bytes] = {}
    at, scans, compressed, has_end, last = 2, 0, 0, False, b""
    while at + 2 <= len(data) and scans <= MAX_SCANS:
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == _EOI:
            has_end = True
            break
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if at + 4 > len(data):
            break
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4])
        if marker in _SOF or marker == _DRI:
            headers[_DRI if marker == _DRI else _FRAME] = data[at:end]
        at = end
        if marker == _SOS:
            scans += 1
            found = _MARKER.search(data, at)
            end = len(data) if found is None else found.start()
            compressed += max(0, end - at)
            last, at = data[at:end] if found is None else b"", end
    frame = _frame_of(headers.get(_FRAME, b""))
    if not scans or frame is None:
        return None
    is_too_short = frame.is_sequential and 8 * compressed < frame.least_bits
    if not has_end and scans == 1:
        is_too_short |= _lacks_restarts(frame, headers.get(_DRI, b""), last)
    return JpegStructure(frame.width, frame.height, scans, has_end, is_too_short)


class _FrameHeader(NamedTuple):
    """The header of a frame. ``units``: the number of minimum coded units in a scan."""

    is_sequential: bool
    width: int
    height: int
    units: int

    @property
    def least_bits(self) -> int:
        """The smallest size in bits of a sequential frame with Huffman codes: each block takes two
        codes of at least one bit. Arithmetic codes and progressive scans can take less."""
        return 2 * _count(self.width, _BLOCK) * _count(self.height, _BLOCK)


def _frame_of(segment: bytes) -> _FrameHeader | None:
    if len(segment) < 10:
        return None
    height, width, channels = struct.unpack_from(">HHB", segment, 5)
    sampling = [segment[at] for at in range(11, min(len(segment), 10 + 3 * channels), 3)]
    across, down = (
        (1, 1) if channels == 1 else (max(p // 16 for p in sampling), max(p % 16 for p in sampling))
    )
    units = _count(width, _BLOCK * max(1, across)) * _count(height, _BLOCK * max(1, down))
    return _FrameHeader(segment[1] in _SEQUENTIAL, width, height, units)


def _count(length: int, part: int) -> int:
    return -(-length // part)


def _lacks_restarts(frame: _FrameHeader, segment: bytes, compressed: bytes) -> bool:
    """Whether the data has fewer restart markers than the picture needs."""
    interval = int.from_bytes(segment[4:6])
    return bool(interval) and len(_RESTART.findall(compressed)) < _count(frame.units, interval) - 1


def without_end(content: io.BytesIO) -> bytes:
    """The bytes of a JPEG without an end marker, and without the fill bytes at its end."""
    data = content.getvalue()
    stripped = data.rstrip(b"\x00\xff")
    filling = data[len(stripped) : len(stripped) + 2]
    # The last byte of the compressed data may be 0, or 0xFF, which is written as 0xFF 0x00.
    return stripped + (filling if filling == b"\xff\x00" else filling[:1].strip(b"\xff"))
