"""Reading an image that somebody wants to send: once, whole, and hashed on the way."""

from __future__ import annotations

import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from snoopsync.errors import Refused
from snoopsync.protocol import ImageSource

#: A larger file is no picture that anybody wants decoded, and would fill the memory.
MAX_BYTES = 512 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Body:
    """The bytes of an image: ``content`` stands at their start and is their only copy."""

    content: io.BytesIO
    size_bytes: int
    sha256: bytes


def read_body(image: ImageSource) -> Body:
    """All bytes of the image: of the file at this path, of this file from where it stands to its
    end, or these bytes.

    Raises ``Refused`` if there are none (400) or far too many (413). What the file itself raises
    while it is read comes through as it is.
    """
    if isinstance(image, bytes):
        return _read(io.BytesIO(image))
    if isinstance(image, str | os.PathLike):
        with Path(image).open("rb") as file:
            return _read(file)
    return _read(image)


def _read(file: BinaryIO) -> Body:
    content, digest = io.BytesIO(), hashlib.sha256()
    while chunk := file.read(_CHUNK_BYTES):
        digest.update(chunk)
        content.write(chunk)
        if content.tell() > MAX_BYTES:
            raise Refused(f"larger than {MAX_BYTES // 2**20} MiB", status=413)
    size_bytes = content.tell()
    if not size_bytes:
        raise Refused("empty", status=400)
    content.seek(0)
    return Body(content, size_bytes, digest.digest())
