"""Groups and images as the page's own scripts get them: every name is printable, and every address
is one that the page serves."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from snoopsync.core.model import printable

#: What people call the formats, by the suffix of a file.
_FORMATS = {
    ".jpg": "JPEG",
    ".jpeg": "JPEG",
    ".mpo": "JPEG",
    ".tif": "TIFF",
    ".tiff": "TIFF",
    ".hif": "HEIC",
    ".webp": "WebP",
    ".jxl": "JPEG XL",
}

_SHA256_BYTES = 32


def printable_json(value: Any) -> Any:
    """The same JSON with every text on one line and without odd characters."""
    match value:
        case str():
            return printable(value)
        case Mapping():
            return {printable(str(key)): printable_json(each) for key, each in value.items()}
        case list() | tuple():
            return [printable_json(each) for each in value]
    return value


def image_view(image: Mapping[str, Any], marked: Collection[str] = ()) -> dict[str, Any]:
    """An image for the page. ``image`` is from ``status.review_json``; ``marked``: the IDs of
    marked images."""
    image_id, path, label = image["image_id"], image["path"], image["label"]
    content = bytes.fromhex(image["content"])
    sha256 = content.hex() if len(content) == _SHA256_BYTES else None
    directory, _, name = (path or "").rpartition("/")
    address = None
    if image["has_file"]:
        address = f"{image_id}?v={(sha256 or '')[:16]}"
    return {
        "image_id": image_id,
        "folder": printable_json(image["folder"]),
        "path": printable_json(path),
        "label": printable_json(label),
        "name": printable(name or (label or image_id).rpartition("/")[2]),
        "directory": printable_json(directory),
        "width": image["width"],
        "height": image["height"],
        "size_bytes": image["size_bytes"],
        "format": None if path is None else format_of(path),
        "modified_at": image["modified_at"],
        "taken_at": None,
        "camera": None,
        "kind": printable_json(image["kind"]),
        "rank": image["rank"],
        "sha256": sha256,
        "is_gone": image["is_gone"],
        "is_marked": image_id in marked,
        "has_picture": image["has_file"],
        "thumb": address and f"/thumb/{address}",
        "picture": address and f"/picture/{address}",
        "companions": [],
    }


def format_of(path: str) -> str | None:
    """The format that a file's suffix stands for, as people call it."""
    suffix = os.path.splitext(path)[1].lower()  # noqa: PTH122 - also for paths with odd characters
    return _FORMATS.get(suffix) or printable(suffix[1:].upper()) or None


def group_view(
    group: Mapping[str, Any],
    state: str,
    images: Sequence[dict[str, Any]] | None = None,
    *,
    picked: str | None = None,
) -> dict[str, Any]:
    """A group for the page. ``state``: open, later, marked or dismissed. ``images``: its images for
    the page, if some of them are marked. ``picked``: the image that the person keeps."""
    kept = {key: value for key, value in group.items() if key not in ("newest_at", "images")}
    return {
        **printable_json(kept),
        "images": list(images or map(image_view, group["images"])),
        "state": state,
        "picked": picked,
    }
