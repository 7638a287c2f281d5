"""How far something is: a bar on a terminal, a line of the log now and then elsewhere."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as Bar
from rich.text import Text

from snoopsync.core.durations import describe_duration
from snoopsync.core.events import Event, log_event
from snoopsync.core.text import counted, images
from snoopsync.sync.resync import Progress, Show

log = logging.getLogger("snoopsync.progress")

#: How often progress is logged where there is no terminal.
LINE_SECONDS = 10.0

_SCANNING = "scanning"


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Images a second."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress(console: Console, *, wanted: bool = True) -> Iterator[Show]:
    """Shows how far something is while the ``with`` lasts, unless it is not ``wanted``."""
    if not wanted:
        yield lambda progress: None
    elif console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield lines(time.monotonic)


@contextmanager
def _bar(console: Console) -> Iterator[Show]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    # Standard output may be another terminal, or a file, and is never written through the bar's.
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(_SCANNING, total=None)
        phase = _SCANNING

        def show(progress: Progress) -> None:
            nonlocal phase
            if progress.phase != phase:
                phase = progress.phase
                bar.reset(task, description=phase)  # the rate of scanning says nothing of sending
            if phase == _SCANNING:
                bar.update(task, completed=progress.scanned)
            else:
                total = progress.done + progress.left
                bar.update(task, completed=progress.done, total=total)

        yield show


def lines(clock: Callable[[], float]) -> Show:
    """A line of the log every ``LINE_SECONDS`` of the clock: what is done, how fast, what is
    left."""
    begun = last = clock()
    phase = _SCANNING
    done_before = 0

    def tell(progress: Progress, message: str, *args: object) -> None:
        log_event(log, logging.INFO, Event.PROGRESS, message, *args, **asdict(progress))

    def show(progress: Progress) -> None:
        nonlocal begun, last, phase, done_before
        now = clock()
        if progress.phase != phase:
            begun, phase, done_before = now, progress.phase, progress.done
        if now - last < LINE_SECONDS:
            return
        last = now
        if phase == _SCANNING:
            tell(progress, "scanning: %s looked at", counted(progress.scanned, "file"))
            return
        rate = (progress.done - done_before) / (now - begun) if now > begun else 0.0
        left = f", {describe_duration(progress.left / rate)} left" if rate else ""
        total = progress.done + progress.left
        message = "%s: %d of %s, %.0f/s%s"
        tell(progress, message, phase, progress.done, images(total), rate, left)

    return show
