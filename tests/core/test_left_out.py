"""What a folder contains that is not mirrored, counted by reason and suffix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.left_out import (
    LeftOut,
    LeftOutCounts,
    count,
    describe,
    dump,
    load,
    merge,
    suffix_of,
    totals,
)


def counted(*names: bytes, reason: LeftOut = LeftOut.UNSUPPORTED) -> LeftOutCounts:
    counts: LeftOutCounts = {}
    for name in names:
        count(counts, reason, name)
    return counts


def test_files_are_counted_by_suffix_where_suffixes_matter() -> None:
    assert counted(b"a.CR2", b"b.cr2", b"c") == {"unsupported": {".cr2": 2, "": 1}}
    assert counted(b"a.jpg", reason=LeftOut.SYMLINK) == {"symlink": {"": 1}}


@pytest.mark.parametrize(
    ("name", "suffix"),
    [(b"a.JPG", ".jpg"), (b"a.tar.gz", ".gz"), (b".hidden", ""), (b"a", ""), (b"a.b c", ""),
     (b"a.\xff", ""), (b"a\n.jpg", ".jpg"), (b"a." + b"x" * 13, "")],
)  # fmt: skip
def test_a_suffix_is_short_and_plain(name: bytes, suffix: str) -> None:
    assert suffix_of(name) == suffix


def test_the_counts_do_not_grow_with_the_number_of_suffixes() -> None:
    counts = counted(*(f"page.{number}".encode() for number in range(1000)))
    assert len(counts["unsupported"]) <= 101
    assert totals(counts) == {"unsupported": 1000}


def test_counts_of_several_directories_are_added_up() -> None:
    counts = counted(b"a.cr2")
    merge(counts, counted(b"b.cr2", b"c.dng"))
    merge(counts, counted(b"d", reason=LeftOut.SYMLINK))
    assert totals(counts) == {"symlink": 1, "unsupported": 3}


def test_the_description_names_the_most_frequent_suffixes() -> None:
    counts = counted(b"a.cr2", b"b.dng", b"c.dng", b"no suffix")
    merge(counts, counted(b"link", reason=LeftOut.SYMLINK))
    assert describe(counts) == "1 symlink, 4 unsupported (.dng 2, .cr2 1, ...)"
    assert describe(counted(b"a.cr2")) == "1 unsupported (.cr2 1)"
    assert describe({}) == ""


@given(st.lists(st.tuples(st.sampled_from(LeftOut), st.binary(max_size=20))))
def test_counts_are_read_as_they_were_stored(names: list[tuple[LeftOut, bytes]]) -> None:
    counts: LeftOutCounts = {}
    for reason, name in names:
        count(counts, reason, name)
    assert load(dump(counts)) == counts


@pytest.mark.parametrize("text", ["", "[]", "null", "5", '{"a": 1}', '{"a": {"b": "c"}}'])
def test_a_damaged_text_has_no_counts(text: str) -> None:
    assert load(text) == {}
