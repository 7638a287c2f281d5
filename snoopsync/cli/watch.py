"""``status --watch``: shows the status continuously until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from snoopsync.cli.json_lines import print_json
from snoopsync.cli.status_view import status_group, status_lines
from snoopsync.config.settings import Config
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.state.lock import holder
from snoopsync.status.model import Status
from snoopsync.status.reading import read_status

#: The time between updates.
_PAUSE_SECONDS = 1.0

#: The largest share of CPU time to spend on reading the status of a service. Without a service,
#: when folders are scanned, the largest share of elapsed time.
_MAX_LOAD = 0.05

#: The time between blocks of lines while only numbers change.
_BLOCK_SECONDS = 10.0

#: The status, or why it can't be read.
StatusOrError = Status | SnoopsyncError

#: Shows a status.
Display = Callable[[StatusOrError], None]


def watch_status(console: Console, config: Config, *, as_json: bool) -> Exit:
    """Show the status and its changes until Ctrl-C."""
    if as_json:
        displaying = _as_json()
    elif console.is_terminal and not console.is_dumb_terminal:
        displaying = _in_place(console)
    else:
        displaying = _in_blocks(console, time.monotonic)
    with suppress(KeyboardInterrupt), _sigterm_as_interrupt(), displaying as display:
        for current in _follow(config):
            display(current)
    return Exit.OK


@contextmanager
def _sigterm_as_interrupt() -> Iterator[None]:
    """Handle SIGTERM like Ctrl-C, so that the terminal is restored."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _follow(config: Config) -> Iterator[StatusOrError]:
    """Yield the current status repeatedly, without end, with a pause after each."""
    while True:
        began, cpu_began = time.monotonic(), time.process_time()
        pid = holder(config.state)
        current: StatusOrError
        try:
            current = read_status(config)
        except SnoopsyncError as error:
            current = error
        cost = time.process_time() - cpu_began if pid else time.monotonic() - began
        next_reading = time.monotonic() + cost / _MAX_LOAD
        while True:
            yield replace(current, now=time.time()) if isinstance(current, Status) else current
            time.sleep(_PAUSE_SECONDS)
            # Read at once if a service has started or stopped.
            if time.monotonic() >= next_reading or holder(config.state) != pid:
                break


@contextmanager
def _in_place(console: Console) -> Iterator[Display]:
    """Replace the previous status on the terminal."""
    reading = Text("reading the status ...", "dim")
    with Live(reading, console=console, auto_refresh=False, redirect_stdout=False) as live:
        view: Group | Text = reading

        def display(current: StatusOrError) -> None:
            nonlocal view
            if isinstance(current, Status):
                view = status_group(console, current)
            else:
                view = Text(_unknown(current), "red")
            footer = Text(f"{datetime.now().astimezone():%H:%M:%S} · Ctrl-C to quit", "dim")
            live.update(Group(view, footer), refresh=True)

        try:
            yield display
        finally:
            live.update(view)


@contextmanager
def _in_blocks(console: Console, clock: Callable[[], float]) -> Iterator[Display]:
    """Print a block of lines for each change, at once if more than numbers changed."""
    shown: object = None
    shown_urgent: object = None
    last = clock()

    def display(current: StatusOrError) -> None:
        nonlocal shown, shown_urgent, last
        everything, urgent = _comparable(current)
        is_early = clock() < last + _BLOCK_SECONDS
        if everything == shown or (urgent == shown_urgent and is_early):
            return
        shown, shown_urgent, last = everything, urgent, clock()
        lines = status_lines(current) if isinstance(current, Status) else [_unknown(current)]
        when = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        for line in (when, *lines, ""):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    yield display


@contextmanager
def _as_json() -> Iterator[Display]:
    """Print a line of JSON for each change."""
    shown: dict[str, Any] | None = None

    def display(current: StatusOrError) -> None:
        nonlocal shown
        if isinstance(current, Status):
            message = current.as_message()
        else:
            message = {"in_sync": False, "error": str(current)}
        if message != shown:
            shown = message
            print_json([message])
            sys.stdout.flush()

    yield display


def _unknown(error: SnoopsyncError) -> str:
    return f"the status is unknown: {printable(str(error))}"


def _comparable(current: StatusOrError) -> tuple[object, object]:
    """The parts of a status whose change is shown, and those whose change is shown at once."""
    if not isinstance(current, Status):
        return str(current), str(current)
    folders = [(each.row.name, each.state, each.counts) for each in current.folders]
    urgent = [(name, state, counts.failed, counts.held) for name, state, counts in folders]
    reasons, service = current.reasons(), current.service
    overall = (not reasons, service.pid, service.trouble, current.collection)
    duplicates = current.duplicates_open, current.to_compare
    return (overall, folders, reasons, current.doing, duplicates), (overall, urgent)
