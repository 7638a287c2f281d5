"""The signals of a service: SIGTERM and SIGINT end it, SIGHUP reloads its configuration.

Only the main thread runs signal handlers, but the kernel may deliver a signal to any thread, which
does not wake up the main thread. Python also writes a byte to a pipe for every signal. The main
thread waits for this pipe, so it misses no signal.
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
        """Returns whether a reload was requested since the last call."""
        wanted, self.reload = self.reload, False
        return wanted


class Wakeup:
    """Wakes up a waiting thread. Any thread may call ``notify``, and so does every signal within
    ``wakeup``."""

    def __init__(self) -> None:
        self._read, self.descriptor = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self.descriptor, False)
        self._lock = threading.Lock()
        self._is_closed = False

    def notify(self) -> None:
        """Wake up the waiting thread. Does nothing after ``close``."""
        with self._lock, suppress(BlockingIOError):  # a full pipe also wakes up the thread
            if not self._is_closed:
                os.write(self.descriptor, b".")

    def wait(self, seconds: float | None = None) -> None:
        """Wait for ``notify`` or a signal, for at most this many seconds. Returns at once if one
        came since the last wait."""
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
    """Within the ``with`` block, record signals instead of ending the process. For the main
    thread."""
    signals = Signals()

    def stop(number: int, frame: FrameType | None) -> None:
        signals.stop = True

    def reload(number: int, frame: FrameType | None) -> None:
        signals.reload = True

    handlers = {signal.SIGTERM: stop, signal.SIGINT: stop}
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        # A closing terminal sends SIGHUP. The service then ends, as no one could stop it later.
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
    """A ``Wakeup`` that every signal notifies, including the earlier ones in ``signals``. For the
    main thread."""
    with closing(Wakeup()) as wake:
        # Python writes a byte for each signal that has a handler.
        earlier = signal.set_wakeup_fd(wake.descriptor, warn_on_full_buffer=False)
        if signals.stop or signals.reload:
            wake.notify()
        try:
            yield wake
        finally:
            signal.set_wakeup_fd(earlier)
