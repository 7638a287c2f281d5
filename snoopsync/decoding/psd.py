"""Photoshop's PSD and PSB: the merged picture, which Photoshop stores after the layers.

Adobe's "Photoshop File Formats Specification" describes both. Pillow's own reader knows neither PSB
nor 16 bits, and does not notice that a merged picture is missing. psd-tools reads layers, which are
not needed here. Pillow's decoders of uncompressed and of PackBits lines decode the channels.
"""

from __future__ import annotations

import io
import struct
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageChops

from snoopsync.core.errors import Refused, Undecodable

SIGNATURE = b"8BPS"

#: Version, 6 unused bytes, channels, height, width, bits of a channel, kind of colours.
_HEADER = struct.Struct(">H6xHIIHH")
_PSD, _PSB = 1, 2

_BITMAP, _GREY, _INDEXED, _RGB, _CMYK, _DUOTONE = 0, 1, 2, 3, 4, 8

#: Pillow's mode for each kind of colours. A duotone is stored as grey.
_MODES = {_BITMAP: "1", _GREY: "L", _DUOTONE: "L", _INDEXED: "P", _RGB: "RGB", _CMYK: "CMYK"}

#: Pillow's mode and raw mode of a channel, by its bits. Of 16 bits, only the upper 8 are read.
_CHANNELS = {1: ("1", "1;I"), 8: ("L", "L"), 16: ("L", "L;16B")}

#: The image resources that matter: colour profile, whether there is a merged picture, EXIF.
_PROFILE, _VERSION, _EXIF = 1039, 1057, 1058
_RESOURCE_SIGNATURES = (b"8BIM", b"MeSa", b"PHUT", b"AgHg", b"DCSR")

#: The place of ``hasRealMergedData`` in the resource ``_VERSION``.
_HAS_MERGED = 4

_UNCOMPRESSED, _PACKBITS = 0, 1

_PALETTE_BYTES = 768

_NOT_MERGED = (
    "a PSD without a merged picture: it was saved without Photoshop's option"
    ' "maximize compatibility"'
)


class _Header(NamedTuple):
    version: int
    channels: int
    height: int
    width: int
    bits: int
    colours: int


def open_psd(content: io.BytesIO, max_pixels: int) -> Image.Image:
    """The merged picture of the PSD or PSB in ``content``, decoded.

    Raises ``Undecodable``: 413 for a picture of more than ``max_pixels`` pixels; 415 for a damaged
    file, for one without a merged picture, and for an unsupported kind.
    """
    content.seek(len(SIGNATURE))
    header = _Header(*_HEADER.unpack(_take(content, _HEADER.size)))
    mode = _mode_of(header)
    if header.width * header.height > max_pixels:
        raise Undecodable(
            f"too large to decode: more than {max_pixels // 1_000_000} million pixels", status=413
        )
    palette = _section(content)
    resources = _resources(_section(content))
    version = resources.get(_VERSION, b"")
    if len(version) > _HAS_MERGED and not version[_HAS_MERGED]:
        raise _refusal(_NOT_MERGED)
    _skip_layers(content, header)
    image = _merged(content, header, mode)
    if mode == "P":
        image.putpalette(_by_colour(palette))
    image.format = "PSD"
    if _PROFILE in resources:
        image.info["icc_profile"] = resources[_PROFILE]
    if _EXIF in resources:
        image.info["exif"] = b"Exif\0\0" + resources[_EXIF]
    return image


def _mode_of(header: _Header) -> str:
    """Pillow's mode for the picture. Raises ``Undecodable`` for an unsupported kind."""
    mode = _MODES.get(header.colours)
    is_known = header.bits in _CHANNELS and (header.bits == 1) == (mode == "1")
    if header.version not in (_PSD, _PSB) or mode is None or not is_known:
        kind = f"version {header.version}, colours {header.colours}, {header.bits} bits"
        raise _refusal(f"an unsupported kind of PSD ({kind})")
    if not (header.width and header.height and header.channels >= Image.getmodebands(mode)):
        raise _refusal("a damaged PSD: it has no pixels, or too few channels")
    return mode


def _merged(content: io.BytesIO, header: _Header, mode: str) -> Image.Image:
    """The merged picture, without its further channels, which are masks and selections."""
    (compression,) = struct.unpack(">H", _take(content, 2))
    lengths = [header.height * ((header.width * header.bits + 7) // 8)] * header.channels
    if compression == _PACKBITS:
        lengths = _packed_lengths(content, header)
    elif compression != _UNCOMPRESSED:
        raise _refusal(f"an unsupported kind of PSD (compression {compression})")
    decoder = "packbits" if compression == _PACKBITS else "raw"
    channel_mode, raw_mode = _CHANNELS[header.bits]
    size = (header.width, header.height)
    bands = []
    for length in lengths[: Image.getmodebands(mode)]:
        data = _take(content, length)
        try:
            bands.append(Image.frombytes(channel_mode, size, data, decoder, raw_mode))
        except ValueError as error:
            raise _refusal("a damaged PSD: a channel has too few pixels") from error
    if mode == "CMYK":  # 255 is no ink
        bands = [ImageChops.invert(band) for band in bands]
    return Image.merge(mode, bands) if len(bands) > 1 else bands[0]


def _packed_lengths(content: io.BytesIO, header: _Header) -> list[int]:
    """The number of bytes of each packed channel, the sum of the numbers of its lines."""
    form = np.dtype(">u4" if header.version == _PSB else ">u2")
    data = _take(content, header.channels * header.height * form.itemsize)
    counts = np.frombuffer(data, form).reshape(header.channels, header.height)
    lengths: list[int] = counts.sum(axis=1, dtype=np.int64).tolist()
    return lengths


def _by_colour(palette: bytes) -> bytes:
    """The palette as red, green and blue of each colour. In the file, all shades of red come
    first."""
    if len(palette) != _PALETTE_BYTES:
        raise _refusal("a damaged PSD: its palette has the wrong length")
    third = _PALETTE_BYTES // 3
    return bytes(palette[index // 3 + index % 3 * third] for index in range(_PALETTE_BYTES))


def _resources(section: bytes) -> dict[int, bytes]:
    """The image resources by number, as far as they can be read."""
    found: dict[int, bytes] = {}
    at = 0
    while section[at : at + 4] in _RESOURCE_SIGNATURES and at + 7 <= len(section):
        (number,) = struct.unpack_from(">H", section, at + 4)
        at += 6 + (section[at + 6] | 1) + 1  # a name of an even number of bytes, with its length
        if at + 4 > len(section):
            break
        (length,) = struct.unpack_from(">I", section, at)
        found[number] = section[at + 4 : at + 4 + length]
        at += 4 + length + length % 2
    return found


def _skip_layers(content: io.BytesIO, header: _Header) -> None:
    form = struct.Struct(">Q" if header.version == _PSB else ">I")
    (length,) = form.unpack(_take(content, form.size))
    content.seek(min(content.tell() + length, len(content.getvalue())))


def _section(content: io.BytesIO) -> bytes:
    """The next section, after its length."""
    return _take(content, *struct.unpack(">I", _take(content, 4)))


def _take(content: io.BytesIO, count: int) -> bytes:
    """The next bytes. Raises ``Undecodable`` if the file ends too early."""
    data = content.read(count)
    if len(data) < count:
        raise _refusal("a truncated PSD: the file ends too early")
    return data


def _refusal(reason: str) -> Refused:
    return Undecodable(reason, status=415)
