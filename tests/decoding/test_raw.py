"""Camera RAW: the embedded preview, upright, with the size of the sensor."""

from __future__ import annotations

import io
import sys

import pytest
from PIL import Image

from snoopsync.core.errors import Refused
from snoopsync.decoding.evidence import FileEvidence
from snoopsync.decoding.metadata import metadata_of
from snoopsync.decoding.raw import Preview, described, is_raw
from snoopsync.decoding.rendering import render
from tests.decoding.helpers import distance, evidence, extract
from tests.support.pictures import encode, photo
from tests.support.raw_pictures import CAMERAS, SENSOR, TAKEN, camera_raw, dng, preview_jpeg

SEED, SIZE = 7, (480, 320)
UPRIGHT = photo(SEED, SIZE)
PORTRAIT = SENSOR[::-1]


def jpeg(picture: Image.Image, orientation: int | None = None) -> bytes:
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    return encode(picture, "JPEG", quality=95, exif=exif)


@pytest.mark.parametrize("suffix", CAMERAS)
def test_the_preview_of_a_camera_is_the_picture(suffix: str) -> None:
    features = extract(camera_raw(suffix, preview_jpeg()))
    assert features.kind == "RAW"
    assert distance(features, extract(jpeg(UPRIGHT))) <= 4


def test_the_size_is_that_of_the_sensor_and_not_that_of_the_preview() -> None:
    features = extract(dng(preview_jpeg((240, 160)), sensor=(600, 400)))
    assert (features.width, features.height) == (600, 400)


@pytest.mark.parametrize("orientation", [3, 6, 8])
@pytest.mark.parametrize("own", [True, False], ids=["tagged", "untagged"])
def test_a_preview_is_turned_once(orientation: int, own: bool) -> None:
    """Some cameras write the orientation into the preview too. It must not be applied twice."""
    picture = UPRIGHT if orientation == 3 else UPRIGHT.transpose(Image.Transpose.ROTATE_90)
    turn = {3: Image.Transpose.ROTATE_180, 6: Image.Transpose.ROTATE_90}
    stored = picture.transpose(turn.get(orientation, Image.Transpose.ROTATE_270))
    content = dng(jpeg(stored, orientation if own else None), orientation=orientation)
    features = extract(content)
    assert (features.width, features.height) == (SENSOR if orientation == 3 else PORTRAIT)
    assert _first_code_distance(content, picture) <= 4
    rendering = render(io.BytesIO(content), 0)
    assert (rendering.width, rendering.height) == picture.size


@pytest.mark.parametrize("own", [None, 1, 6])
def test_a_preview_that_is_already_upright_is_not_turned(own: int | None) -> None:
    """Its shape shows this: the RAW is a portrait, and the preview is one as it is stored."""
    portrait = UPRIGHT.transpose(Image.Transpose.ROTATE_90)
    content = dng(jpeg(portrait, own), orientation=6)
    features = extract(content)
    assert (features.width, features.height) == PORTRAIT
    assert _first_code_distance(content, portrait) <= 4


def test_a_bitmap_preview_is_decoded() -> None:
    content = dng(UPRIGHT.resize((240, 160)), orientation=8)
    features = extract(content)
    assert (features.width, features.height) == PORTRAIT
    turned = UPRIGHT.transpose(Image.Transpose.ROTATE_90)
    assert _first_code_distance(content, turned) <= 6


def test_a_raw_is_original_evidence_with_its_camera() -> None:
    content = dng(preview_jpeg())
    assert evidence(content) == FileEvidence(camera=True, lossless=True)
    metadata = metadata_of(io.BytesIO(content))
    assert (metadata.kind, metadata.camera) == ("RAW", "Snoop One")
    assert metadata.taken_at == TAKEN.replace(":", "-", 2).replace(" ", "T")


def test_the_traces_of_a_jpeg_in_the_preview_do_not_count_against_a_raw() -> None:
    content = dng(preview_jpeg(), has_camera=False)
    assert evidence(content) == FileEvidence(lossless=True)


def test_two_raw_files_with_the_same_preview_are_not_the_same_picture() -> None:
    preview = preview_jpeg()
    one, other = extract(dng(preview)), extract(dng(preview, sensor=(128, 64)))
    assert one.codes == other.codes
    assert one.digest != other.digest


@pytest.mark.parametrize("start", [b"II*\0", b"MM\0*"])
def test_a_dng_is_recognised_by_its_content(start: bytes) -> None:
    """It is a TIFF whose first picture is tiny."""
    content = dng(preview_jpeg(), start=start)
    assert is_raw(io.BytesIO(content))
    assert extract(content).kind == "RAW"


def test_a_tiff_whose_pixels_begin_like_a_cr2_is_no_raw() -> None:
    content = b"II*\0" + encode(Image.new("L", (9, 9), ord("C")), "TIFF")[4:]
    assert not is_raw(io.BytesIO(content[:8] + b"CR" + content[10:]))


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "jpeg"])
def test_a_tiff_is_no_raw(compression: str) -> None:
    content = encode(UPRIGHT, "TIFF", compression=compression)
    assert not is_raw(io.BytesIO(content))
    assert extract(content).kind == "TIFF"


def test_a_raw_without_a_preview_is_refused_and_its_tiny_picture_is_not_used() -> None:
    with pytest.raises(Refused, match="a RAW without a preview") as refused:
        extract(dng(None))
    assert refused.value.status == 415


def test_a_raw_of_an_unknown_camera_is_refused() -> None:
    with pytest.raises(Refused, match="a camera that LibRaw does not know, or damaged"):
        extract(b"FUJIFILMCCD-RAW 0201" + bytes(400))


def test_a_truncated_preview_is_refused() -> None:
    preview = preview_jpeg()
    with pytest.raises(Refused, match="truncated JPEG"):
        extract(dng(preview[: len(preview) // 2]))


def test_directories_in_a_circle_end() -> None:
    content = bytearray(dng(preview_jpeg()))
    place = int.from_bytes(content[4:8], "little")
    count = int.from_bytes(content[place : place + 2], "little")
    end = place + 2 + 12 * count
    content[end : end + 4] = content[4:8]
    assert is_raw(io.BytesIO(bytes(content)))


def test_the_metadata_of_a_cr3_is_read_from_its_boxes() -> None:
    main, photograph = Image.Exif(), Image.Exif()
    main[0x0110] = "Canon EOS R5"
    photograph[0x9003] = TAKEN
    boxes = b"".join(
        name + exif.tobytes().removeprefix(b"Exif\0\0")
        for name, exif in ((b"CMT1", main), (b"CMT2", photograph))
    )
    content = io.BytesIO(b"\0\0\0\x18ftypcrx " + bytes(12) + boxes)
    image = UPRIGHT.copy()
    assert described(image, Preview(b"", SENSOR, 6), content) == SENSOR
    assert image.getexif()[0x0110] == "Canon EOS R5"
    assert image.getexif().get_ifd(0x8769)[0x9003] == TAKEN
    assert image.getexif()[0x0112] == 6


def test_without_rawpy_the_refusal_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(Refused, match=r"pip install 'snoopsync\[raw\]'"):
        extract(dng(preview_jpeg()))


def _first_code_distance(content: bytes, picture: Image.Image) -> int:
    """The bits between the codes of both as they are, without turning either."""
    one, other = extract(content).codes[:32], extract(jpeg(picture)).codes[:32]
    return (int.from_bytes(one) ^ int.from_bytes(other)).bit_count()
