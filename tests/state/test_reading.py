"""Reading changes nothing in the state file or beside it."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateError
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import locked
from snoopsync.state.reading import readable, scratch


def test_a_reader_creates_no_file(path: Path) -> None:
    with pytest.raises(StateError, match=r"state\.sqlite3"):
        Database(path, readonly=True)
    assert not path.exists()


def test_a_copy_in_memory_does_not_change_the_file(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
        with closing(scratch(path)) as copy:
            State(copy).set_fact("a", "2")
            assert State(copy).fact("a") == "2"
        assert State(database).fact("a") == "1"


def test_copying_an_unused_file_creates_no_file_beside_it(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
    before = sorted(path.parent.iterdir())
    with closing(scratch(path, proven=True)) as copy:
        assert State(copy).fact("a") == "1"
    assert sorted(path.parent.iterdir()) == before


def test_a_copy_contains_changes_made_during_the_copy(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")

    others: list[Database] = []
    connect = Database._connect

    def disturbed(self: Database, readonly: bool, at_rest: bool) -> sqlite3.Connection:
        connection = connect(self, readonly, at_rest)
        if at_rest:
            others.append(Database(self.path))
            State(others[-1]).set_fact("a", "2")
        return connection

    monkeypatch.setattr(Database, "_connect", disturbed)
    with closing(scratch(path)) as copy:
        assert State(copy).fact("a") == "2"
    [other] = others
    other.close()


def test_a_copy_of_a_missing_file_is_empty_and_creates_no_file(path: Path) -> None:
    with closing(scratch(path)) as copy:
        assert State(copy).folders.rows() == []
    assert not path.exists()


def test_a_file_that_is_in_use_is_read_in_place(path: Path) -> None:
    """`status --watch` would otherwise copy a hundred thousand images each time."""
    with locked(path), closing(Database(path)) as writer, readable(path) as reader:
        State(writer).set_fact("a", "1")
        assert State(reader).fact("a") == "1"
        with pytest.raises(StateError):
            State(reader).set_fact("a", "2")


def test_a_read_transaction_sees_one_moment_and_delays_no_writer(path: Path) -> None:
    with locked(path), closing(Database(path)) as writer, readable(path) as reader:
        State(writer).set_fact("a", "1")
        with reader.read_transaction():
            assert State(reader).fact("a") == "1"
            State(writer).set_fact("a", "2")
            assert State(reader).fact("a") == "1"
        assert State(reader).fact("a") == "2"


def test_a_file_that_is_not_in_use_is_read_from_a_copy(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("a", "1")
    with readable(path) as reader, closing(Database(path)) as writer:
        State(writer).set_fact("a", "2")
        assert State(reader).fact("a") == "1"


@pytest.mark.parametrize("is_in_use", [False, True])
def test_reading_a_missing_file_finds_nothing_and_creates_none(path: Path, is_in_use: bool) -> None:
    with ExitStack() as stack:
        if is_in_use:  # by a service that has just begun
            stack.enter_context(locked(path))
        with readable(path) as reader:
            assert State(reader).folders.rows() == []
    assert not path.exists()


def test_a_file_that_is_being_created_is_empty(path: Path) -> None:
    with locked(path), closing(sqlite3.connect(path)) as creator:
        creator.execute("PRAGMA journal_mode = WAL")  # before the tables are created
        with readable(path) as reader:
            assert State(reader).folders.rows() == []
            with pytest.raises(StateError):
                State(reader).set_fact("a", "1")
