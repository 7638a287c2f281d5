"""What the embedded collection accepts and answers: IDs, times and pages."""

from __future__ import annotations

import re

import pytest

from snoopsync.core.errors import Refused
from snoopsync.embedded.answers import check_id, image_time, outdated_key


@pytest.mark.parametrize("image_id", ["a", "x" * 100, "ä/b c", "\0", "\U0001f4f7"])
def test_an_id_is_any_text_of_1_to_100_characters(image_id: str) -> None:
    check_id(image_id)


@pytest.mark.parametrize("image_id", ["", "x" * 101, "\ud800", "a\udfffb", 5, None])
def test_anything_else_is_refused(image_id: object) -> None:
    with pytest.raises(Refused) as refused:
        check_id(image_id)  # type: ignore[arg-type]
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (0, "1970-01-01T00:00:00.000000+00:00"),
        (1, "1970-01-01T00:00:00.000001+00:00"),
        (1_422_218_585_690_218, "2015-01-25T20:43:05.690218+00:00"),
        (1_422_218_586_000_000, "2015-01-25T20:43:06.000000+00:00"),
    ],
)
def test_a_time_is_in_utc_and_always_has_microseconds(moment: int, text: str) -> None:
    assert image_time(moment) == text


def test_times_in_their_order_are_texts_in_their_order() -> None:
    moments = range(10**15, 10**15 + 3_000_000, 333_333)
    assert sorted(map(image_time, moments)) == [image_time(moment) for moment in moments]


def test_a_page_of_outdated_images_begins_after_the_key_of_the_previous_one() -> None:
    assert outdated_key(None) < (0, "")
    assert outdated_key("1:a:b") == (1, "a:b")
    assert outdated_key("0:") == (0, "")


@pytest.mark.parametrize("text", ["", "1", ":a", "-1:a", "x:a", "1234567890:a", "\u0661:a"])
def test_any_other_key_is_refused(text: str) -> None:
    with pytest.raises(Refused, match=re.escape("must be the `next` of the previous page")):
        outdated_key(text)
