"""The picture formats that are decoded: one table.

To add a format, add a row here, its suffixes to ``core.selection``, and a sample to ``samples``. If
its decoder needs care, add a branch to ``opening.open_picture``. If its files can be lossy or
lossless, add that to ``evidence``. If its library is an extra, add that to ``_LIBRARIES``.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import NamedTuple


class Format(NamedTuple):
    """A picture format. ``kind`` is Pillow's name for it, ``label`` the usual one. ``by_pillow``:
    Pillow decodes it; other libraries or our own code decode the others. ``has_frames``: all frames
    of a file belong to the picture; other formats have thumbnails and the like. ``is_lossless``:
    every file is."""

    kind: str
    label: str
    by_pillow: bool = True
    has_frames: bool = False
    is_lossless: bool = False


FORMATS = (
    Format("JPEG", "JPEG"),
    Format("PNG", "PNG", has_frames=True, is_lossless=True),
    Format("WEBP", "WebP", has_frames=True),
    Format("GIF", "GIF", has_frames=True, is_lossless=True),
    Format("TIFF", "TIFF", has_frames=True),
    Format("BMP", "BMP", is_lossless=True),
    Format("AVIF", "AVIF", has_frames=True),
    Format("HEIF", "HEIC", by_pillow=False),
    Format("PSD", "PSD", by_pillow=False, is_lossless=True),
    Format("JXL", "JPEG XL", by_pillow=False),
    Format("RAW", "RAW", by_pillow=False, is_lossless=True),
)

#: The library that each extra of ``core.selection`` adds.
_LIBRARIES = {"raw": "rawpy", "jxl": "pillow_jxl"}

KINDS = frozenset(each.kind for each in FORMATS)

#: Pillow's other decoders, which are less tested, never read a file.
PILLOW_KINDS = tuple(each.kind for each in FORMATS if each.by_pillow)

KINDS_WITH_FRAMES = frozenset(each.kind for each in FORMATS if each.has_frames)

LOSSLESS_KINDS = frozenset(each.kind for each in FORMATS if each.is_lossless)

#: The formats as a refusal names them.
FORMATS_TEXT = ", ".join(each.label for each in FORMATS)


def missing_extras() -> frozenset[str]:
    """The extras whose library is not installed. Files of their formats cannot be decoded."""
    return frozenset(extra for extra, name in _LIBRARIES.items() if find_spec(name) is None)
