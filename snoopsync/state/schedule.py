"""Schedule time: the time of rows that decide what is done, such as when an image is tried again.

Such a row has to survive a restart, so its time can't be monotonic time. It must be neither late
nor lost when a person sets the clock, so its time can't be wall-clock time. Schedule time is boot
time plus an offset. The offset is chosen at the first start after a boot, so that schedule time is
wall-clock time then, and stays until the next boot. So schedule time continues through every
suspend and restart, whatever the wall clock does.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.runtime.clock import Clock
from snoopsync.state.images import State

#: The fact that holds the boot ID and the offset.
_FACT = "schedule"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule time. ``offset_seconds`` is added to boot time."""

    clock: Clock
    offset_seconds: float

    def now(self) -> float:
        """Seconds that never go back and never stop. They need not be Unix time."""
        return self.clock.boottime() + self.offset_seconds


def read_schedule(state: State, clock: Clock) -> Schedule:
    """The schedule time of the rows in this state file."""
    boot_id, _, offset = (state.fact(_FACT) or "").rpartition(" ")
    if boot_id and boot_id == clock.boot_id():
        with suppress(ValueError):  # the file is damaged
            return Schedule(clock, float(offset))
    return Schedule(clock, clock.now() - clock.boottime())


def begin_schedule(state: State, clock: Clock) -> Schedule:
    """The same, for a process that will change rows: the offset is stored until the next boot.

    After a boot the wall clock may be far behind. Retries are moved so that none is later than its
    own delay from now, and no deletion counts as sent in the future."""
    schedule = read_schedule(state, clock)
    now = schedule.now()
    with state.transaction():
        state.set_fact(_FACT, f"{clock.boot_id()} {schedule.offset_seconds!r}")
        state.intents.limit_retries(now, IMAGE_RETRY_SECONDS)
        state.deletions.limit_sent(now)
    return schedule
