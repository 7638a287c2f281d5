"""The machine's clocks, and the jumps of time that they show."""

from __future__ import annotations

import threading

from snoopsync.runtime.clock import Clock, Jump, JumpDetector
from tests.support.world import JumpingClock

DAY = 86_400.0


def test_a_suspend_and_a_step_of_the_wall_clock_are_distinguished() -> None:
    clock = JumpingClock()
    jumps = JumpDetector(clock)
    clock.advance(1e6)
    assert jumps.look() is None, "time went by"
    clock.suspend(1800.0)
    assert jumps.look() == Jump(1800.0, 0.0)
    clock.set_wall_clock(-DAY)
    assert jumps.look() == Jump(0.0, -DAY)
    assert jumps.look() is None, "a jump is reported once"


def test_many_small_steps_are_a_jump() -> None:
    clock = JumpingClock()
    jumps = JumpDetector(clock)
    found = []
    for _ in range(20):
        clock.set_wall_clock(1.0)
        found.append(jumps.look())
    assert [jump for jump in found if jump] == [Jump(0.0, 6.0)] * 3


def test_a_stop_between_reading_two_clocks_is_not_a_jump() -> None:
    class Stopped(JumpingClock):
        stops = 0

        def boottime(self) -> float:
            if self.stops:
                self.stops -= 1
                self.advance(3600.0)
            return super().boottime()

    clock = Stopped()
    jumps = JumpDetector(clock)
    clock.stops = 1
    assert jumps.look() is None


def test_the_machines_own_clocks_agree() -> None:
    clock = Clock()
    before = clock.monotonic()
    assert clock.boottime() >= before - 0.001
    assert clock.boot_id() == clock.boot_id()
    assert JumpDetector(clock).look() is None


def test_a_jump_is_described_in_words() -> None:
    assert str(Jump(1800.0, 0.0)) == "the machine was suspended for 1800 s"
    assert str(Jump(0.0, -60.0)) == "the clock was set back by 60 s"
    assert str(Jump(7.0, 60.0)) == (
        "the machine was suspended for 7 s, the clock was set forward by 60 s"
    )


def test_a_wait_ends_at_once_when_its_event_is_set() -> None:
    event = threading.Event()
    event.set()
    Clock().wait(event, 600.0)
    Clock().wait_until(event, Clock().boottime() + 600.0)


def test_a_wait_for_a_time_that_has_passed_ends_at_once() -> None:
    Clock().wait_until(threading.Event(), Clock().boottime() - 1.0)
