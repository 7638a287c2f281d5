"""Opens the pictures that the state file knows, and nothing else.

A picture is named by its record, never by a path from a request. Somebody who can write to the
folder may swap a file or a directory for a symbolic link, a FIFO or a page of HTML at any moment.
So no link is followed below the folder, and the first bytes decide which media type is served.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from stat import S_ISREG
from typing import BinaryIO

from snoopsync.core.errors import FolderMissing, PictureRefused
from snoopsync.core.identity import Identity, IdentityVerdict, decide
from snoopsync.core.model import Fingerprint
from snoopsync.core.selection import Selection
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from snoopsync.folders.open_folder import OpenFolder

#: The media types that every browser shows.
SHOWN_BY_BROWSERS = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"})

#: How many bytes at the start of a file tell its media type.
_MAGIC_BYTES = 64

_AVIF_BRANDS = frozenset({b"avif", b"avis"})
_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
#: Brands of both formats: a further brand tells which one it is.
_SHARED_BRANDS = frozenset({b"mif1", b"msf1"})

_RAW_BRAND = b"crx "
_RAW = "image/x-raw"

#: The first bytes of the formats that have a fixed beginning. Most RAW files begin as a TIFF.
_SIGNATURES: tuple[tuple[bytes | tuple[bytes, ...], str], ...] = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    ((b"GIF87a", b"GIF89a"), "image/gif"),
    ((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "image/tiff"),
    (b"BM", "image/bmp"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    ((b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n"), "image/jxl"),
    ((b"IIRO", b"IIRS", b"MMOR", b"IIU\0", b"FUJIFILMCCD-RAW"), _RAW),
)


@dataclass(frozen=True, slots=True)
class KnownPicture:
    """A picture on this machine as the state file knows it.

    ``root`` is the folder's own path, and ``identity`` the directory that the folder is known to
    be; ``None`` if it was never present. ``path`` is below the folder. ``sha256`` is of the bytes
    that were compared; ``None`` if they are unknown."""

    image_id: str
    root: bytes
    identity: Identity | None
    path: bytes
    fingerprint: Fingerprint
    sha256: bytes | None


@dataclass(frozen=True, slots=True)
class OpenPicture:
    """An opened picture: a regular file that is read from its start. Close ``file``."""

    file: BinaryIO
    fingerprint: Fingerprint
    media_type: str

    @property
    def size_bytes(self) -> int:
        """Size in bytes when the file was opened."""
        return self.fingerprint.size


def open_known(picture: KnownPicture, *, unchanged: bool = True) -> OpenPicture:
    """Open this picture. With ``unchanged``, its fingerprint must be the known one.

    Raises ``PictureRefused`` if it cannot be opened without following a link, is not a regular
    file, is not a picture of a known format, or has changed."""
    with open_folder(picture) as root:
        file = open_file(root, picture.path)
    try:
        fingerprint = Fingerprint.of(os.fstat(file.fileno()))
        if unchanged and fingerprint != picture.fingerprint:
            raise PictureRefused("the file has changed since it was compared")
        media_type = media_type_of(file.read(_MAGIC_BYTES))
        if media_type is None:
            raise PictureRefused("the file is not a picture of a supported format")
        file.seek(0)
    except OSError as error:
        file.close()
        raise PictureRefused(f"the file cannot be read: {error.strerror}") from None
    except BaseException:
        file.close()
        raise
    return OpenPicture(file, fingerprint, media_type)


@contextmanager
def open_folder(picture: KnownPicture) -> Iterator[OpenFolder]:
    """The directory of the picture's folder, to be used in a ``with``. Raises ``PictureRefused`` if
    it is missing, or is another directory than the folder."""
    with Folder("", picture.root, Selection((), ())).session() as session:
        try:
            verdict = decide(picture.identity, session.identify(), observed_here=False)
        except FolderMissing as error:
            raise PictureRefused(f"the folder is missing: {error}") from None
        if verdict is IdentityVerdict.OTHER:
            raise PictureRefused("the folder is missing: another directory is in its place")
        yield session.root


def open_file(root: OpenFolder, path: bytes) -> BinaryIO:
    """The regular file at this path below the folder, opened for reading. Raises
    ``PictureRefused``."""
    disk = Disk()
    try:
        # Opening a device may have an effect, so what is no file is not even opened.
        if not S_ISREG(disk.lstat(root, path).st_mode):
            raise PictureRefused("the file is not a regular file any more")
        file = disk.open(root, path)
    except FileNotFoundError:
        raise PictureRefused("the file is gone") from None
    except OSError as error:
        raise PictureRefused(f"the file cannot be opened: {error.strerror}") from None
    if not S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise PictureRefused("the file is not a regular file any more")
    return file


def media_type_of(start: bytes) -> str | None:
    """The media type of a file that starts with these bytes; ``None`` if it is not a picture of a
    supported format. Neither SVG nor HTML is one: both may contain scripts."""
    if start.startswith(b"RIFF"):
        return "image/webp" if start[8:12] == b"WEBP" else None
    if start[4:8] == b"ftyp":
        return _media_type_of_brands(start)
    return next(
        (media_type for begins, media_type in _SIGNATURES if start.startswith(begins)), None
    )


def _media_type_of_brands(start: bytes) -> str | None:
    brand = start[8:12]
    if brand in _SHARED_BRANDS:
        return "image/avif" if b"avif" in start else "image/heic"
    if brand == _RAW_BRAND:
        return _RAW
    if brand in _AVIF_BRANDS:
        return "image/avif"
    return "image/heic" if brand in _HEIC_BRANDS else None
