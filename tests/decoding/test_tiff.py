"""Unusual TIFFs are decoded correctly, or refused with their kind."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Literal

import numpy as np
import pytest
from numpy.typing import NDArray

from snoopsync.core.errors import Refused
from tests.decoding.helpers import distance, extract
from tests.support.pictures import encode, photo

SIZE = (160, 120)
PICTURE = photo(1, SIZE)
COLOURS = np.asarray(PICTURE)
GREY = np.asarray(PICTURE.convert("L"))

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, CMYK = 0, 1, 2, 5
UNSIGNED, SIGNED, FLOAT = 1, 2, 3

Order = Literal["<", ">"]


def tiff(
    samples: NDArray[np.generic],
    photometric: int,
    *,
    order: Order = "<",
    is_planar: bool = False,
    is_compressed: bool = False,
    extra: int | None = None,
) -> bytes:
    """A TIFF of these samples (line, column, channel), as the specification describes it."""
    lines, columns, channels = samples.shape
    samples = samples.astype(samples.dtype.newbyteorder(order))
    planes = samples.transpose(2, 0, 1) if is_planar else samples[np.newaxis]
    strips = [plane.tobytes() for plane in planes]
    strips = [zlib.compress(strip) for strip in strips] if is_compressed else strips
    sample_format = {"u": UNSIGNED, "i": SIGNED, "f": FLOAT}[samples.dtype.kind]
    offsets = np.cumsum([8, *map(len, strips)])[:-1]
    tags: dict[int, tuple[str, list[int]]] = {
        256: ("I", [columns]),
        257: ("I", [lines]),
        258: ("H", [8 * samples.dtype.itemsize] * channels),
        259: ("H", [8 if is_compressed else 1]),
        262: ("H", [photometric]),
        273: ("I", [int(offset) for offset in offsets]),
        277: ("H", [channels]),
        278: ("I", [lines]),
        279: ("I", [len(strip) for strip in strips]),
        284: ("H", [2 if is_planar else 1]),
        339: ("H", [sample_format] * channels),
    }
    if extra is not None:
        tags[338] = ("H", [extra])
    return _written(b"".join(strips), dict(sorted(tags.items())), order)


def _written(pixels: bytes, tags: dict[int, tuple[str, list[int]]], order: str) -> bytes:
    values_at, entries, values = 8 + len(pixels), b"", b""
    for tag, (kind, numbers) in tags.items():
        packed = struct.pack(f"{order}{len(numbers)}{kind}", *numbers)
        if len(packed) > 4:
            value = struct.pack(order + "I", values_at + len(values))
            values += packed
        else:
            value = packed.ljust(4, b"\0")
        number = {"H": 3, "I": 4}[kind]
        entries += struct.pack(order + "HHI", tag, number, len(numbers)) + value
    start = b"II*\0" if order == "<" else b"MM\0*"
    directory = struct.pack(order + "H", len(tags)) + entries + bytes(4)
    return start + struct.pack(order + "I", values_at + len(values)) + pixels + values + directory


def as_16_bits(values: NDArray[np.uint8]) -> NDArray[np.uint16]:
    return values.astype(np.uint16) * 257


def is_picture(data: bytes) -> bool:
    """Whether this is the picture, neither inverted nor shifted."""
    features, expected = extract(data), extract(encode(PICTURE, "PNG"))
    assert features.thumbnail is not None and expected.thumbnail is not None
    ours, theirs = (
        np.frombuffer(each.grey, np.uint8).astype(int)
        for each in (features.thumbnail, expected.thumbnail)
    )
    size = (features.width, features.height)
    return size == SIZE and distance(features, expected) <= 12 and np.abs(ours - theirs).max() <= 9


in_both_orders = pytest.mark.parametrize("order", ["<", ">"])
compressed_or_not = pytest.mark.parametrize("is_compressed", [False, True])


@in_both_orders
@compressed_or_not
@pytest.mark.parametrize("is_planar", [False, True])
@pytest.mark.parametrize("bits", [8, 16])
def test_colours_are_decoded_in_one_plane_and_in_several(
    bits: int, is_planar: bool, is_compressed: bool, order: Order
) -> None:
    deep = COLOURS if bits == 8 else as_16_bits(COLOURS)
    options: dict[str, Any] = {
        "order": order,
        "is_planar": is_planar,
        "is_compressed": is_compressed,
    }
    assert is_picture(tiff(deep, RGB, **options))
    opaque = np.full_like(deep[..., :1], np.iinfo(deep.dtype).max)
    assert is_picture(tiff(np.concatenate([deep, opaque], axis=2), RGB, extra=2, **options))
    ink = np.concatenate([np.iinfo(deep.dtype).max - deep, np.zeros_like(opaque)], axis=2)
    assert is_picture(tiff(ink, CMYK, **options))


def decoded_or_refused(data: bytes) -> bool:
    try:
        return is_picture(data)
    except Refused as refusal:
        return "an unsupported kind of TIFF" in str(refusal)


@in_both_orders
@compressed_or_not
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f2", "f4", "f8"])
def test_every_kind_of_grey_is_decoded_or_refused_with_its_kind(
    kind: str, photometric: int, is_compressed: bool, order: Order
) -> None:
    dtype = np.dtype(kind)
    shades = GREY[..., np.newaxis].astype(np.float64)
    shades = 255 - shades if photometric == WHITE_IS_ZERO else shades
    white = (
        1.0
        if dtype.kind == "f"
        else {1: 255, 2: 32767 if kind == "i2" else 65535}.get(dtype.itemsize, 2**31 - 1)
    )
    if kind == "i1":
        shades, white = shades / 2, 255  # half of 8 bits
    samples = (shades * (white / 255)).astype(dtype)
    data = tiff(samples, photometric, order=order, is_compressed=is_compressed)
    if kind == "i1":
        with_all_shades = extract_or_refusal(data)
        assert with_all_shades in ("refused", "decoded")
    else:
        assert decoded_or_refused(data)


def extract_or_refusal(data: bytes) -> str:
    try:
        extract(data)
    except Refused as refusal:
        assert "an unsupported kind of TIFF" in str(refusal)
        return "refused"
    return "decoded"


@pytest.mark.parametrize("is_compressed", [False, True])
def test_16_bits_with_0_as_white_are_not_inverted(is_compressed: bool) -> None:
    inverted = 65535 - as_16_bits(GREY)[..., np.newaxis]
    assert is_picture(tiff(inverted, WHITE_IS_ZERO, is_compressed=is_compressed))


@pytest.mark.parametrize(
    ("samples", "photometric", "extra"),
    [
        (np.zeros((9, 9, 5), np.uint8), CMYK, 2),
        (np.zeros((9, 9, 3), np.float32), RGB, None),
        (np.zeros((9, 9, 2), np.uint16), BLACK_IS_ZERO, 2),
        (np.zeros((9, 9, 1), np.float64), BLACK_IS_ZERO, None),
    ],
    ids=["CMYK with transparency", "floats in colour", "deep grey with transparency", "doubles"],
)
def test_the_refusal_names_a_kind_of_tiff_that_cannot_be_decoded(
    samples: NDArray[np.generic], photometric: int, extra: int | None
) -> None:
    bits = f"{samples.shape[2]} x {8 * samples.dtype.itemsize} bits"
    with pytest.raises(Refused, match=rf"an unsupported kind of TIFF \({bits}\)") as refused:
        extract(tiff(samples, photometric, extra=extra))
    assert refused.value.status == 415


def test_the_refusal_of_a_damaged_tiff_names_the_damage() -> None:
    data = bytearray(tiff(COLOURS, RGB, is_compressed=True))
    data[8:208] = b"\x55" * 200
    with pytest.raises(Refused, match="a damaged or truncated TIFF"):
        extract(bytes(data))


@pytest.mark.parametrize("count", [2**59, 2**63])
def test_a_number_of_tags_beyond_any_file_is_refused(count: int) -> None:
    data = b"II+\0" + struct.pack("<HHQQ", 8, 0, 16, count) + bytes(100)
    with pytest.raises(Refused):
        extract(data)
