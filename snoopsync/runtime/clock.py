"""The clock. Code that needs the time receives a clock as an argument.

There are three kinds of time, which are never compared with each other:

- Wall-clock time is shown to people. No decision depends on it, because it can be set.
- Monotonic time measures pauses, and how long a part has made no progress. It stops while the
  machine is suspended.
- Boot time continues while the machine is suspended. The difference between boot time and monotonic
  time is how long the machine was suspended.

Times in the state file that decisions depend on, such as the next attempt for a refused image, are
schedule times: see ``snoopsync.state.schedule``.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

#: A shorter suspend or a smaller step of the wall clock is ignored.
JUMP_SECONDS = 5.0

#: Readings of two clocks are compared only if they were taken within this time.
_SAME_MOMENT_SECONDS = 0.5

#: How late ``wait_until`` may return after a suspend.
_SUSPEND_LATENCY_SECONDS = 1.0

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class Clock:
    """The machine's clocks. Tests replace this class."""

    def now(self) -> float:
        """The wall-clock time, in seconds of Unix time."""
        return time.time()

    def monotonic(self) -> float:
        """Monotonic time in seconds, which stops during a suspend."""
        return time.monotonic()

    def boottime(self) -> float:
        """Seconds since the machine was booted, including every suspend."""
        return time.clock_gettime(time.CLOCK_BOOTTIME)

    def boot_id(self) -> str:
        """A text that changes with each boot; empty if the kernel does not report it."""
        try:
            return _BOOT_ID.read_text("ascii").strip()
        except (OSError, ValueError):
            return ""

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until the event is set, for at most this many seconds."""
        event.wait(seconds)

    def wait_until(self, event: threading.Event, boottime: float) -> None:
        """Wait until the event is set, or until ``boottime`` reaches this value."""
        while not event.is_set() and (left := boottime - self.boottime()) > 0:
            # Wait in short steps: ``event.wait`` does not count the time of a suspend.
            event.wait(min(left, _SUSPEND_LATENCY_SECONDS))


@dataclass(frozen=True, slots=True)
class Jump:
    """How long the machine was suspended, and how far the wall clock was set (negative: back), both
    in seconds."""

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
    """Detects suspends of the machine and steps of its wall clock. Not thread-safe."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._suspended, self._offset = self._read()

    def look(self) -> Jump | None:
        """The jump since the last one that was returned; ``None`` if there is none."""
        suspended, offset = self._read()
        jump = Jump(suspended - self._suspended, offset - self._offset)
        if jump.suspended <= JUMP_SECONDS and abs(jump.stepped) <= JUMP_SECONDS:
            return None
        self._suspended, self._offset = suspended, offset
        return jump

    def _read(self) -> tuple[float, float]:
        """The total time of all suspends, and how far the wall clock is ahead of boot time."""
        clock = self._clock
        while True:
            before = clock.monotonic()
            boottime, now = clock.boottime(), clock.now()
            # A process that was stopped between the readings must not look like a jump.
            if clock.monotonic() - before < _SAME_MOMENT_SECONDS:
                return boottime - before, now - boottime
