"""The state file is opened once for many readings, and its version tells whether it has changed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateError
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.kept_open import StateReader
from snoopsync.state.lock import locked


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "state.sqlite3"
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
    return path


@pytest.fixture
def reader(path: Path) -> Iterator[StateReader]:
    with closing(StateReader(path)) as reader:
        yield reader


def read(reader: StateReader) -> tuple[str | None, str]:
    with reader.reading() as (database, version):
        return State(database).fact("a"), version


def test_a_file_that_does_not_change_stays_open(reader: StateReader) -> None:
    with reader.reading() as (first, version):
        pass
    with reader.reading() as (second, again):
        assert second is first
        assert again == version


def test_a_change_while_no_process_holds_the_file_is_read(path: Path, reader: StateReader) -> None:
    _, version = read(reader)
    with closing(Database(path)) as database:
        State(database).set_fact("a", "2")
    value, changed = read(reader)
    assert (value, changed != version) == ("2", True)


def test_every_change_of_a_file_in_use_is_read(path: Path, reader: StateReader) -> None:
    with locked(path), closing(Database(path)) as database:
        versions = set()
        for number in range(50):  # more than one within a tick of the file system's clock
            State(database).set_fact("a", str(number))
            value, version = read(reader)
            assert value == str(number)
            versions.add(version)
        assert len(versions) == 50


def test_nothing_is_created_beside_a_file_that_is_not_in_use(
    path: Path, reader: StateReader
) -> None:
    before = sorted(path.parent.iterdir())
    read(reader)
    assert sorted(path.parent.iterdir()) == before


def test_a_file_that_does_not_exist_is_empty_until_it_does(tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite3"
    with closing(StateReader(path)) as reader:
        assert read(reader)[0] is None
        with closing(Database(path)) as database:
            State(database).set_fact("a", "1")
        assert read(reader)[0] == "1"


def test_after_the_end_nothing_is_read(reader: StateReader) -> None:
    read(reader)
    reader.close()
    reader.close()
    with pytest.raises(StateError, match="stopping"):
        read(reader)
