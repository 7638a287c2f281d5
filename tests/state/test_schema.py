"""The steps from each version of the tables to the next."""

from __future__ import annotations

import logging
import re
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateDamaged, StateError, StateTooNew
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.schema import STEPS


def test_a_new_file_has_the_newest_version(database: Database) -> None:
    assert database.one("PRAGMA user_version") == len(STEPS)


def test_an_older_file_is_upgraded_step_by_step(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    step = "ALTER TABLE fact ADD COLUMN since REAL; CREATE TABLE extra (a INTEGER) STRICT;"
    steps = (*STEPS, step)
    with pytest.raises(StateError, match="older format"):
        Database(path, readonly=True, steps=steps)
    with closing(Database(path, steps=steps)) as database:
        assert database.one("PRAGMA user_version") == len(steps)
        assert database.query("SELECT name, value, since FROM fact") == [("kept", "1", None)]
        assert database.query("SELECT * FROM extra") == []
    Database(path, steps=steps).close()


def test_before_an_upgrade_the_old_file_is_copied(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "snoopsync")
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    copy = path.with_name(f"{path.name}.format-{len(STEPS)}")
    assert not copy.exists()
    steps = (*STEPS, "DELETE FROM fact;")
    with closing(Database(path, steps=steps)) as database:
        assert State(database).fact("kept") is None
    assert str(copy) in caplog.text
    Database(path, steps=steps).close()
    with pytest.raises(StateTooNew):
        Database(path)
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    copy.replace(path)
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


def test_without_space_for_the_copy_nothing_is_upgraded(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    path.with_name(f"{path.name}.format-{len(STEPS)}.new").mkdir()
    with pytest.raises(StateError, match=re.escape(str(path))):
        Database(path, steps=(*STEPS, "DELETE FROM fact;"))
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


def test_a_step_that_fails_leaves_the_file_unchanged(path: Path) -> None:
    with closing(Database(path)) as database:
        State(database).set_fact("kept", "1")
    bad = "CREATE TABLE extra (a INTEGER) STRICT; INSERT INTO nowhere VALUES (1);"
    with pytest.raises(StateError):
        Database(path, steps=(*STEPS, bad))
    with closing(Database(path)) as database:
        assert State(database).fact("kept") == "1"


def test_a_file_of_a_newer_version_is_left_alone(path: Path) -> None:
    with closing(Database(path)) as database:
        database.change(f"PRAGMA user_version = {len(STEPS) + 1}")
    before = path.read_bytes()
    for readonly in (False, True):
        with pytest.raises(StateTooNew, match="upgrade snoopsync"):
            Database(path, readonly=readonly)
    assert path.read_bytes() == before


def test_the_database_of_another_program_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmark (url TEXT)")
    before = path.read_bytes()
    with pytest.raises(StateError, match="another program") as raised:
        Database(path)
    assert not isinstance(raised.value, StateDamaged)
    assert path.read_bytes() == before
