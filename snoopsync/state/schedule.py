"""The time of rows that decide what is done: when an image is tried again, which deletions count.

Such a row has to survive a restart, so it can't be monotonic time; and it must be neither late nor
forgotten when somebody sets the clock, so it can't be the wall clock's. Schedule time is boot time
plus an offset. The offset is the wall clock's at the first start after a boot, and stays until the
next boot: whatever the wall clock does, schedule time goes on, through every suspend and restart.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from snoopsync.runtime.clock import Clock
from snoopsync.state.images import State

#: The fact that has the boot's ID and the offset.
_FACT = "schedule"

#: After these, in this order, an image that was refused is tried again; then the last one again.
RETRY_SECONDS = (25.0, 120.0, 600.0, 3600.0, 18_000.0, 86_400.0)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule time. ``offset_seconds`` is added to boot time."""

    clock: Clock
    offset_seconds: float

    def now(self) -> float:
        """Seconds that never go back and never stand still. They begin as Unix time does, and need
        not be it later."""
        return self.clock.boottime() + self.offset_seconds


def read_schedule(state: State, clock: Clock) -> Schedule:
    """The schedule that the rows of this state file go by."""
    boot_id, _, offset = (state.fact(_FACT) or "").rpartition(" ")
    if boot_id and boot_id == clock.boot_id():
        with suppress(ValueError):  # of a damaged file
            return Schedule(clock, float(offset))
    return Schedule(clock, clock.now() - clock.boottime())


def begin_schedule(state: State, clock: Clock) -> Schedule:
    """The same, for whoever is about to change the rows. It is kept until the next boot. After
    a boot the wall clock may be far behind: a retry never comes later than its own delay from now,
    and no deletion was sent in the future."""
    schedule = read_schedule(state, clock)
    now = schedule.now()
    with state.transaction():
        state.set_fact(_FACT, f"{clock.boot_id()} {schedule.offset_seconds!r}")
        state.intents.limit_retries(now, RETRY_SECONDS)
        state.deletions.limit_sent(now)
    return schedule
