"""What a search costs does not depend on how many files show the same picture."""

from __future__ import annotations

from snoopsync.core.duplicates import Findings
from snoopsync.state.searches import Due, SearchResult
from tests.support.duplicates import Duplicates, like

#: A search finds at most so many other files.
LIMIT = 64

#: SQLite's virtual machine reports each time that it has taken so many steps.
STEPS = 10


def work(world: Duplicates, name: str, found: list[str]) -> int:
    """How many steps it takes to record the search for this image."""
    others = tuple(like(other, 0) for other in found if other != name)
    result = SearchResult(Due(name, world.contents[name]), Findings(others, {}, False), 1.0)
    reports = 0

    def count() -> None:
        nonlocal reports
        reports += 1

    world.database._connection.set_progress_handler(count, STEPS)
    world.searches.record([result])
    world.database._connection.set_progress_handler(None, STEPS)
    world.alerts()
    return reports * STEPS


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
    reports = 0

    def count() -> None:
        nonlocal reports
        reports += 1

    world.database._connection.set_progress_handler(count, STEPS)
    assert world.alerts() == []
    world.database._connection.set_progress_handler(None, STEPS)
    assert reports * STEPS < 400
