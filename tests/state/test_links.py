"""The configuration decides which relations count as duplicates. A change of it alerts once."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from snoopsync.core.duplicates import Findings, FoundImage
from snoopsync.core.errors import StateDamaged
from snoopsync.core.shots import Distinctions, Relation
from snoopsync.runtime.sqlite import MEMORY
from snoopsync.state.database import Database
from snoopsync.state.schema import STEPS
from snoopsync.state.searches import Due, Searches, SearchResult
from tests.support.duplicates import Duplicates, like, sent, sha

ALL, NONE = Distinctions(), Distinctions(companions=False, series=False)
ONLY_COMPANIONS = Distinctions(series=False)


def related(name: str, relation: Relation | None) -> FoundImage:
    return FoundImage(name, 5, "edited", sha(name), relation=relation)


def search(world: Duplicates, name: str, others: Sequence[str], relation: Relation) -> None:
    assert world.search(name, *(related(other, relation) for other in others)) == []


def shoot(world: Duplicates) -> None:
    """A burst of three pictures, of which the first has a companion."""
    sent(world, "abcr")
    search(world, "b", "a", Relation.SERIES)
    search(world, "c", "b", Relation.SERIES)
    search(world, "r", "a", Relation.COMPANION)


def test_without_the_distinction_a_series_is_a_group_of_duplicates_and_alerted_once(
    world: Duplicates,
) -> None:
    shoot(world)
    world.searches.distinguish(ONLY_COMPANIONS)
    [alert] = world.alerts()
    assert set(alert) < {"a", "b", "c"}
    [group] = world.groups()
    assert (group.series, len(group.images), group.open_pairs) == (False, 3, 2)
    for distinctions in (ALL, ONLY_COMPANIONS, ONLY_COMPANIONS):
        world.searches.distinguish(distinctions)
        assert world.alerts() == []
        [group] = world.groups()
        assert group.series == (distinctions == ALL)
    for name, others in (("a", "b"), ("b", "ac"), ("c", "b")):
        search(world, name, others, Relation.SERIES)


def test_without_the_distinction_companions_are_duplicates(world: Duplicates) -> None:
    shoot(world)
    world.searches.distinguish(NONE)
    assert len(world.alerts()) == 1
    assert world.names() == {"1": {"a", "b", "c", "r"}}
    world.searches.distinguish(ALL)
    assert world.names() == {"1": {"a", "b", "c"}}
    assert world.alerts() == []


def test_what_is_found_later_counts_as_the_configuration_says(world: Duplicates) -> None:
    world.searches.distinguish(NONE)
    sent(world, "abr")
    assert world.search("b", related("a", Relation.SERIES)) == [("b", "a")]
    assert world.search("r", related("a", Relation.COMPANION)) == [("r", "a")]
    world.searches.distinguish(ALL)
    world.send("c")
    search(world, "c", "b", Relation.SERIES)
    assert world.names() == {"1": {"a", "b", "c"}}


def test_an_alert_that_is_due_is_not_given_for_what_became_a_series(world: Duplicates) -> None:
    world.searches.distinguish(NONE)
    sent(world, "ab")
    found = Findings((related("a", Relation.SERIES),))
    world.searches.record([SearchResult(Due("b", sha("b")), found, 1.0)])
    world.searches.distinguish(ALL)
    assert world.alerts() == []
    world.searches.distinguish(NONE)
    assert len(world.alerts()) == 1


def test_groups_that_a_setting_joins_are_not_alerted_again(world: Duplicates) -> None:
    sent(world, "abxy")
    assert world.search("x", related("a", Relation.DUPLICATE)) == [("x", "a")]
    assert world.search("y", related("b", Relation.DUPLICATE)) == [("y", "b")]
    search(world, "b", "a", Relation.SERIES)
    world.search("y", related("b", Relation.DUPLICATE))
    assert sorted(map(sorted, world.names().values())) == [["a", "x"], ["b", "y"]]
    world.searches.distinguish(NONE)
    assert list(world.names().values()) == [{"a", "b", "x", "y"}]
    assert world.alerts() == []
    assert world.search("b", like("a"), like("y")) == []


def test_dismissed_pairs_stay_dismissed_and_cause_no_alert(world: Duplicates) -> None:
    shoot(world)
    world.dismiss("a", "b", "c")
    world.searches.distinguish(ONLY_COMPANIONS)
    assert (world.groups(), world.alerts()) == ([], [])


def test_a_relation_that_cannot_be_determined_again_stays(world: Duplicates) -> None:
    sent(world, "ab")
    search(world, "b", "a", Relation.SERIES)
    assert world.search("a", like("b")) == []
    [group] = world.groups()
    assert group.series


def test_the_distinction_survives_a_restart(world: Duplicates, path: Path) -> None:
    world.searches.distinguish(NONE)
    with closing(Database(path)) as again:
        searches = Searches(again)
        assert searches.related(Due("a", sha("a"))) == set()
        changes = again.changes
        searches.distinguish(NONE)
        assert again.changes == changes


def test_an_upgrade_searches_again_for_the_pictures_of_old_links(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(Database(path)) as database:
        world = Duplicates(database)
        sent(world, "abc")
        world.search("b", like("a"))
        world.send("d", "c")
        world.search("d", like("c", 0, picture="c"))
        groups = world.names()
        assert world.searches.count_due() == 0
        # The file as an older version left it.
        database.change("DROP INDEX link_relation")
        database.change("DROP INDEX node_group")
        database.change("CREATE INDEX node_group ON node (group_id) WHERE group_id IS NOT NULL")
        for table, column in (
            ("link", "relation"),
            ("link", "counts_as"),
            ("node", "has_duplicate"),
        ):
            database.change(f"ALTER TABLE {table} DROP COLUMN {column}")
        database.change(f"PRAGMA user_version = {len(STEPS) - 1}")
    with closing(Database(path)) as database:
        world = Duplicates(database)
        world.contents = {name: sha(name) for name in "ab"}
        assert world.names() == groups
        assert [due.image_id for due in world.searches.due(9)] == ["a", "b"]
        assert world.search("b", related("a", Relation.SERIES)) == []
        [duplicates, series] = world.groups()
        assert (duplicates.series, series.series) == (False, True)


class Interrupted(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("do", ["find a duplicate", "distinguish nothing"])
def test_an_interruption_at_any_change_changes_nothing(world: Duplicates, do: str) -> None:
    shoot(world)
    world.send("x")
    found = SearchResult(
        Due("x", sha("x")),
        Findings((related("a", Relation.DUPLICATE), related("b", Relation.SERIES))),
        1.0,
    )
    before = rows(world.database)
    for changes in range(1000):
        with closing(Database(Path(MEMORY))) as copy:
            world.database.copy_to(copy)
            searches = Searches(copy)
            interrupt_after(copy, changes)
            try:
                if do == "find a duplicate":
                    searches.record([found])
                else:
                    searches.distinguish(NONE)
            except Interrupted:
                assert rows(copy) == before
                continue
            assert changes >= 4
            assert rows(copy) != before
            assert len(searches.alerts.due()) == 1
            return


def interrupt_after(database: Database, changes: int) -> None:
    """Raise at the change after so many."""
    left, change = iter(range(changes)), database.change

    def count(sql: str, parameters: Sequence[Any] = ()) -> int:
        if next(left, None) is None:
            raise Interrupted
        return change(sql, parameters)

    database.change = count  # type: ignore[method-assign]


def rows(database: Database) -> list[Any]:
    """Everything that the state file says about duplicates."""
    tables = ("node", "link", "fact", "image")
    return [database.query(f"SELECT * FROM {table}") for table in tables]


@pytest.mark.parametrize("column", ["relation", "counts_as"])
def test_a_damaged_relation_is_found_when_the_file_is_checked(
    world: Duplicates, column: str
) -> None:
    sent(world, "ab")
    search(world, "b", "a", Relation.COMPANION)
    world.database.check_integrity()
    world.database.change("PRAGMA ignore_check_constraints = ON")
    world.database.change(f"UPDATE link SET {column} = 'compamion'")
    world.database.change("PRAGMA ignore_check_constraints = OFF")
    with pytest.raises(StateDamaged):
        world.database.check_integrity()
