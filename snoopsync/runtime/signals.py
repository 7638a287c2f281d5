"""The signals of a service: SIGTERM and SIGINT end it, SIGHUP reloads its configuration.

The kernel may deliver a signal to any thread, which does not interrupt a wait of the main thread;
but only the main thread runs handlers. Python writes a byte to a pipe for every signal, so a thread
that waits for the pipe misses none.
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
    """Which signals were received."""

    def __init__(self) -> None:
        self.stop = False
        self.reload = False

    def take_reload(self) -> bool:
        """Returns whether a reload was asked for since the last call."""
        wanted, self.reload = self.reload, False
        return wanted


class Wakeup:
    """Wakes up a thread that waits. Any thread may call ``notify``; every signal does the same."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def notify(self) -> None:
        """Wake up the thread that waits. Does nothing after ``close``."""
        with self._lock, suppress(BlockingIOError):  # a full pipe wakes it up as well
            if not self._is_closed:
                os.write(self.descriptor, b".")

    def wait(self, seconds: float | None = None) -> None:
        """Wait for ``notify`` or a signal, for at most this many seconds. Earlier ones count."""
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
    """Record signals in the ``with`` instead of being ended by them. For the main thread."""
    signals = Signals()

    def stop(number: int, frame: FrameType | None) -> None:
        signals.stop = True

    def reload(number: int, frame: FrameType | None) -> None:
        signals.reload = True

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # A terminal that is closed sends it, and then no person is left to end the service.
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
    """A ``Wakeup`` that signals notify, including those of ``signals``. For the main thread."""
    with closing(Wakeup()) as it:
        # Python writes a byte for each signal that has a handler.
        earlier = signal.set_wakeup_fd(it.descriptor, warn_on_full_buffer=False)
        if signals.stop or signals.reload:
            it.notify()
        try:
            yield it
        finally:
            signal.set_wakeup_fd(earlier)
