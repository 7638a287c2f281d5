"""Which groups match a filter, how they are measured, and in which order they are."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.state.database import Database
from snoopsync.state.group_order import (
    GroupFilter,
    GroupSort,
    MeasuredGroup,
    measured_groups,
    sorted_groups,
)
from snoopsync.state.groups import Groups
from snoopsync.sync.components import open_state
from tests.support.many_groups import NEWEST, add_groups


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with closing(open_state(tmp_path / "state.sqlite3")) as database:
        add_groups(database, 4)
        yield database


def numbers(database: Database, which: GroupFilter) -> set[int]:
    return {each.number for each in measured_groups(database, which)}


def test_a_group_is_measured_by_its_images_its_waste_and_its_newest_link(
    database: Database,
) -> None:
    first = next(each for each in measured_groups(database, GroupFilter()) if each.number == 1)
    assert first == MeasuredGroup(1, 3, 2000, NEWEST)
    database.change("UPDATE link SET found_at = ? WHERE a = 1", (NEWEST + 5,))
    [again] = measured_groups(database, GroupFilter(groups=frozenset({1})))
    assert again.found_at == NEWEST + 5


def test_the_waste_of_a_group_is_measured_without_the_picture_with_the_most_pixels(
    database: Database,
) -> None:
    """A smaller picture may be the larger file: a PNG beside a JPEG."""
    smaller = database.one("SELECT content FROM node WHERE node_id = 2")
    database.change("UPDATE image SET size = 9000 WHERE sha256 = ?", (smaller,))
    [measured] = measured_groups(database, GroupFilter(groups=frozenset({1})))
    assert measured.waste_bytes == 10_000
    [shown, *_] = Groups(database, {"photos": (0, False)}).listed(NEWEST)
    assert (shown.name, shown.waste_bytes) == ("1", 10_000)


def test_filters_select_by_kind_rank_folder_and_number(database: Database) -> None:
    everything = {1, 3, 5, 7}
    assert numbers(database, GroupFilter()) == everything
    assert numbers(database, GroupFilter(kind="reencoded")) == everything
    assert numbers(database, GroupFilter(kind="rotated")) == set()
    assert numbers(database, GroupFilter(max_rank=1)) == everything  # it has copies too
    assert numbers(database, GroupFilter(kind="reencoded", max_rank=1)) == set()
    assert numbers(database, GroupFilter(folder="photos")) == everything
    assert numbers(database, GroupFilter(folder="elsewhere")) == set()
    assert numbers(database, GroupFilter(groups=frozenset({3, 99}))) == {3}
    assert numbers(database, GroupFilter(groups=frozenset())) == set()


def test_a_group_without_a_file_of_ours_is_not_listed(database: Database) -> None:
    database.change("UPDATE image SET left_out = 1 WHERE name < x'33'")
    assert 1 not in numbers(database, GroupFilter())


def test_each_order_is_descending_and_equal_groups_are_in_the_order_of_their_numbers() -> None:
    groups = [
        MeasuredGroup(4, 2, 500, 10.0),
        MeasuredGroup(2, 9, 500, 20.0),
        MeasuredGroup(3, 3, 700, 20.0),
    ]

    def order(sort: GroupSort) -> list[int]:
        return [each.number for each in sorted_groups(groups, sort)]

    assert order(GroupSort.WASTE) == [3, 2, 4]
    assert order(GroupSort.FOUND) == [2, 3, 4]
    assert order(GroupSort.SIZE) == [2, 3, 4]
