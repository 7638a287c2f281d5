"""Where an image's bytes come from, and how they go out: whole, or not at all."""

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

#: Bytes that are read and sent at a time.
PIECE_BYTES = 64 * 1024

#: Up to this size, a copy of a stream that can't be rewound is kept in memory.
_SPOOL_BYTES = 8 * 1024 * 1024


@contextmanager
def opened(image: ImageSource) -> Iterator[BinaryIO]:
    """The image as a binary file that can seek.

    A path is opened, and closed at the end. Bytes are the image themselves. A file is passed on as
    it stands, and left open; if it can't seek (a pipe, a socket), it is copied to a temporary file
    first. Raises ``OSError`` as the file system does.
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
def repeatable(image: ImageSource) -> Iterator[Callable[[], ImageSource]]:
    """A function that gives the image to send, as often as it is called.

    A path and bytes stay what they are, and whoever sends them opens them again; a file is put back
    to where it stood.
    """
    if isinstance(image, str | bytes | os.PathLike):
        yield lambda: image
        return
    with opened(image) as file:
        start = file.tell()

        def rewound() -> ImageSource:
            file.seek(start)
            return file

        yield rewound


class SourceFailed(Exception):
    """Carries an error of the image's file through an HTTP library, which would take some of them
    (an ``OSError``) for errors of the connection."""

    def __init__(self, error: Exception) -> None:
        self.error = error
        super().__init__(str(error))


class Body:
    """The bytes of an open file, from where it stands to its end, to be sent once.

    ``length`` is announced before they are sent. The last piece goes out only when the file has
    said that nothing follows, and only if the length was right: whatever goes wrong while reading,
    even at the end of the file, the other side never has a whole body.
    """

    def __init__(
        self, file: BinaryIO, on_sent: Callable[[int], None] = lambda _bytes: None
    ) -> None:
        """``on_sent`` is told of each piece's bytes when it is given out."""
        self._file = file
        self._on_sent = on_sent
        start = file.tell()
        self.length = file.seek(0, os.SEEK_END) - start
        file.seek(start)
        self._left = self.length
        # Read ahead of the connection: an empty body has no last piece to hold back.
        self._next = self._read()

    def __iter__(self) -> Iterator[bytes]:
        """The pieces. Raises ``SourceFailed``, with what the file's ``read`` raised or with a
        ``FileChanged``."""
        while piece := self._next:
            try:
                self._next = self._read()
            except Exception as error:
                raise SourceFailed(error) from None
            self._on_sent(len(piece))
            yield piece

    def _read(self) -> bytes:
        piece = self._file.read(PIECE_BYTES)
        self._left -= len(piece)
        if self._left < 0 or (self._left and not piece):
            name = getattr(self._file, "name", None) or "the image"
            raise FileChanged(f"{name} changed its size while it was read: it is not sent")
        return piece
