"""What the files of a group tell about their pictures: format, time and camera."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

from snoopsync.core.errors import PictureRefused
from snoopsync.review.pictures import KnownPicture
from snoopsync.review.source import Source
from snoopsync.review.thumbnails import Thumbnails

#: Of a longer group, the first images only: their files are read.
_MOST_IMAGES = 40

#: As many as there are decoders.
_THREADS = 2

#: What people call these formats.
_NAMES = {"WEBP": "WebP", "HEIF": "HEIC", "JXL": "JPEG XL"}


def add_details(images: list[dict[str, Any]], source: Source, thumbnails: Thumbnails) -> None:
    """Set ``format``, ``taken_at`` and ``camera`` of the images whose files can be read."""
    wanted = {each["image_id"]: each for each in images if each["has_picture"]}
    pictures = source.pictures(list(wanted)[:_MOST_IMAGES])

    def details(picture: KnownPicture) -> dict[str, str | None]:
        try:
            known = thumbnails.metadata(picture)
        except PictureRefused:
            return {}
        return {
            "format": _NAMES.get(known.kind, known.kind),
            "taken_at": known.taken_at or None,
            "camera": known.camera or None,
        }

    with ThreadPoolExecutor(_THREADS) as threads:
        for image_id, found in zip(pictures, threads.map(details, pictures.values()), strict=True):
            wanted[image_id].update(found)
