"""Small versions of pictures, kept on disk by content; and pictures that no browser shows.

Sandboxed processes decode the pictures, and this process encodes the pixels that they return.
"""

from __future__ import annotations

import io
import os
import threading
from contextlib import closing, suppress
from pathlib import Path

from PIL import Image

from snoopsync.core.errors import PictureRefused, Refused, Unavailable
from snoopsync.decoding.decoders import Renderers
from snoopsync.decoding.layout import Rendering
from snoopsync.decoding.source import PictureFile, read_picture
from snoopsync.review.pictures import KnownPicture, open_known
from snoopsync.runtime.owned_directory import own_directory

#: The most pixels along each side of a thumbnail.
SIDE = 400

#: The files are spread over this many directories by the first byte of their SHA-256, and the
#: limit applies to each directory. So a call looks at a few files, however many there are.
_DIRECTORIES = 256

_THUMBNAIL_QUALITY, _FULL_QUALITY = 85, 95


class Thumbnails:
    """The thumbnails of one user. Safe for several threads and processes."""

    def __init__(self, directory: Path, limit_bytes: int, renderers: Renderers) -> None:
        """``directory`` is created for this user alone. Raises ``StateError`` if it can't be, or if
        others can write to it."""
        self._directory = own_directory(directory)
        self._limit_bytes = limit_bytes
        self._renderers = renderers
        # A picture in full takes hundreds of megabytes while it is encoded.
        self._in_full = threading.Lock()

    def get(self, picture: KnownPicture) -> bytes:
        """The thumbnail of these bytes, a JPEG or a WebP. Raises ``PictureRefused`` if the file has
        other bytes now, and as ``open_known``."""
        kept = self._kept(picture.sha256) if picture.sha256 else None
        if kept is not None:
            return kept
        with _read(picture) as content:
            thumbnail = _encoded(_rendered(self._renderers, content, SIDE), _THUMBNAIL_QUALITY)
            with suppress(OSError):  # without it, the thumbnail is made again the next time
                self._keep(content.sha256, thumbnail)
        return thumbnail

    def full_size(self, picture: KnownPicture) -> bytes:
        """The picture in full as a JPEG or a WebP, which every browser shows. Raises as ``get``."""
        with self._in_full, _read(picture) as content:
            return _encoded(_rendered(self._renderers, content, 0), _FULL_QUALITY)

    def _path(self, sha256: bytes) -> Path:
        return self._directory / sha256[:1].hex() / f"{sha256.hex()}-{SIDE}"

    def _kept(self, sha256: bytes) -> bytes | None:
        path = self._path(sha256)
        try:
            thumbnail = path.read_bytes()
            os.utime(path)  # the least recently used ones are removed first
        except OSError:
            return None
        return thumbnail

    def _keep(self, sha256: bytes, thumbnail: bytes) -> None:
        path = self._path(sha256)
        path.parent.mkdir(mode=0o700, exist_ok=True)
        new = path.with_name(f".{path.name}-{os.getpid()}-{threading.get_ident()}")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
                file.write(thumbnail)
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


def _read(picture: KnownPicture) -> PictureFile:
    """The bytes of the file, which are those that were compared. Without a known SHA-256, the
    fingerprint has to be the known one."""
    opened = open_known(picture, unchanged=not picture.sha256)
    with closing(opened.file):
        try:
            content = read_picture(opened.file)
        except Refused as refusal:
            raise PictureRefused(refusal.message) from None
        except OSError as error:
            raise PictureRefused(f"the file cannot be read: {error.strerror}") from None
    if picture.sha256 and content.sha256 != picture.sha256:
        content.close()
        raise PictureRefused("the file has changed since it was compared")
    return content


def _rendered(renderers: Renderers, content: PictureFile, side: int) -> Rendering:
    try:
        return renderers.render(content, side)
    except (Refused, Unavailable) as error:
        raise PictureRefused(error.message) from None


def _encoded(rendering: Rendering, quality: int) -> bytes:
    image = Image.frombytes(rendering.mode, (rendering.width, rendering.height), rendering.pixels)
    file = io.BytesIO()
    # Both formats take milliseconds; only WebP has transparency, and only JPEG is fast in full.
    image.save(file, "WEBP" if rendering.has_alpha else "JPEG", quality=quality)
    return file.getvalue()
