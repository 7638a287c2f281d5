"""The page's own file: marks, groups that are set aside, and what can be undone."""

from __future__ import annotations

import fcntl
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.errors import StateError
from snoopsync.review import marks as module
from snoopsync.review.marks import Aside, AsideReason, Mark, Marks, marks_path

FIRST = Mark("tests.a", "aa", "tests.keep", "kk", 1, 5.0)
SECOND = Mark("tests.b", "bb", "tests.keep", "kk", 1, 5.0)
OTHER = Mark("tests.c", "cc", "tests.other", "oo", 2, 5.0)


@pytest.fixture
def marks(tmp_path: Path) -> Iterator[Marks]:
    with closing(Marks(tmp_path / "review" / "marks.sqlite3")) as marks:
        yield marks


def test_marks_are_listed_by_group(marks: Marks) -> None:
    marks.add_marks([OTHER, SECOND, FIRST])
    assert marks.marks() == [FIRST, SECOND, OTHER]
    assert marks.marks([2]) == [OTHER]
    assert marks.marks([]) == []
    assert marks.marks_of_images(["tests.b", "tests.x"]) == [SECOND]
    assert marks.marks_naming(["tests.b", "tests.other"]) == [SECOND, OTHER]


def test_a_file_has_one_mark_the_last_one(marks: Marks) -> None:
    marks.add_marks([FIRST])
    again = Mark("tests.a", "aa", "tests.b", "bb", 3, 6.0)
    marks.add_marks([again])
    assert marks.marks() == [again]


def test_a_group_that_is_taken_back_has_no_marks(marks: Marks) -> None:
    marks.add_marks([FIRST, SECOND, OTHER])
    asides = [Aside(1, AsideReason.MARKED, 7.0), Aside(2, AsideReason.LATER, 8.0)]
    marks.set_aside(asides)
    marks.take_back([1])
    assert marks.marks() == [OTHER]
    assert marks.asides() == {2: asides[1]}


def test_a_mark_whose_file_was_put_back_is_returning_until_its_image_is_known(marks: Marks) -> None:
    marks.add_marks([FIRST, SECOND])
    marks.note_back(FIRST.image_id)
    assert marks.returning() == {FIRST.image_id}
    marks.note_known([FIRST.image_id])
    assert marks.returning() == set()
    marks.note_back(SECOND.image_id)
    marks.add_marks([SECOND])
    assert marks.returning() == set()


def test_all_of_a_transaction_is_stored_or_nothing(marks: Marks) -> None:
    with pytest.raises(ZeroDivisionError), marks.transaction():
        marks.add_marks([FIRST])
        marks.add_action("keep", {})
        raise ZeroDivisionError
    assert (marks.marks(), marks.last_action()) == ([], None)


def test_the_last_action_is_undone_first_and_old_ones_are_forgotten(
    marks: Marks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_MOST_ACTIONS", 3)
    for number in range(5):
        marks.add_action("keep", {"groups": [number]})
    undone = []
    while (action := marks.last_action()) is not None:
        undone.append(action.undo["groups"])
        marks.remove_action(action.number)
    assert undone == [[4], [3], [2]]


def test_the_moves_of_an_action_are_forgotten_with_it(marks: Marks) -> None:
    action, other = marks.add_action("trash", {}), marks.add_action("trash", {})
    first = marks.add_move(action, FIRST, "{}")
    marks.add_move(action, SECOND, "{}", is_companion=True)
    marks.add_move(other, OTHER, "{}")
    assert [each.mark for each in marks.moves(action)] == [FIRST, SECOND]
    assert [each.is_companion for each in marks.moves(action)] == [False, True]
    marks.remove_move(first)
    assert [each.mark for each in marks.moves(action)] == [SECOND]
    marks.remove_action(action)
    assert marks.moves(action) == []
    assert [each.mark for each in marks.moves(other)] == [OTHER]


def test_while_a_decision_is_carried_out_no_other_page_carries_one_out(
    tmp_path: Path, marks: Marks
) -> None:
    lock = tmp_path / "review" / "marks.sqlite3.lock"
    with marks.one_decision(), lock.open() as other_page, pytest.raises(BlockingIOError):
        fcntl.flock(other_page, fcntl.LOCK_EX | fcntl.LOCK_NB)
    with lock.open() as other_page:
        fcntl.flock(other_page, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert stat.S_IMODE(lock.stat().st_mode) == 0o600


def test_every_change_has_another_version(tmp_path: Path, marks: Marks) -> None:
    first = marks.version
    assert marks.version == first
    marks.add_marks([FIRST])
    second = marks.version
    assert second != first
    with closing(Marks(tmp_path / "review" / "marks.sqlite3")) as another:
        another.add_marks([SECOND])
    assert marks.version != second


def test_everything_is_there_when_the_file_is_opened_again(tmp_path: Path) -> None:
    path = tmp_path / "marks.sqlite3"
    with closing(Marks(path)) as marks:
        marks.add_marks([FIRST])
        marks.add_action("keep", {"groups": [1]})
    with closing(Marks(path)) as marks:
        assert marks.marks() == [FIRST]
        action = marks.last_action()
        assert action is not None
        assert (action.kind, action.undo) == ("keep", {"groups": [1]})
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_of_a_newer_version_or_with_damage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "marks.sqlite3"
    with closing(Marks(path)):
        pass
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StateError, match="newer snoopsync"):
        Marks(path)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(StateError, match=r"marks\.sqlite3"):
        Marks(path)


def test_each_state_file_has_a_file_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/home/somebody/state")
    one, other = marks_path(Path("/a/state.sqlite3")), marks_path(Path("/b/state.sqlite3"))
    assert one != other
    assert one.parent == Path("/home/somebody/state/snoopsync/review")
