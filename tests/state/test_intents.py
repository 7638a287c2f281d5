"""What is planned for images, and what the collection has confirmed."""

from __future__ import annotations

from snoopsync.core.model import (
    ImageState,
    Record,
    RelPath,
)
from snoopsync.core.planner import Add, Adopt, Delete, Forget, Refresh, Rename, Update
from snoopsync.state.database import Database
from snoopsync.state.images import State
from tests.support.images_in_state import (
    NOW,
    ONE,
    TWO,
    A,
    B,
    apply,
    confirm,
    due,
    record_of,
    synced,
    the_only_due,
    version,
)

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


def test_an_image_that_the_collection_lost_counts_as_missing_from_it(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Update(A, "nas.1", version(2)))
    assert the_only_due(state).record.sha256 == ONE
    apply(state, Add(A, "nas.1", version(2)))
    assert the_only_due(state).record.sha256 is None


def test_an_image_of_unknown_bytes_counts_as_in_the_collection(state: State) -> None:
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


def test_a_refresh_plans_nothing_to_send(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Refresh(A, "nas.1", version(2)))
    assert state.record_at(A) == Record("nas.1", A, version(2).fingerprint, sha256=ONE)


def test_an_adopted_image_is_confirmed_and_searched_for(state: State, database: Database) -> None:
    apply(state, Adopt(A, "nas.1", version(1), ONE))
    assert state.record_at(A) == Record("nas.1", A, version(1).fingerprint, sha256=ONE)
    assert database.one("SELECT search_due FROM image") == 1


def test_a_removed_image_is_forgotten(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    state.intents.confirm_deleted("nas.1", the_only_due(state).mark)
    assert state.record("nas.1") is None


def test_a_file_that_came_back_while_its_image_was_removed_is_added_again(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Delete(A, "nas.1"))
    removal = the_only_due(state)
    apply(state, Update(A, "nas.1", version(2)))
    state.intents.confirm_deleted("nas.1", removal.mark)
    assert state.record_at(A) == Record("nas.1", A, version(2).fingerprint, dirty=True)
    assert the_only_due(state).record.image_id == "nas.1"


def test_a_forgotten_image_frees_its_path_and_its_id(state: State) -> None:
    synced(state, A, "nas.1")
    apply(state, Forget(A, "nas.1"))
    assert not state.is_taken("nas.1")
    apply(state, Add(A, "nas.2", version(1)))
    assert state.is_taken("nas.2")


# Renames.


def test_two_files_can_swap_their_paths(state: State) -> None:
    synced(state, A, "nas.1", inode=1)
    synced(state, B, "nas.2", inode=2)
    apply(
        state,
        Rename(A, "nas.2", version(3, 2), B),
        Rename(B, "nas.1", version(3, 1), A),
    )
    assert state.record_at(A) == Record("nas.2", A, version(3, 2).fingerprint, sha256=ONE)
    assert state.record_at(B) == Record("nas.1", B, version(3, 1).fingerprint, sha256=ONE)


def test_a_cycle_of_renames_across_folders_is_applied(state: State) -> None:
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


def test_a_new_file_may_have_the_old_path_of_a_renamed_one(state: State) -> None:
    """A backup save: ``mv a b``, then a new ``a``, in one plan."""
    synced(state, A, "nas.1")
    apply(state, Rename(B, "nas.1", version(2), A), Add(A, "nas.2", version(3, inode=2)))
    assert record_of(state, "nas.1").rel_path == B
    assert record_of(state, "nas.2").rel_path == A


def test_after_a_rename_only_the_confirmation_of_the_new_plan_counts(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Rename(B, "nas.1", version(2), A), Add(B, "nas.1", version(2)))
    confirm(state, before, ONE)
    assert record_of(state, "nas.1").dirty
    assert the_only_due(state).record.rel_path == B


def test_a_rename_cancels_a_held_deletion(state: State) -> None:
    synced(state, A, "nas.1")
    state.deletions.hold(["nas.1"])
    apply(state, Rename(B, "nas.1", version(2), A))
    assert not record_of(state, "nas.1").marked_for_deletion


# Waiting.


def test_a_refused_image_waits_until_its_time_or_until_the_file_changes(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    item = the_only_due(state)
    state.intents.defer("nas.1", item.mark, "not a picture", NOW + 25)
    assert due(state) == []
    assert state.intents.next_retry() == NOW + 25
    assert the_only_due(state, NOW + 25).attempts == 1
    apply(state, Update(A, "nas.1", version(2)))
    assert the_only_due(state).attempts == 0


def test_a_refusal_of_an_earlier_plan_defers_nothing(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    before = the_only_due(state)
    apply(state, Update(A, "nas.1", version(2)))
    state.intents.defer("nas.1", before.mark, "not a picture", NOW + 25)
    assert the_only_due(state).attempts == 0


def test_a_postponed_image_waits_and_has_not_failed(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.postpone("nas.1", NOW + 1)
    assert due(state) == []
    [row] = state.images()
    assert row.state is ImageState.PENDING
    assert the_only_due(state, NOW + 1).attempts == 0


def test_all_deferred_images_can_be_tried_at_once(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.defer("nas.1", the_only_due(state).mark, "refused", NOW + 25)
    state.intents.retry_now()
    assert the_only_due(state).attempts == 1


def test_a_confirmation_clears_the_error(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)))
    state.intents.defer("nas.1", the_only_due(state).mark, "refused", NOW)
    confirm(state, the_only_due(state))
    [row] = state.images()
    assert (row.state, row.error, row.synced_at) == (ImageState.SYNCED, None, NOW)


def test_only_rows_of_the_given_folders_are_outstanding(state: State) -> None:
    apply(state, Add(A, "nas.1", version(1)), Add(B, "nas.2", version(1)))
    apply(state, Add(RelPath("scans", b"a.jpg"), "nas.3", version(1)))
    assert len(state.intents.outstanding(2, NOW, ["photos", "scans"])) == 2
    others = state.intents.outstanding(9, NOW, ["photos"], ["nas.1"])
    assert {item.record.image_id for item in others} == {"nas.2"}
    assert state.intents.outstanding(9, NOW, []) == []
    dirty = state.intents.dirty_records("photos")
    assert {record.image_id for record in dirty} == {"nas.1", "nas.2"}
    assert set(state.intents.dirty_paths("photos")) == {A, B}
