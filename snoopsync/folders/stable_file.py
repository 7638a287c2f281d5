"""A file that must not change while it is read.

If the file changes, reading raises ``FileChanged`` before the last bytes, so nobody gets the whole
file. ``snoopsync.sync.transfer`` then reports ``FileDiffers``, and the sender puts the path into
the inbox.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
from collections.abc import Callable
from stat import S_ISREG
from types import TracebackType
from typing import BinaryIO

from snoopsync.core.errors import FileChanged
from snoopsync.core.model import Fingerprint, printable
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder

_BLOCK_BYTES = 1 << 20


class StableFile(io.BufferedIOBase, BinaryIO):
    """A binary file that must not change while it is read.

    If the file changes after it is opened, ``read`` raises ``FileChanged`` instead of returning the
    last bytes, so that a receiver never gets the complete body of a changed file. ``sha256`` is set
    when the whole file has been read.
    """

    def __init__(
        self,
        disk: Disk,
        folder: bytes,
        path: bytes,
        on_read: Callable[[int], None] = lambda _bytes: None,
    ) -> None:
        """``path`` is below the directory at ``folder``. ``on_read`` is called with the number of
        bytes of each read. Raises ``OSError``."""
        self._disk = disk
        self._folder = folder
        self._path = path
        self._on_read = on_read
        with disk.open_folder(folder) as root:
            self._absolute = root.absolute(path)
            self._file = self._open(root)
        stat = os.fstat(self._file.fileno())
        self.fingerprint = Fingerprint.of(stat)
        self.sha256: bytes | None = None
        self._hash = hashlib.sha256()
        self._hashed_bytes = 0
        if not S_ISREG(stat.st_mode):
            self.close()
            raise self._not_regular()

    def _open(self, root: OpenFolder) -> BinaryIO:
        try:
            return self._disk.open(root, self._path)
        except OSError as error:
            # The path is a symbolic link or a socket.
            if error.errno in (errno.ELOOP, errno.ENXIO):
                raise self._not_regular() from None
            raise

    def _not_regular(self) -> FileChanged:
        return FileChanged(f"{printable(self._absolute)} is no longer a regular file")

    @property
    def size(self) -> int:
        """Size in bytes when the file was opened."""
        return self.fingerprint.size

    def hash_all(self) -> bytes:
        """Read from the start to the end. Returns the SHA-256. Raises ``FileChanged``."""
        self.seek(0)
        while self.sha256 is None:
            self.read(_BLOCK_BYTES)
        return self.sha256

    def read(self, size: int | None = -1, /) -> bytes:
        """Read at most ``size`` bytes. Raises ``FileChanged`` instead of returning the last bytes
        of a file that changed since it was opened."""
        wanted = -1 if size is None else size
        start = self._file.tell()
        data = self._file.read(wanted)
        self._on_read(len(data))
        end = start + len(data)
        if start == self._hashed_bytes:
            self._hash.update(data)
            self._hashed_bytes = end
        is_at_end = wanted < 0 or len(data) < wanted
        if is_at_end or end >= self.size:
            self._check(end)
        return data

    def _check(self, end: int) -> None:
        try:
            # The folder is not kept open between reads, because an upload may take long.
            with self._disk.open_folder(self._folder) as root:
                at_path = Fingerprint.of(self._disk.lstat(root, self._path))
            opened = Fingerprint.of(os.fstat(self._file.fileno()))
        except OSError as error:
            raise FileChanged(
                f"{printable(self._absolute)}: {error.strerror} while it was read"
            ) from None
        if end != self.size or not self.fingerprint == at_path == opened:
            raise FileChanged(f"{printable(self._absolute)} changed while it was read")
        if self._hashed_bytes == self.size:
            self.sha256 = self._hash.digest()

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position, as in any file. After a move to the start, reading computes the hash
        again."""
        position = self._file.seek(offset, whence)
        if position == 0 and self._hashed_bytes:
            self._hash = hashlib.sha256()
            self._hashed_bytes = 0
            self.sha256 = None
        return position

    def tell(self) -> int:
        """The position of the next byte."""
        return self._file.tell()

    def fileno(self) -> int:
        """The descriptor."""
        return self._file.fileno()

    def readable(self) -> bool:
        """Return ``True``."""
        return True

    def seekable(self) -> bool:
        """Return ``True``."""
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()

    def __enter__(self) -> StableFile:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
