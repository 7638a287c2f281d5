"""Deletions that are held, approved or discarded, and how many were sent."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from snoopsync.core.planner import Delete
from snoopsync.state.database import Database
from snoopsync.state.images import Counts, State
from tests.support.images_in_state import (
    A,
    B,
    apply,
    due,
    synced,
    the_only_due,
)


def test_a_held_deletion_is_not_sent_and_its_file_is_new_to_a_scan(
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


def test_an_approved_deletion_is_sent(state: State) -> None:
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
