"""What the page shows of a picture: a small version, the picture in full, and what its file says.

Sandboxed processes decode the pictures, and this process encodes the pixels that they return.
"""

from __future__ import annotations

import io
import json
import threading
from contextlib import closing
from pathlib import Path

from PIL import Image

from snoopsync.core.errors import PictureRefused, Refused, Unavailable
from snoopsync.decoding.decoders import Renderers
from snoopsync.decoding.layout import Metadata, Rendering
from snoopsync.decoding.source import PictureFile, read_picture
from snoopsync.review.content_cache import ContentCache
from snoopsync.review.pictures import KnownPicture, open_known

#: The most pixels along each side of a thumbnail.
SIDE = 400

#: The names of what is kept of a picture. A change to how it is made changes the name.
_THUMBNAIL, _METADATA = f"{SIDE}", "metadata"

_THUMBNAIL_QUALITY, _FULL_QUALITY = 85, 95


class Thumbnails:
    """The thumbnails of one user. Safe for several threads and processes."""

    def __init__(self, directory: Path, limit_bytes: int, renderers: Renderers) -> None:
        """``directory`` is created for this user alone. Raises ``StateError`` if it can't be, or if
        others can write to it."""
        self._cache = ContentCache(directory, limit_bytes)
        self._renderers = renderers
        # A picture in full takes hundreds of megabytes while it is encoded.
        self._in_full = threading.Lock()

    def get(self, picture: KnownPicture) -> bytes:
        """The thumbnail of these bytes, a JPEG or a WebP. Raises ``PictureRefused`` if the file has
        other bytes now, and as ``open_known``."""
        kept = self._cache.get(picture.sha256, _THUMBNAIL) if picture.sha256 else None
        if kept is not None:
            return kept
        with _read(picture) as content:
            thumbnail = _encoded(self._rendered(content, SIDE), _THUMBNAIL_QUALITY)
            self._cache.put(content.sha256, _THUMBNAIL, thumbnail)
        return thumbnail

    def full_size(self, picture: KnownPicture) -> bytes:
        """The picture in full as a JPEG or a WebP, which every browser shows. Raises as ``get``."""
        with self._in_full, _read(picture) as content:
            return _encoded(self._rendered(content, 0), _FULL_QUALITY)

    def metadata(self, picture: KnownPicture) -> Metadata:
        """What the file says about itself. Raises as ``get``."""
        kept = self._cache.get(picture.sha256, _METADATA) if picture.sha256 else None
        if kept is not None:
            return Metadata(*json.loads(kept))
        with _read(picture) as content:
            try:
                metadata = self._renderers.read_metadata(content)
            except (Refused, Unavailable) as error:
                raise PictureRefused(error.message) from None
            self._cache.put(content.sha256, _METADATA, json.dumps(metadata).encode())
        return metadata

    def _rendered(self, content: PictureFile, side: int) -> Rendering:
        try:
            return self._renderers.render(content, side)
        except (Refused, Unavailable) as error:
            raise PictureRefused(error.message) from None


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


def _encoded(rendering: Rendering, quality: int) -> bytes:
    image = Image.frombytes(rendering.mode, (rendering.width, rendering.height), rendering.pixels)
    file = io.BytesIO()
    # Only WebP has transparency, and only JPEG is fast in full.
    image.save(file, "WEBP" if rendering.has_alpha else "JPEG", quality=quality)
    return file.getvalue()
