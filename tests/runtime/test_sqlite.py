"""SQLite files are private and durable, and their tables are upgraded step by step."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from snoopsync.core.errors import UnsafeDirectory
from snoopsync.runtime import sqlite
from snoopsync.runtime.sqlite import Access, Failure, FailureKind, NewerVersion

STEPS = (
    "CREATE TABLE a (x INTEGER); CREATE INDEX a_x ON a (x); -- a; comment",
    """
    CREATE TABLE b (x INTEGER);
    CREATE TRIGGER a_to_b AFTER INSERT ON a BEGIN
        INSERT INTO b VALUES (new.x);
        DELETE FROM b WHERE x < 0;
    END;
    """,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "file.sqlite3"


@contextmanager
def opened(path: Path, steps: tuple[str, ...] = STEPS) -> Iterator[sqlite3.Connection]:
    with closing(sqlite.open_durable(path, steps)) as connection:
        yield connection


def failure(path: Path, sql: str) -> Failure:
    """The failure of this statement on a connection that may only read."""
    found: list[Failure] = []

    def error_for(failure: Failure) -> Exception:
        found.append(failure)
        return KeyError()

    with (
        pytest.raises(KeyError),
        sqlite.translated(path, error_for),
        closing(sqlite.connect(path, Access.READ)) as connection,
    ):
        connection.execute(sql)
    return found[0]


def test_a_new_file_and_its_directory_are_private(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("INSERT INTO a VALUES (1)")
        modes = {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
        assert modes == {0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_link_is_not_followed(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir(mode=0o700)
    path.symlink_to(tmp_path / "target")
    with pytest.raises(UnsafeDirectory):
        sqlite.open_durable(path, STEPS)
    assert not (tmp_path / "target").exists()


def test_commits_are_durable(path: Path) -> None:
    with opened(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        full = 2
        assert connection.execute("PRAGMA synchronous").fetchone() == (full,)


def test_a_script_may_have_triggers_and_comments(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("INSERT INTO a VALUES (1), (-1)")
        assert connection.execute("SELECT x FROM b").fetchall() == [(1,)]


def test_an_upgrade_applies_the_missing_steps(path: Path) -> None:
    with opened(path, STEPS[:1]) as connection:
        connection.execute("INSERT INTO a VALUES (7)")
    with opened(path) as connection:
        assert connection.execute("SELECT x FROM a").fetchall() == [(7,)]
        assert connection.execute("SELECT x FROM b").fetchall() == []
        assert sqlite.known_version(connection, STEPS) == 2


def test_an_upgrade_that_fails_changes_nothing(path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        sqlite.open_durable(path, (*STEPS, "INSERT INTO nowhere VALUES (1);"))
    with closing(sqlite.connect(path)) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == []


def test_tables_of_a_newer_version_are_refused(path: Path) -> None:
    with opened(path):
        pass
    with pytest.raises(NewerVersion, match="format 2, but this version supports 1"):
        sqlite.open_durable(path, STEPS[:1])


def test_a_transaction_is_atomic(path: Path) -> None:
    with opened(path) as connection:
        with pytest.raises(KeyError), sqlite.transaction(connection):
            connection.execute("INSERT INTO a VALUES (1)")
            raise KeyError
        with sqlite.transaction(connection):
            connection.execute("INSERT INTO a VALUES (2)")
        assert connection.execute("SELECT x FROM a").fetchall() == [(2,)]


def test_opening_again_keeps_the_locks_of_the_first_connection(path: Path) -> None:
    """To close a file releases all locks that the process has on it."""
    with opened(path) as first:
        first.execute("SELECT x FROM a").fetchall()
        with opened(path):
            pass
        locks = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
        inode = str(path.stat().st_ino)
        assert any(lock[5].rpartition(":")[2] == inode for lock in locks if lock[1] == "POSIX")


def test_failures_are_explained(path: Path) -> None:
    with opened(path) as connection:
        connection.execute("INSERT INTO a VALUES (1)")
    missing = failure(path, "SELECT * FROM nowhere")
    assert (missing.kind, missing.about("f")) == (FailureKind.OTHER, "f: no such table: nowhere")
    path.write_bytes(b"not a database" * 1000)
    damaged = failure(path, "SELECT * FROM a")
    assert (damaged.kind, damaged.about("f")) == (
        FailureKind.DAMAGED,
        "f: file is not a database",
    )


def test_an_error_without_a_translation_stays_unchanged(path: Path) -> None:
    with pytest.raises(sqlite3.ProgrammingError), sqlite.translated(path, lambda _: None):
        raise sqlite3.ProgrammingError
