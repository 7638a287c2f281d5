"""Time, as an argument: whoever needs to know it is given a clock."""

from __future__ import annotations

import threading
import time


class Clock:
    """The machine's time. A test has one of its own."""

    def now(self) -> float:
        """Unix seconds."""
        return time.time()

    def monotonic(self) -> float:
        """Seconds that never go back, from any point on."""
        return time.monotonic()

    def wait(self, event: threading.Event, seconds: float) -> None:
        """Wait until the event is set, for at most so long."""
        event.wait(seconds)
