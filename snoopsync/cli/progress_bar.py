"""A progress bar on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

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

from snoopsync.sync.resync import Phase, ResyncProgress, Show


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """The rate in images per second."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress_bar(console: Console) -> Iterator[Show]:
    """A function that shows progress in a bar during the ``with`` block."""
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    # Leave standard output alone: it may be another terminal or a file.
    with Bar(*columns, console=console, transient=True, redirect_stdout=False) as bar:
        task = bar.add_task(Phase.SCANNING, total=None)
        phase: str = Phase.SCANNING

        def show(progress: ResyncProgress) -> None:
            nonlocal phase
            if progress.phase != phase:
                phase = progress.phase
                bar.reset(task, description=phase)  # each phase has its own rate
            if phase == Phase.SCANNING:
                bar.update(task, completed=progress.scanned)
            else:
                total = progress.done + progress.left
                bar.update(task, completed=progress.done, total=total)

        yield show
