"""All frames of an animation and all pages of a scan are compared."""

from __future__ import annotations

import io
import struct
from typing import Any

import pytest
from PIL import Image

from snoopsync.core.errors import Refused
from snoopsync.decoding import frames
from snoopsync.embedded import EmbeddedCollection
from tests.decoding.helpers import extract
from tests.support.pictures import encode, photo

SIZE = (96, 72)

#: The name in Pillow, and options that store each frame unchanged.
ANIMATED: dict[str, dict[str, Any]] = {
    "GIF": {"duration": 100},
    "WEBP": {"lossless": True},
    "PNG": {},
    "TIFF": {},
    "AVIF": {"speed": 10},
}
in_every_format = pytest.mark.parametrize("kind", ANIMATED)


def of_frames(pictures: list[Image.Image], kind: str, **options: Any) -> bytes:
    first, *others = pictures
    options = ANIMATED[kind] | options
    return encode(first, kind, save_all=True, append_images=others, **options)


def fade(seed: int, count: int = 5) -> list[Image.Image]:
    """A fade-in from black."""
    black, picture = Image.new("RGB", SIZE), photo(seed, SIZE)
    return [Image.blend(black, picture, step / (count - 1)) for step in range(count)]


def results(collection: EmbeddedCollection, data: bytes) -> dict[str, tuple[int, str | None]]:
    matches = collection.search_images(io.BytesIO(data))["results"]
    return {match["id"]: (match["rank"], match.get("kind")) for match in matches}


@in_every_format
def test_animations_with_the_same_first_frame_are_different_pictures(
    collection: EmbeddedCollection, kind: str
) -> None:
    collection.add_image(io.BytesIO(of_frames(fade(1), kind)), "one")
    assert results(collection, of_frames(fade(2), kind)) == {}
    assert results(collection, of_frames(fade(1), kind))["one"][0] == 0


@in_every_format
def test_an_animation_differs_from_its_first_frame(
    collection: EmbeddedCollection, kind: str
) -> None:
    data = of_frames([photo(1, SIZE), photo(2, SIZE)], kind)
    collection.add_image(io.BytesIO(data), "both")
    for seed in (1, 2):
        assert results(collection, encode(photo(seed, SIZE), "PNG")) == {}
    assert extract(data).frames == 2


def test_scans_with_the_same_cover_and_other_pages_are_different_pictures(
    collection: EmbeddedCollection,
) -> None:
    cover = photo(1, SIZE)
    collection.add_image(io.BytesIO(of_frames([cover, photo(2, SIZE)], "TIFF")), "one")
    assert results(collection, of_frames([cover, photo(3, SIZE)], "TIFF")) == {}
    assert results(collection, of_frames([photo(2, SIZE), cover], "TIFF")) == {}


def test_an_animation_in_another_format_and_size_matches(
    collection: EmbeddedCollection,
) -> None:
    for seed in (1, 2, 3):
        moving = [photo(10 * seed + number, SIZE) for number in range(6)]
        collection.add_image(io.BytesIO(of_frames(moving, "GIF")), f"{seed}")
    moving = [photo(10 + number, SIZE).resize((64, 48)) for number in range(6)]
    ((found, (rank, kind)),) = results(
        collection, of_frames(moving, "WEBP", lossless=False, quality=80)
    ).items()
    assert (found, kind) == ("1", "reencoded") and rank > 0


@pytest.mark.parametrize("kind", ["GIF", "WEBP"])
def test_the_duration_of_a_frame_does_not_matter(kind: str) -> None:
    one, other = photo(1, SIZE), photo(2, SIZE)
    short, long = (
        of_frames(pictures, kind, duration=duration)
        for pictures, duration in (([one, other], 40), ([one, one, one, other], 700))
    )
    assert extract(short).digest == extract(long).digest


def test_an_animation_of_equal_frames_is_a_still_picture() -> None:
    still = of_frames([photo(1, SIZE)] * 3, "WEBP")
    assert extract(still).digest == extract(encode(photo(1, SIZE), "PNG")).digest
    assert extract(still).frames == 1


def test_equal_pages_are_counted() -> None:
    blank = Image.new("RGB", SIZE, "white")
    two, three = ([photo(1, SIZE), *[blank] * count] for count in (1, 2))
    assert extract(of_frames(two, "TIFF")).digest != extract(of_frames(three, "TIFF")).digest


def test_a_reduced_version_in_a_tiff_is_not_a_page() -> None:
    small = photo(1, SIZE).resize((32, 24))
    data = bytearray(of_frames([photo(1, SIZE), small], "TIFF"))
    second = struct.unpack_from("<I", data, _end_of_directory(data, 4))[0]
    for entry in range(struct.unpack_from("<H", data, second)[0]):
        entry_at = second + 2 + 12 * entry
        if struct.unpack_from("<H", data, entry_at)[0] == 270:
            break
    else:
        # Overwrites a tag that does not describe the pixels.
        entry_at = second + 2 + 12 * _entry(data, second, 284)
    struct.pack_into("<HHII", data, entry_at, 254, 4, 1, 1)
    assert extract(bytes(data)).frames == 1


def _end_of_directory(data: bytearray, pointer: int) -> int:
    at = struct.unpack_from("<I", data, pointer)[0]
    return int(at + 2 + 12 * struct.unpack_from("<H", data, at)[0])


def _entry(data: bytearray, directory: int, tag: int) -> int:
    count = struct.unpack_from("<H", data, directory)[0]
    tags = [struct.unpack_from("<H", data, directory + 2 + 12 * each)[0] for each in range(count)]
    return tags.index(tag)


@pytest.mark.parametrize("kind", ["GIF", "TIFF", "PNG"])
def test_a_truncated_animation_is_refused(kind: str) -> None:
    data = of_frames([photo(seed, SIZE) for seed in range(4)], kind)
    whole = extract(data)
    for part in range(1, 20):
        try:
            features = extract(data[: len(data) * part // 20])
        except Refused as refusal:
            assert refusal.status == 415
        else:
            assert kind == "GIF" and features.frames < whole.frames


def test_a_picture_with_too_many_frames_is_the_same_as_its_own_bytes_only(
    collection: EmbeddedCollection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frames, "MAX_FRAMES", 3)
    begins_alike = [photo(seed, SIZE) for seed in range(4)]
    one, other = (of_frames([*begins_alike, photo(seed, SIZE)], "GIF") for seed in (7, 8))
    collection.add_image(io.BytesIO(one), "one")
    assert results(collection, other) == {}
    assert results(collection, one) == {"one": (0, "identical")}


def test_no_more_frames_are_decoded_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frames, "MAX_FRAMES", 3)
    features = extract(of_frames([photo(seed, SIZE) for seed in range(6)], "WEBP"))
    assert (features.frames, features.codes) == (3, b"")


def test_the_pixels_of_all_frames_are_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snoopsync.decoding.decode.MAX_PIXELS", 3 * SIZE[0] * SIZE[1])
    features = extract(of_frames([photo(seed, SIZE) for seed in range(6)], "WEBP"))
    assert (features.frames, features.codes) == (3, b"")


def test_a_picture_with_others_in_its_file_has_no_rank_0_with_itself_alone(
    collection: EmbeddedCollection,
) -> None:
    """Phones store previews and depth maps as further pictures of the file."""
    whole, alone = photo(1, SIZE), encode(photo(1, SIZE), quality=90)
    several = encode(whole, "MPO", save_all=True, append_images=[photo(2, SIZE)], quality=90)
    collection.add_image(io.BytesIO(several), "several")
    ((found, (rank, kind)),) = results(collection, alone).items()
    assert (found, kind) == ("several", "reencoded") and rank > 0
