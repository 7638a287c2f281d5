"""Bytes of a picture to its features."""

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

from snoopsync.core.errors import Refused
from snoopsync.decoding import border, pdq, pixels, tiff
from snoopsync.decoding.evidence import evidence_of
from snoopsync.decoding.features import COLOUR_SIDE, Features, Thumbnail
from snoopsync.decoding.frames import Frames, frames_of, has_more_frames, has_other_pictures
from snoopsync.decoding.opening import (
    FORMATS_TEXT,
    MAX_PIXELS,
    WORKING_SIDE,
    open_picture,
    too_many_pixels,
)

_DIGEST_BYTES = 16

# What it says of odd files to its own log would go to standard error, once for each of them.
_pillow = logging.getLogger("PIL")
_pillow.addHandler(logging.NullHandler())
_pillow.propagate = False

# libtiff writes to it by itself, whatever Python's logging is told. Where Pillow was built in some
# other way, it goes on doing so.
with suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

#: What Pillow says when libwebp opens no file.
_WEBP_UNOPENED = "could not create decoder object"

#: How decoders say that a file ends too early.
_TRUNCATED = re.compile("truncated|end of file", re.IGNORECASE)

_LUMA = np.array((0.299, 0.587, 0.114))

#: How to put a picture upright, by the orientation in its EXIF.
_TURNS = {
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
    """What this picture looks like. ``content`` stands at its start; ``sha256`` is that of it.

    Raises ``Refused``: 413 if it would take too much work to decode, 415 if it can't be decoded
    correctly, with the reason in plain words.
    """
    with _quiet:
        try:
            return _features(content, content, sha256)
        except Refused as refusal:
            content.seek(0)
            bare = tiff.without_metadata(content) if refusal.status == 415 else None
            if bare is None:
                raise
            return _features(content, bare, sha256)


class _Look(NamedTuple):
    """What a picture looks like in RGB: at a reduced size, at that of a thumbnail, and how opaque
    it is there (empty if all of it is opaque)."""

    picture: Image.Image
    thumbnail: Image.Image
    alpha: bytes


class _Codes(NamedTuple):
    """The codes of a picture, its quality, the codes without its borders, and the picture's grey
    without them (both empty if there are none)."""

    codes: bytes
    quality: int
    trimmed: bytes = b""
    inner: bytes = b""


def _features(whole: io.BytesIO, content: io.BytesIO, sha256: bytes) -> Features:
    with _refusing():
        image, size = open_picture(content)
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        with _refusing(kind):
            size, picture, frames = _decoded(image, size)
            evidence = evidence_of(image, whole)
            look = _look(frames.sheet if frames else picture)
            # The borders of frames are inside a sheet. And without its borders only a picture's
            # grey is kept, which does not tell what is transparent in it.
            codes = _codes(look, has_borders=frames is None and not look.alpha)
    digest = hashlib.blake2b(look.thumbnail.tobytes() + look.alpha, digest_size=_DIGEST_BYTES)
    if frames:
        digest.update(frames.digest)
    is_complete = frames is None or frames.is_complete
    if not is_complete or has_other_pictures(image):
        # The same picture as no other: nobody has looked at all of it.
        digest.update(sha256)
    return Features(
        sha256=sha256,
        size_bytes=len(whole.getbuffer()),
        kind=kind,
        width=size[0],
        height=size[1],
        digest=digest.digest(),
        quality=codes.quality,
        codes=codes.codes if is_complete else b"",
        trimmed=codes.trimmed,
        thumbnail=_kept(look, codes.inner),
        frames=frames.count if frames else 1,
        evidence=evidence,
    )


def _kept(look: _Look, inner: bytes) -> Thumbnail:
    size = (COLOUR_SIDE, COLOUR_SIDE)
    colour = look.thumbnail.resize(size, Image.Resampling.BOX).convert("YCbCr")
    chroma = np.asarray(colour)[..., 1:].tobytes()
    return Thumbnail(_shades(_luma(look.thumbnail)), chroma, look.alpha, inner)


def _look(picture: Image.Image) -> _Look:
    """The picture as a person sees it: on white, or on black if little would show on white."""
    on_white = pixels.on_background(picture, "white")
    thumbnail = _thumbnail(on_white)
    opacity = pixels.opacity_of(picture)
    if opacity is None:
        return _Look(on_white, thumbnail, b"")
    alpha = opacity.resize(thumbnail.size, Image.Resampling.BILINEAR).tobytes()
    quality = pdq.quality(_luma(thumbnail))
    if quality < pdq.MIN_QUALITY:
        on_black = pixels.on_background(picture, "black")
        dark = _thumbnail(on_black)
        if pdq.quality(_luma(dark)) > quality:
            return _Look(on_black, dark, alpha)
    return _Look(on_white, thumbnail, alpha)


def _thumbnail(picture: Image.Image, box: border.Box | None = None) -> Image.Image:
    return picture.resize((pdq.SIDE, pdq.SIDE), Image.Resampling.BILINEAR, box)


def _codes(look: _Look, *, has_borders: bool) -> _Codes:
    """The codes of this picture.

    The quality is that of what the borders enclose if that is too low for codes of its own: all
    that the picture's codes could tell is the frame, which any flat picture may have.
    """
    luma = _luma(look.thumbnail)
    quality = pdq.quality(luma)
    if quality < pdq.MIN_QUALITY_OF_CODES:
        return _Codes(b"", quality)
    codes = pdq.eight_codes(luma)
    box = border.content_box(np.asarray(look.picture.convert("L"))) if has_borders else None
    if box is None or quality < pdq.MIN_QUALITY:
        return _Codes(codes, quality)
    inner = _luma(_thumbnail(look.picture, box))
    inner_quality = pdq.quality(inner)
    if inner_quality < pdq.MIN_QUALITY:
        return _Codes(codes, inner_quality)
    trimmed = pdq.eight_codes(inner)
    if trimmed == codes:
        return _Codes(codes, quality)
    return _Codes(codes, quality, trimmed, _shades(inner))


def _luma(thumbnail: Image.Image) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = np.einsum("ijk,k->ij", np.asarray(thumbnail, np.float64), _LUMA)
    return luma


def _shades(luma: NDArray[np.float64]) -> bytes:
    return np.rint(luma).astype(np.uint8).tobytes()


def _decoded(
    image: Image.Image, size: tuple[int, int]
) -> tuple[tuple[int, int], Image.Image, Frames | None]:
    """The upright picture's size in pixels, its first frame (shrunk, in RGB or RGBA), and all
    frames, if there are several."""
    # First, because a search for the orientation may load the picture, and hide its damage.
    _load(image)
    orientation = _orientation(image)
    if image.format == "TIFF":
        orientation, size = 1, image.size  # Pillow has put it upright while loading
    elif orientation in _SIDEWAYS:
        size = size[1], size[0]
    first = _upright(image, orientation)

    def following() -> Image.Image:
        _load(image)
        return _upright(image, orientation)

    frames = frames_of(image, first, following, MAX_PIXELS) if has_more_frames(image) else None
    return size, first, frames


def _load(image: Image.Image) -> None:
    """Decode the frame that ``image`` stands at."""
    tiff.corrected(image)
    image.load()


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    """The frame that was decoded: upright, shrunk, in RGB or RGBA."""
    picture = pixels.eight_bits(image, is_inverted=tiff.is_inverted(image))
    picture = pixels.reduced(picture, WORKING_SIDE)
    return picture.transpose(_TURNS[orientation]) if orientation in _TURNS else picture


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) if there is none that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # parsers of metadata raise anything; the pixels are sound
        return 1


@contextmanager
def _refusing(kind: str | None = None) -> Iterator[None]:
    """Whatever a decoder raises is a refusal of the picture (a ``kind``, if that is known)."""
    try:
        yield
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels() from error
    except UnidentifiedImageError as error:
        raise Refused(
            f"not a picture that can be read ({FORMATS_TEXT}), or damaged at its start",
            status=415,
        ) from error
    except Exception as error:  # decoders fed with hostile bytes raise anything
        raise Refused(_reason(kind, error), status=415) from error


def _reason(kind: str | None, error: Exception) -> str:
    what = kind or "picture"
    if isinstance(error, MemoryError):
        return f"a {what} that takes more memory than a decoder may use"
    if kind == "TIFF" and tiff.is_unknown_kind(error):
        return tiff.NOT_READABLE
    said = " ".join(str(error).split()) or type(error).__name__
    if said == _WEBP_UNOPENED:
        # libwebp's only word for both: it asks for the memory of two whole frames at once.
        return "a WebP that is damaged, or that takes more memory than a decoder may use"
    if isinstance(error, EOFError) or _TRUNCATED.search(said):
        return f"a truncated {what}, the file ends too early: {said}"
    return f"a damaged or truncated {what}: {said}"


class _Quiet:
    """Keeps Pillow's warnings about odd files to itself while any thread decodes.

    The filters belong to the whole process, and ``catch_warnings`` of two threads that overlap
    would leave the wrong ones behind: so the first one in sets them, the last one out restores.
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


_quiet = _Quiet()
