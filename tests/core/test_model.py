"""The nouns: places, fingerprints, image IDs."""

from __future__ import annotations

import os
import re
from itertools import islice
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.model import (
    OWNER_PATTERN,
    Fingerprint,
    RelPath,
    fingerprint_key,
    image_ids,
    owns,
    printable,
)

paths = st.lists(
    st.binary(min_size=1, max_size=20).map(lambda name: re.sub(rb"[/\0]", b"_", name)),
    min_size=1,
    max_size=4,
).map(b"/".join)
folders = st.text(min_size=1, max_size=30).filter(lambda name: name.isprintable())
unsigned = st.integers(0, 2**64 - 1)
owners = st.from_regex(OWNER_PATTERN, fullmatch=True)


@given(owners, folders, paths)
def test_image_ids_are_ours_and_fit_the_collection(owner: str, folder: str, path: bytes) -> None:
    """``<owner>.<hash>``, at most 100 characters, and never the same one twice in a series."""
    series = list(islice(image_ids(owner, RelPath(folder, path)), 20))
    assert len(set(series)) == 20
    for image_id in series:
        assert re.fullmatch(rf"{owner}\.[A-Za-z0-9_-]+", image_id)
        assert len(image_id) <= 100
        assert owns(owner, image_id)


@given(st.sets(st.tuples(folders, paths), min_size=2, max_size=5))
def test_two_paths_never_share_an_id(where: set[tuple[str, bytes]]) -> None:
    ids = [
        image_id
        for folder, path in where
        for image_id in islice(image_ids("nas", RelPath(folder, path)), 5)
    ]
    assert len(set(ids)) == len(ids)


def test_an_image_id_stays_the_same_from_one_version_to_the_next() -> None:
    """Else a state file that is lost could not be rebuilt."""
    first, second = islice(image_ids("nas", RelPath("photos", b"2024/a.jpg")), 2)
    assert first == "nas.HkBEB-2uZ7XhW2wuYcTor-J8nhQ"
    assert second != first


@pytest.mark.parametrize("image_id", ["nasty.1", "na.s.1", "nas", "Nas.1", "other.nas.1", ""])
def test_an_id_that_does_not_begin_with_the_owner_and_a_dot_is_not_owned(image_id: str) -> None:
    assert not owns("nas", image_id)


@given(paths)
def test_a_path_has_a_directory_and_a_name(path: bytes) -> None:
    rel_path = RelPath("photos", path)
    joined = rel_path.directory + b"/" + rel_path.name if rel_path.directory else rel_path.name
    assert joined == path
    assert b"/" not in rel_path.name
    assert os.fsencode(rel_path.text) == path


@given(st.binary(max_size=50))
def test_any_path_is_printed_on_one_line(path: bytes) -> None:
    text = printable(path)
    assert text.isprintable()
    assert len(text.splitlines()) <= 1
    text.encode()  # no surrogates are left


def test_a_plain_path_is_printed_as_it_is() -> None:
    assert printable("Ferien/Käse 🧀.jpg".encode()) == "Ferien/Käse 🧀.jpg"
    assert printable(b"a\nb\xff.jpg") == r"a\nb\udcff.jpg"


def test_a_fingerprint_is_four_numbers_of_lstat(tmp_path: Path) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(b"abc")
    stat = path.lstat()
    expected = (stat.st_ino, 3, stat.st_mtime_ns, stat.st_ctime_ns)
    assert tuple(Fingerprint.of(stat)) == expected == fingerprint_key(stat)


def test_a_renamed_file_is_the_same_and_one_that_was_written_to_is_not() -> None:
    before = Fingerprint(1, 2, 3, 4)
    assert before.same_file(Fingerprint(1, 2, 3, 9))
    for other in (Fingerprint(9, 2, 3, 4), Fingerprint(1, 9, 3, 4), Fingerprint(1, 2, 9, 4)):
        assert not before.same_file(other)


@given(unsigned, st.integers(0, 2**63 - 1), unsigned, unsigned)
def test_numbers_of_64_bits_fit_and_stay_different(
    inode: int, size: int, mtime: int, ctime: int
) -> None:
    """A size is signed in itself."""

    class Stat:
        st_ino, st_size, st_mtime_ns, st_ctime_ns = inode, size, mtime, ctime

    key = fingerprint_key(Stat())  # type: ignore[arg-type]  # no file has all of these
    assert all(-(2**63) <= part < 2**63 for part in key)
    assert tuple(part % 2**64 for part in key) == (inode, size, mtime, ctime)
