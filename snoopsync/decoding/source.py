"""Reads an image once and completely into sealed memory, and hashes it.

After that, nothing can change the bytes. A decoder reads exactly the bytes that were hashed,
whatever happens to the file on disk.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from snoopsync.core.errors import Undecodable
from snoopsync.core.protocol import ImageSource

#: The largest file that is read. A larger file is unlikely to be a picture, and would fill the
#: memory.
MAX_BYTES = 512 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class PictureFile:
    """The bytes of an image in sealed memory. Close it, or use it in a ``with`` statement."""

    file: BinaryIO
    size_bytes: int
    sha256: bytes

    def close(self) -> None:
        """Free the memory."""
        self.file.close()

    def __enter__(self) -> PictureFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def read_picture(image: ImageSource) -> PictureFile:
    """Read all bytes of the image: the file at a path, a file object from its position to its end,
    or the bytes themselves.

    Raises ``Refused`` if the image is empty (400) or too large (413), and the errors of reading the
    file.
    """
    if isinstance(image, bytes):
        return _read(io.BytesIO(image))
    if isinstance(image, str | os.PathLike):
        with Path(image).open("rb") as file:
            return _read(file)
    return _read(image)


def _read(file: BinaryIO) -> PictureFile:
    descriptor = os.memfd_create("picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    copy = os.fdopen(descriptor, "wb+")
    try:
        digest, size_bytes = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += copy.write(chunk)
            if size_bytes > MAX_BYTES:
                raise Undecodable(f"the file is larger than {MAX_BYTES // 2**20} MiB", status=413)
        if not size_bytes:
            raise Undecodable("the file is empty", status=400)
        copy.seek(0)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        copy.close()
        raise
    return PictureFile(copy, size_bytes, digest.digest())
