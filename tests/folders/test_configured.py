"""The configured folders and their rows in the state file."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.config.settings import CollectionConfig, Config, FolderConfig
from snoopsync.core.model import RelPath
from snoopsync.folders.configured import identity_of, monitors_of, remembered_folders
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from tests.support.images_in_state import record_of, synced


@pytest.fixture
def state(database: Database) -> State:
    return State(database)


def folder(tmp_path: Path, name: str, at: str = "") -> FolderConfig:
    path = tmp_path / (at or name)
    path.mkdir(exist_ok=True)
    return FolderConfig(name, path)


def config(tmp_path: Path, *folders: FolderConfig) -> Config:
    return Config(CollectionConfig(owner="t"), folders, state=tmp_path / "state.sqlite3")


def names_of(state: State) -> dict[str, bool]:
    """Each folder in the state file, and whether it is configured."""
    return {row.name: row.configured for row in state.folders.rows()}


def present(state: State, folder: FolderConfig) -> None:
    """A scan found the directory of this folder."""
    row = FolderRow(folder.name, os.fsencode(folder.path), None, None)
    state.folders.save(row.with_identity(identity_of(folder)))


def test_each_folder_has_a_row_and_a_monitor(tmp_path: Path, state: State) -> None:
    one, two = (folder(tmp_path, name) for name in ("one", "two"))
    monitors = monitors_of(config(tmp_path, one, two), state)
    assert [monitor.folder.name for monitor in monitors] == ["one", "two"]
    assert names_of(state) == {"one": True, "two": True}
    assert remembered_folders(state) == (one, two)


def test_a_folder_that_is_not_configured_any_more_keeps_its_row(
    tmp_path: Path, state: State
) -> None:
    one, two = (folder(tmp_path, name) for name in ("one", "two"))
    monitors_of(config(tmp_path, one, two), state)
    monitors_of(config(tmp_path, two), state)
    assert names_of(state) == {"one": False, "two": True}
    assert remembered_folders(state) == (two,)


def test_a_folder_under_a_new_name_stays_the_same_folder(tmp_path: Path, state: State) -> None:
    scans = folder(tmp_path, "scans")
    present(state, scans)
    synced(state, RelPath("scans", b"a.jpg"), "t.1")
    monitors_of(config(tmp_path, replace(scans, name="photos")), state)
    assert names_of(state) == {"photos": True}
    assert record_of(state, "t.1").rel_path == RelPath("photos", b"a.jpg")


def test_another_directory_is_another_folder(tmp_path: Path, state: State) -> None:
    one = folder(tmp_path, "one")
    present(state, one)
    monitors_of(config(tmp_path, folder(tmp_path, "photos", "elsewhere")), state)
    assert names_of(state) == {"one": False, "photos": True}


def test_images_that_the_patterns_leave_out_are_logged_once(
    tmp_path: Path, state: State, caplog: pytest.LogCaptureFixture
) -> None:
    photos = folder(tmp_path, "photos")
    monitors_of(config(tmp_path, photos), state)
    for number in range(5):
        synced(state, RelPath("photos", f"raw/{number}.jpg".encode()), f"t.{number}", number)
    drafts = config(tmp_path, replace(photos, exclude=("raw/",)))
    for _ in range(2):
        monitors_of(drafts, state)
    [said] = [record.getMessage() for record in caplog.records if "leaves out" in record.msg]
    assert "folder photos: the configuration now leaves out 5 images: " in said
    assert "raw/0.jpg, raw/1.jpg, raw/2.jpg, ..." in said


def test_kept_monitors_stay_and_get_the_new_interval(tmp_path: Path, state: State) -> None:
    one, two = (folder(tmp_path, name) for name in ("one", "two"))
    first, _ = monitors_of(config(tmp_path, one, two), state)
    again, other = monitors_of(config(tmp_path, one, two), state, kept={"one": first})
    assert again is first
    assert other.folder.name == "two"
