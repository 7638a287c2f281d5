"""What the state file remembers of folders and images: intents, confirmations, places."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.model import (
    File,
    Fingerprint,
    FolderState,
    ImageState,
    Record,
    RelPath,
    fingerprint_key,
    image_ids,
)
from snoopsync.core.planner import Action, Add, Adopt, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import Counts, State
from snoopsync.state.intents import Outstanding, Sent

A, B, C = (RelPath("photos", name) for name in (b"a.jpg", b"b.jpg", b"c.jpg"))
ONE, TWO = b"1" * 32, b"2" * 32
NOW = 1000.0


def version(number: int, inode: int = 1) -> File:
    return File(Fingerprint(inode, 100, number, number))


def apply(state: State, *actions: Action) -> None:
    state.intents.apply(actions, NOW)


def due(state: State, now: float = NOW) -> list[Outstanding]:
    return state.intents.outstanding(100, now, ["photos", "scans"])


def the_only_due(state: State, now: float = NOW) -> Outstanding:
    [item] = due(state, now)
    return item


def confirm(state: State, item: Outstanding, sha256: bytes = ONE) -> None:
    state.intents.confirm(
        Sent(item.record.image_id, item.mark, sha256, "2024-01-01T00:00:00Z"), NOW
    )


def synced(
    state: State, rel_path: RelPath, image_id: str, inode: int = 1, sha256: bytes = ONE
) -> None:
    apply(state, Add(rel_path, image_id, version(1, inode)))
    [item] = [item for item in due(state) if item.record.image_id == image_id]
    confirm(state, item, sha256)


def record_of(state: State, image_id: str) -> Record:
    record = state.record(image_id)
    assert record is not None
    return record


# Intents and confirmations.


def test_an_intent_is_dirty_until_it_is_confirmed(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    assert state.record_at(A) == Record("nas.1", A, version(1).fingerprint, dirty=True)
    confirm(state, the_only_due(state))
    assert state.record_at(A) == Record("nas.1", A, version(1).fingerprint, sha256=ONE)
    assert due(state) == []


def test_an_edit_during_the_upload_stays_dirty(state: State) -> None:
    """The confirmation that comes then is of the bytes before."""
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Update(A, "nas.1", version(2)))
    confirm(state, before, ONE)
    record = record_of(state, "nas.1")
    assert record.dirty
    assert record.sha256 == ONE
    confirm(state, the_only_due(state), TWO)
    record = record_of(state, "nas.1")
    assert (record.dirty, record.sha256, record.seen) == (False, TWO, version(2).fingerprint)


def test_an_image_that_the_collection_has_lost_is_not_expected_there(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Update(A, "nas.1", version(2)))
    assert the_only_due(state).record.sha256 == ONE
    apply(state, Add(A, "nas.1", version(2)))
    assert the_only_due(state).record.sha256 is None


def test_an_image_of_unknown_bytes_is_expected_there(state: State) -> None:
    apply(state, Update(A, "nas.1", version(1)))
    assert the_only_due(state).record.sha256 == b""


def test_known_images_are_confirmed_and_not_new(state: State) -> None:
    synced(state, A, "nas.1")
    newest = state.deletions.newest()
    synced(state, B, "nas.2")
    apply(state, Add(RelPath("photos", b"on-its-way.jpg"), "nas.3", version(1)))
    assert state.deletions.newest() == newest + 2
    assert state.deletions.count_losses("photos", [], newest) == (1, 0, 0)
    assert state.deletions.count_losses("photos", [], newest + 2) == (2, 0, 0)
    assert state.deletions.count_losses("photos", ["nas.1"], newest) == (0, 1, 0)
    state.deletions.hold(["nas.2"])
    assert state.deletions.count_losses("photos", ["nas.3", "nas.2"], newest) == (1, 2, 1)
    assert state.deletions.count_losses(None, ["nas.9"], newest) == (2, 1, 0)


def test_a_deletion_that_is_planned_during_the_upload_stays_dirty(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Delete(A, "nas.1"))
    confirm(state, before)
    assert the_only_due(state).record.image_id == "nas.1"


def test_a_refresh_is_no_intent(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Refresh(A, "nas.1", version(2)))
    assert state.record_at(A) == Record("nas.1", A, version(2).fingerprint, sha256=ONE)


def test_what_is_adopted_is_confirmed_and_searched_for(state: State, database: Database) -> None:
    apply(state, Adopt(A, "nas.1", version(1), ONE))
    assert state.record_at(A) == Record("nas.1", A, version(1).fingerprint, sha256=ONE)
    assert database.one("SELECT search_due FROM image") == 1


def test_a_removed_image_is_forgotten(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    state.intents.removed("nas.1", the_only_due(state).mark)
    assert state.record("nas.1") is None


def test_a_file_that_came_back_while_its_image_was_removed_is_added_again(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    removal = the_only_due(state)
    apply(state, Update(A, "nas.1", version(2)))
    state.intents.removed("nas.1", removal.mark)
    assert state.record_at(A) == Record("nas.1", A, version(2).fingerprint, dirty=True)
    assert the_only_due(state).record.image_id == "nas.1"


def test_what_is_forgotten_leaves_its_place_and_its_id(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Forget(A, "nas.1"))
    assert not state.is_taken("nas.1")
    apply(state, Add(A, "nas.2", version(1)))
    assert state.is_taken("nas.2")


# Renames.


def test_places_are_swapped_at_once(state: State) -> None:
    synced(state, A, "nas.1", inode=1)
    synced(state, B, "nas.2", inode=2)
    apply(
        state,
        Rename(A, "nas.2", version(3, 2), B),
        Rename(B, "nas.1", version(3, 1), A),
    )
    assert state.record_at(A) == Record("nas.2", A, version(3, 2).fingerprint, sha256=ONE)
    assert state.record_at(B) == Record("nas.1", B, version(3, 1).fingerprint, sha256=ONE)


def test_a_ring_of_renames_across_folders_goes_through(state: State) -> None:
    rel_paths = [A, B, RelPath("scans", b"2024/c.jpg")]
    for number, rel_path in enumerate(rel_paths):
        synced(state, rel_path, f"nas.{number}", inode=number)
    goals = [*rel_paths[1:], rel_paths[0]]
    apply(
        state,
        *(
            Rename(goal, f"nas.{number}", version(2, number), rel_paths[number])
            for number, goal in enumerate(goals)
        ),
    )
    assert [record_of(state, f"nas.{number}").rel_path for number in range(3)] == goals


def test_a_new_file_may_be_where_a_renamed_one_was(state: State) -> None:
    """A backup save: ``mv a b``, then a new ``a``, in one plan."""
    synced(state, A, "nas.1")
    apply(state, Rename(B, "nas.1", version(2), A), Add(A, "nas.2", version(3, inode=2)))
    assert record_of(state, "nas.1").rel_path == B
    assert record_of(state, "nas.2").rel_path == A


def test_a_renamed_image_that_is_sent_again_answers_to_the_new_plan_alone(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Rename(B, "nas.1", version(2), A), Add(B, "nas.1", version(2)))
    confirm(state, before, ONE)
    assert record_of(state, "nas.1").dirty
    assert the_only_due(state).record.rel_path == B


def test_a_rename_takes_back_a_held_deletion(state: State) -> None:
    synced(state, A, "nas.1")
    state.deletions.hold(["nas.1"])
    apply(state, Rename(B, "nas.1", version(2), A))
    assert not record_of(state, "nas.1").doomed


# Waiting.


def test_what_was_refused_waits_until_its_time_or_until_the_file_changes(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    item = the_only_due(state)
    state.intents.park("nas.1", item.mark, "not a picture", NOW + 25)
    assert due(state) == []
    assert state.intents.next_retry() == NOW + 25
    assert the_only_due(state, NOW + 25).attempts == 1
    apply(state, Update(A, "nas.1", version(2)))
    assert the_only_due(state).attempts == 0


def test_a_refusal_of_what_is_not_wanted_any_more_parks_nothing(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Update(A, "nas.1", version(2)))
    state.intents.park("nas.1", before.mark, "not a picture", NOW + 25)
    assert the_only_due(state).attempts == 0


def test_what_is_postponed_waits_and_has_not_failed(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.postpone("nas.1", NOW + 1)
    assert due(state) == []
    [row] = state.images()
    assert row.state is ImageState.PENDING
    assert the_only_due(state, NOW + 1).attempts == 0


def test_everything_parked_can_be_tried_at_once(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.park("nas.1", the_only_due(state).mark, "refused", NOW + 25)
    state.intents.retry_now()
    assert the_only_due(state).attempts == 1


def test_a_confirmation_ends_the_trouble(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.park("nas.1", the_only_due(state).mark, "refused", NOW)
    confirm(state, the_only_due(state))
    [row] = state.images()
    assert (row.state, row.error, row.synced_at) == (ImageState.SYNCED, None, NOW)


def test_only_what_is_asked_for_is_outstanding(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)), Add(B, "nas.2", version(1)))
    apply(state, Add(RelPath("scans", b"a.jpg"), "nas.3", version(1)))
    assert len(state.intents.outstanding(2, NOW, ["photos", "scans"])) == 2
    others = state.intents.outstanding(9, NOW, ["photos"], ["nas.1"])
    assert {item.record.image_id for item in others} == {"nas.2"}
    assert state.intents.outstanding(9, NOW, []) == []
    dirty = state.intents.dirty_records("photos")
    assert {record.image_id for record in dirty} == {"nas.1", "nas.2"}
    assert set(state.intents.dirty_paths("photos")) == {A, B}


# Held deletions.


def test_a_held_deletion_is_kept_and_not_sent_and_not_known_to_a_scan(
    path: Path, state: State
) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    state.deletions.hold(["nas.1"])
    assert due(state) == []
    assert state.known("photos", b"") == {}
    with closing(Database(path)) as again:
        assert [record.rel_path for record in State(again).deletions.held("photos")] == [A]
        assert State(again).counts() == {"photos": Counts(images=1, held=1)}


def test_an_approved_deletion_goes_out(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    state.deletions.hold(["nas.1"])
    assert state.deletions.approve("scans") == 0
    assert state.deletions.approve("photos") == 1
    assert state.deletions.held("photos") == []
    assert [record.image_id for record in state.deletions.approved("photos")] == ["nas.1"]
    assert the_only_due(state).approved


def test_discarded_deletions_are_forgotten(state: State) -> None:
    synced(state, A, "nas.1")
    synced(state, B, "nas.2", inode=2)
    state.deletions.hold(["nas.1"])
    assert state.deletions.discard("photos") == 1
    assert [row.image_id for row in state.images()] == ["nas.2"]


def test_deletions_are_counted_in_their_window(state: State) -> None:
    for at in (0.0, 500.0, 600.0):
        state.deletions.note_sent("photos", at)
    state.deletions.note_sent("scans", 600.0)
    assert state.deletions.sent_since("photos", 500.0) == 2
    assert state.deletions.sent_since("photos", 501.0) == 1
    assert state.deletions.sent_since("scans", 0.0) == 1


# Places and names.

ODD_NAMES = [b"\xff\xfe.jpg", b"a\nb.jpg", "\u00e9".encode(), "e\u0301".encode(), b"x" * 255, b"'"]


def test_any_name_comes_back_as_it_was(state: State) -> None:
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


def test_the_places_below_a_directory_are_not_those_of_its_neighbours(state: State) -> None:
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
def test_huge_inodes_and_far_times_are_known_again(state: State, inode: int, mtime_ns: int) -> None:
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
    assert sum(record.doomed for record in sample) == min(marked, max(3, 6 - kept))


# Folders.


def test_a_folder_comes_back_as_it_was(path: Path, state: State) -> None:
    row = FolderRow(
        "photos", b"/srv/\xff", 2**40, 3, True, FolderState.OK, "events", "why", last_scan=5.0
    )
    state.folders.save(row)
    with closing(Database(path)) as again:
        assert State(again).folders.rows() == [row]
    state.folders.drop("photos")
    [known] = state.folders.rows()
    assert not known.configured


def test_a_folder_under_a_new_name_keeps_its_images_and_what_was_deleted(state: State) -> None:
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2))
    synced(state, A, "nas.1")
    state.deletions.note_sent("photos", NOW)
    state.folders.rename("photos", "pictures")
    assert [row.name for row in state.folders.rows()] == ["pictures"]
    assert record_of(state, "nas.1").rel_path == RelPath("pictures", b"a.jpg")
    assert state.deletions.sent_since("pictures", 0.0) == 1


def test_a_folders_state_that_no_one_knows_is_found_out_again(
    state: State, database: Database
) -> None:
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2, state=FolderState.OK))
    database.change("UPDATE folder SET state = 'oj'")
    assert state.folders.rows()[0].state is FolderState.SCANNING


# What is shown.


def test_images_are_counted_and_listed_by_state(state: State) -> None:
    synced(state, A, "nas.1", inode=1)
    apply(state, Add(B, "nas.2", version(1, 2)))
    apply(state, Add(C, "nas.3", version(1, 3)))
    [failing] = [item for item in due(state) if item.record.rel_path == C]
    state.intents.park("nas.3", failing.mark, "not a picture", NOW + 25)
    synced(state, RelPath("photos", b"d.jpg"), "nas.4", inode=4)
    state.deletions.hold(["nas.4"])
    assert state.counts() == {"photos": Counts(images=4, pending=1, failed=1, held=1)}
    shown = {row.image_id: row.state.value for row in state.images()}
    assert shown == {"nas.1": "synced", "nas.2": "pending", "nas.3": "failed", "nas.4": "held"}
    assert [row.error for row in state.images(ImageState.FAILED)] == ["not a picture"]


def test_who_reads_a_long_listing_slowly_keeps_nobody_from_writing(
    path: Path, state: State
) -> None:
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


def test_facts_are_remembered(state: State) -> None:
    assert state.fact("collection_id") is None
    state.set_fact("collection_id", "1")
    state.set_fact("collection_id", "2")
    assert state.fact("collection_id") == "2"
