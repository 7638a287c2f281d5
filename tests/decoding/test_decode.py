"""Every format is decoded upright; hostile bytes lead to a refusal at worst."""

from __future__ import annotations

import random
import threading
import warnings
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image

from snoopsync.core.errors import Refused
from tests.decoding.helpers import PICTURE, distance, extract
from tests.support.pictures import encode, photo

#: The name in Pillow, and options of ``save``.
FORMATS: list[tuple[str, str, dict[str, Any]]] = [
    ("JPEG", "JPEG", {"quality": 85}),
    ("progressive JPEG", "JPEG", {"progressive": True}),
    ("PNG", "PNG", {}),
    ("WebP", "WEBP", {}),
    ("lossless WebP", "WEBP", {"lossless": True}),
    ("GIF", "GIF", {}),
    ("TIFF", "TIFF", {}),
    ("TIFF with LZW", "TIFF", {"compression": "tiff_lzw"}),
    ("TIFF with JPEG", "TIFF", {"compression": "jpeg"}),
    ("BMP", "BMP", {}),
    ("AVIF", "AVIF", {"speed": 10}),
    ("HEIC", "HEIF", {}),
]
in_every_format = pytest.mark.parametrize(
    ("kind", "options"), [entry[1:] for entry in FORMATS], ids=[entry[0] for entry in FORMATS]
)


def exif_with_orientation(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def stored_as(picture: Image.Image, orientation: int) -> Image.Image:
    """The pixels as a camera with this orientation stores them."""
    undo = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    return picture.transpose(undo[orientation]) if orientation in undo else picture


@in_every_format
def test_every_format_is_decoded_to_nearly_the_same_code(
    kind: str, options: dict[str, Any]
) -> None:
    features = extract(encode(PICTURE, kind, **options))
    assert (features.kind, features.width, features.height) == (kind, 160, 120)
    assert features.quality >= 50
    assert distance(features, extract(encode(PICTURE, "PNG"))) <= 12


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_a_lossless_copy_has_the_same_thumbnail(kind: str) -> None:
    options = {"lossless": True} if kind == "WEBP" else {}
    assert (
        extract(encode(PICTURE, kind, **options)).thumbnail
        == extract(encode(PICTURE, "PNG")).thumbnail
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_exif_orientation_is_applied(kind: str, orientation: int) -> None:
    exact = kind in ("PNG", "TIFF", "WEBP")
    upright = extract(encode(PICTURE, "PNG"))
    exif = exif_with_orientation(orientation)
    options = {"lossless": True} if kind == "WEBP" else {}
    turned = extract(encode(stored_as(PICTURE, orientation), kind, exif=exif, **options))
    assert (turned.width, turned.height) == (160, 120)
    if exact:
        assert turned.thumbnail == upright.thumbnail
    first = slice(0, 32)
    bits = int.from_bytes(turned.codes[first]) ^ int.from_bytes(upright.codes[first])
    assert bits.bit_count() <= 12


def test_exif_does_not_turn_a_heic_because_its_container_does() -> None:
    features = extract(encode(PICTURE, "HEIF", exif=exif_with_orientation(6)))
    assert (features.width, features.height) == (160, 120)


@pytest.mark.parametrize("mode", ["L", "P", "CMYK", "LA", "I;16", "I", "F", "RGBA", "YCbCr"])
def test_every_pixel_mode_is_decoded(mode: str) -> None:
    if mode.startswith("I"):
        wide = np.asarray(PICTURE.convert("L")).astype(np.uint16) * 257
        picture = Image.fromarray(wide).convert(mode)
    else:
        picture = PICTURE.convert(mode)
    kind = "PNG" if mode in ("L", "P", "LA", "I;16", "RGBA") else "TIFF"
    assert distance(extract(encode(picture, kind)), extract(encode(PICTURE, "PNG"))) <= 12


def test_grey_of_16_bits_is_the_same_picture_as_grey_of_8() -> None:
    grey = PICTURE.convert("L")
    wide = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    assert extract(encode(wide, "PNG")).thumbnail == extract(encode(grey, "PNG")).thumbnail


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_transparent_pixels_are_white(kind: str) -> None:
    clear = PICTURE.convert("RGBA")
    clear.paste((9, 9, 9, 0), (0, 0, 80, 120))
    white = PICTURE.copy()
    white.paste("white", (0, 0, 80, 120))
    ours, theirs = extract(encode(clear, kind)).thumbnail, extract(encode(white, kind)).thumbnail
    assert ours is not None and theirs is not None
    assert (ours.grey, ours.colour) == (theirs.grey, theirs.colour)
    assert ours.alpha and not theirs.alpha


def test_the_size_is_that_of_the_file_even_if_it_is_decoded_smaller() -> None:
    features = extract(encode(photo(1, (2400, 1600))))
    assert (features.width, features.height) == (2400, 1600)
    assert distance(features, extract(encode(photo(1, (600, 400))))) <= 12


@pytest.mark.parametrize("size", [(1, 1), (1, 3000), (3000, 1), (7, 5)])
def test_tiny_and_narrow_pictures_are_decoded(size: tuple[int, int]) -> None:
    features = extract(encode(Image.new("RGB", size, "red"), "PNG"))
    assert (features.width, features.height) == size
    assert features.quality == 0 and not features.codes


@in_every_format
def test_a_truncated_file_is_refused_wherever_it_ends(kind: str, options: dict[str, Any]) -> None:
    data = encode(PICTURE, kind, **options)
    for part in range(20):
        with pytest.raises(Refused) as refused:
            extract(data[: max(1, len(data) * part // 20)])
        assert refused.value.status == 415


@in_every_format
def test_a_file_without_its_last_bytes_is_refused_unless_no_pixel_is_missing(
    kind: str, options: dict[str, Any]
) -> None:
    data = encode(PICTURE, kind, **options)
    whole = extract(data).thumbnail
    for missing in range(1, 60):
        try:
            features = extract(data[:-missing])
        except Refused as refusal:
            assert refusal.status == 415
        else:
            assert kind in ("PNG", "GIF", "JPEG"), "only these end with bytes that are no pixels"
            assert kind != "JPEG" or missing <= 2
            assert features.thumbnail == whole


@pytest.mark.parametrize("cut", [20, 40, 1_000, 100_000])
def test_a_large_truncated_jpeg_is_refused_even_if_it_is_decoded_smaller(cut: int) -> None:
    data = encode(photo(1, (3000, 2000)), quality=95)
    with pytest.raises(Refused, match="truncated JPEG: the file ends"):
        extract(data[:-cut])


@in_every_format
def test_a_damaged_file_is_refused_or_decoded_and_never_a_crash(
    kind: str, options: dict[str, Any]
) -> None:
    data = encode(photo(3, (64, 48)), kind, **options)
    dice = random.Random(7)
    for _ in range(60):
        damaged = bytearray(data)
        for _ in range(dice.choice((1, 2, 8))):
            # Mostly in the header, near the start.
            damaged[dice.randrange(min(len(data), dice.choice((32, 256, 10**6))))] = dice.choice(
                (0, 255, dice.randrange(256))
            )
        try:
            extract(bytes(damaged))
        except Refused as refusal:
            assert refusal.status in (413, 415)


@settings(max_examples=100, deadline=None)
@example(start=b"\x89PNG\r\n\x1a\n", rest=b"")
@example(start=b"GIF89a", rest=b"\xff" * 20)
@given(
    start=st.sampled_from(
        [
            b"",
            b"\xff\xd8\xff\xe0",
            b"\x89PNG\r\n\x1a\n",
            b"GIF89a",
            b"RIFF\x40\0\0\0WEBPVP8 ",
            b"II*\0\x08\0\0\0",
            b"MM\0*\0\0\0\x08",
            b"BM",
            b"\0\0\0\x18ftypavif",
            b"\0\0\0\x18ftypheic",
            b"\0\0\0\x18ftypmif1",
        ]
    ),
    rest=st.binary(max_size=200),
)
def test_random_bytes_are_refused(start: bytes, rest: bytes) -> None:
    data = start + rest
    try:
        extract(data)
    except Refused as refusal:
        assert refusal.status in (413, 415)


def test_damaged_metadata_causes_neither_a_refusal_nor_a_warning() -> None:
    exif = exif_with_orientation(1).tobytes()
    for cut in range(6, len(exif)):
        assert extract(encode(PICTURE, exif=exif[:cut])).width == 160


def test_decoding_in_several_threads_restores_the_warning_filters() -> None:
    data = encode(PICTURE)
    before = list(warnings.filters)
    start = threading.Barrier(4)

    def work() -> None:
        start.wait()
        for _ in range(10):
            extract(data)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert list(warnings.filters) == before


def test_a_faint_picture_has_a_low_quality_and_an_even_one_no_codes() -> None:
    gentle = extract(encode(Image.linear_gradient("L").resize((300, 300)), "PNG"))
    assert gentle.quality < 50 and gentle.codes and not gentle.trimmed
    even = extract(encode(Image.new("L", (300, 300), 99), "PNG"))
    assert even.quality == 0 and not even.codes and not even.trimmed


def test_a_thumbnail_has_shades_and_colours() -> None:
    half = Image.new("RGB", (300, 200), "#ff0000")
    half.paste("#00ff00", (0, 100, 300, 200))
    thumbnail = extract(encode(half, "PNG")).thumbnail
    assert thumbnail is not None
    assert (len(thumbnail.grey), len(thumbnail.colour)) == (64 * 64, 8 * 8 * 2)
    # Luma and chroma of full red and green in BT.601.
    assert (thumbnail.grey[0], thumbnail.grey[-1]) == (76, 150)
    assert tuple(thumbnail.colour[:2]) == (84, 255)
    assert tuple(thumbnail.colour[-2:]) == (43, 21)


def test_borders_give_a_second_set_of_codes() -> None:
    framed = Image.new("RGB", (200, 160), "white")
    framed.paste(PICTURE, (20, 20))
    plain, bordered = extract(encode(PICTURE, "PNG")), extract(encode(framed, "PNG"))
    assert bordered.codes != bordered.trimmed
    bits = int.from_bytes(bordered.trimmed[:32]) ^ int.from_bytes(plain.codes[:32])
    assert bits.bit_count() <= 12


def test_a_flat_picture_in_a_frame_has_no_codes_without_the_frame() -> None:
    framed = Image.new("RGB", (300, 300), "black")
    framed.paste(Image.new("RGB", (260, 260), "#777777"), (20, 20))
    features = extract(encode(framed, "PNG"))
    assert features.quality < 50 and not features.trimmed


def test_an_error_in_a_decoder_is_a_refusal_of_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_memory(*_: object, **__: object) -> None:
        raise MemoryError

    monkeypatch.setattr(Image.Image, "reduce", no_memory)
    with pytest.raises(Refused, match="a JPEG that takes more memory than a decoder may use"):
        extract(encode(PICTURE))


def test_libraries_write_nothing_to_standard_error(
    capfd: pytest.CaptureFixture[str],
) -> None:
    """libtiff writes a line for each row of some files."""
    data = encode(PICTURE, "TIFF", compression="tiff_deflate")
    with pytest.raises(Refused):
        extract(data[:8] + b"\x55" * 200 + data[208:])
    assert capfd.readouterr() == ("", "")


def test_bytes_after_the_end_of_the_picture_are_ignored() -> None:
    data = encode(PICTURE)
    assert extract(data + b"\0" * 100).thumbnail == extract(data).thumbnail


@pytest.mark.parametrize("darkest, brightest", [(-3e38, 3e38), (0.0, 1e-44), (-1e-3, 1e-3)])
def test_floats_of_any_range_are_spread_over_all_shades(darkest: float, brightest: float) -> None:
    half = np.full((64, 64), darkest, np.float32)
    half[32:] = brightest
    thumbnail = extract(encode(Image.fromarray(half), "TIFF")).thumbnail
    assert thumbnail is not None and (thumbnail.grey[0], thumbnail.grey[-1]) == (0, 255)
