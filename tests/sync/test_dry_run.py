"""The dry run is the truth: what it says is what the next resync does, and it changes nothing."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.planner import Action, Verb
from snoopsync.sync.planning import PlanningPace
from tests.support.world import DiskFolder, ServedWorld, World, fake_picture, lines

PATHS = [f"{directory}{name}.jpg" for directory in ("", "x/", "y/") for name in "abcd"]

#: What is done, to which of the files that there are, with which path and bytes.
deeds = st.tuples(
    st.sampled_from(["write", "rename", "copy", "remove", "replace", "touch", "empty", "lose"]),
    st.integers(0, 20),
    st.sampled_from(PATHS),
    st.integers(0, 6),
)
histories = st.lists(st.lists(deeds, max_size=8), min_size=1, max_size=3)
policies = st.sampled_from([None, HoldPolicy(count=1, percent=20), HoldPolicy(count=0, percent=0)])


def do(world: World, disk: DiskFolder, deed: tuple[str, int, str, int]) -> None:
    verb, pick, path, number = deed
    files = disk.paths()
    picked = files[pick % len(files)] if files else None
    match verb:
        case "write":
            disk.write(path, fake_picture(number))
        case "empty":
            disk.write(path, b"")
        case "rename" if picked:
            disk.rename(picked, path)
        case "copy" if picked and picked != path:
            disk.copy(picked, path)
        case "remove" if picked:
            disk.remove(picked)
        case "replace" if picked:
            disk.replace(picked, fake_picture(number))
        case "touch" if picked:
            disk.touch(picked)
        case "lose" if world.remote.digests():
            ids = sorted(world.remote.digests())
            world.remote.remove(ids[pick % len(ids)])


@pytest.mark.integration
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(history=histories, policy=policies, prune=st.booleans(), loses_state=st.booleans())
def test_a_dry_run_equals_the_next_resync(
    history: list[list[tuple[str, int, str, int]]],
    policy: HoldPolicy | None,
    prune: bool,
    loses_state: bool,
) -> None:
    with tempfile.TemporaryDirectory() as base, ServedWorld(Path(base)) as world:
        world.hold = policy
        for path in PATHS[:6]:
            world.disk.write(path, fake_picture(100 + len(path)))
        for deeds_of_a_day in history:
            world.resync()
            for deed in deeds_of_a_day:
                do(world, world.disk, deed)
        if loses_state:
            world.lose_state()
        check_rehearsal(world, prune=prune)


@pytest.mark.parametrize("count", [3, 4])
def test_a_dry_run_holds_the_same_deletions_as_the_next_resync(world: World, count: int) -> None:
    world.hold = HoldPolicy(count=3, percent=10)
    for number in range(20):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.resync()
    for number in range(count):
        world.disk.remove(f"{number}.jpg")
    world.disk.write("new.jpg", fake_picture(100))
    check_rehearsal(world, prune=False)
    assert world.held() == (count if count > 3 else 0)


def test_a_dry_run_adds_an_unsent_picture_whose_image_was_lost(world: World) -> None:
    """Also if there is time to send pictures before the last one is planned."""
    for number in range(20):
        world.disk.write(f"{number:02}.jpg", fake_picture(number))
    world.resync()
    world.remote.forget_requests()
    with world.running_until_it_crashes() as live:
        live.reconcile()
        for number in range(20):
            world.disk.replace(f"{number:02}.jpg", fake_picture(100 + number))
        live.scan()
        live.until(lambda: len(world.remote.uploads()) > 0)
    for image_id in world.ids().values():
        world.remote.remove(image_id)
    world.planning = PlanningPace(batch_files=1, step_seconds=0.0)
    check_rehearsal(world, prune=False)


def check_rehearsal(world: World, *, prune: bool) -> None:
    before = everything(world)
    plan = world.rehearse(prune=prune)
    assert everything(world) == before

    world.remote.forget_requests()
    done: list[Action] = []
    report = world.resync_telling(done.extend, prune=prune)
    assert lines(done) == plan.lines
    rehearsed = replace(plan.report.summary, seconds=report.summary.seconds)
    assert rehearsed == report.summary
    assert (of_resync(plan.report), plan.report.orphans) == (of_resync(report), report.orphans)
    sent = sorted((seen.method, seen.image_id or "") for seen in world.remote.changes())
    methods = {Verb.ADD: "POST", Verb.UPDATE: "PUT", Verb.DELETE: "DELETE"}
    said = sorted((methods[verb], name) for verb, _, name in plan.lines if verb in methods)
    assert [each for each in sent if not is_refused(world, each)] == said

    again = world.resync()
    assert (again.summary.added, again.summary.updated, again.summary.deleted) == (0, 0, 0)


def is_refused(world: World, sent: tuple[str, str]) -> bool:
    return any(
        seen.status not in (200, 201) and (seen.method, seen.image_id) == sent
        for seen in world.remote.changes()
    )


def everything(world: World) -> object:
    stats = {path: (world.disk.root / path).lstat().st_mtime_ns for path in world.disk.paths()}
    state = world.dump() if world.state_path.exists() else None
    return state, world.on_disk(), stats, world.remote.digests()
