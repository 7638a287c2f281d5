"""Bytes of a picture to its features. The only use of Pillow."""

from __future__ import annotations

import ctypes
import hashlib
import logging
import re
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import numpy as np

# These only for what they register: Pillow would import all of its fifty formats to look for them.
import PIL.AvifImagePlugin
import PIL.TiffImagePlugin
import PIL.WebPImagePlugin  # noqa: F401
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError, _imaging

from snoopsync.embedded import border, pdq
from snoopsync.embedded.evidence import evidence_of
from snoopsync.embedded.features import COLOUR_SIDE, Features, Thumbnail
from snoopsync.embedded.source import Body
from snoopsync.errors import Refused

#: What Pillow may decode; HEIC comes beside it. Its other decoders are never let near a file.
_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "PNG", "TIFF", "WEBP")
_FORMATS_TEXT = "JPEG, PNG, WebP, GIF, TIFF, BMP, AVIF, HEIC"

#: Pixels beyond which a picture is refused by what its header says: Pillow's own limit, rounded.
MAX_PIXELS = 178_000_000

#: A picture is shrunk until its shorter side has no more than twice this many pixels.
_WORKING_SIDE = 256

_DIGEST_BYTES = 16

# What it says of odd files to its own log would go to standard error, once for each of them.
_pillow = logging.getLogger("PIL")
_pillow.addHandler(logging.NullHandler())
_pillow.propagate = False

# libtiff writes to it by itself, whatever Python's logging is told. Where Pillow was built in some
# other way, it goes on doing so.
with suppress(OSError, AttributeError):
    ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(None)

#: Pictures that are decoded at the same time: each may take up to a gigabyte.
_slots = threading.BoundedSemaphore(2)

#: How decoders say that a file ends too early.
_TRUNCATED = re.compile("truncated|end of file", re.IGNORECASE)

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS = frozenset({b"mif1", b"msf1"})

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


def features_of(body: Body) -> Features:
    """What this picture looks like.

    Raises ``Refused``: 413 if it has too many pixels to decode, 415 if it can't be decoded, with
    the reason in plain words.
    """
    with _slots, _quiet, _refusing():
        image = _open(body)
        kind = "JPEG" if image.format == "MPO" else str(image.format)
        if image.width * image.height > MAX_PIXELS:
            raise _too_many_pixels()
        with _refusing(kind):
            size, picture = _upright(image)
            thumbnail = picture.resize((pdq.SIDE, pdq.SIDE), Image.Resampling.BILINEAR)
            codes, quality, trimmed = _codes(picture, thumbnail)
            evidence = evidence_of(image, body.content)
    return Features(
        sha256=body.sha256,
        size_bytes=body.size_bytes,
        kind=kind,
        width=size[0],
        height=size[1],
        digest=hashlib.blake2b(thumbnail.tobytes(), digest_size=_DIGEST_BYTES).digest(),
        quality=quality,
        codes=codes,
        trimmed=trimmed,
        thumbnail=_kept(thumbnail),
        evidence=evidence,
    )


def _kept(thumbnail: Image.Image) -> Thumbnail:
    colour = thumbnail.resize((COLOUR_SIDE, COLOUR_SIDE), Image.Resampling.BOX).convert("YCbCr")
    chroma = np.asarray(colour)[..., 1:]
    return Thumbnail(np.rint(_luma(thumbnail)).astype(np.uint8).tobytes(), chroma.tobytes())


def _codes(picture: Image.Image, thumbnail: Image.Image) -> tuple[bytes, int, bytes]:
    """The picture's codes, its quality, and the codes without its borders.

    The quality is that of what the borders enclose if that is too low for codes of its own: all
    that the picture's codes could tell is the frame, which any flat picture may have.
    """
    luma = _luma(thumbnail)
    quality = pdq.quality(luma)
    if quality < pdq.MIN_QUALITY_OF_CODES:
        return b"", quality, b""
    codes = pdq.eight_codes(luma)
    box = border.content_box(np.asarray(picture.convert("L")))
    if box is None or quality < pdq.MIN_QUALITY:
        return codes, quality, b""
    inner = _luma(picture.resize(thumbnail.size, Image.Resampling.BILINEAR, box))
    inner_quality = pdq.quality(inner)
    if inner_quality < pdq.MIN_QUALITY:
        return codes, inner_quality, b""
    trimmed = pdq.eight_codes(inner)
    return codes, quality, trimmed if trimmed != codes else b""


def _luma(thumbnail: Image.Image) -> NDArray[np.float64]:
    luma: NDArray[np.float64] = np.einsum("ijk,k->ij", np.asarray(thumbnail, np.float64), _LUMA)
    return luma


def _open(body: Body) -> Image.Image:
    header = body.content.read(64)
    body.content.seek(0)
    if _is_heif(header):
        return _open_heif(body)
    return Image.open(body.content, formats=_FORMATS)


def _is_heif(header: bytes) -> bool:
    brand = header[8:12]
    if header[4:8] != b"ftyp":
        return False
    return brand in _HEIC_BRANDS or (brand in _HEIF_BRANDS and b"avif" not in header)


def _open_heif(body: Body) -> Image.Image:
    try:
        # Late, because it is 5 MiB that only those with such pictures need; it may be missing, too.
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise Refused(
            "HEIC needs pillow-heif: pip install 'snoopsync[embedded]'", status=415
        ) from error
    image: Image.Image = HeifImageFile(body.content)
    return image


def _upright(image: Image.Image) -> tuple[tuple[int, int], Image.Image]:
    """The upright picture's size in pixels, and the picture itself: shrunk, in RGB, on white."""
    size = image.size
    if image.format in ("JPEG", "MPO"):
        # The decoder shrinks by 2, 4 or 8 for nothing; it still reads the file to its end.
        image.draft(None, (_WORKING_SIDE, _WORKING_SIDE))
    image.load()
    orientation = _orientation(image)
    if image.format == "TIFF":
        size = image.size  # Pillow has put it upright while loading
    elif orientation in _SIDEWAYS:
        size = size[1], size[0]
    picture = _eight_bits(image)
    picture = picture.reduce(max(1, min(picture.size) // _WORKING_SIDE))
    if orientation in _TURNS:
        picture = picture.transpose(_TURNS[orientation])
    return size, _on_white(picture)


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation, 1 (upright) if there is none that can be read."""
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # parsers of metadata raise anything; the pixels are sound
        return 1


def _eight_bits(image: Image.Image) -> Image.Image:
    """The picture in RGB or RGBA, 8 bits each; itself if it is so already (to save its memory)."""
    if image.mode == "F" or image.mode.startswith("I"):
        return _from_wide_grey(image).convert("RGB")
    mode = "RGBA" if image.has_transparency_data else "RGB"
    return image if image.mode == mode else image.convert(mode)


def _from_wide_grey(image: Image.Image) -> Image.Image:
    """Grey of 16 bits or more in 8: integers by their high byte, floats (which have no white of
    their own) spread from the darkest to the brightest."""
    if image.mode != "F":
        # As wide as they are: a large picture would take gigabytes as floats.
        return Image.fromarray(np.clip(np.asarray(image) >> 8, 0, 255).astype(np.uint8))
    grey = np.nan_to_num(np.array(image), copy=False, posinf=0, neginf=0)
    low, high = float(grey.min()), float(grey.max())
    with np.errstate(all="ignore"):  # of ranges that are no picture's
        grey -= low
        grey *= 255 / (high - low) if high > low else 0
    grey = np.nan_to_num(grey, copy=False, posinf=255, neginf=0)
    return Image.fromarray(np.clip(grey, 0, 255, out=grey).astype(np.uint8))


def _on_white(picture: Image.Image) -> Image.Image:
    if picture.mode == "RGB":
        return picture
    white = Image.new("RGB", picture.size, "white")
    white.paste(picture, mask=picture.getchannel("A"))
    return white


def _too_many_pixels() -> Refused:
    return Refused(
        f"too large to decode: more than {MAX_PIXELS // 1_000_000} million pixels", status=413
    )


@contextmanager
def _refusing(kind: str | None = None) -> Iterator[None]:
    """Whatever a decoder raises is a refusal of the picture (a ``kind``, if that is known)."""
    try:
        yield
    except Refused:
        raise
    except Image.DecompressionBombError as error:
        raise _too_many_pixels() from error
    except UnidentifiedImageError as error:
        raise Refused(
            f"not a picture that can be read ({_FORMATS_TEXT}), or damaged at its start",
            status=415,
        ) from error
    except Exception as error:  # decoders fed with hostile bytes raise anything
        raise Refused(_reason(kind, error), status=415) from error


def _reason(kind: str | None, error: Exception) -> str:
    what = kind or "picture"
    if isinstance(error, MemoryError):
        return f"a {what} that takes more memory than there is"
    said = " ".join(str(error).split()) or type(error).__name__
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
