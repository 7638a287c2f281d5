"""Which files belong to a picture by their names."""

from __future__ import annotations

import itertools
import os
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.companions import (
    CompanionRole,
    are_format_folders,
    companion_keys,
    companion_role,
    may_own,
)
from snoopsync.core.model import RelPath

RAW, RENDERED, EDIT = CompanionRole.RAW, CompanionRole.RENDERED, CompanionRole.EDIT
ORIGINAL, VIDEO, SIDECAR = CompanionRole.ORIGINAL, CompanionRole.VIDEO, CompanionRole.SIDECAR

PAIRS: list[tuple[str, str, CompanionRole]] = [
    # RAW and rendered picture
    ("IMG_1.JPG", "IMG_1.CR2", RAW),
    ("IMG_1.CR2", "IMG_1.JPG", RENDERED),
    ("_DSC1.jpg", "_DSC1.NEF", RAW),
    ("a.HIF", "a.CR3", RAW),
    ("JPG/IMG_1.JPG", "RAW/IMG_1.cr2", RAW),
    ("2024/raw/a.DNG", "2024/jpeg/a.jpeg", RENDERED),
    # Edits and originals
    ("IMG_1234.HEIC", "IMG_E1234.JPG", EDIT),
    ("IMG_E1234.jpg", "IMG_1234.JPG", ORIGINAL),
    ("IMG_2.jpg", "IMG_2-edited.jpg", EDIT),
    ("IMG_2(1).jpg", "IMG_2-edited(1).jpg", EDIT),
    ("IMG_2-edited.jpg", "IMG_2.HEIC", ORIGINAL),
    ("Urlaub.jpg", "Urlaub-bearbeitet.jpg", EDIT),
    ("été.jpg", "été-modifie\u0301.jpg", EDIT),
    ("foto.jpg", "foto-ha editado.jpg", EDIT),
    ("写真.jpg", "写真-編集済み.jpg", EDIT),
    ("_DSC8829.NEF", "_DSC8829_edited.jpeg", EDIT),
    ("a.jpg", "a.jpg_original", ORIGINAL),
    # Videos
    ("IMG_1234.HEIC", "IMG_1234.MOV", VIDEO),
    ("IMG_1234.jpg", "IMG_1234.mp4", VIDEO),
    ("IMG_1234.HEIC", "IMG_1234_HEVC.MOV", VIDEO),
    ("PXL_1.MP.jpg", "PXL_1.MP", VIDEO),
    ("PXL_1.MP.jpg", "PXL_1.MP.mp4", VIDEO),
    ("MVIMG_1.jpg", "MVIMG_1.mp4", VIDEO),
    # Sidecars
    ("a.jpg", "a.xmp", SIDECAR),
    ("a.CR2", "a.XMP", SIDECAR),
    ("a.jpg", "a.jpg.xmp", SIDECAR),
    ("a.jpg", "a_01.jpg.xmp", SIDECAR),
    ("a.jpg", "a.jpg.pp3", SIDECAR),
    ("a.jpg", "a.jpg.out.pp3", SIDECAR),
    ("a.arw", "a.arw.dop", SIDECAR),
    ("a.nef", "a.nef.cos", SIDECAR),
    ("a.nef", "a.on1", SIDECAR),
    ("CRW_1.CRW", "CRW_1.THM", SIDECAR),
    ("IMG_1234.HEIC", "IMG_1234.AAE", SIDECAR),
    ("IMG_1234.HEIC", "IMG_O1234.aae", SIDECAR),
    ("IMG_E1234.HEIC", "IMG_1234.AAE", SIDECAR),
    ("wedding.jpg", "wedding.aae", SIDECAR),
    ("a.mov", "a.xmp", SIDECAR),
    ("a.gif", "a.xmp", SIDECAR),
    ("a.jpg", "a.jpg.json", SIDECAR),
    ("a(1).jpg", "a.jpg(1).json", SIDECAR),
    ("a(1).jpg", "a(1).jpg.json", SIDECAR),
    ("a-edited.jpg", "a.jpg.json", SIDECAR),
    ("a.jpg", "a.jpg.supplemental-metadata.json", SIDECAR),
    ("a(1).jpg", "a.jpg.supplemental-metadata(1).json", SIDECAR),
    (
        "Screenshot_2017-07-05-10-05-26.png",
        "Screenshot_2017-07-05-10-05-26.png.supplementa.json",
        SIDECAR,
    ),
    (
        "Screenshot_20220207_102421_com.snapchat.android.jpg",
        "Screenshot_20220207_102421_com.snapchat.androi.json",
        SIDECAR,
    ),
]

STRANGERS = [
    ("IMG_1.JPG", "IMG_1.JPG"),
    ("IMG_1.JPG", "IMG_10.CR2"),
    ("IMG_1.JPG", "IMG_1.JPEG"),
    ("IMG_1.NEF", "IMG_1.DNG"),
    ("IMG_1.JPG", "img_1.CR2"),
    ("a/IMG_1.JPG", "b/c/IMG_1.CR2"),
    ("IMG_1.JPG", "raw/IMG_1.CR2"),
    ("a/IMG_1234.HEIC", "b/IMG_1234.MOV"),
    ("a/IMG_1234.HEIC", "b/IMG_E1234.HEIC"),
    ("IMG_1234.HEIC", "IMG_E12345.HEIC"),
    ("IMG_1.jpg", "IMG_E1.jpg"),
    ("IMG_1234.HEIC", "IMG_O1234.HEIC"),
    ("a.png", "a.mov"),
    ("a.mov", "a.jpg"),
    ("a.jpg", "a.json"),
    ("a.jpg", "a.jpg.other.json"),
    ("a.jpg", "a.jpg(1).json"),
    ("a(1).jpg", "a.jpg.json"),
    ("a.jpg", "a-edited(1).jpg"),
    ("-edited.jpg", ".jpg"),
    ("a.jpg", "a.txt"),
    ("a.jpg", "a.dop"),
    ("a.jpg", "b.xmp"),
    ("a.txt", "a.xmp"),
    ("a", "a.xmp"),
    ("a.jpg", "a.png.xmp"),
    ("a.jpg", "a.jpg_original_original"),
]


def rel_path(text: str) -> RelPath:
    return RelPath("photos", os.fsencode(text))


@pytest.mark.parametrize(("path", "other", "role"), PAIRS)
def test_each_program_names_the_files_of_a_picture_by_its_rule(
    path: str, other: str, role: CompanionRole
) -> None:
    assert companion_role(rel_path(path), rel_path(other)) is role


@pytest.mark.parametrize(("path", "other"), STRANGERS)
def test_a_file_with_another_name_is_no_companion(path: str, other: str) -> None:
    assert companion_role(rel_path(path), rel_path(other)) is None


def test_a_file_of_another_folder_is_no_companion() -> None:
    assert companion_role(RelPath("a", b"IMG_1.JPG"), RelPath("b", b"IMG_1.CR2")) is None


@pytest.mark.parametrize(("path", "other", "_role"), PAIRS)
def test_a_picture_and_its_companions_have_a_key_in_common(
    path: str, other: str, _role: CompanionRole
) -> None:
    assert set(companion_keys(rel_path(path).name)) & set(companion_keys(rel_path(other).name))


def test_all_files_that_belong_together_have_a_key_in_common() -> None:
    """Whatever the name of the picture ends with, as that of another file's version may."""
    stems = ["A", "A_22", "A_22_33", "IMG_1234", "IMG_E1234", "IMG_1234_22", "A(1)", "A_22(1)"]
    edits = ["A-edited", "A_22-edited", "A_22_edited(1)"]
    suffixes = [".jpg", ".CR2", ".MOV", ".avi", ".xmp", ".THM", ".jpg.xmp", ".CR2.xmp", ".jpg.json"]
    ends = ["", "_01", "_HEVC"]
    names = [f"{s}{end}{x}".encode() for s in stems + edits for end in ends for x in suffixes]
    names += [b"A_22.jpg(1).json", b"A.jpg.supplemental-metadata(1).json", b"A_22.jpg_original"]
    for one, other in itertools.permutations(sorted(set(names)), 2):
        if companion_role(RelPath("p", one), RelPath("p", other)) or may_own(one, other):
            assert set(companion_keys(one)) & set(companion_keys(other)), (one, other)


def test_pictures_of_a_camera_have_keys_of_their_own() -> None:
    names = [b"IMG_%04d.JPG" % number for number in range(2000)]
    assert len(set(map(companion_keys, names))) == len(names)


@given(
    st.text(alphabet="IMGEO_1234()-edi.jpgxmso" + string.ascii_uppercase[:3], max_size=12),
    st.text(alphabet="IMGEO_1234()-edi.jpgxmso" + string.ascii_uppercase[:3], max_size=12),
)
def test_of_two_pictures_each_has_the_opposite_role(stem: str, other_stem: str) -> None:
    opposite = {RAW: RENDERED, RENDERED: RAW, EDIT: ORIGINAL, ORIGINAL: EDIT}
    one, other = rel_path(f"{stem}.jpg"), rel_path(f"{other_stem}.nef")
    role = companion_role(one, other)
    assert companion_role(other, one) is (None if role is None else opposite[role])
    if role is not None:
        assert set(companion_keys(one.name)) & set(companion_keys(other.name))


@pytest.mark.parametrize(
    ("directory", "other", "are"),
    [
        (b"RAW", b"JPG", True),
        (b"2024/raw", b"2024/jpeg", True),
        (b"2024 RAW", b"2024", True),
        ("Fête RAW".encode(), "Fête".encode(), True),
        ("Fête RAW".encode(), "Été".encode(), False),
        (b"RAW", b"Holiday", False),
        (b"San Francisco Bay", b"Yosemite", False),
        (b"2024", b"2024", False),
        (b"2024-05-01", b"2024-05-02", False),
        (b"drawings", b"paintings", False),
    ],
)
def test_folders_of_formats_have_the_same_name_except_for_words_for_formats(
    directory: bytes, other: bytes, are: bool
) -> None:
    assert are_format_folders(directory, other) is are


def test_pictures_named_by_their_time_have_different_keys() -> None:
    names = [b"2024_05_17_12_33_45.jpg", b"2024_05_17_12_33_46.jpg"]
    assert list(map(companion_keys, names)) == [(name[: -len(".jpg")],) for name in names]


@pytest.mark.parametrize(
    ("name", "sidecar", "may"),
    [
        ("IMG_1.avi", "IMG_1.xmp", True),
        ("IMG_1.pdf", "IMG_1.THM", True),
        ("IMG_1.on1", "IMG_1.xmp", False),
        ("IMG_1.avi", "IMG_1.pp3", False),
        ("IMG_2.avi", "IMG_1.xmp", False),
        ("IMG_1.xmp", "IMG_1.xmp", False),
    ],
)
def test_a_sidecar_may_belong_to_a_file_that_is_no_picture(
    name: str, sidecar: str, may: bool
) -> None:
    assert may_own(name.encode(), sidecar.encode()) is may
