"""Photoshop files: the merged picture of a PSD or PSB."""

from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from snoopsync.core.errors import Refused
from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.metadata import metadata_of
from snoopsync.decoding.opening import MAX_PIXELS
from snoopsync.decoding.psd import open_psd
from tests.decoding.helpers import evidence, extract
from tests.support.pictures import encode, photo
from tests.support.psd_pictures import psd

PICTURE = photo(3, (97, 60))


def merged(content: bytes) -> Image.Image:
    return open_psd(io.BytesIO(content), MAX_PIXELS)


@pytest.mark.parametrize("is_big", [False, True], ids=["PSD", "PSB"])
@pytest.mark.parametrize("is_packed", [False, True], ids=["uncompressed", "packed"])
@pytest.mark.parametrize(
    ("mode", "bits"), [("1", 1), ("P", 8), *((m, b) for m in ("L", "RGB", "CMYK") for b in (8, 16))]
)
def test_every_pixel_is_read(mode: str, bits: int, is_packed: bool, is_big: bool) -> None:
    picture = PICTURE.quantize(200) if mode == "P" else PICTURE.convert(mode)
    content = psd(picture, bits=bits, is_big=is_big, is_packed=is_packed, layers=bytes(99))
    image = merged(content)
    assert image.format == "PSD"
    assert image.convert("RGB").tobytes() == picture.convert("RGB").tobytes()


def test_masks_after_the_colours_do_not_count() -> None:
    assert merged(psd(PICTURE, more_channels=2)).tobytes() == PICTURE.tobytes()


def test_a_psd_is_found_as_a_copy_of_its_picture() -> None:
    content = psd(photo(3, (320, 240)))
    assert extract(content).codes == extract(encode(photo(3, (320, 240)), "PNG")).codes
    assert extract(content).kind == "PSD"
    assert evidence(content) == FileEvidence(lossless=True)


def test_the_metadata_of_a_psd_is_read() -> None:
    exif = Image.Exif()
    exif[0x0110] = "Snoop One"
    content = psd(PICTURE, exif=exif.tobytes().removeprefix(b"Exif\0\0"))
    assert metadata_of(io.BytesIO(content)).camera == "Snoop One"


def test_a_psd_without_a_merged_picture_is_refused_with_this_reason() -> None:
    with pytest.raises(Refused, match=r"without a merged picture.*maximize compatibility"):
        merged(psd(PICTURE, is_merged=False))


@pytest.mark.parametrize("is_packed", [False, True])
def test_a_psd_that_is_cut_anywhere_is_refused(is_packed: bool) -> None:
    content = psd(photo(3, (16, 9)), is_packed=is_packed)
    for length in range(4, len(content)):
        with pytest.raises(Refused, match="truncated PSD") as refused:
            merged(content[:length])
        assert refused.value.status == 415


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        (4, b"\0\3", "unsupported kind of PSD"),
        (22, b"\0\x20", "32 bits"),
        (24, b"\0\x09", "colours 9"),
        (12, b"\0\0", "too few channels"),
        (14, b"\0\0\0\0", "no pixels"),
        (14, b"\0\4\x93\xe0", "too large to decode"),
    ],
)
def test_a_header_that_cannot_be_followed_is_refused(place: int, value: bytes, reason: str) -> None:
    content = bytearray(psd(photo(3, (1000, 9))))
    content[place : place + len(value)] = value
    with pytest.raises(Refused, match=reason):
        merged(bytes(content))


def test_an_unknown_compression_is_refused() -> None:
    content = psd(PICTURE)
    data = 3 * PICTURE.width * PICTURE.height
    damaged = content[: -data - 2] + struct.pack(">H", 3) + content[-data:]
    with pytest.raises(Refused, match=r"unsupported kind of PSD \(compression 3\)"):
        merged(damaged)


def test_resources_that_end_too_early_are_ignored() -> None:
    content = psd(PICTURE, exif=bytes(100))
    place = content.index(b"8BIM", 40) + 6  # of the second resource: its length
    assert merged(content[:place] + b"\0\0\xff\xff\xff\xff" + content[place + 6 :]).size == (97, 60)
