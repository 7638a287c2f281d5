"""Finds evidence whether a picture's file is an original or a copy.

This module only describes the file. ``snoopsync.core.keep`` decides which of two files to keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from snoopsync.decoding.formats import LOSSLESS_KINDS

if TYPE_CHECKING:
    from PIL import Image

#: EXIF tags that only cameras write: make and model in the main directory; exposure time, aperture
#: and sensitivity in the EXIF directory.
_CAMERA_TAGS = (0x010F, 0x0110)
_EXPOSURE_TAGS = (0x829A, 0x829D, 0x8827)
_EXIF_DIRECTORY = 0x8769

#: The sum of the luminance table of ITU-T T.81, annex K.1, which libjpeg scales by the quality.
_STANDARD_TABLE_SUM = 3688

#: A photograph that was reduced to a palette uses more colours than this. A drawing uses fewer
#: colours, so a palette does not change it.
_DRAWN_COLOURS = 64

_LOSSLESS_TIFF = frozenset(
    {"raw", "tiff_lzw", "tiff_adobe_deflate", "tiff_deflate", "packbits", "lzma", "zstd"}
)

_WEBP_HEADER_BYTES = 4096


@dataclass(frozen=True, slots=True)
class FileEvidence:
    """What a picture's file shows about its history.

    - ``camera``: the file has the metadata of a camera.
    - ``jpeg_quality``: 1 to 100, estimated from the quantisation table; ``None`` for other formats.
    - ``lossless``: the format keeps every pixel unchanged.
    - ``palette``: a photograph that was reduced to a palette of colours.
    - ``resaved``: the pixels show that the picture was a JPEG of a lower quality before.
    """

    camera: bool = False
    jpeg_quality: int | None = None
    lossless: bool = False
    palette: bool = False
    resaved: bool = False


def evidence_of(image: Image.Image, content: BinaryIO) -> FileEvidence:
    """The evidence in a loaded picture and in the bytes that it was read from. Damaged metadata is
    ignored."""
    # Imported late: processes that decode no pictures may have no numpy.
    from snoopsync.decoding.traces import was_jpeg

    camera = _has_camera(image)
    quality = _jpeg_quality(image)
    palette = image.mode == "P" and sum(map(bool, image.histogram())) > _DRAWN_COLOURS
    lossless = not palette and quality is None and _is_lossless(image, content)
    return FileEvidence(
        camera=camera,
        jpeg_quality=quality,
        lossless=lossless,
        palette=palette,
        # The metadata of a camera is stronger evidence, so the slow search for traces is skipped.
        # The preview in a RAW is a JPEG, but the RAW itself was never one.
        resaved=not camera
        and image.format != "RAW"
        and was_jpeg(image, content, quality, lossless=lossless),
    )


def _has_camera(image: Image.Image) -> bool:
    try:
        exif = image.getexif()
        if any(exif.get(tag) for tag in _CAMERA_TAGS):
            return True
        photograph = exif.get_ifd(_EXIF_DIRECTORY)
        return any(photograph.get(tag) for tag in _EXPOSURE_TAGS)
    except Exception:  # parsers of metadata may raise any error
        return False


def _jpeg_quality(image: Image.Image) -> int | None:
    """The quality of a JPEG, by the inverse of libjpeg's ``jpeg_quality_scaling``; ``None`` for
    other formats."""
    tables: dict[int, list[int]] | None = getattr(image, "quantization", None)
    if image.format not in ("JPEG", "MPO") or not tables:
        return None
    percent = 100 * sum(tables[min(tables)]) / _STANDARD_TABLE_SUM
    quality = (200 - percent) / 2 if percent <= 100 else 5000 / percent
    return min(100, max(1, round(quality)))


def _is_lossless(image: Image.Image, content: BinaryIO) -> bool:
    if image.format == "TIFF":
        return image.info.get("compression") in _LOSSLESS_TIFF
    if image.format == "WEBP":
        content.seek(0)
        # A lossless picture has the chunk VP8L, a lossy one has the chunk "VP8 ".
        return b"VP8L" in content.read(_WEBP_HEADER_BYTES)
    return image.format in LOSSLESS_KINDS
