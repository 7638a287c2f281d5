"""Keeps what was made from pictures on disk, by the content of the pictures and within a limit."""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from pathlib import Path

from snoopsync.runtime.owned_directory import own_directory

#: The files are spread over this many directories by the first byte of their SHA-256, and the
#: limit applies to each directory. So a call looks at a few files, however many there are.
_DIRECTORIES = 256


class ContentCache:
    """The files of one user. Safe for several threads and processes."""

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        """``directory`` is created for this user alone. Raises ``StateError`` if it can't be, or if
        others can write to it."""
        self._directory = own_directory(directory)
        self._limit_bytes = limit_bytes

    def get(self, sha256: bytes, what: str) -> bytes | None:
        """What was kept for a picture with this SHA-256, under the name ``what``."""
        path = self._path(sha256, what)
        try:
            content = path.read_bytes()
            os.utime(path)  # the least recently used ones are removed first
        except OSError:
            return None
        return content

    def put(self, sha256: bytes, what: str, content: bytes) -> None:
        """Keep this. If it cannot be kept, it is made again the next time."""
        with suppress(OSError):
            self._write(self._path(sha256, what), content)

    def _path(self, sha256: bytes, what: str) -> Path:
        return self._directory / sha256[:1].hex() / f"{sha256.hex()}-{what}"

    def _write(self, path: Path, content: bytes) -> None:
        path.parent.mkdir(mode=0o700, exist_ok=True)
        new = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(content)
            new.rename(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
        _remove_oldest(path.parent, self._limit_bytes // _DIRECTORIES)


def _remove_oldest(directory: Path, limit_bytes: int) -> None:
    """Remove the least recently used files until the rest has at most ``limit_bytes``. Files that a
    killed process left behind count as well."""
    files = []
    with os.scandir(directory) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # another process removed it
                status = entry.stat(follow_symlinks=False)
                files.append((status.st_mtime_ns, status.st_size, entry.path))
    surplus = sum(size for _, size, _ in files) - limit_bytes
    for _, size, path in sorted(files):
        if surplus <= 0:
            break
        Path(path).unlink(missing_ok=True)
        surplus -= size
