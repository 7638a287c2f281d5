"""Planning in batches: the engine is never silent for long, and the outcome is the same."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import cast

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.model import Gone, Observation, RelPath
from snoopsync.core.planner import PlanInput
from snoopsync.folders.pending import Inbox, PendingPaths
from snoopsync.sync.plan_input import PlanInputReader
from snoopsync.sync.planning import Planning, PlanningPace
from snoopsync.sync.remote_listing import RemoteListing
from snoopsync.sync.resync import ResyncRequest
from tests.support.world import World, fake_picture

#: One file a step.
SLOWEST = PlanningPace(batch_files=1, step_seconds=0.0)

FILES = 12


@pytest.fixture
def filled(world: World) -> World:
    """A world that is mirrored, with a few pictures of which each has a copy."""
    for number in range(FILES):
        world.disk.write(f"{number:02}.jpg", fake_picture(number % (FILES // 2)))
    world.resync()
    return world


def steps(world: World) -> int:
    """Make a full resync. Returns how often the engine gave the service its turn."""
    count = 0
    with world.running(reconcile=False) as live:
        run = live.components.engine.begin_resync(ResyncRequest(list(world.folders)))
        while not run.is_over:
            live.components.engine.step()
            live.components.engine.wait()
            count += 1
        assert run.report is not None and of_resync(run.report) == 0, run.report
    return count


def test_a_step_plans_for_no_more_files_than_there_is_time_for(filled: World) -> None:
    filled.lose_state()
    at_once = steps(filled)
    filled.lose_state()
    filled.planning = SLOWEST
    # For each file once to find that it has to be searched for, and once after that.
    assert steps(filled) >= at_once + 2 * (FILES - 1)


def test_after_a_lost_state_each_copy_gets_its_own_image_back(filled: World) -> None:
    before = filled.ids()
    filled.remote.forget_requests()
    filled.lose_state()
    filled.planning = SLOWEST
    assert filled.resync().summary.adopted == FILES
    assert filled.ids() == before
    assert filled.remote.changes() == []


def test_a_picture_that_was_moved_before_the_state_was_lost_keeps_its_image(
    filled: World,
) -> None:
    """Also if a new file, which is planned for first, is at its old path."""
    moved = filled.id_of("00.jpg")
    filled.disk.rename("00.jpg", "zz.jpg")
    filled.disk.write("00.jpg", fake_picture(100))
    filled.lose_state()
    filled.planning = SLOWEST
    report = filled.resync()
    assert (report.summary.adopted, report.summary.added) == (FILES, 1)
    filled.check_mirrored()
    on_disk, ids = filled.on_disk(), filled.ids()
    copies = [path for path in on_disk if on_disk[path] == on_disk["photos/zz.jpg"]]
    assert moved in {ids[path] for path in copies}


def test_a_file_is_found_at_its_new_path_before_that_path_is_planned(
    filled: World,
) -> None:
    before = filled.ids()
    filled.remote.forget_requests()
    filled.planning = SLOWEST
    filled.disk.rename("00.jpg", "zz.jpg")
    filled.disk.rename("01.jpg", "00.jpg")
    filled.resync()
    assert filled.remote.changes() == []
    assert filled.id_of("zz.jpg") == before["photos/00.jpg"]
    assert filled.id_of("00.jpg") == before["photos/01.jpg"]


def test_many_lost_files_are_counted_together_however_small_the_batches_are(
    filled: World,
) -> None:
    filled.planning = SLOWEST
    filled.hold = HoldPolicy(count=FILES // 2, percent=10)
    filled.remote.forget_requests()
    with filled.running() as live:
        for number in range(FILES // 2 + 1):
            filled.disk.remove(f"{number:02}.jpg")
        live.settle()
    assert filled.held() == FILES // 2 + 1
    assert filled.remote.deletes() == []


class EndingGathering:
    """A listing whose gathering ends between two questions."""

    remote = None

    def __init__(self) -> None:
        self._answers = iter([True])

    @property
    def is_gathering(self) -> bool:
        return next(self._answers, False)


class EmptyReader:
    """Notes what is planned together, and plans nothing."""

    def __init__(self) -> None:
        self.planned: list[set[RelPath]] = []

    def read(self, observations: Mapping[RelPath, Observation], *_rest: object) -> PlanInput:
        if observations:
            self.planned.append(set(observations))
        return PlanInput("tests", frozenset(), {}, {}, ())


def test_deletions_are_planned_together_though_one_settled_last(
    filled: World,
) -> None:
    with filled.running() as live:
        engine = live.components.engine
        folder = next(iter(engine.monitors)).folder
        pending = PendingPaths({folder.name: folder}, 0.0, 0.0, filled.clock)
        reader = EmptyReader()
        planning = Planning(
            *(pending, Inbox(), cast("PlanInputReader", reader)),
            *(cast("RemoteListing", EndingGathering()), engine._adoption, engine.state),
            PlanningPace(),
        )
        paths = [folder.rel_path(name) for name in (b"00.jpg", b"01.jpg")]
        for rel_path in paths:
            filled.disk.remove(os.fsdecode(rel_path.path))
        pending.postpone({paths[0]: Gone()})
        pending.see(paths[1], None)
        filled.clock.advance(1.0)
        pending.look_at_due()
        list(planning.plans(is_looking=False))
        list(planning.plans(is_looking=False))
    assert reader.planned == [set(paths)]
