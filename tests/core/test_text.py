"""Counts and times in words."""

from __future__ import annotations

import pytest

from snoopsync.core.text import counted, images, iso


@pytest.mark.parametrize(
    ("number", "words"), [(0, "0 images"), (1, "1 image"), (2, "2 images"), (1000, "1000 images")]
)
def test_only_one_image_is_singular(number: int, words: str) -> None:
    assert images(number) == words


def test_a_noun_may_have_a_plural_of_its_own() -> None:
    assert counted(1, "directory", "directories") == "1 directory"
    assert counted(2, "directory", "directories") == "2 directories"


def test_a_time_is_iso_8601_in_utc() -> None:
    assert iso(0.5) == "1970-01-01T00:00:00.500000+00:00"


@pytest.mark.parametrize("seconds", [None, 1e300, float("nan"), float("inf")])
def test_an_impossible_time_is_none(seconds: float | None) -> None:
    assert iso(seconds) is None
