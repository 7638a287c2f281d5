"""What the state file stores about images: paths, names, contents and states."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.model import (
    File,
    Fingerprint,
    ImageState,
    RelPath,
    fingerprint_key,
    image_ids,
)
from snoopsync.core.planner import Add
from snoopsync.state.database import Database
from snoopsync.state.images import Counts, State
from tests.support.images_in_state import (
    NOW,
    ONE,
    TWO,
    A,
    B,
    C,
    apply,
    due,
    synced,
    version,
)

# Places and names.

ODD_NAMES = [b"\xff\xfe.jpg", b"a\nb.jpg", "\u00e9".encode(), "e\u0301".encode(), b"x" * 255, b"'"]


def test_any_name_is_stored_unchanged(state: State) -> None:
    rel_paths = [RelPath("photos", b"d/" + name) for name in ODD_NAMES]
    apply(
        state,
        *(Add(rel_path, next(image_ids("nas", rel_path)), version(1)) for rel_path in rel_paths),
    )
    assert {row.rel_path for row in state.images()} == set(rel_paths)
    assert set(state.known("photos", b"d")) == set(ODD_NAMES)
    for rel_path in rel_paths:
        record = state.record_at(rel_path)
        assert record is not None
        assert record.rel_path == rel_path


def test_paths_below_a_directory_do_not_include_its_neighbours(state: State) -> None:
    paths = [
        b"top.jpg",
        b"a/1.jpg",
        b"a/b/2.jpg",
        b"a/b/c/3.jpg",
        b"a/\xff\xff/4.jpg",
        b"a-2/5.jpg",
        b"a0/6.jpg",
        b"a/b0/7.jpg",
        b"a.b/8.jpg",
        b"A/9.jpg",
    ]
    for number, path in enumerate(paths):
        apply(state, Add(RelPath("photos", path), f"nas.{number}", version(1)))
    apply(state, Add(RelPath("scans", b"a/1.jpg"), "nas.other", version(1)))

    def below(directory: bytes) -> set[bytes]:
        return {rel_path.path for rel_path in state.rel_paths_below("photos", directory)}

    assert below(b"a") == {path for path in paths if path.startswith(b"a/")}
    assert below(b"a/b") == {b"a/b/2.jpg", b"a/b/c/3.jpg"}
    assert below(b"") == set(paths)
    assert below(b"nothing") == set()
    assert state.directories("photos") == {path.rpartition(b"/")[0] for path in paths}


@pytest.mark.parametrize(
    ("inode", "mtime_ns"), [(2**64 - 1, 0), (2**63, 2**63), (1, 10**22), (1, -(10**18))]
)
def test_huge_inodes_and_distant_times_are_recognised(
    state: State, inode: int, mtime_ns: int
) -> None:
    key = fingerprint_key(stat_result(inode, mtime_ns))
    apply(state, Add(A, "nas.1", File(Fingerprint(*key))))
    assert state.known("photos", b"") == {b"a.jpg": key}
    assert [record.rel_path for record in state.records_with_inode(key[0])] == [A]


def stat_result(inode: int, mtime_ns: int) -> os.stat_result:
    class Stat:
        st_ino, st_size, st_mtime_ns, st_ctime_ns = inode, 100, mtime_ns, mtime_ns

    return Stat()  # type: ignore[return-value]  # no file system here has such numbers


def test_records_are_found_by_content_size_and_folder(state: State) -> None:
    synced(state, A, "nas.1", inode=1, sha256=ONE)
    synced(state, B, "nas.2", inode=2, sha256=TWO)
    assert [record.rel_path for record in state.records_with_content(TWO, 9)] == [B]
    assert state.knows_size(100)
    assert not state.knows_size(101)
    assert len(state.sample("photos", 1)) == 1


@pytest.mark.parametrize(("kept", "marked"), [(9, 1), (1, 9), (9, 9), (0, 9), (9, 0), (1, 1)])
def test_a_sample_has_both_files_that_are_to_be_deleted_and_others(
    state: State, kept: int, marked: int
) -> None:
    """However few there are of either, and as many in all as asked for."""
    for number in range(kept + marked):
        synced(state, RelPath("photos", b"%d.jpg" % number), f"nas.{number}", inode=number + 1)
    to_be_deleted = [RelPath("photos", b"%d.jpg" % number) for number in range(kept, kept + marked)]
    state.deletions.require_approval(to_be_deleted)
    sample = state.sample("photos", 6)
    assert len(sample) == min(6, kept + marked)
    assert sum(record.marked_for_deletion for record in sample) == min(marked, max(3, 6 - kept))


# What is shown.


def test_images_are_counted_and_listed_by_state(state: State) -> None:
    synced(state, A, "nas.1", inode=1)
    apply(state, Add(B, "nas.2", version(1, 2)))
    apply(state, Add(C, "nas.3", version(1, 3)))
    [failing] = [item for item in due(state) if item.record.rel_path == C]
    state.intents.defer("nas.3", failing.mark, "not a picture", NOW + 25)
    synced(state, RelPath("photos", b"d.jpg"), "nas.4", inode=4)
    state.deletions.hold(["nas.4"])
    assert state.counts() == {"photos": Counts(images=4, pending=1, failed=1, held=1)}
    shown = {row.image_id: row.state.value for row in state.images()}
    assert shown == {"nas.1": "synced", "nas.2": "pending", "nas.3": "failed", "nas.4": "held"}
    assert [row.error for row in state.images(ImageState.FAILED)] == ["not a picture"]


def test_a_slow_reader_of_a_long_listing_blocks_no_writer(path: Path, state: State) -> None:
    """It is read in pages, and goes on where it was whatever happens meanwhile."""
    names = [b"%04d.jpg" % number for number in range(2500)]
    rel_paths = [RelPath("photos", b"sub/" + name) for name in names] + [A, B]
    apply(state, *(Add(rel_path, f"nas.{rel_path.text}", version(1)) for rel_path in rel_paths))
    listed = state.images()
    read = [next(listed)]
    with closing(Database(path)) as other:
        State(other).intents.forget("nas.sub/0000.jpg")
        State(other).intents.forget("nas.sub/2400.jpg")
        other.query("PRAGMA wal_checkpoint(TRUNCATE)")
    assert path.with_name(path.name + "-wal").stat().st_size == 0
    read += listed
    del rel_paths[2400]
    assert [row.rel_path for row in read] == [A, B, *rel_paths[:-2]]
    assert len(list(state.images(ImageState.PENDING))) == 2500


def test_facts_are_stored(state: State) -> None:
    assert state.fact("collection_id") is None
    state.set_fact("collection_id", "1")
    state.set_fact("collection_id", "2")
    assert state.fact("collection_id") == "2"
