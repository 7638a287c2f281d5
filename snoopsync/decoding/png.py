"""Removes the metadata of a PNG before it is decoded.

Pillow reads all chunks of a file, and refuses the picture if a text or a colour profile is larger
than 1 MB or has a wrong checksum, although these do not change a pixel. The PNG specification (W3C,
third edition) describes the chunks.
"""

from __future__ import annotations

import io
import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"

#: The chunks that pixels are made from. Pillow checks their checksums, so it still finds damage.
_PIXELS = frozenset({b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND", b"acTL", b"fcTL", b"fdAT"})

#: A larger EXIF block is removed. Only its orientation is needed, which takes a few bytes.
_MAX_EXIF_BYTES = 1024 * 1024


def without_metadata(content: io.BytesIO) -> io.BytesIO:
    """A copy of the PNG, at its start, with only its pixels and its EXIF block. Returns ``content``
    itself if it has nothing else.

    The bytes after the last complete chunk are kept, so a truncated file stays truncated.
    """
    data = memoryview(content.getvalue())  # ``getbuffer`` would copy the bytes
    kept: list[tuple[int, int]] = []
    is_all, at, size = True, len(SIGNATURE), len(data)
    while at + 12 <= size:
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > size or (name not in _PIXELS and not name.isalpha()):
            break
        if name in _PIXELS or (name == b"eXIf" and _is_valid(data[at:end])):
            kept.append((at, end))
        else:
            is_all = False
        at = end
        if name == b"IEND":
            break
    if is_all:
        return content
    parts = [data[:8], *(data[start:end] for start, end in kept), data[at:]]
    return io.BytesIO(b"".join(parts))


def _is_valid(chunk: memoryview) -> bool:
    (check,) = struct.unpack(">I", chunk[-4:])
    return len(chunk) <= _MAX_EXIF_BYTES and zlib.crc32(chunk[4:-4]) == check
