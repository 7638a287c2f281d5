"""What a folder contains that is not mirrored, counted by reason and suffix."""

from __future__ import annotations

import pytest

from snoopsync.core.left_out import (
    LeftOut,
    LeftOutCounts,
    count,
    describe,
    dump,
    load,
    merge,
    totals,
)


def counted(**numbers: int) -> LeftOutCounts:
    counts: LeftOutCounts = {}
    for name, number in numbers.items():
        for _ in range(number):
            count(counts, LeftOut.UNSUPPORTED, b"a." + name.encode())
    return counts


def test_counts_are_by_reason_and_suffix_whatever_its_case() -> None:
    counts = counted(cr2=2, CR2=1, dng=4)
    count(counts, LeftOut.SYMLINK, b"link.jpg")
    assert totals(counts) == {"symlink": 1, "unsupported": 7}
    assert describe(counts) == "1 symbolic link, 7 pictures in unsupported formats (.dng 4, .cr2 3)"


def test_nothing_is_described_as_nothing() -> None:
    assert (describe({}), totals({})) == ("", {})


def test_one_suffix_is_named_without_its_number() -> None:
    assert describe({"other-type": {".md": 1}}) == "1 file of another type (.md)"
    assert describe({"other-type": {".md": 3}}) == "3 files of other types (.md)"


@pytest.mark.parametrize("reason", LeftOut)
def test_each_reason_is_words_and_not_a_key(reason: LeftOut) -> None:
    for number in (1, 2):
        words = describe({reason: {"": number}})
        assert words.startswith(f"{number} ")
        assert "-" not in words


def test_only_the_most_frequent_suffixes_are_named() -> None:
    counts = counted(a=1, b=9, c=8, d=7, e=6, f=5, g=4)
    suffixes = ".b 9, .c 8, .d 7, .e 6, .f 5, ..."
    assert describe(counts) == f"40 pictures in unsupported formats ({suffixes})"


def test_counts_of_directories_add_up() -> None:
    counts = counted(cr2=2)
    merge(counts, counted(cr2=1, dng=1))
    assert describe(counts) == "4 pictures in unsupported formats (.cr2 3, .dng 1)"


@pytest.mark.parametrize("name", [b"a", b".hidden", b"a.", b"a.\xff", b"a.b c", b"a." + b"x" * 99])
def test_an_odd_end_of_a_name_is_not_a_suffix(name: bytes) -> None:
    counts: LeftOutCounts = {}
    count(counts, LeftOut.OTHER_TYPE, name)
    assert describe(counts) == "1 file of another type"


def test_any_number_of_suffixes_is_a_bounded_number_of_counts() -> None:
    counts: LeftOutCounts = {}
    for number in range(5000):
        count(counts, LeftOut.OTHER_TYPE, b"page.%d" % number)
    assert totals(counts) == {"other-type": 5000}
    assert len(counts[LeftOut.OTHER_TYPE]) <= 101


def test_counts_are_kept_as_text() -> None:
    counts = counted(cr2=2)
    assert load(dump(counts)) == counts
    assert load("nonsense") == load("[1]") == load('{"a": 1}') == {}
