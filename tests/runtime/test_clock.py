"""The machine's clocks, and the jumps of time that they show."""

from __future__ import annotations

import threading

import pytest

from snoopsync.runtime.clock import JUMP_SECONDS, Clock, Jump, JumpDetector
from tests.support.world import JumpingClock


def test_the_clocks_go_on() -> None:
    clock = Clock()
    for read in (clock.monotonic, clock.boottime):
        assert read() <= read()
    assert clock.boottime() >= clock.monotonic() - 1.0
    assert clock.boot_id() == clock.boot_id()


def test_a_wait_ends_at_once_when_its_event_is_set() -> None:
    event = threading.Event()
    event.set()
    Clock().wait(event, 600.0)
    Clock().wait_until(event, Clock().boottime() + 600.0)


def test_a_wait_for_a_time_that_has_passed_ends_at_once() -> None:
    Clock().wait_until(threading.Event(), Clock().boottime() - 1.0)


def test_time_that_passes_is_no_jump() -> None:
    clock = JumpingClock()
    detector = JumpDetector(clock)
    clock.advance(100_000.0)
    assert detector.look() is None


def test_a_suspend_is_found_once() -> None:
    clock = JumpingClock()
    detector = JumpDetector(clock)
    clock.suspend(3600.0)
    assert detector.look() == Jump(3600.0, 0.0)
    assert detector.look() is None


@pytest.mark.parametrize("step", [60.0, -60.0])
def test_a_step_of_the_wall_clock_is_found_once(step: float) -> None:
    clock = JumpingClock()
    detector = JumpDetector(clock)
    clock.set_wall_clock(step)
    assert detector.look() == Jump(0.0, step)
    assert detector.look() is None


def test_small_steps_are_added_up() -> None:
    clock = JumpingClock()
    detector = JumpDetector(clock)
    for _ in range(2):
        assert detector.look() is None
        clock.set_wall_clock(0.6 * JUMP_SECONDS)
    assert detector.look() == Jump(0.0, 1.2 * JUMP_SECONDS)


def test_a_jump_is_described_in_words() -> None:
    assert str(Jump(90.0, -60.0)) == (
        "the machine was suspended for 90 s, the clock was set back by 60 s"
    )
    assert str(Jump(1.0, 60.0)) == "the clock was set forward by 60 s"
