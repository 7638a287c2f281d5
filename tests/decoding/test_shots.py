"""What a camera wrote about a shot is read in the sandbox."""

from __future__ import annotations

import io
import math
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from PIL.TiffImagePlugin import IFDRational

from snoopsync.core.errors import Refused
from snoopsync.core.shots import Shot
from snoopsync.decoding.decoders import Decoders
from snoopsync.decoding.layout import InvalidAnswer
from snoopsync.decoding.metadata import shot_of
from snoopsync.decoding.samples import samples
from snoopsync.decoding.shots import pack_shot, unpack_shot
from snoopsync.decoding.source import read_picture
from tests.support.camera import camera_exif
from tests.support.pictures import encode, photo

NOON = datetime(2024, 5, 1, 12, 30, 15)  # noqa: DTZ001 - cameras write no zone
SHOT = Shot("Canon", "Canon EOS R5", "0123", NOON, "25", "ab12", 0.004, -1.0)

#: The metadata of ``SHOT``.
TAGS: dict[str, Any] = {
    "DateTimeOriginal": "2024:05:01 12:30:15",
    "SubsecTimeOriginal": "25",
    "BodySerialNumber": "0123",
    "ImageUniqueID": "ab12",
    "ExposureTime": IFDRational(1, 250),
    "ExposureBiasValue": IFDRational(-1, 1),
}


@pytest.fixture(scope="module")
def decoders() -> Iterator[Decoders]:
    with closing(Decoders(1)) as decoders:
        yield decoders


def read(**changed: Any) -> Shot:
    content = encode(photo(1), exif=camera_exif(**TAGS | changed))
    return shot_of(io.BytesIO(content))


@pytest.mark.parametrize("kind", ["JPEG", "WEBP", "HEIF"])
def test_the_shot_is_read_in_the_sandbox(decoders: Decoders, kind: str) -> None:
    with read_picture(encode(photo(1), kind, exif=camera_exif(**TAGS))) as picture:
        assert decoders.read_shot(picture) == SHOT
        assert decoders.extract_features(picture).kind == kind


@pytest.mark.parametrize("codec", samples())
def test_each_codec_gives_the_same_shot_in_the_sandbox(decoders: Decoders, codec: str) -> None:
    content = samples()[codec]
    with read_picture(content) as picture:
        assert decoders.read_shot(picture) == shot_of(io.BytesIO(content))


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"DateTimeOriginal": "yesterday"}, replace(SHOT, taken_at=None, fraction="")),
        ({"SubsecTimeOriginal": "x"}, replace(SHOT, fraction="")),
        ({"SubsecTimeOriginal": "0 "}, replace(SHOT, fraction="0")),
        ({"SubsecTimeOriginal": "1" * 30}, replace(SHOT, fraction="1" * 9)),
        ({"Make": "x" * 200, "Model": "\n"}, replace(SHOT, make="x" * 64, model="")),
        ({"Model": "R5\0\0", "ImageUniqueID": ""}, replace(SHOT, model="R5", unique_id="")),
        ({"ExposureTime": IFDRational(1, 0)}, replace(SHOT, exposure_seconds=None)),
        ({"ExposureTime": IFDRational(4_000_000, 1)}, replace(SHOT, exposure_seconds=None)),
    ],
)
def test_what_is_not_valid_is_empty(changed: dict[str, Any], expected: Shot) -> None:
    shot = read(**changed)
    assert shot == expected
    assert unpack_shot(pack_shot(shot)) == expected


def test_the_digitised_time_has_its_own_fraction() -> None:
    values = {
        "DateTimeOriginal": "",
        "DateTimeDigitized": "2024:05:01 12:30:15",
        "SubsecTimeDigitized": "75",
    }
    assert read(**values) == replace(SHOT, fraction="75")


def test_a_picture_without_metadata_has_an_empty_shot() -> None:
    damaged = encode(photo(1), exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    for content in (encode(photo(1)), encode(photo(1), "PNG"), damaged):
        assert shot_of(io.BytesIO(content)) == Shot()


def test_what_is_not_a_picture_is_refused(decoders: Decoders) -> None:
    with read_picture(b"<svg/>") as picture, pytest.raises(Refused):
        decoders.read_shot(picture)


@pytest.mark.parametrize("number", [math.inf, -1.0, 1e9])
def test_any_other_answer_is_invalid(number: float) -> None:
    valid = pack_shot(SHOT)
    assert unpack_shot(valid) == SHOT
    at = len(valid) - 16
    invalid = [
        b"",
        valid[:-1],
        valid + b"x",
        b"M" + valid[1:],
        b"R",
        valid.replace(b"2024-05", b"2024-99"),
        valid[: at - 9] + b"-1".ljust(9, b"\0") + valid[at:],
        valid[:at] + struct.pack("<d", number) + valid[at + 8 :],
    ]
    for answer in invalid:
        with pytest.raises(InvalidAnswer):
            unpack_shot(answer)


def test_a_time_never_has_a_zone() -> None:
    assert SHOT.taken_at is not None
    zoned = pack_shot(SHOT).replace(SHOT.taken_at.isoformat().encode(), b"2020-01-01T00+00:00")
    taken_at = unpack_shot(zoned).taken_at
    assert taken_at is not None
    assert taken_at.tzinfo is None
