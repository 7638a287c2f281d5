"""The components are created for a configuration, and closed."""

from __future__ import annotations

import threading
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import CollectionConfig, Config, FolderConfig
from snoopsync.core.protocol import ImageCollection
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.sync.components import (
    Components,
    embedded_path,
    open_components,
    open_state,
    opened_collection,
)
from snoopsync.sync.in_flight import path_of


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "photos").mkdir()
    folder = FolderConfig("photos", tmp_path / "photos")
    return Config(CollectionConfig(owner="t"), (folder,), state=tmp_path / "state.sqlite3")


def created(
    config: Config,
    database: Database,
    collection: ImageCollection,
    before: Components | None = None,
    *,
    rehearsal: bool = False,
) -> Components:
    with open_components(
        config,
        database,
        collection,
        stop=threading.Event(),
        patience_seconds=0.0,
        before=before,
        rehearsal=rehearsal,
    ) as components:
        return components


def test_an_embedded_collection_is_made_beside_the_state_file(config: Config) -> None:
    with opened_collection(config) as collection:
        assert list(collection.images()) == []
    assert embedded_path(config.state).exists()


def test_a_dry_run_makes_no_collection(config: Config) -> None:
    with opened_collection(config, make=False) as collection:
        assert list(collection.images()) == []
    assert not embedded_path(config.state).parent.exists()


@pytest.mark.parametrize(
    ("endpoint", "warns"), [("http://192.0.2.1/api", True), ("https://192.0.2.1/api", False)]
)
def test_a_service_without_tls_is_a_warning(
    config: Config, caplog: pytest.LogCaptureFixture, endpoint: str, warns: bool
) -> None:
    service = CollectionConfig(endpoint=endpoint, public_key="k", secret_key=Secret("s"))
    with opened_collection(replace(config, collection=service)):
        pass
    assert ("is not encrypted" in caplog.text) == warns


def test_a_damaged_state_file_is_moved_aside_and_logged(
    config: Config, caplog: pytest.LogCaptureFixture
) -> None:
    config.state.write_bytes(b"no database" * 1000)
    with closing(open_state(config.state)) as database:
        assert State(database).folders.rows() == []
    [aside] = config.state.parent.glob("state.sqlite3.damaged-*")
    assert aside.read_bytes() == b"no database" * 1000
    assert str(aside) in caplog.text


@pytest.mark.parametrize("rehearsal", [False, True])
def test_a_dry_run_does_not_store_what_is_being_sent(config: Config, rehearsal: bool) -> None:
    with closing(open_state(config.state)) as database, opened_collection(config) as collection:
        components = created(config, database, collection, rehearsal=rehearsal)
        components.engine.sender.in_flight_file.remember(("t.1",))
    assert path_of(config.state).exists() is not rehearsal


def test_after_a_reload_the_monitors_of_unchanged_folders_stay(
    config: Config, tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    [photos] = config.folders
    more = FolderConfig("more", tmp_path / "more")
    with closing(open_state(config.state)) as database, opened_collection(config) as collection:
        first = created(replace(config, folders=(photos, more)), database, collection)
        kept, changed = first.engine.monitors
        folders = (replace(photos, poll_interval_seconds=5.0), replace(more, exclude=("x/",)))
        second = created(replace(config, folders=folders), database, collection, first)
        assert second.engine.monitors[0] is kept
        assert second.engine.monitors[1] is not changed
        assert second.state is first.state
