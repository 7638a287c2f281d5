"""Reading an image that somebody wants to send: once, whole, and hashed on the way.

The bytes go into a file in memory that nothing can change any more. So what a decoder looks at is
exactly what was hashed, whatever happens to the file on disk meanwhile.
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

from snoopsync.core.errors import Refused
from snoopsync.core.protocol import ImageSource

#: A larger file is no picture that anybody wants decoded, and would fill the memory.
MAX_BYTES = 512 * 1024 * 1024

_CHUNK_BYTES = 1024 * 1024

_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@dataclass(frozen=True, slots=True)
class PictureFile:
    """The bytes of an image, in a file that nothing changes. Close it, or use it in a ``with``."""

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


def _read(file: BinaryIO) -> PictureFile:
    descriptor = os.memfd_create("picture", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    copy = os.fdopen(descriptor, "wb+")
    try:
        digest, size_bytes = hashlib.sha256(), 0
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            size_bytes += copy.write(chunk)
            if size_bytes > MAX_BYTES:
                raise Refused(f"larger than {MAX_BYTES // 2**20} MiB", status=413)
        if not size_bytes:
            raise Refused("empty", status=400)
        copy.seek(0)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        copy.close()
        raise
    return PictureFile(copy, size_bytes, digest.digest())
