"""What a file says about itself: format, time and camera."""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from contextlib import closing

import pytest
from PIL import ExifTags, Image

from snoopsync.core.errors import Refused
from snoopsync.decoding.decoders import Renderers
from snoopsync.decoding.layout import InvalidAnswer, Metadata, pack_metadata, unpack_metadata
from snoopsync.decoding.metadata import metadata_of
from snoopsync.decoding.samples import samples
from snoopsync.decoding.source import read_picture
from tests.support.pictures import encode, photo


@pytest.fixture(scope="module")
def renderers() -> Iterator[Renderers]:
    with closing(Renderers(1)) as renderers:
        yield renderers


def exif(make: str = "", model: str = "", taken_at: str = "") -> Image.Exif:
    values = Image.Exif()
    values[ExifTags.Base.Make] = make
    values[ExifTags.Base.Model] = model
    values.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = taken_at
    return values


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "HEIF"])
def test_time_and_camera_are_read_in_the_sandbox(renderers: Renderers, kind: str) -> None:
    content = encode(photo(1), kind, exif=exif("Canon", "Canon EOS 5D", "2024:05:01 12:30:15"))
    with read_picture(content) as picture:
        found = renderers.read_metadata(picture)
    assert found == Metadata(kind, "2024-05-01T12:30:15", "Canon EOS 5D")


def test_the_camera_of_a_tiff_is_read() -> None:
    """Pillow writes no time into a TIFF."""
    content = encode(photo(1), "TIFF", exif=exif("Canon", "Canon EOS 5D"))
    assert metadata_of(io.BytesIO(content)) == Metadata("TIFF", "", "Canon EOS 5D")


@pytest.mark.parametrize("codec", samples())
def test_each_codec_gives_the_same_metadata_in_the_sandbox(
    renderers: Renderers, codec: str
) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        assert renderers.read_metadata(picture) == metadata_of(io.BytesIO(content))


@pytest.mark.parametrize(
    ("make", "model", "camera"),
    [
        ("NIKON CORPORATION", "NIKON D90", "NIKON D90"),
        ("Apple", "iPhone 15", "Apple iPhone 15"),
        ("Apple", "", "Apple"),
        ("", "X100", "X100"),
        ("", "", ""),
        ("Evil\x1b[31m", "\u202egpj\nx", "Evil?[31m ?gpj x"),
        ("x" * 200, "", "x" * 100),
    ],
)
def test_the_make_is_named_once_and_is_printable(make: str, model: str, camera: str) -> None:
    content = encode(photo(1), exif=exif(make, model))
    metadata = metadata_of(io.BytesIO(content))
    assert unpack_metadata(pack_metadata(metadata)).camera == camera


@pytest.mark.parametrize("text", ["", "0000:00:00 00:00:00", "yesterday", "2024:13:01 12:00:00"])
def test_an_impossible_time_is_none(text: str) -> None:
    assert metadata_of(io.BytesIO(encode(photo(1), exif=exif(taken_at=text)))).taken_at == ""


def test_damaged_metadata_is_none() -> None:
    content = encode(photo(1), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert metadata_of(io.BytesIO(content)) == Metadata("JPEG", "", "")


def test_what_is_not_a_picture_has_no_metadata(renderers: Renderers) -> None:
    with read_picture(b"<svg/>") as picture, pytest.raises(Refused):
        renderers.read_metadata(picture)


@pytest.mark.parametrize(
    "answer",
    [
        b"M",
        b"M" + struct.pack("<8s19s100s", b"SVG", b"", b""),
        b"M" + struct.pack("<8s19s100s", b"JPEG", b"<b>2024-05-01</b>", b""),
        b"M" + struct.pack("<8s19s101s", b"JPEG", b"", b""),
        b"P" + struct.pack("<8s19s100s", b"JPEG", b"", b""),
    ],
)
def test_other_answers_of_a_decoder_are_not_valid(answer: bytes) -> None:
    with pytest.raises(InvalidAnswer):
        unpack_metadata(answer)
