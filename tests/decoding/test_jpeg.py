"""JPEGs without an end, with too many scans, and larger than needed."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from snoopsync.core.errors import Refused
from snoopsync.decoding import jpeg
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

KINDS: dict[str, dict[str, Any]] = {
    "baseline": {"quality": 85},
    "no subsampling": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restart markers": {"restart_marker_blocks": 3},
}
of_every_kind = pytest.mark.parametrize("options", KINDS.values(), ids=list(KINDS))

FILLINGS = {"nothing": b"", "zeros": bytes(512), "ones": b"\xff" * 512, "half a marker": b"\xff"}


@of_every_kind
@pytest.mark.parametrize("filling", FILLINGS.values(), ids=list(FILLINGS))
def test_a_jpeg_without_its_end_marker_is_whole(options: dict[str, Any], filling: bytes) -> None:
    for seed in range(6):
        data = encode(photo(seed, (161 + seed, 120)), **options)
        assert extract(data[:-2] + filling).digest == extract(data).digest


@of_every_kind
@pytest.mark.parametrize("filling", FILLINGS.values(), ids=list(FILLINGS))
def test_a_jpeg_with_missing_rows_is_refused(options: dict[str, Any], filling: bytes) -> None:
    data = encode(photo(1, (800, 600)), **options)
    for part in (2, 5, 9):
        with pytest.raises(Refused, match="a truncated JPEG: the file ends"):
            extract(data[: len(data) * part // 10] + filling)
    missing = data[: len(data) // 2]
    with pytest.raises(Refused, match="a truncated JPEG: the file ends"):
        extract(missing + bytes(len(data) - len(missing)))


def test_bytes_after_the_end_of_a_jpeg_are_ignored() -> None:
    data = encode(photo(1))
    for trailer in (b"\xff\xda" * 500, b"\0" * 100, b"a film" * 1000, encode(photo(2))):
        assert extract(data + trailer).digest == extract(data).digest


def test_a_jpeg_of_no_pixels_is_refused_as_no_picture() -> None:
    with pytest.raises(Refused, match="not a supported picture"):
        extract(claiming(encode(photo(1, (64, 48))), 0, 0))


def claiming(data: bytes, width: int, height: int) -> bytes:
    at = data.index(b"\xff\xc0") + 5
    return data[:at] + struct.pack(">HH", height, width) + data[at + 4 :]


@pytest.mark.parametrize(("side", "status"), [(13_000, 415), (30_000, 415), (65_000, 413)])
def test_a_small_jpeg_that_claims_to_be_huge_is_refused(side: int, status: int) -> None:
    with pytest.raises(Refused) as refused:
        extract(claiming(encode(photo(1, (64, 48))), side, side))
    assert refused.value.status == status


def test_a_jpeg_of_200_megapixels_is_read_at_a_reduced_size() -> None:
    # The size of a phone's photograph, in squares of one colour, which are quick to make.
    large = Image.new("RGB", (16_320, 12_240))
    small = photo(1, (480, 360))
    large.paste(small.resize((16_320, 12_240), Image.Resampling.NEAREST))
    data = io.BytesIO()
    large.save(data, "JPEG", quality=60)
    features = extract(data.getvalue())
    assert (features.width, features.height, features.quality) == (16_320, 12_240, 100)


def test_a_progressive_jpeg_is_decoded_whole_and_may_be_no_larger_than_others() -> None:
    data = bytearray(encode(photo(1, (64, 48)), progressive=True))
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = struct.pack(">HH", 14_000, 14_000)
    with pytest.raises(Refused, match="more than 178 million pixels") as refused:
        extract(bytes(data))
    assert refused.value.status == 413


def with_scans(picture: Image.Image, count: int) -> bytes:
    """A progressive JPEG with ``count`` more copies of its last scan."""
    data = encode(picture.convert("L"), progressive=True)
    begin = data.rindex(b"\xff\xda")
    return data[:-2] + data[begin:-2] * count + data[-2:]


def test_a_jpeg_of_very_many_scans_is_refused_before_it_is_decoded() -> None:
    picture = photo(1, (64, 48))
    assert extract(with_scans(picture, 10)).width == 64
    for count in (jpeg.MAX_SCANS, 100_000):
        with pytest.raises(Refused, match="a JPEG with more than 100 scans") as refused:
            extract(with_scans(picture, count))
        assert refused.value.status == 413


def test_scan_markers_inside_tables_and_comments_are_not_counted() -> None:
    data = encode(photo(1))
    comment = b"\xff\xda" * 1000
    segment = b"\xff\xfe" + struct.pack(">H", 2 + len(comment)) + comment
    assert extract(data[:2] + segment + data[2:]).digest == extract(data).digest


def test_scans_times_pixels_are_bounded() -> None:
    data = bytearray(with_scans(photo(1, (64, 48)), 60))
    at = data.index(b"\xff\xc2") + 5
    data[at : at + 4] = struct.pack(">HH", 10_000, 10_000)
    with pytest.raises(Refused, match="too much work to decode") as refused:
        extract(bytes(data))
    assert refused.value.status == 413
