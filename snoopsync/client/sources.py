"""Reads the bytes of an image to send. The service gets either the complete image or no complete
body."""

from __future__ import annotations

import io
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from snoopsync.core.errors import FileChanged
from snoopsync.core.protocol import ImageSource

#: How many bytes are read and sent at a time.
PIECE_BYTES = 64 * 1024

#: A larger copy of a stream that can't seek is written to a temporary file on disk.
_SPOOL_BYTES = 8 * 1024 * 1024


@contextmanager
def open_image(image: ImageSource) -> Iterator[BinaryIO]:
    """Open the image as a binary file that can seek.

    A path is opened, and closed at the end. Bytes are the image itself. A file is used from its
    current position, and stays open. A file that can't seek (a pipe, a socket) is copied to a
    temporary file first. Raises the file system's ``OSError``.
    """
    if isinstance(image, bytes):
        yield io.BytesIO(image)
    elif isinstance(image, str | os.PathLike):
        with Path(image).open("rb") as file:
            yield file
    elif image.seekable():
        yield image
    else:
        with tempfile.SpooledTemporaryFile(_SPOOL_BYTES) as copy:
            shutil.copyfileobj(image, copy)
            copy.seek(0)
            yield cast(BinaryIO, copy)


@contextmanager
def rewindable(image: ImageSource) -> Iterator[Callable[[], ImageSource]]:
    """Yield a function that returns the image to send, each time it is called.

    A path or bytes are returned unchanged, and the sender opens them again. A file is rewound to
    its first position.
    """
    if isinstance(image, str | bytes | os.PathLike):
        yield lambda: image
        return
    with open_image(image) as file:
        start = file.tell()

        def rewound() -> ImageSource:
            file.seek(start)
            return file

        yield rewound


class SourceError(Exception):
    """Carries an error of the image's file through the HTTP library, which would mistake an
    ``OSError`` for an error of the connection."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(str(error))


class RequestBody:
    """The bytes of an open file, from its position to its end, to be sent once.

    ``length`` is announced before the bytes are sent. The last piece is sent only after the file
    has ended at that length. This way, the service never gets a complete body if reading the file
    fails, even at its end.
    """

    def __init__(
        self, file: BinaryIO, on_sent: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        """``on_sent`` is called with the number of bytes of each piece that is sent."""
        self._file = file
        self._on_sent = on_sent
        start = file.tell()
        self.length = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        self._left = self.length
        # The file is read one piece ahead, so that the last piece can be held back.
        self._next = self._read()

    def __iter__(self) -> Iterator[bytes]:
        """Yield the pieces. Raises ``SourceError`` with what the file's ``read`` raised, or with a
        ``FileChanged``."""
        while piece := self._next:
            try:
                self._next = self._read()
            except Exception as error:
                raise SourceError(error) from None
            self._on_sent(len(piece))
            yield piece

    def _read(self) -> bytes:
        piece = self._file.read(PIECE_BYTES)
        self._left -= len(piece)
        if self._left < 0 or (self._left and not piece):
            name = getattr(self._file, "name", None) or "the image"
            raise FileChanged(f"{name} changed its size while it was read, so it is not sent")
        return piece
