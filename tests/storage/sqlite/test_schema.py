"""The file of the embedded collection: its ID, its version and its errors."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import Unavailable, Unwritable
from snoopsync.storage.sqlite.images import SqliteImageStore
from snoopsync.storage.sqlite.schema import collection_id, connect, count_images, translated
from tests.embedded.helpers import features


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "collection.sqlite3"


def test_a_collection_keeps_the_id_that_it_got_first(path: Path) -> None:
    with closing(connect(path, 1.0)) as one, closing(connect(path, 1.0)) as other:
        assert collection_id(one, lambda: "first") == "first"
        assert collection_id(other, lambda: "second") == "first"


@pytest.mark.parametrize("is_in_use", [False, True])
def test_counting_images_changes_nothing(path: Path, is_in_use: bool) -> None:
    with closing(SqliteImageStore(path, lambda: "c")) as store:
        for number in range(3):
            store.add(str(number), features(number), 0)
        if is_in_use:
            assert count_images(path) == 3
    files = {each.name for each in path.parent.iterdir()}
    assert count_images(path) == 3
    assert {each.name for each in path.parent.iterdir()} == files


def test_a_file_without_tables_has_no_images(path: Path) -> None:
    path.touch()
    assert count_images(path) == 0


def test_the_images_of_a_newer_version_are_not_counted(path: Path) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(Unavailable, match="newer snoopsync"):
        count_images(path)


def test_a_damaged_file_is_named_with_the_way_to_rebuild_it(path: Path) -> None:
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(Unavailable, match=r"collection\.sqlite3.*snoopsync resync") as caught:
        connect_and_close(path)
    assert not isinstance(caught.value, Unwritable)


def connect_and_close(path: Path) -> None:
    with translated(path):
        connect(path, 1.0).close()


def test_a_full_disk_is_not_writable(path: Path) -> None:
    with pytest.raises(Unwritable), translated(path), closing(connect(path, 1.0)) as connection:
        connection.execute("PRAGMA max_page_count = 1")
        connection.execute("CREATE TABLE more AS SELECT zeroblob(10000) AS a")
