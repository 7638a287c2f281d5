"""Which one of two files to keep: only where there is evidence, and the same for either order."""

from __future__ import annotations

from typing import Any

import pytest

from snoopsync.core.keep import (
    CandidateFile,
    Keep,
    KeepCandidate,
    KeepPicture,
    Reason,
    keep_of_group,
    which_to_keep,
)
from snoopsync.core.model import RelPath
from snoopsync.core.protocol import PictureFacts

YEAR = 365 * 86_400 * 10**9
NOW = 50 * YEAR
PLAIN = {
    "camera": False,
    "jpeg_quality": None,
    "lossless": False,
    "palette": False,
    "resaved": False,
}


def picture(width: int = 400, height: int = 300, **evidence: Any) -> PictureFacts:
    told: Any = PLAIN | evidence
    return {"width": width, "height": height, "size_bytes": 1000, "evidence": told}


def jpeg(quality: int, **evidence: Any) -> PictureFacts:
    return picture(jpeg_quality=quality, **evidence)


def file(path: str = "a.jpg", modified_ns: int = 20 * YEAR, **more: Any) -> CandidateFile:
    return CandidateFile(RelPath("photos", path.encode()), modified_ns, **more)


def kept(
    one: PictureFacts, other: PictureFacts, kind: str | None = "reencoded"
) -> tuple[str, str] | None:
    """Which of two files with these pictures is to be kept, and why."""
    a, b = KeepCandidate("one", one, file()), KeepCandidate("other", other, file())
    keep = which_to_keep(a, b, kind, NOW, identical=False)
    assert which_to_keep(b, a, kind, NOW, identical=False) == keep
    return None if keep is None else (keep.image_id, keep.reason.value)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        (picture(400, 300), picture(200, 150), "more-pixels"),
        (picture(400, 300), picture(150, 200, camera=True), "more-pixels"),
        (picture(camera=True), picture(lossless=True), "camera-metadata"),
        (jpeg(75, camera=True), jpeg(98), "camera-metadata"),
        (jpeg(92), jpeg(75), "less-compressed"),
        (jpeg(92), jpeg(75, resaved=True), "less-compressed"),
        (jpeg(75), picture(palette=True), "true-colour"),
        (picture(lossless=True), picture(palette=True), "true-colour"),
        (picture(lossless=True), jpeg(95), "lossless"),
    ],
)
def test_evidence_decides_in_this_order(
    better: PictureFacts, worse: PictureFacts, reason: str
) -> None:
    assert kept(better, worse) == ("one", reason)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # Sizes that only differ by rounding, also where one is turned.
        (picture(4000, 3000), picture(3996, 2997)),
        (picture(4000, 3000), picture(2999, 4000)),
        (picture(100, 75), picture(99, 74)),
        # Estimates are not exact.
        (jpeg(92), jpeg(90)),
        # A re-save of a higher quality has lost what its source has lost.
        (jpeg(75), jpeg(95, resaved=True)),
        # So has what was made from a JPEG in a lossless format.
        (jpeg(90), picture(lossless=True, resaved=True)),
        # Nothing is known of how strongly other formats are compressed.
        (jpeg(90), picture()),
        # A collection that tells nothing, or sizes in bytes alone.
        ({}, {}),
        ({"size_bytes": 10**6}, {"size_bytes": 10}),
        ({"width": 400}, {"width": 200}),
        (picture(camera=True), {"width": 400, "height": 300}),
    ],
)
def test_without_evidence_no_image_is_kept(one: PictureFacts, other: PictureFacts) -> None:
    assert kept(one, other) is None


def test_with_sizes_only_the_larger_picture_is_kept() -> None:
    assert kept({"width": 40, "height": 30}, {"width": 20, "height": 15}, None) == (
        "one",
        "more-pixels",
    )


@pytest.mark.parametrize("kind", ["rotated", "mirrored", "cropped", None])
def test_rotated_and_cropped_pictures_are_judged_like_reencoded_ones(kind: str | None) -> None:
    assert kept(picture(400, 300), picture(300, 200), kind) == ("one", "more-pixels")
    assert kept(jpeg(92), jpeg(70), kind) == ("one", "less-compressed")


def test_a_larger_picture_with_a_border_is_not_preferred() -> None:
    assert kept(picture(500, 400), picture(400, 300), "bordered") is None
    assert kept(picture(camera=True), picture(), "bordered") is None


def test_the_compression_of_edited_or_recoloured_pictures_says_nothing() -> None:
    for kind in ("edited", "recoloured"):
        assert kept(jpeg(75), jpeg(95), kind) is None
        assert kept(jpeg(75), picture(lossless=True), kind) is None
        assert kept(picture(camera=True), picture(), kind) == ("one", "camera-metadata")
        assert kept(picture(800, 600), picture(400, 300), kind) == ("one", "more-pixels")
    assert kept(picture(), picture(palette=True), "recoloured") == ("one", "true-colour")


def test_only_a_file_that_exists_is_kept() -> None:
    """The better one may be in the trash, or on another machine."""
    large, small = picture(400, 300), picture(200, 150)
    gone, there = KeepCandidate("gone", large), KeepCandidate("there", small, file())
    assert which_to_keep(gone, there, "reencoded", NOW, identical=False) is None
    gone, there = KeepCandidate("gone", small), KeepCandidate("there", large, file())
    keep = which_to_keep(gone, there, "reencoded", NOW, identical=False)
    assert keep == Keep("there", Reason.MORE_PIXELS)


@pytest.mark.parametrize(
    "path", [".Trash-1000/files/a.jpg", "2024/#recycle/a.jpg", "@eaDir/a.jpg/XL.jpg"]
)
def test_a_file_in_the_trash_or_among_thumbnails_is_never_kept(path: str) -> None:
    trashed = KeepCandidate("trashed", picture(400, 300), file(path))
    there = KeepCandidate("there", picture(200, 150), file("b.jpg"))
    assert which_to_keep(trashed, there, "reencoded", NOW, identical=False) is None
    keep = which_to_keep(trashed, there, "identical", NOW, identical=True)
    assert keep == Keep("there", Reason.CONFIGURED_FIRST)


def kept_of_identical(
    one: CandidateFile | None, other: CandidateFile | None
) -> tuple[str, str] | None:
    # What the pictures are does not matter: they are the same.
    a, b = KeepCandidate("one", picture(), one), KeepCandidate("other", picture(), other)
    keep = which_to_keep(a, b, "identical", NOW, identical=True)
    assert which_to_keep(b, a, "identical", NOW, identical=True) == keep
    return None if keep is None else (keep.image_id, keep.reason.value)


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        (
            file("long/path.jpg", 30 * YEAR, folder_order=1, is_preferred=True),
            file("a.jpg", 20 * YEAR),
            "preferred-folder",
        ),
        (file("long/path.jpg", 20 * YEAR, folder_order=1), file("a.jpg", 30 * YEAR), "older"),
        # No clock was set when these were written: the only time that can be true counts.
        (file("long/path.jpg", 20 * YEAR), file("a.jpg", 0), "older"),
        (file("long/path.jpg", 20 * YEAR), file("a.jpg", 10 * YEAR), "older"),
        (file("long/path.jpg", 20 * YEAR), file("a.jpg", NOW + 1), "older"),
        (file("long/path.jpg"), file("a.jpg", folder_order=1), "configured-first"),
        (file("b.jpg"), file("2024/a.jpg"), "shorter-path"),
        (file("b.jpg", 0), file("2024/a.jpg", NOW + 1), "shorter-path"),
        (file("a.jpg"), file("b.jpg"), "first-path"),
        (file("ä.jpg"), file("ö.jpg"), "first-path"),
    ],
)
def test_of_identical_files_one_is_always_kept_in_this_order(
    better: CandidateFile, worse: CandidateFile, reason: str
) -> None:
    assert kept_of_identical(better, worse) == ("one", reason)


def test_of_identical_files_the_one_that_exists_is_kept() -> None:
    assert kept_of_identical(file("long/path.jpg"), None) == ("one", "configured-first")
    assert kept_of_identical(None, None) is None


def kept_of_group(kinds: dict[str, str | None], **pictures: PictureFacts) -> str | None:
    """Which of these pictures to keep. ``kinds``: how two of them differ, by both names; all
    others are re-encodings of each other."""
    names = list(pictures)
    images = [KeepPicture([KeepCandidate(name, pictures[name], file())]) for name in names]

    def kind_of(one: int, other: int) -> str | None:
        pair = (f"{names[one]} {names[other]}", f"{names[other]} {names[one]}")
        return next((kinds[each] for each in pair if each in kinds), "reencoded")

    keep = keep_of_group(images, kind_of, NOW)
    return None if keep is None else keep.image_id


def test_the_picture_that_evidence_favours_over_all_others_of_a_group_is_kept() -> None:
    smaller, original, resaved = picture(200, 150), jpeg(92), jpeg(75)
    assert kept_of_group({}, smaller=smaller, original=original, resaved=resaved) == "original"


def test_a_group_with_an_undecided_re_encoding_of_the_best_has_none_to_keep() -> None:
    assert kept_of_group({}, one=jpeg(92), other=jpeg(91), smaller=picture(200, 150)) is None


def test_a_border_makes_no_picture_of_a_group_the_one_to_keep() -> None:
    """It has more pixels than every copy of the picture without the border."""
    framed, original, smaller = picture(440, 340), picture(400, 300), picture(200, 150)
    kinds: dict[str, str | None] = {"framed original": "bordered", "framed smaller": None}
    assert kept_of_group(kinds, framed=framed, original=original, smaller=smaller) == "original"
