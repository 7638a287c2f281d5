"""``status --watch``: the status again and again, for as long as somebody looks."""

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

from snoopsync.cli import output as results
from snoopsync.cli import overview
from snoopsync.config.settings import Config
from snoopsync.core.errors import SnoopsyncError
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.state.lock import holder
from snoopsync.status.status import Status, read_status

#: How often the status is shown anew.
_PAUSE_SECONDS = 1.0

#: Reading it may take this share of a processor's time beside a service. Without one, when folders
#: and collection are looked at, it may take this share of the time itself.
_SHARE = 0.05

#: How often a block is printed where there is no terminal, while nothing but numbers change.
_BLOCK_SECONDS = 10.0

#: The status, or why it can't be told.
Seen = Status | SnoopsyncError


def watch_status(console: Console, config: Config, *, as_json: bool) -> Exit:
    """Show the status as it changes, until Ctrl-C."""
    if as_json:
        showing = _as_json()
    elif console.is_terminal and not console.is_dumb_terminal:
        showing = _in_place(console)
    else:
        showing = _in_blocks(console, time.monotonic)
    with suppress(KeyboardInterrupt), _ended_by_sigterm(), showing as show:
        for seen in _follow(config):
            show(seen)
    return Exit.OK


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM is Ctrl-C, so that the terminal has its cursor again."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _follow(config: Config) -> Iterator[Seen]:
    """What there is to be seen now, without end, with a pause after each."""
    while True:
        began, worked = time.monotonic(), time.process_time()
        user = holder(config.state)
        seen: Seen
        try:
            seen = read_status(config)
        except SnoopsyncError as error:
            seen = error
        cost = time.process_time() - worked if user else time.monotonic() - began
        next_look = time.monotonic() + cost / _SHARE
        while True:
            yield replace(seen, now=time.time()) if isinstance(seen, Status) else seen
            time.sleep(_PAUSE_SECONDS)
            # That a service has come or gone is news at once.
            if time.monotonic() >= next_look or holder(config.state) != user:
                break


Show = Callable[[Seen], None]


@contextmanager
def _in_place(console: Console) -> Iterator[Show]:
    """On a terminal, where what was shown before was."""
    looking = Text("looking ...", "dim")
    with Live(looking, console=console, auto_refresh=False, redirect_stdout=False) as live:
        view: Group | Text = looking

        def show(seen: Seen) -> None:
            nonlocal view
            if isinstance(seen, Status):
                view = overview.overview(console, seen)
            else:
                view = Text(_unknown(seen), "red")
            footer = Text(f"{datetime.now().astimezone():%H:%M:%S} · Ctrl-C ends", "dim")
            live.update(Group(view, footer), refresh=True)

        try:
            yield show
        finally:
            live.update(view)


@contextmanager
def _in_blocks(console: Console, clock: Callable[[], float]) -> Iterator[Show]:
    """Where nothing can be shown in place: a block of lines when something is new."""
    shown: object = None
    told: object = None
    last = clock()

    def show(seen: Seen) -> None:
        nonlocal shown, told, last
        everything, news = _essence(seen)
        if everything == shown or (news == told and clock() < last + _BLOCK_SECONDS):
            return
        shown, told, last = everything, news, clock()
        lines = overview.lines(seen) if isinstance(seen, Status) else [_unknown(seen)]
        when = f"{datetime.now().astimezone():%Y-%m-%d %H:%M:%S}"
        for line in (when, *lines, ""):
            console.print(line, markup=False, highlight=False, soft_wrap=True)

    yield show


@contextmanager
def _as_json() -> Iterator[Show]:
    """A line for each change."""
    shown: dict[str, Any] | None = None

    def show(seen: Seen) -> None:
        nonlocal shown
        message = _message(seen)
        if message != shown:
            shown = message
            results.json_lines([message])
            sys.stdout.flush()

    yield show


def _message(seen: Seen) -> dict[str, Any]:
    if isinstance(seen, Status):
        return seen.as_message()
    return {"in_sync": False, "error": str(seen)}


def _unknown(error: SnoopsyncError) -> str:
    return f"not in sync as far as can be told: {printable(str(error))}"


def _essence(seen: Seen) -> tuple[object, object]:
    """What makes this status another one than that before, and what of it is news at once."""
    if not isinstance(seen, Status):
        return str(seen), str(seen)
    states = [(each.row.name, each.state, each.counts) for each in seen.folders]
    news = [(name, state, counts.failed, counts.held) for name, state, counts in states]
    reasons, service = seen.reasons(), seen.service
    about = (not reasons, service.pid, service.trouble, seen.collection)
    duplicates = seen.duplicates_open, seen.to_compare
    return (about, states, reasons, seen.doing, duplicates), (about, news)
