"""The changes of several threads share a commit, and each thread gets only its own error."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.runtime.group_commit import Change, GroupCommit
from snoopsync.runtime.sqlite import open_durable
from tests.support.process import until

_TABLE = ("CREATE TABLE item (name TEXT PRIMARY KEY, size INTEGER NOT NULL)",)
_PAGE_BYTES = 4096


class Writers:
    """Threads that change one file. ``commits`` counts its commits."""

    def __init__(self, path: Path, pool: ThreadPoolExecutor) -> None:
        self.path = path
        self.connection = open_durable(path, _TABLE)
        self.connection.set_trace_callback(self._count)
        self.group = GroupCommit(self.connection)
        self.commits = 0
        self._pool = pool

    def _count(self, statement: str) -> None:
        self.commits += statement == "COMMIT"

    def during_a_commit(self, *changes: Change[int]) -> list[Future[int]]:
        """Begin these changes while another change is being made, in their order."""
        is_begun, may_end = threading.Event(), threading.Event()

        def wait(connection: sqlite3.Connection) -> int:
            is_begun.set()
            assert may_end.wait(20.0)
            return insert("first")(connection)

        first = self._pool.submit(self.group.run, wait)
        assert is_begun.wait(20.0)
        futures = []
        for number, change in enumerate(changes, start=1):
            futures.append(self._pool.submit(self.group.run, change))
            until(lambda number=number: self.group.waiting == number)  # type: ignore[misc]
        may_end.set()
        assert first.result(20.0) == 1
        return futures

    def stored(self) -> set[str]:
        """The names in the file, as another connection sees them."""
        with closing(sqlite3.connect(self.path)) as connection:
            return {name for (name,) in connection.execute("SELECT name FROM item")}


def insert(name: str, pages: int = 1) -> Change[int]:
    """Insert an item. Returns the number of rows."""

    def change(connection: sqlite3.Connection) -> int:
        values = (name + "-" * (pages * _PAGE_BYTES) if pages > 1 else name, pages)
        return connection.execute("INSERT INTO item VALUES (?, ?)", values).rowcount

    return change


@pytest.fixture
def writers(tmp_path: Path) -> Iterator[Writers]:
    with ThreadPoolExecutor(8) as pool:
        writers = Writers(tmp_path / "items.sqlite3", pool)
        yield writers
        writers.group.close()


def test_changes_that_wait_share_a_commit(writers: Writers) -> None:
    futures = writers.during_a_commit(*map(insert, "abcdef"))
    assert [each.result(20.0) for each in futures] == [1] * 6
    assert writers.stored() == {"first", *"abcdef"}
    assert writers.commits == 2


def test_a_change_is_stored_when_its_caller_gets_the_result(writers: Writers) -> None:
    def add(number: int) -> bool:
        writers.group.run(insert(str(number)))
        return str(number) in writers.stored()

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(add, range(40)))


def test_changes_are_made_in_the_order_of_their_calls(writers: Writers) -> None:
    names = list("abcdef")
    for future in writers.during_a_commit(*map(insert, names)):
        future.result(20.0)
    rows = writers.connection.execute("SELECT name FROM item ORDER BY rowid")
    assert [name for (name,) in rows] == ["first", *names]


def test_only_the_caller_of_a_change_that_fails_gets_its_error(writers: Writers) -> None:
    def fail(connection: sqlite3.Connection) -> int:
        insert("half")(connection)
        raise ValueError("not this one")

    a, failed, b, taken = writers.during_a_commit(insert("a"), fail, insert("b"), insert("a"))
    assert (a.result(20.0), b.result(20.0)) == (1, 1)
    with pytest.raises(ValueError, match="not this one"):
        failed.result(20.0)
    with pytest.raises(sqlite3.IntegrityError):
        taken.result(20.0)
    assert writers.stored() == {"first", "a", "b"}


def test_a_change_for_which_the_disk_has_no_room_fails_alone(writers: Writers) -> None:
    writers.connection.execute("PRAGMA max_page_count = 12")
    a, large, b = writers.during_a_commit(insert("a"), insert("large", pages=20), insert("b"))
    assert (a.result(20.0), b.result(20.0)) == (1, 1)
    with pytest.raises(sqlite3.OperationalError, match="full"):
        large.result(20.0)
    assert writers.stored() == {"first", "a", "b"}


def test_changes_wait_for_a_lock_together_and_not_one_after_another(writers: Writers) -> None:
    writers.connection.execute("PRAGMA busy_timeout = 400")
    with closing(sqlite3.connect(writers.path, isolation_level=None)) as other:
        begun: list[int] = []

        def lock(connection: sqlite3.Connection) -> int:
            begun.append(1)
            return insert("a")(connection)

        other.execute("BEGIN IMMEDIATE")
        with ThreadPoolExecutor(8) as pool:
            started = time.monotonic()
            futures = [pool.submit(writers.group.run, lock) for _ in range(8)]
            errors = [each.exception(20.0) for each in futures]
        assert all(isinstance(each, sqlite3.OperationalError) for each in errors)
        assert not begun
        # The first one waits alone, and the others together.
        assert time.monotonic() - started < 8 * 0.4
        other.execute("ROLLBACK")


def test_after_closing_every_change_raises_an_error(writers: Writers) -> None:
    writers.group.close()
    writers.group.close()
    with pytest.raises(sqlite3.ProgrammingError):
        writers.group.run(insert("late"))
