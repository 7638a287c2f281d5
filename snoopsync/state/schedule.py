"""Schedule time: the clock for times in the state file that decisions depend on, such as when an
image is retried.

Such a time must be valid after a restart, so it can't be monotonic time. It must not become wrong
when a person sets the clock, so it can't be wall-clock time. Schedule time is boot time plus an
offset. The offset is chosen at the first start after a boot, so that schedule time equals the wall
clock at that moment, and does not change until the next boot. This way, schedule time continues
through every suspend and restart, whatever happens to the wall clock.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.runtime.clock import Clock
from snoopsync.state.images import State

#: The name of the fact with the boot ID and the offset.
_FACT = "schedule"


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule time. ``offset_seconds`` is added to boot time."""

    clock: Clock
    offset_seconds: float

    def now(self) -> float:
        """The schedule time in seconds, which never goes back and never stops. It is not always
        Unix time."""
        return self.clock.boottime() + self.offset_seconds


def read_schedule(state: State, clock: Clock) -> Schedule:
    """The schedule time of the rows in this state file."""
    boot_id, _, offset = (state.fact(_FACT) or "").rpartition(" ")
    if boot_id and boot_id == clock.boot_id():
        with suppress(ValueError):  # the file is damaged
            return Schedule(clock, float(offset))
    return Schedule(clock, clock.now() - clock.boottime())


def begin_schedule(state: State, clock: Clock) -> Schedule:
    """Like ``read_schedule``, for a process that will change rows. The offset is stored until the
    next boot.

    After a boot the wall clock may be far behind. Times that are then too late are corrected: of
    retries, and of deletions that were sent."""
    schedule = read_schedule(state, clock)
    now = schedule.now()
    with state.transaction():
        state.set_fact(_FACT, f"{clock.boot_id()} {schedule.offset_seconds!r}")
        state.intents.limit_retries(now, IMAGE_RETRY_SECONDS)
        state.deletions.limit_sent(now)
    return schedule
