"""The files of the keys."""

from __future__ import annotations

import stat
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import SnoopsyncError
from snoopsync.storage.sqlite.registry import SqliteHosting
from tests.embedded.helpers import features


def test_only_the_owner_can_read_the_registry(data: Path) -> None:
    with closing(SqliteHosting(data, 0.0)) as hosting:
        hosting.add_key("shop")
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in data.iterdir()} == {0o600}


def test_an_open_collection_keeps_no_more_files_open_than_it_declares(data: Path) -> None:
    open_files = Path("/proc/self/fd")
    with closing(SqliteHosting(data, 0.0)) as hosting:
        hosting.add_key("shop")
        [collection] = hosting.collections()
        before = len(list(open_files.iterdir()))
        with closing(hosting.images(collection)) as store:
            store.add("a", features(1), 1)
            assert store.find("a") is not None
            assert len(list(store.walk())) == 1
            opened = len(list(open_files.iterdir())) - before
            assert 0 < opened <= hosting.files_per_collection


def test_a_file_that_is_not_a_registry_is_an_error_that_names_it(data: Path) -> None:
    data.mkdir(mode=0o700)
    (data / "keys.sqlite3").write_bytes(b"no database" * 100)
    with pytest.raises(SnoopsyncError, match=r"keys\.sqlite3"):
        SqliteHosting(data, 0.0)
