"""Dismissals of many images: their work grows in proportion to the images."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.state.database import Database
from snoopsync.state.decisions import Decisions, Dismissal, Member, MembersChanged
from snoopsync.state.grouping import Grouping
from snoopsync.state.nodes import Nodes

CONTENT = hashlib.sha256(b"a picture").digest()

#: SQLite reports its work each time it has taken so many steps.
_STEPS_AT_ONCE = 100


def add_copies(database: Database, count: int) -> list[Member]:
    """So many images with the same bytes."""
    members = [Member(f"tests.{number:06}", CONTENT) for number in range(count)]
    with database.transaction():
        Nodes(database).record(CONTENT, {}, 1.0)
        database.change_many(
            "INSERT INTO image (image_id, folder, directory, name, inode, size, mtime_ns, ctime_ns,"
            " submount, sha256, synced_at, dirty, mark)"
            " VALUES (?, 'photos', x'', ?, ?, 5, 0, 0, 0, ?, 0, 0, 0)",
            [(each.image_id, each.image_id.encode(), n, CONTENT) for n, each in enumerate(members)],
        )
        Grouping(database).settle()
    return members


def steps_of(database: Database, work: Callable[[], object]) -> int:
    """How many steps SQLite takes for this, in hundreds."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    database._connection.set_progress_handler(step, _STEPS_AT_ONCE)
    try:
        work()
    finally:
        database._connection.set_progress_handler(None, 0)
    return count


def is_a_group(database: Database) -> bool:
    return Nodes(database).of_content(CONTENT).group_id is not None  # type: ignore[union-attr]


def test_dismissing_copies_and_restoring_them_takes_work_in_proportion(tmp_path: Path) -> None:
    dismissing, restoring = [], []
    for count in (400, 1600):
        with closing(Database(tmp_path / f"{count}.sqlite3")) as database:
            members = add_copies(database, count)
            decisions = Decisions(database)
            dismissal = [Dismissal(tuple(members))]
            assert is_a_group(database)
            dismissing.append(steps_of(database, lambda: decisions.dismiss(dismissal, 2.0)))  # noqa: B023
            assert not is_a_group(database)
            restoring.append(steps_of(database, lambda: decisions.restore(members)))  # noqa: B023
            assert is_a_group(database)
    # Four times as many images: four times the work, and not sixteen times.
    assert dismissing[1] < 6 * dismissing[0]
    assert restoring[1] < 6 * restoring[0]


def test_a_decision_needs_two_of_its_images_to_be_found(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        members = add_copies(database, 4)
        decisions = Decisions(database)
        decisions.dismiss([Dismissal(tuple(members[:3]))], 2.0)
        assert decisions.restore([members[0], members[3]]) == 0
        assert decisions.restore(members[1:3]) == 1
        assert decisions.count() == 0


def test_dismissals_are_listed_the_newest_first(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        members = add_copies(database, 6)
        decisions = Decisions(database)
        for at in (0, 2, 4):
            decisions.dismiss([Dismissal(tuple(members[at : at + 2]))], float(at))
        newest, middle = decisions.listed(None, 2)
        assert (newest.at, newest.members) == (4.0, tuple(members[4:]))
        [oldest] = decisions.listed(middle.number, 2)
        assert oldest.at == 0.0
        assert decisions.numbered([oldest.number, newest.number]) == [newest, oldest]
        assert decisions.numbered([4711]) == []


def test_nothing_is_dismissed_if_one_image_has_changed(tmp_path: Path) -> None:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        members = add_copies(database, 3)
        changed = Member(members[0].image_id, b"other bytes")
        decisions = Decisions(database)
        with pytest.raises(MembersChanged, match="has changed since"):
            decisions.dismiss([Dismissal((members[1], members[2])), Dismissal((changed,))], 2.0)
        assert decisions.count() == 0
