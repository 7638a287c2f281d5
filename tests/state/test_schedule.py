"""Schedule time goes on through suspends and restarts, whatever happens to the wall clock."""

from __future__ import annotations

import pytest

from snoopsync.state.images import State
from snoopsync.state.schedule import begin_schedule, read_schedule
from tests.support.world import JumpingClock


class BootedClock(JumpingClock):
    """A clock of the machine's boot number ``boot``."""

    boot = 1

    def boot_id(self) -> str:
        return f"boot {self.boot}"


@pytest.fixture
def clock() -> BootedClock:
    return BootedClock()


def test_a_new_schedule_has_the_time_of_the_wall_clock(state: State, clock: BootedClock) -> None:
    clock.set_wall_clock(1000.0)
    assert begin_schedule(state, clock).now() == clock.now()


def test_a_schedule_counts_the_time_of_a_suspend(state: State, clock: BootedClock) -> None:
    schedule = begin_schedule(state, clock)
    before = schedule.now()
    clock.advance(5.0)
    clock.suspend(3600.0)
    assert schedule.now() == before + 3605.0


@pytest.mark.parametrize("step", [-86_400.0, 86_400.0])
def test_a_step_of_the_wall_clock_changes_nothing_until_the_next_boot(
    state: State, clock: BootedClock, step: float
) -> None:
    before = begin_schedule(state, clock).now()
    clock.set_wall_clock(step)
    assert begin_schedule(state, clock).now() == before
    clock.boot = 2
    assert begin_schedule(state, clock).now() == clock.now() == before + step


def test_reading_the_schedule_stores_nothing(state: State, clock: BootedClock) -> None:
    read_schedule(state, clock)
    assert state.fact("schedule") is None


def test_a_damaged_offset_counts_as_none(state: State, clock: BootedClock) -> None:
    state.set_fact("schedule", "boot 1 soon")
    assert read_schedule(state, clock).now() == clock.now()
