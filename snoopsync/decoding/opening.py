"""Opens a picture of any supported format, and limits the work of decoding it."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from typing import NamedTuple

# These imports register the formats. Otherwise Pillow would import all of its fifty formats.
import PIL.AvifImagePlugin
import PIL.MpoImagePlugin
import PIL.WebPImagePlugin  # noqa: F401
from PIL import Image, JpegImagePlugin, UnidentifiedImageError

from snoopsync.core.errors import Refused, Undecodable
from snoopsync.decoding import jpeg, jxl, png, psd, raw, tiff
from snoopsync.decoding.formats import PILLOW_KINDS

#: The largest number of pixels to decode, in all frames of a picture together. This is Pillow's own
#: limit, rounded. A JPEG that is decoded at a reduced size may have more.
MAX_PIXELS = 178_000_000

#: The largest number of pixels times scans of a JPEG, at whatever size it is decoded. This takes a
#: few seconds.
MAX_SCANNED_PIXELS = 20 * MAX_PIXELS

#: A picture is shrunk until its shorter side has fewer than twice this many pixels.
WORKING_SIDE = 256

#: Makes the decoder of a JPEG decode it at a reduced size.
Shrink = Callable[[Image.Image], None]

_HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"})
_HEIF_BRANDS = frozenset({b"mif1", b"msf1"})


class OpenedPicture(NamedTuple):
    """A picture before it is decoded. ``size``: the width and height in the file, in pixels. A JPEG
    is decoded at a reduced size. ``is_part``: the file has more than this picture: the values of a
    sensor."""

    image: Image.Image
    size: tuple[int, int]
    is_part: bool = False


def shrink_to_working_side(image: Image.Image) -> None:
    """Make the decoder shrink a JPEG by 2, 4 or 8. It still reads the file to its end."""
    image.draft(None, (WORKING_SIDE, WORKING_SIDE))


def open_picture(content: io.BytesIO, shrink: Shrink = shrink_to_working_side) -> OpenedPicture:
    """The picture in ``content``, which is at its start. ``shrink`` is called for a JPEG, before it
    is decoded.

    Raises ``Refused`` for a picture that takes too much work (413) or is of an unsupported kind
    (415), and the errors of Pillow.
    """
    header = content.read(64)
    content.seek(0)
    if _is_heif(header):
        image = _open_heif(content)
    elif header.startswith(b"\xff\xd8\xff"):
        return _open_jpeg(content, shrink)
    elif header.startswith(png.SIGNATURE):
        image = Image.open(png.without_metadata(content), formats=("PNG",))
    elif raw.is_raw(content):
        return _open_raw(content, shrink)
    elif header.startswith(tiff.SIGNATURES):
        image = _open_tiff(content)
    elif header.startswith(psd.SIGNATURE):
        image = psd.open_psd(content, MAX_PIXELS)
    elif header.startswith(jxl.SIGNATURES):
        return _open_jxl(content, shrink)
    else:
        image = Image.open(content, formats=PILLOW_KINDS)
    if image.width * image.height > MAX_PIXELS:
        raise too_many_pixels()
    return OpenedPicture(image, image.size)


def too_many_pixels() -> Refused:
    """The refusal of a picture with too many pixels."""
    return Undecodable(
        f"too large to decode: more than {MAX_PIXELS // 1_000_000} million pixels", status=413
    )


def _open_jpeg(content: io.BytesIO, shrink: Shrink) -> OpenedPicture:
    structure = jpeg.structure_of(content)
    if structure is not None:
        _check_work(structure)
        if not structure.has_end:
            content = _with_end(content, shrink if structure.scans == 1 else None)
    # ``Image.open`` would limit the pixels in the file instead of the pixels that are decoded.
    try:
        image = JpegImagePlugin.jpeg_factory(content)
    except SyntaxError as error:
        raise UnidentifiedImageError from error
    size = image.size
    shrink(image)
    if image.width * image.height > MAX_PIXELS:
        raise too_many_pixels()
    return OpenedPicture(image, size)


def _check_work(structure: jpeg.JpegStructure) -> None:
    if structure.scans > jpeg.MAX_SCANS:
        raise Undecodable(
            f"a JPEG with more than {jpeg.MAX_SCANS} scans, which takes too long to decode",
            status=413,
        )
    pixels = structure.width * structure.height
    # The decoder keeps all coefficients of a picture with several scans in memory.
    if structure.scans > 1 and pixels > MAX_PIXELS:
        raise too_many_pixels()
    if structure.scans * pixels > MAX_SCANNED_PIXELS:
        raise Undecodable(
            f"too much work to decode: {structure.scans} scans of"
            f" {pixels // 1_000_000} million pixels",
            status=413,
        )
    if structure.is_too_short:
        raise _pixels_missing()


def _pixels_missing() -> Refused:
    return Undecodable("a truncated JPEG: the file ends before the last pixel", status=415)


def _with_end(content: io.BytesIO, shrink: Shrink | None) -> io.BytesIO:
    """This JPEG with the missing end marker added.

    Raises ``Refused`` if pixels are missing too, which shows because the decoder then reads the
    padding. ``shrink``: decode at a reduced size. This does not show what is missing in later
    scans.
    """
    data = jpeg.without_end(content)
    one, other = (_decoded(data + padding + jpeg.END, shrink) for padding in jpeg.PADDINGS)
    if one != other:
        raise _pixels_missing()
    return io.BytesIO(data + jpeg.END)


def _decoded(data: bytes, shrink: Shrink | None) -> bytes:
    image = JpegImagePlugin.JpegImageFile(io.BytesIO(data))
    if shrink is not None:
        shrink(image)
    return hashlib.sha256(image.tobytes()).digest()


def _open_raw(content: io.BytesIO, shrink: Shrink) -> OpenedPicture:
    preview = raw.preview_of(content)
    image = preview.picture
    if isinstance(image, bytes):
        image = _open_jpeg(io.BytesIO(image), shrink).image
    elif image.width * image.height > MAX_PIXELS:
        raise too_many_pixels()
    return OpenedPicture(image, raw.described(image, preview, content), is_part=True)


def _open_jxl(content: io.BytesIO, shrink: Shrink) -> OpenedPicture:
    header = jxl.header_of(content)
    if header.width * header.height > MAX_PIXELS:
        raise too_many_pixels()
    if header.has_more:  # the decoder would return the last frame
        raise Undecodable("a JPEG XL with several frames, which is not supported", status=415)
    decoded = jxl.decode(content)
    if isinstance(decoded, bytes):
        # The JPEG that was compressed further, byte for byte.
        opened = _open_jpeg(io.BytesIO(decoded), shrink)
        opened.image.format = "JXL"
        return opened
    return OpenedPicture(decoded, decoded.size)


def _open_tiff(content: io.BytesIO) -> Image.Image:
    try:
        return Image.open(content, formats=("TIFF",))
    except UnidentifiedImageError:
        refusal = tiff.refusal_of_unsupported(content)
        if refusal is not None:
            raise refusal from None
        raise


def _is_heif(header: bytes) -> bool:
    brand = header[8:12]
    if header[4:8] != b"ftyp":
        return False
    return brand in _HEIC_BRANDS or (brand in _HEIF_BRANDS and b"avif" not in header)


def _open_heif(content: io.BytesIO) -> Image.Image:
    try:
        # Imported late: it takes 5 MiB, is needed only for HEIC, and may not be installed.
        from pillow_heif import HeifImageFile
    except ImportError as error:
        raise Undecodable(
            "HEIC needs pillow-heif: pip install 'snoopsync[embedded]'", status=415
        ) from error
    image: Image.Image = HeifImageFile(content)
    return image
