"""The signals of a service: SIGTERM and SIGINT end it, SIGHUP gives it a new configuration.

The kernel gives a signal to any of the threads (right after SIGCONT it does), which interrupts no
wait of the main one, and that alone runs handlers. What is written at once is a byte in a pipe:
whoever waits for the pipe misses none.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from types import FrameType


class Signals:
    """Which signals came."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False

    def take_reload(self) -> bool:
        """Has somebody asked for a new configuration since this was last asked?"""
        wanted, self.reload = self.reload, False
        return wanted


class Wakeup:
    """Any thread may ring it, and so does every signal; one waits for it."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def notify(self) -> None:
        """Something happened. A thread that was not waited for may come late."""
        with self._lock, suppress(BlockingIOError):  # a full pipe rings already
            if not self._is_closed:
                os.write(self.descriptor, b".")

    def wait(self, seconds: float | None = None) -> None:
        """Wait for it, for at most so long. What rang until now is heard."""
        if select.select([self._read], [], [], seconds)[0]:
            with suppress(BlockingIOError):
                os.read(self._read, select.PIPE_BUF)

    def close(self) -> None:
        """Close the pipe."""
        with self._lock:
            self._is_closed = True
            os.close(self._read)
            os.close(self.descriptor)


@contextmanager
def caught() -> Iterator[Signals]:
    """Note the signals instead of being ended by them. For the main thread."""
    signals = Signals()

    def stop(number: int, frame: FrameType | None) -> None:
        signals.stop = True

    def reload(number: int, frame: FrameType | None) -> None:
        signals.reload = True

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # A terminal that is closed says good-bye with it, and nobody is left to end us then.
        handlers[signal.SIGHUP] = stop if _is_interactive() else reload
    earlier = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    try:
        yield signals
    finally:
        for number, handler in earlier.items():
            signal.signal(number, handler)


def _is_interactive() -> bool:
    return sys.stdin is not None and sys.stdin.isatty()


@contextmanager
def wakeup(signals: Signals) -> Iterator[Wakeup]:
    """A bell that the signals ring, those of before too. For the main thread."""
    with closing(Wakeup()) as it:
        # The byte that Python writes says it all; but without a handler it writes none.
        earlier = signal.set_wakeup_fd(it.descriptor, warn_on_full_buffer=False)
        if signals.stop or signals.reload:
            it.notify()
        try:
            yield it
        finally:
            signal.set_wakeup_fd(earlier)
