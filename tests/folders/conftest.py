"""The fixtures of this package."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.folders import open_folder
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.state.database import Database
from tests.folders.helpers import Scene


@pytest.fixture(params=["openat2", "a directory at a time"])
def opened(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenFolder]:
    """A folder, on a system with openat2 and on one without."""
    if request.param != "openat2":
        monkeypatch.setattr(open_folder, "_has_openat2", lambda: False)
    elif not open_folder._has_openat2():
        pytest.skip("this system has no openat2")
    with Disk().open_folder(bytes(tmp_path)) as opened:
        yield opened


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        yield database


@pytest.fixture
def scene(tmp_path: Path, database: Database) -> Scene:
    return Scene(tmp_path, database)
