"""Opening a picture: which formats are decoded, and how much work that may take."""

from __future__ import annotations

import struct
import sys
import warnings
import zlib
from typing import Any

import pytest

from snoopsync.core.errors import Refused
from snoopsync.decoding.opening import MAX_PIXELS
from tests.decoding.helpers import PICTURE, chunk, extract
from tests.support.pictures import encode


def png_that_claims(width: int, height: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def bmp_that_claims(width: int, height: int) -> bytes:
    header = struct.pack("<IiiHHIIiiII", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", 54, 0, 0, 54) + header


def gif_that_claims(width: int, height: int) -> bytes:
    frame = b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x4c\x01\x00;"
    return b"GIF89a" + struct.pack("<HHBBB", width, height, 0, 0, 0) + frame


@pytest.mark.parametrize("claims", [png_that_claims, bmp_that_claims, gif_that_claims])
@pytest.mark.parametrize(
    "size", [(14_000, 14_000), (60_000, 60_000), (65_500, MAX_PIXELS // 65_500 + 1)]
)
def test_too_many_pixels_in_the_header_are_refused(claims: Any, size: tuple[int, int]) -> None:
    with pytest.raises(Refused, match="more than 178 million pixels") as refused:
        extract(claims(*size))
    assert refused.value.status == 413


def test_large_pictures_cause_no_warning_of_pillow() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with pytest.raises(Refused, match="truncated") as refused:
            extract(png_that_claims(10_000, 10_000))
    assert refused.value.status == 415
    assert caught == []


@pytest.mark.parametrize("kind", ["PPM", "TGA", "ICO", "PCX", "DDS", "EPS", "PDF"])
def test_other_formats_of_pillow_are_refused(kind: str) -> None:
    with pytest.raises(Refused, match="not a supported picture"):
        extract(encode(PICTURE, kind))


def test_heic_without_its_library_is_refused_with_the_command_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = encode(PICTURE, "HEIF")
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(Refused, match=r"pip install 'snoopsync\[embedded\]'") as refused:
        extract(data)
    assert refused.value.status == 415
