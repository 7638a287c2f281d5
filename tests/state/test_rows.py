"""Rows of images as records."""

from __future__ import annotations

import pytest

from snoopsync.core.model import Fingerprint, Record, RelPath
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.rows import below_directory, records, rel_path_of
from tests.support.images_in_state import ONE, synced


@pytest.mark.parametrize("path", [b"a.jpg", b"x/a.jpg", b"x/y/a.jpg", b"\xff/\n"])
def test_a_path_is_its_directory_and_its_name(path: bytes) -> None:
    directory, _, name = path.rpartition(b"/")
    assert rel_path_of("photos", directory, name) == RelPath("photos", path)


def test_a_confirmed_image_is_a_record_without_plans(database: Database, state: State) -> None:
    rel_path = RelPath("photos", b"x/a.jpg")
    synced(state, rel_path, "nas.1", inode=7)
    [record] = records(database, "image_id = ?", ("nas.1",))
    assert record == Record("nas.1", rel_path, Fingerprint(7, 100, 1, 1), sha256=ONE)


@pytest.mark.parametrize("column", ["held", "approved", "needs_approval"])
def test_any_pending_deletion_marks_the_record(
    database: Database, state: State, column: str
) -> None:
    synced(state, RelPath("photos", b"a.jpg"), "nas.1")
    database.change(f"UPDATE image SET {column} = 1")
    assert [record.marked_for_deletion for record in records(database, "1", ())] == [True]


def test_below_a_directory_are_not_neighbours_of_a_similar_name(
    database: Database, state: State
) -> None:
    for number, path in enumerate([b"x/a", b"x/y/a", b"x0/a", b"x-/a", b"a"]):
        synced(state, RelPath("photos", path), f"nas.{number}", inode=number + 1)

    def found(directory: bytes) -> set[bytes]:
        condition, limits = below_directory(directory)
        rows = records(database, f"folder = 'photos' {condition}", limits)
        return {record.rel_path.path for record in rows}

    assert found(b"x") == {b"x/a", b"x/y/a"}
    assert found(b"x/y") == {b"x/y/a"}
    assert len(found(b"")) == 5
