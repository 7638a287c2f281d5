"""Extracts the features of a picture from its bytes. Only decoders run this."""

from __future__ import annotations

import ctypes
import hashlib
import io
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, _imaging

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding import border, pdq, pixels, regions, tiff
from snoopsync.decoding.colours import in_srgb, is_srgb, profile_of
from snoopsync.decoding.evidence import evidence_of
from snoopsync.decoding.features import COLOUR_SIDE, Features, Thumbnail
from snoopsync.decoding.formats import FORMATS_TEXT
from snoopsync.decoding.frames import Frames, frames_of, has_more_frames, has_other_pictures
from snoopsync.decoding.opening import (
    MAX_PIXELS,
    WORKING_SIDE,
    open_picture,
    too_many_pixels,
)

_DIGEST_BYTES = 16

# Pillow logs every unusual file. Without a handler, Python would write that to standard error.
_pillow = logging.getLogger("PIL")
_pillow.addHandler(logging.NullHandler())
_pillow.propagate = False

# libtiff writes to standard error directly. This stops it, except in unusual builds of Pillow.
with suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

#: Pillow's error message when libwebp cannot open a file.
_WEBP_UNOPENED = "could not create decoder object"

#: The error messages of codecs for a file that ends too early.
_TRUNCATED = re.compile("truncated|end of file", re.IGNORECASE)

_LUMA = np.array((0.299, 0.587, 0.114))

#: For each orientation in EXIF, the operation that makes the picture upright.
TO_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = frozenset({5, 6, 7, 8})


def features_of(content: io.BytesIO, sha256: bytes) -> Features:
    """The features of the picture in ``content``, which must be at its start. ``sha256``: of
    ``content``.

    Raises ``Refused`` with a reason for the picture's owner, and the status 413 if decoding would
    take too much work, or 415 if the picture cannot be decoded correctly.
    """
    with no_warnings:
        try:
            return _extract(content, content, sha256)
        except Refused as refusal:
            content.seek(0)
            bare = tiff.without_metadata(content) if refusal.status == 415 else None
            if bare is None:
                raise
            return _extract(content, bare, sha256)


class _Rendering(NamedTuple):
    """The picture in RGB, at a reduced size and as a thumbnail of 64 x 64 pixels. ``alpha`` is the
    opacity of the thumbnail's pixels, a byte each; empty if all are opaque."""

    picture: Image.Image
    thumbnail: Image.Image
    alpha: bytes


class _Codes(NamedTuple):
    """The codes of a picture and its quality. ``trimmed``: the codes of the picture without its
    borders. ``inner``: the shades of grey without its borders. Both are empty if it has none.
    ``regions``: its regions; empty if it has too little detail for them."""

    codes: bytes
    quality: int
    trimmed: bytes = b""
    inner: bytes = b""
    regions: bytes = b""


def _extract(whole: io.BytesIO, content: io.BytesIO, sha256: bytes) -> Features:
    with refusing():
        image, size, is_part = open_picture(content)
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        with refusing(kind):
            size, picture, frames = _decoded(image, size)
            evidence = evidence_of(image, whole)
            rendering = _rendered(frames.sheet if frames else picture)
            # Borders are only trimmed from single opaque pictures: in a sheet, each frame has its
            # own borders, and for a trimmed picture only the grey is stored, not its transparency.
            codes = _codes(rendering, is_single=frames is None and not rendering.alpha)
    pixels_of_digest = rendering.thumbnail.tobytes() + rendering.alpha
    digest = hashlib.blake2b(pixels_of_digest, digest_size=_DIGEST_BYTES)
    if frames:
        digest.update(frames.digest)
    is_complete = frames is None or frames.is_complete
    if not is_complete or is_part or has_other_pictures(image):
        # Part of the file was not decoded, so only a file with the same bytes counts as the same
        # picture.
        digest.update(sha256)
    return Features(
        sha256=sha256,
        size_bytes=len(whole.getvalue()),
        kind=kind,
        width=size[0],
        height=size[1],
        digest=digest.digest(),
        quality=codes.quality,
        codes=codes.codes if is_complete else b"",
        trimmed=codes.trimmed,
        thumbnail=_stored_thumbnail(rendering, codes.inner),
        frames=frames.count if frames else 1,
        evidence=evidence,
        regions=codes.regions,
    )


def _stored_thumbnail(rendering: _Rendering, inner: bytes) -> Thumbnail:
    size = (COLOUR_SIDE, COLOUR_SIDE)
    colour = rendering.thumbnail.resize(size, Image.Resampling.BOX).convert("YCbCr")
    chroma = np.asarray(colour)[..., 1:].tobytes()
    return Thumbnail(_shades(_luma(rendering.thumbnail)), chroma, rendering.alpha, inner)


def _rendered(picture: Image.Image) -> _Rendering:
    """The picture as a person sees it: on white, or on black if that gives more contrast."""
    on_white = pixels.on_background(picture, "white")
    thumbnail = _thumbnail(on_white)
    opacity = pixels.opacity_of(picture)
    if opacity is None:
        return _Rendering(on_white, thumbnail, b"")
    alpha = opacity.resize(thumbnail.size, Image.Resampling.BILINEAR).tobytes()
    quality = pdq.quality(_luma(thumbnail))
    if quality < pdq.MIN_QUALITY:
        on_black = pixels.on_background(picture, "black")
        dark = _thumbnail(on_black)
        if pdq.quality(_luma(dark)) > quality:
            return _Rendering(on_black, dark, alpha)
    return _Rendering(on_white, thumbnail, alpha)


def _thumbnail(picture: Image.Image, box: border.Box | None = None) -> Image.Image:
    return picture.resize((pdq.SIDE, pdq.SIDE), Image.Resampling.BILINEAR, box)


def _codes(rendering: _Rendering, *, is_single: bool) -> _Codes:
    """The codes of this picture, and those without its borders if it has any. ``is_single``:
    whether it is a single opaque picture.

    If the quality without the borders is too low for codes, it becomes the picture's quality. The
    picture's own codes would then only describe the borders, which any flat picture may have.
    """
    luma = _luma(rendering.thumbnail)
    quality = pdq.quality(luma)
    if quality < pdq.MIN_QUALITY_OF_CODES:
        return _Codes(b"", quality)
    codes = pdq.eight_codes(luma)
    if not is_single or quality < pdq.MIN_QUALITY:
        return _Codes(codes, quality)
    grey = rendering.picture.convert("L")
    shades = np.asarray(grey)
    found = regions.regions_of(grey, border.part_between_bars(shades))
    box = border.content_box(shades)
    if box is None:
        return _Codes(codes, quality, regions=found)
    inner = _luma(_thumbnail(rendering.picture, box))
    inner_quality = pdq.quality(inner)
    if inner_quality < pdq.MIN_QUALITY:
        return _Codes(codes, inner_quality)
    trimmed = pdq.eight_codes(inner)
    if trimmed == codes:
        return _Codes(codes, quality, regions=found)
    return _Codes(codes, quality, trimmed, _shades(inner), found)


def _luma(thumbnail: Image.Image) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = np.einsum("ijk,k->ij", np.asarray(thumbnail, np.float64), _LUMA)
    return luma


def _shades(luma: NDArray[np.float64]) -> bytes:
    return np.rint(luma).astype(np.uint8).tobytes()


def _decoded(
    image: Image.Image, size: tuple[int, int]
) -> tuple[tuple[int, int], Image.Image, Frames | None]:
    """The upright picture's width and height in pixels, its first frame (shrunk, in RGB or RGBA),
    and all frames if it has several."""
    # The frame is loaded first: reading the orientation may load the picture and hide damage.
    load(image)
    orientation = orientation_of(image)
    if image.format == "TIFF":
        orientation, size = 1, image.size  # Pillow turned it upright while loading
    elif orientation in _SIDEWAYS:
        size = size[1], size[0]
    first = _upright(image, orientation)

    def following() -> Image.Image:
        load(image)
        return _upright(image, orientation)

    frames = frames_of(image, first, following, MAX_PIXELS) if has_more_frames(image) else None
    return size, first, frames


def load(image: Image.Image) -> None:
    """Decode the current frame of ``image``."""
    tiff.correct(image)
    image.load()


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """The decoded frame, upright, shrunk, and in RGB or RGBA."""
    picture = pixels.eight_bits(image, is_inverted=tiff.is_inverted(image))
    picture = _in_srgb(pixels.reduced(picture, WORKING_SIDE), image)
    return picture.transpose(TO_UPRIGHT[orientation]) if orientation in TO_UPRIGHT else picture


def _in_srgb(picture: Image.Image, image: Image.Image) -> Image.Image:
    """The reduced picture in the colours that its file ``image`` describes. Only the profiles of
    wide gamuts in RGB are applied: the others hardly change a code, and take time."""
    profile = profile_of(image)
    if profile is None or image.mode == "CMYK" or is_srgb(profile):
        return picture
    return in_srgb(picture, profile) or picture


def orientation_of(image: Image.Image) -> int:
    """The orientation in EXIF, from 1 to 8; 1 (upright) if none can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # parsers of metadata may raise any error, and the pixels may be intact
        return 1


@contextmanager
def refusing(kind: str | None = None) -> Iterator[None]:
    """Turn any error of a codec into a refusal. ``kind``: the picture's format, if known."""
    try:
        yield
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except UnidentifiedImageError as error:
        raise Undecodable(
            f"not a supported picture ({FORMATS_TEXT}), or damaged at its start",
            status=415,
        ) from error
    except Exception as error:  # codecs that read hostile bytes may raise any error
        raise Undecodable(_reason(kind, error), status=415) from error


def _reason(kind: str | None, error: Exception) -> str:
    what = kind or "picture"
    if isinstance(error, MemoryError):
        return f"a {what} that takes more memory than a decoder may use"
    if kind == "TIFF" and tiff.is_unknown_kind(error):
        return tiff.UNSUPPORTED
    message = " ".join(str(error).split()) or type(error).__name__
    if message == _WEBP_UNOPENED:
        # libwebp allocates two whole frames at once, and reports both failures in the same way.
        return "a WebP that is damaged, or that takes more memory than a decoder may use"
    if isinstance(error, EOFError) or _TRUNCATED.search(message):
        return f"a truncated {what}: the file ends too early ({message})"
    return f"a damaged or truncated {what} ({message})"


class _NoWarnings:
    """Ignores Pillow's warnings about unusual files while any thread decodes.

    Warning filters apply to the whole process. If two threads used overlapping ``catch_warnings``,
    they would restore the wrong filters. For this reason, the first thread that enters sets the
    filters, and the last thread that leaves restores them.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._saved = warnings.catch_warnings()

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._saved = warnings.catch_warnings()
                self._saved.__enter__()
                warnings.filterwarnings("ignore", module="PIL|pillow_heif")

    def __exit__(self, *exc_info: object) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._saved.__exit__(None, None, None)


no_warnings = _NoWarnings()
