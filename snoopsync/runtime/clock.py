"""Time, as an argument: whoever needs to know it is given a clock.

Three kinds of time are kept apart, and are never compared with each other:

- the wall clock says when something happened. It is for people only, because it can be set.
- monotonic time is for waiting, and for how long a part has made no progress. It stands still while
  the machine is suspended.
- boot time goes on while the machine is suspended. The difference between it and monotonic time is
  how long the machine was suspended.

Times in the state file that decide what is done (when a refused image is tried again, how many
deletions were sent lately) are those of ``snoopsync.state.schedule``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: A shorter suspend, or a smaller step of the wall clock, leaves nothing stale.
JUMP_SECONDS = 5.0

#: Readings of several clocks belong together if they were taken within this time.
_ONE_MOMENT_SECONDS = 0.5

#: How late a wait for a boot time may end after a suspend.
_SUSPEND_LATENCY_SECONDS = 1.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The machine's time. A test has one of its own."""

    def now(self) -> float:
        """Unix seconds, by the wall clock."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back, from any point on, without those of a suspend."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since the machine was started, with those of every suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """Which start of the machine this is: another text after each. Empty if nothing tells."""
        try:
            return _BOOT_ID.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until the event is set, for at most so long."""
        event.wait(seconds)

    def wait_until(self, event: threading.Event, boottime: float) -> None:
        """Wait until the event is set, or until ``boottime`` reaches this value."""
        while not event.is_set() and (left := boottime - self.boottime()) > 0:
            # In parts: the time of a suspend counts here, but not for ``event.wait``.
            event.wait(min(left, _SUSPEND_LATENCY_SECONDS))


@dataclass(frozen=True, slots=True)
class Jump:
    """How long the machine was suspended, and how far the wall clock was set (negative: back), in
    seconds."""

    suspended: float
    stepped: float

    def __str__(self) -> str:
        parts = []
        if self.suspended > JUMP_SECONDS:
            parts.append(f"the machine was suspended for {self.suspended:.0f} s")
        if abs(self.stepped) > JUMP_SECONDS:
            direction = "forward" if self.stepped > 0 else "back"
            parts.append(f"the clock was set {direction} by {abs(self.stepped):.0f} s")
        return ", ".join(parts)


class JumpDetector:
    """Notices that the machine was suspended, and that its wall clock was set. For one thread."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._suspended, self._offset = self._read()

    def look(self) -> Jump | None:
        """What happened since the last jump, if anything did."""
        suspended, offset = self._read()
        jump = Jump(suspended - self._suspended, offset - self._offset)
        if jump.suspended <= JUMP_SECONDS and abs(jump.stepped) <= JUMP_SECONDS:
            return None
        self._suspended, self._offset = suspended, offset
        return jump

    def _read(self) -> tuple[float, float]:
        """The time of all suspends, and what the wall clock is ahead of boot time."""
        clock = self._clock
        while True:
            before = clock.monotonic()
            boottime, now = clock.boottime(), clock.now()
            # The process may have been stopped in between, which looks like a jump.
            if clock.monotonic() - before < _ONE_MOMENT_SECONDS:
                return boottime - before, now - boottime
