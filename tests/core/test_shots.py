"""Two similar pictures are copies, files of one shot, or shots of one series."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.model import RelPath
from snoopsync.core.shots import (
    NEIGHBOUR_SECONDS,
    SERIES_SECONDS,
    Relation,
    Shot,
    SimilarPicture,
    raw_beside_rendered,
    relations_of,
)

NOON = datetime(2024, 5, 1, 12)  # noqa: DTZ001 - cameras write no zone
SHOT = Shot("Canon", "Canon EOS R5", "012", NOON, "25", "aa", 1 / 250, 0.0)
EMPTY = Shot()


def later(seconds: float, shot: Shot = SHOT) -> Shot:
    """The same camera so many seconds later."""
    return replace(shot, taken_at=NOON + timedelta(seconds=seconds))


def picture(path: str, shot: Shot = SHOT, *, has_same_pixels: bool = False) -> SimilarPicture:
    return SimilarPicture([RelPath("photos", path.encode())], shot, has_same_pixels)


def relation(one: SimilarPicture, other: SimilarPicture) -> Relation:
    [found] = relations_of(one, [other])
    assert relations_of(other, [one]) == [found], "the order matters"
    return found


@pytest.mark.parametrize(
    ("one", "other", "is_companion"),
    [
        ("a/IMG_1.CR3", "a/IMG_1.JPG", True),
        ("IMG_1.dng", "IMG_1.heic", True),
        ("a/IMG_1.CR3", "exports/2024/IMG_1.jpg", True),
        ("a/IMG_1.CR3", "a/IMG_2.JPG", False),
        ("a/IMG_1.CR3", "a/IMG_1.CR2", False),
        ("a/IMG_1.jpg", "a/IMG_1.png", False),
        ("a/IMG_1.jpg", "b/IMG_1.jpg", False),
        ("a/IMG_1234.HEIC", "a/IMG_E1234.HEIC", True),
        ("a/IMG_1234.HEIC", "b/IMG_E1234.HEIC", False),
        ("a/beach.jpg", "a/beach-edited.jpg", True),
        ("a/beach.jpg", "b/beach-edited.jpg", False),
        ("a/beach.jpg", "a/beach.jpg_original", True),
        ("a/beach.jpg", "a/beach copy.jpg", False),
    ],
)
def test_files_of_one_shot_are_companions(one: str, other: str, is_companion: bool) -> None:
    expected = Relation.COMPANION if is_companion else Relation.DUPLICATE
    assert relation(picture(one), picture(other)) is expected


@pytest.mark.parametrize(
    ("one", "other", "is_companion"),
    [
        ("a/IMG_1.CR3", "a/IMG_1.JPG", True),
        ("a/RAW/IMG_1.CR3", "a/JPG/IMG_1.JPG", True),
        ("a/monday/IMG_1.CR3", "a/tuesday/IMG_1.JPG", False),
        ("a/IMG_1.CR3", "exports/IMG_1.jpg", False),
        ("a/beach.jpg", "a/beach-edited.jpg", True),
    ],
)
def test_without_metadata_the_names_must_be_near(one: str, other: str, is_companion: bool) -> None:
    expected = Relation.COMPANION if is_companion else Relation.DUPLICATE
    for shot in (SHOT, EMPTY):
        assert relation(picture(one, shot), picture(other, EMPTY)) is expected


@pytest.mark.parametrize(
    ("other", "is_companion"),
    [
        (replace(SHOT, fraction=""), True),
        (replace(SHOT, fraction="2"), True),
        (replace(SHOT, serial=""), True),
        (replace(SHOT, make="", model="CANON  EOS R5"), True),
        (replace(SHOT, unique_id="bb", exposure_seconds=1 / 30), True),
        (replace(SHOT, fraction="26"), False),
        (later(1), False),
        (later(86400), False),
        (replace(SHOT, model="Canon EOS R6"), False),
        (replace(SHOT, serial="013"), False),
    ],
)
def test_names_are_not_enough_if_the_metadata_contradicts(other: Shot, is_companion: bool) -> None:
    found = relation(picture("a/IMG_1.CR3"), picture("a/IMG_1.JPG", other))
    assert (found is Relation.COMPANION) == is_companion


def test_one_of_several_copies_is_enough() -> None:
    raw = SimilarPicture([RelPath("phone", b"x.dng"), RelPath("backup", b"2024/IMG_1.dng")])
    jpeg = SimilarPicture([RelPath("backup", b"2024/IMG_1.jpg"), RelPath("phone", b"y.jpg")])
    assert relation(raw, jpeg) is Relation.COMPANION


@pytest.mark.parametrize(
    ("other", "is_series"),
    [
        (replace(SHOT, fraction="35"), True),
        (later(3), True),
        (later(NEIGHBOUR_SECONDS), True),
        (later(NEIGHBOUR_SECONDS + 1), False),
        (later(3600), False),
        (SHOT, False),
        (replace(SHOT, fraction="2"), False),
        (replace(SHOT, unique_id="bb"), False),
        (replace(SHOT, fraction="", unique_id="bb"), True),
        (replace(SHOT, fraction="", unique_id=""), False),
        (replace(SHOT, exposure_seconds=1 / 60), True),
        (replace(SHOT, exposure_seconds=1 / 249), False),
        (replace(SHOT, exposure_seconds=None, exposure_bias=1.0), True),
        (replace(later(3), model="Canon EOS R6"), False),
        (replace(later(3), make="", model=""), False),
        (replace(later(3), serial="013"), False),
        (replace(later(3), taken_at=None), False),
        (EMPTY, False),
    ],
)
def test_different_shots_of_one_camera_within_seconds_are_a_series(
    other: Shot, is_series: bool
) -> None:
    found = relation(picture("IMG_1.JPG"), picture("IMG_2.JPG", other))
    assert found is (Relation.SERIES if is_series else Relation.DUPLICATE)


def test_the_same_pixels_are_one_shot_whatever_the_times_are() -> None:
    other = picture("IMG_2.JPG", later(3), has_same_pixels=True)
    assert relations_of(picture("IMG_1.JPG"), [other]) == [Relation.DUPLICATE]


def test_a_long_series_is_a_series_if_each_shot_has_a_neighbour() -> None:
    burst = [picture(f"IMG_{number}.JPG", later(5 * number)) for number in range(60)]
    assert relations_of(burst[0], burst[1:]) == [Relation.SERIES] * 59
    alone = picture("IMG_99.JPG", later(120))
    assert relations_of(burst[0], [alone]) == [Relation.DUPLICATE]
    assert relations_of(alone, [burst[0], burst[1]]) == [Relation.SERIES] * 2
    much_later = picture("IMG_99.JPG", later(SERIES_SECONDS + 1))
    assert relations_of(burst[0], [*burst[1:], much_later])[-1] is Relation.DUPLICATE


def test_edits_of_a_shot_in_a_series_are_its_duplicates() -> None:
    burst = [picture(f"IMG_{number}.JPG", later(number)) for number in range(5)]
    edit = picture("best of the party.jpg", later(2))
    found = relations_of(edit, burst)
    assert [each is Relation.DUPLICATE for each in found] == [False, False, True, False, False]


shots = st.builds(
    Shot,
    st.sampled_from(["", "Canon"]),
    st.sampled_from(["", "R5", "R6"]),
    st.sampled_from(["", "1", "2"]),
    st.none() | st.integers(0, 40).map(lambda seconds: NOON + timedelta(seconds=seconds)),
    st.sampled_from(["", "0", "00", "5", "51", "52"]),
    st.sampled_from(["", "a", "b"]),
    st.sampled_from([None, 0.0, 0.004, 0.03]),
    st.sampled_from([None, -1.0, 0.0]),
)
pictures = st.builds(
    picture, st.sampled_from(["IMG_1.JPG", "IMG_1.CR3", "a/IMG_1.JPG", "IMG_2.JPG"]), shots
)


@given(pictures, pictures)
def test_the_order_of_two_pictures_does_not_matter(
    one: SimilarPicture, other: SimilarPicture
) -> None:
    relation(one, other)


@given(pictures, pictures)
def test_without_time_and_camera_nothing_is_a_series(
    one: SimilarPicture, other: SimilarPicture
) -> None:
    unknown = replace(other, shot=replace(other.shot, taken_at=None))
    assert relation(one, unknown) is not Relation.SERIES
    unknown = replace(other, shot=replace(other.shot, make="", model=""))
    assert relation(one, unknown) is not Relation.SERIES


def test_the_raw_file_of_a_pair_is_told_by_its_suffix() -> None:
    raw, rendered = picture("a/IMG_1.CR3"), picture("a/IMG_1.JPG")
    assert raw_beside_rendered(raw, rendered) is raw
    assert raw_beside_rendered(rendered, raw) is raw
    assert raw_beside_rendered(raw, picture("b.dng")) is None
    assert raw_beside_rendered(rendered, picture("b.jpg")) is None
