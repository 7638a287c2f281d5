"""What the state file stores about folders."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from snoopsync.core.model import (
    FolderState,
    RelPath,
)
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from tests.support.images_in_state import (
    NOW,
    A,
    record_of,
    synced,
)


def test_a_folder_is_stored_unchanged(path: Path, state: State) -> None:
    row = FolderRow(
        "photos", b"/srv/\xff", 2**40, 3, True, FolderState.OK, "events", "why", last_scan=5.0
    )
    state.folders.save(row)
    with closing(Database(path)) as again:
        assert State(again).folders.rows() == [row]
    state.folders.drop("photos")
    [known] = state.folders.rows()
    assert not known.configured


def test_a_renamed_folder_keeps_its_images_and_its_count_of_deletions(state: State) -> None:
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2))
    synced(state, A, "nas.1")
    state.deletions.note_sent("photos", NOW)
    state.folders.rename("photos", "pictures")
    assert [row.name for row in state.folders.rows()] == ["pictures"]
    assert record_of(state, "nas.1").rel_path == RelPath("pictures", b"a.jpg")
    assert state.deletions.sent_since("pictures", 0.0) == 1


def test_an_unknown_folder_state_becomes_scanning(state: State, database: Database) -> None:
    state.folders.save(FolderRow("photos", b"/srv/photos", 1, 2, state=FolderState.OK))
    database.change("UPDATE folder SET state = 'oj'")
    assert state.folders.rows()[0].state is FolderState.SCANNING
