"""The labelled alterations are what they are said to be."""

from __future__ import annotations

import io

import pytest
from PIL import Image, ImageChops, ImageCms, ImageOps

from snoopsync.core.protocol import KINDS
from tests.support.alterations import Alteration, alterations, original
from tests.support.pictures import photo

SIZE = (360, 240)

BOX = Image.Resampling.BOX

ALL = {alteration.name: alteration for alteration in alterations()}


def seen(alteration: Alteration, seed: int = 1) -> Image.Image:
    """What a viewer shows of the altered picture."""
    with Image.open(io.BytesIO(alteration.apply(photo(1, SIZE), seed))) as image:
        return ImageOps.exif_transpose(image).convert("RGB")


def difference(one: Image.Image, other: Image.Image) -> float:
    """Where it is largest, of 8 x 8 parts: the mean over pixels and channels, 0 to 255."""
    apart = ImageChops.difference(one, other.resize(one.size)).resize((8, 8), BOX).convert("L")
    return max(apart.tobytes())


def test_names_are_unique_and_groups_are_together() -> None:
    everything = list(alterations())
    assert len(everything) == len(ALL)
    groups = [alteration.group for alteration in everything]
    assert groups == sorted(groups, key=groups.index)


def test_the_alterations_cover_exactly_the_kinds() -> None:
    kinds = [alteration.kinds for alteration in ALL.values()]
    assert all(kinds)
    assert frozenset().union(*kinds) == KINDS
    alone = {next(iter(each)) for each in kinds if len(each) == 1}
    assert alone == KINDS


@pytest.mark.parametrize("alteration", ALL.values(), ids=list(ALL))
def test_the_same_seed_gives_the_same_bytes_and_leaves_the_picture_alone(
    alteration: Alteration,
) -> None:
    picture = photo(1, SIZE)
    before = picture.tobytes()
    assert alteration.apply(picture, 7) == alteration.apply(photo(1, SIZE), 7)
    assert picture.tobytes() == before


@pytest.mark.parametrize(
    "name",
    ["crop 5 % off-centre", "crop 10 % one side", "tilted 3, black corners", "logo in a corner"],
)
def test_the_seed_decides_the_details_of_an_alteration(name: str) -> None:
    picture = photo(1, SIZE)
    assert len({ALL[name].apply(picture, seed) for seed in range(12)}) > 1


def test_only_the_same_file_has_the_originals_bytes() -> None:
    picture = photo(1, SIZE)
    same = [each.name for each in ALL.values() if each.apply(picture, 1) == original(picture)]
    assert same == ["the same file"]


@pytest.mark.parametrize(
    ("name", "size"),
    [
        ("JPEG q10", (360, 240)),
        ("half size", (180, 120)),
        ("quarter size", (90, 60)),
        ("1.5 times", (540, 360)),
        ("120 px wide", (120, 80)),
        ("crop 5 % centred", (342, 228)),
        ("crop 10 % off-centre", (324, 216)),
        ("turned 90", (240, 360)),
        ("turned 90 by EXIF", (240, 360)),
        ("turned 90, and back by EXIF", (360, 240)),
        ("transposed", (240, 360)),
        ("border 5 % white", (396, 276)),
        ("border 10 % coloured", (432, 312)),
        ("letterbox 16:9", (427, 240)),
        ("in a blurred square", (360, 360)),
        ("caption over the lower 12 %", (360, 240)),
        ("caption below, 12 %", (360, 269)),
        ("caption above, 15 %", (360, 276)),
        ("tilted 3, black corners", (360, 240)),
        ("tilted 3, cropped inside", (334, 222)),
    ],
)
def test_an_alteration_has_its_size(name: str, size: tuple[int, int]) -> None:
    assert seen(ALL[name]).size == size


def test_a_crop_of_one_side_leaves_the_other_sides() -> None:
    sizes = {seen(ALL["crop 10 % one side"], seed).size for seed in range(12)}
    assert sizes == {(324, 240), (360, 216)}


def test_a_picture_that_has_a_frames_ratio_gets_another_frame() -> None:
    wide, square = photo(1, (320, 180)), photo(1, (240, 240))
    for name, picture in {"letterbox 16:9": wide, "in a white square": square}.items():
        with Image.open(io.BytesIO(ALL[name].apply(picture, 1))) as image:
            assert image.size != picture.size


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_a_turn_by_exif_looks_like_a_turn(degrees: int) -> None:
    turned, by_exif = ALL[f"turned {degrees}"], ALL[f"turned {degrees} by EXIF"]
    assert difference(seen(turned), seen(by_exif)) < 8
    assert difference(seen(turned), photo(1, SIZE)) > 50


@pytest.mark.parametrize(
    "alteration",
    [each for each in ALL.values() if each.kinds <= {"identical", "reencoded"}],
    ids=lambda alteration: alteration.name,
)
def test_re_encoded_pictures_look_the_same(alteration: Alteration) -> None:
    assert difference(photo(1, SIZE), seen(alteration)) < 20


@pytest.mark.parametrize(
    "alteration",
    [each for each in ALL.values() if not each.kinds <= {"identical", "reencoded"}],
    ids=lambda alteration: alteration.name,
)
def test_other_alterations_differ_from_the_original(alteration: Alteration) -> None:
    saved = difference(photo(1, SIZE), seen(ALL["the same file"]))
    assert difference(photo(1, SIZE), seen(alteration)) > saved


def test_straightened_pictures_have_no_black_corners() -> None:
    white = Image.new("RGB", SIZE, "white")
    for degrees in (1, 3):
        data = ALL[f"tilted {degrees}, cropped inside"].apply(white, 1)
        with Image.open(io.BytesIO(data)) as image:
            assert min(image.convert("L").tobytes()) > 240


def test_a_wide_gamut_looks_the_same_with_its_profile_only() -> None:
    with Image.open(
        io.BytesIO(ALL["Adobe RGB with its profile"].apply(photo(1, SIZE), 1))
    ) as image:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(image.info["icc_profile"]))
        srgb = ImageCms.createProfile("sRGB")
        shown = ImageCms.profileToProfile(image, profile, srgb, outputMode="RGB")
        assert shown is not None
        with_profile, without = (difference(photo(1, SIZE), each) for each in (shown, image))
        assert 2 * with_profile < without
