"""After a suspend or a step of the clock, nothing is stale, late or forgotten."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.config.settings import HoldPolicy
from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.core.exits import Exit
from snoopsync.runtime.workers import Workers
from snoopsync.status.health import problems
from snoopsync.status.reading import read_status
from snoopsync.status.snapshot import SnapshotReader
from snoopsync.sync.components import Dependencies
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.serving import serving, the_service_says
from tests.support.stepped import SteppedClock
from tests.support.world import JumpingClock, ServedWorld, ToldWatcher, World, fake_picture

DAY = 86_400.0

# Retries.


def next_try(world: World, stepped: float) -> float:
    """After how many seconds a picture that was refused is tried again, if the clock is set by so
    much after the refusal."""
    world.disk.write("bad.jpg", b"no picture")
    with world.running() as live:
        world.clock.set_wall_clock(stepped)
        begun = world.clock.monotonic()
        world.remote.forget_requests()
        live.until(lambda: bool(world.remote.uploads()))
        return world.clock.monotonic() - begun


@pytest.mark.parametrize("stepped", [-DAY, -30.0, 30.0, DAY])
def test_a_retry_follows_the_schedule_whatever_the_wall_clock_does(
    world: World, stepped: float
) -> None:
    assert next_try(world, stepped) == pytest.approx(IMAGE_RETRY_SECONDS[0], abs=2.0)


def test_a_retry_that_was_due_during_a_suspend_is_made_after_it(world: World) -> None:
    world.disk.write("bad.jpg", b"no picture")
    with world.running() as live:
        world.remote.forget_requests()
        world.clock.suspend(1800.0)
        begun = world.clock.monotonic()
        live.until(lambda: bool(world.remote.uploads()))
        assert world.clock.monotonic() - begun < 5.0


@pytest.mark.parametrize("stepped", [-DAY, DAY])
def test_a_retry_follows_the_schedule_after_a_restart(world: World, stepped: float) -> None:
    world.disk.write("bad.jpg", b"no picture")
    with world.running():
        refused = world.clock.monotonic()
    world.clock.set_wall_clock(stepped)
    world.remote.forget_requests()
    with world.running() as live:
        live.until(lambda: bool(world.remote.uploads()))
        waited = world.clock.monotonic() - refused
    assert waited == pytest.approx(IMAGE_RETRY_SECONDS[0], abs=3.0)


class OtherBoot(JumpingClock):
    """The machine was rebooted, and its clock is a year behind, because it has no battery."""

    def boot_id(self) -> str:
        return "another boot"

    def now(self) -> float:
        return super().now() - 365 * DAY


def test_after_a_boot_with_a_late_clock_a_retry_waits_no_longer_than_its_delay(
    world: World,
) -> None:
    world.disk.write("bad.jpg", b"no picture")
    with world.running():
        pass
    world.clock = OtherBoot()
    world.remote.forget_requests()
    with world.running() as live:
        begun = world.clock.monotonic()
        live.until(lambda: bool(world.remote.uploads()))
        assert world.clock.monotonic() - begun < IMAGE_RETRY_SECONDS[0] + 2.0


# Deletions.


@pytest.mark.parametrize("stepped", [-DAY, DAY])
def test_deletions_are_counted_for_ten_minutes_whatever_the_wall_clock_does(
    world: World, stepped: float
) -> None:
    world.hold = HoldPolicy(count=5, percent=10)
    for number in range(20):
        world.disk.write(f"{number:02}.jpg", fake_picture(number))
    with world.running() as live:
        for number in range(5):
            world.disk.remove(f"{number:02}.jpg")
        live.settle()
        assert len(world.remote.deletes()) == 5
        world.clock.set_wall_clock(stepped)
        world.disk.remove("05.jpg")
        live.settle()
        assert (len(world.remote.deletes()), world.held()) == (5, 1)


def test_deletions_of_ten_minutes_ago_do_not_count_after_the_clock_was_set_back(
    world: World,
) -> None:
    world.hold = HoldPolicy(count=5, percent=10)
    for number in range(20):
        world.disk.write(f"{number:02}.jpg", fake_picture(number))
    with world.running() as live:
        for number in range(5):
            world.disk.remove(f"{number:02}.jpg")
        live.settle()
        world.clock.set_wall_clock(-DAY)
        world.clock.advance(601.0)
        world.disk.remove("05.jpg")
        live.settle()
        assert (len(world.remote.deletes()), world.held()) == (6, 0)


# A running service.


@pytest.fixture
def photos(tmp_path: Path) -> Iterator[World]:
    with ServedWorld(tmp_path) as world:
        world.disk.write("a.jpg", fake_picture(1))
        yield world


@pytest.mark.parametrize("jump", ["suspend", "forward", "back"])
def test_after_a_jump_the_service_scans_and_nothing_is_stale(photos: World, jump: str) -> None:
    """A file that came during the suspend raised no event."""
    clock = photos.clock
    with serving(photos, ToldWatcher(), dependencies=Dependencies(clock, make_workers=Workers)):
        until(lambda: the_service_says(photos, Exit.OK))
        photos.disk.write("b.jpg", fake_picture(2))
        match jump:
            case "suspend":
                clock.suspend(1800.0)
            case "forward":
                clock.set_wall_clock(DAY)
            case "back":
                clock.set_wall_clock(-DAY)
        begun = clock.monotonic()
        until(lambda: photos.remote.holds(fake_picture(2)))
        assert clock.monotonic() - begun < 60.0, "it did not wait for its next scan"
        until(lambda: the_service_says(photos, Exit.OK))


def test_a_suspend_or_a_set_clock_makes_no_scan_too_old(
    photos: World,
) -> None:
    clock = photos.clock
    dependencies = Dependencies(clock, make_workers=Workers)
    with serving(photos, ToldWatcher(), dependencies=dependencies) as service:
        until(lambda: the_service_says(photos, Exit.OK))
        snapshot_reader = SnapshotReader(photos.config, lambda: service.view)
        for step in (1800.0, DAY, -3 * DAY):
            clock.suspend(1800.0)
            clock.set_wall_clock(step)
            reasons = [*read_status(photos.config).reasons(), *problems(snapshot_reader.look())]
            assert not any("too long ago" in reason for reason in reasons)


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(0)))
    home.configure()
    return home


@pytest.mark.integration
def test_a_clock_that_is_set_under_a_running_service_leaves_it_in_sync(home: Installation) -> None:
    clock = SteppedClock(home)

    def reasons() -> list[str]:
        done = home.run_process("status")
        return [line for line in done.out.splitlines() if line.startswith("- ")]

    with home.running() as service:
        until(lambda: not reasons())
        for seconds in (DAY, -DAY):
            begun = len(service.lines)
            clock.set(seconds)
            service.line_with("the clock was set", after=begun)
            until(lambda: not reasons())
            status = json.loads(home.run_process("status", "--json").out)
            assert status["in_sync"] is True
