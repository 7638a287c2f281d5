"""What a search costs does not depend on how many files show the same picture."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from snoopsync.core.duplicates import Findings
from snoopsync.core.shots import Distinctions, Relation
from snoopsync.state.database import Database
from snoopsync.state.searches import Due, SearchResult
from tests.support.duplicates import Duplicates, like

#: A search finds at most so many other files.
LIMIT = 64

#: SQLite's virtual machine reports each time that it has taken so many steps.
STEPS = 20


def steps(database: Database, do: Callable[[], object]) -> int:
    """How many steps this takes."""
    reports = 0

    def count() -> None:
        nonlocal reports
        reports += 1

    database._connection.set_progress_handler(count, STEPS)
    do()
    database._connection.set_progress_handler(None, STEPS)
    return reports * STEPS


def work(world: Duplicates, name: str, found: list[str], relation: Relation | None = None) -> int:
    """How many steps it takes to record the search for this image."""
    others = tuple(replace(like(other, 0), relation=relation) for other in found if other != name)
    result = SearchResult(Due(name, world.contents[name]), Findings(others, {}, False), 1.0)
    taken = steps(world.database, lambda: world.searches.record([result]))
    world.alerts()
    return taken


def test_the_files_of_a_picture_take_the_same_work_each(world: Duplicates) -> None:
    names = [f"{number:03}" for number in range(320)]
    for name in names:
        world.send(name)
    taken = [work(world, name, names[: LIMIT + 1]) for name in names]
    assert [len(images) for images in world.names().values()] == [len(names)]
    assert taken[300] < 1.2 * taken[100]


def test_looking_for_alerts_reads_no_image_that_has_none(world: Duplicates) -> None:
    for number in range(400):
        world.send(f"{number:03}")
    assert steps(world.database, lambda: world.alerts() == []) < 400


@pytest.fixture
def burst(world: Duplicates) -> list[str]:
    """The frames of a burst, each like those before and after."""
    names = [f"{number:04}" for number in range(2000)]
    for name in names:
        world.send(name)
    return names


def near(names: list[str], at: int) -> list[str]:
    return names[max(0, at - 3) : at + 4]


@pytest.mark.integration
def test_the_frames_of_a_burst_take_the_same_work_each(world: Duplicates, burst: list[str]) -> None:
    def taken_by(frames: range) -> int:
        return sum(work(world, burst[at], near(burst, at), Relation.SERIES) for at in frames)

    first = taken_by(range(500))
    taken_by(range(500, 1500))
    assert taken_by(range(1500, 2000)) < 1.2 * first
    [group] = world.groups()
    assert (group.series, len(group.images)) == (True, len(burst))

    def copy(frames: range) -> int:
        taken = 0
        for at in frames:
            world.send(f"copy {at}", burst[at])
            taken += work(world, f"copy {at}", [burst[at]])
        return taken

    # Each copied frame leaves the series.
    many = copy(range(1500, 2000))
    copy(range(500, 1500))
    assert many < 1.5 * copy(range(500))


@pytest.mark.integration
def test_a_setting_about_series_takes_work_in_proportion(
    world: Duplicates, burst: list[str]
) -> None:
    def taken_by(frames: range) -> int:
        """The work for both changes, after these frames were found too."""
        for at in frames:
            work(world, burst[at], near(burst, at), Relation.SERIES)
        return sum(
            steps(world.database, partial(world.searches.distinguish, Distinctions(series=series)))
            for series in (False, True)
        )

    few = taken_by(range(500))
    assert taken_by(range(500, 2000)) < 4 * 1.2 * few


def test_marking_an_alert_takes_the_same_work_however_many_are_due(world: Duplicates) -> None:
    def taken_by(first: int, count: int) -> int:
        """The work of marking one of so many alerts."""
        numbers = range(first, first + count)
        for number in numbers:
            world.send(f"a{number}")
            world.send(f"b{number}")
            found = Findings((like(f"a{number}"),))
            due = Due(f"b{number}", world.contents[f"b{number}"])
            world.searches.record([SearchResult(due, found, 1.0)])
        alerts = world.searches.alerts.due()
        assert len(alerts) == count
        taken = steps(world.database, lambda: world.searches.alerts.mark(alerts[:1]))
        world.alerts()
        return taken

    few = taken_by(0, 20)
    assert taken_by(20, 200) <= few + 2 * STEPS
