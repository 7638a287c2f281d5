"""Shows progress: a bar on a terminal, regular log lines elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from snoopsync.core.durations import describe_duration
from snoopsync.core.events import Event, log_event
from snoopsync.core.text import counted, images
from snoopsync.sync.resync import ResyncProgress, Show

if TYPE_CHECKING:
    from snoopsync.cli.context import Context

log = logging.getLogger("snoopsync.progress")

#: The time between log lines.
LINE_SECONDS = 10.0

_SCANNING = "scanning"


@contextmanager
def progress(context: Context, *, wanted: bool = True) -> Iterator[Show]:
    """Yield a function that shows progress during the ``with`` block, or does nothing if not
    ``wanted``."""
    if not wanted:
        yield lambda progress: None
    elif (console := context.err).is_terminal:
        from snoopsync.cli.progress_bar import progress_bar

        with progress_bar(console) as show:
            yield show
    else:
        yield lines(time.monotonic)


def lines(clock: Callable[[], float]) -> Show:
    """Return a function that logs the progress, the rate and the time left every
    ``LINE_SECONDS``."""
    begun = last = clock()
    phase = _SCANNING
    done_before = 0

    def log_progress(progress: ResyncProgress, message: str, *args: object) -> None:
        log_event(log, logging.INFO, Event.PROGRESS, message, *args, **asdict(progress))

    def show(progress: ResyncProgress) -> None:
        nonlocal begun, last, phase, done_before
        now = clock()
        if progress.phase != phase:
            begun, phase, done_before = now, progress.phase, progress.done
        if now - last < LINE_SECONDS:
            return
        last = now
        if phase == _SCANNING:
            log_progress(progress, "scanning: %s scanned", counted(progress.scanned, "file"))
            return
        rate = (progress.done - done_before) / (now - begun) if now > begun else 0.0
        left = f", {describe_duration(progress.left / rate)} left" if rate else ""
        total = progress.done + progress.left
        message = "%s: %d of %s, %.0f/s%s"
        log_progress(progress, message, phase, progress.done, images(total), rate, left)

    return show
