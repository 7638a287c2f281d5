"""JPEG XL: its header, its pixels, and the JPEG that it was made from."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from snoopsync.core.errors import Refused
from snoopsync.decoding import jxl
from snoopsync.decoding.metadata import metadata_of
from tests.decoding.helpers import distance, extract
from tests.support.pictures import encode, photo

PICTURE = photo(5, (240, 160))


def encoded(picture: Image.Image = PICTURE, **options: Any) -> bytes:
    return encode(picture, "JXL", **options)


@pytest.mark.parametrize(
    "size", [(8, 8), (256, 256), (40, 24), (161, 97), (513, 300), (1024, 576), (9000, 3)]
)
@pytest.mark.parametrize("options", [{"quality": 80}, {"lossless": True}, {"use_container": True}])
def test_the_header_has_the_size(size: tuple[int, int], options: dict[str, Any]) -> None:
    content = encoded(Image.new("RGB", size, "teal"), **options)
    header = jxl.header_of(io.BytesIO(content))
    assert (header.width, header.height, header.has_more) == (*size, False)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_lossless_pixels_are_read_as_they_are(mode: str) -> None:
    picture = PICTURE.convert("L").convert("I;16") if mode == "I;16" else PICTURE.convert(mode)
    decoded = jxl.decode(io.BytesIO(encoded(picture, lossless=True)))
    assert isinstance(decoded, Image.Image)
    assert (decoded.mode, decoded.tobytes()) == (mode, picture.tobytes())


def test_a_lossy_copy_is_found() -> None:
    features = extract(encoded(quality=60))
    assert features.kind == "JXL"
    assert distance(features, extract(encode(PICTURE, "PNG"))) <= 10


@pytest.mark.parametrize("orientation", [1, 6])
def test_the_orientation_in_exif_does_not_turn_the_picture(orientation: int) -> None:
    """The header of JPEG XL has its own, which libjxl applies."""
    exif = Image.Exif()
    exif[0x0110], exif[0x0112] = "Snoop One", orientation
    content = encoded(exif=exif.tobytes())
    features = extract(content)
    assert (features.width, features.height) == PICTURE.size
    assert metadata_of(io.BytesIO(content)).camera == "Snoop One"


def test_a_jpeg_in_a_jpeg_xl_is_decoded_like_the_jpeg(tmp_path: Path) -> None:
    """It is turned as its EXIF says, since it is the JPEG byte for byte."""
    exif = Image.Exif()
    exif[0x0112] = 6
    original = encode(PICTURE, "JPEG", exif=exif)
    (tmp_path / "a.jpg").write_bytes(original)
    with Image.open(tmp_path / "a.jpg") as picture:
        content = encoded(picture, lossless_jpeg=True)
    assert jxl.decode(io.BytesIO(content)) == original
    one, other = extract(content), extract(original)
    assert (one.kind, one.width, one.height) == ("JXL", 160, 240)
    assert (one.codes, one.digest) == (other.codes, other.digest)


def test_an_animation_is_refused() -> None:
    # 8 x 8 pixels, ratio 1; not all defaults, extra fields, no other size, no preview, animated.
    bits = "1" + "00000" + "100" + "0" + "1" + "000" + "0" + "0" + "1"
    content = b"\xff\x0a" + int(bits[::-1], 2).to_bytes(8, "little")
    assert jxl.header_of(io.BytesIO(content)) == jxl.Header(8, 8, has_more=True)
    with pytest.raises(Refused, match="a JPEG XL with several frames"):
        extract(content)


def test_a_jpeg_xl_that_is_cut_anywhere_is_refused() -> None:
    content = encoded(photo(5, (24, 16)), use_container=True)
    for length in range(12, len(content)):
        with pytest.raises(Refused, match="JPEG XL that is damaged or truncated") as refused:
            extract(content[:length])
        assert refused.value.status == 415


def test_a_jpeg_xl_with_too_many_pixels_is_refused_before_it_is_decoded() -> None:
    sides = "0" + "11" + format(2**29, "030b")[::-1] + "100"
    content = b"\xff\x0a" + int(sides[::-1], 2).to_bytes(60, "little")
    with pytest.raises(Refused, match="too large to decode") as refused:
        extract(content)
    assert refused.value.status == 413


@pytest.mark.parametrize("length", [b"\0\0\0\0", b"\0\0\0\1", b"\0\0\0\2", b"\xff\xff\xff\xff"])
def test_boxes_of_odd_lengths_are_refused(length: bytes) -> None:
    content = b"\0\0\0\x0cJXL \r\n\x87\n" + length + b"jxlp" + bytes(40)
    with pytest.raises(Refused, match="JPEG XL that is damaged or truncated"):
        extract(content)


def test_without_the_plug_in_the_refusal_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    content = encoded()
    monkeypatch.setitem(sys.modules, "pillow_jxl", None)
    with pytest.raises(Refused, match=r"pip install 'snoopsync\[jxl\]'"):
        extract(content)


@pytest.mark.parametrize("exif", [b"garbage!" * 8, b"II*\0", bytes(100)])
def test_damaged_metadata_is_ignored(exif: bytes) -> None:
    assert extract(encode(photo(1), "JXL", exif=exif)).kind == "JXL"
