"""What a person sees: tables and progress on a terminal, plain lines elsewhere."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
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
from rich.table import Table
from rich.text import Text

from snoopsync.model import Place, printable
from snoopsync.resync import Progress, Report
from snoopsync.state.images import ImageRow
from snoopsync.state.pairs import Duplicate, Side
from snoopsync.status import Status, iso

log = logging.getLogger("snoopsync.progress")

#: How often progress is logged where there is no terminal.
_LINE_SECONDS = 10.0

_COLOURS = {
    "ok": "green",
    "synced": "green",
    "open": "yellow",
    "scanning": "cyan",
    "pending": "cyan",
    "failed": "red",
    "missing": "red",
    "held": "yellow",
    "unwatched": "yellow",
    "gone": "dim",
    "dismissed": "dim",
}

Show = Callable[[Progress], None]


def json_line(value: Any) -> None:
    """One value on one line of standard output. Names that are not UTF-8 have surrogates in them,
    which JSON can only say escaped."""
    click.echo(json.dumps(value))


# Progress.


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        """Images a second."""
        return Text(f"{task.speed:.0f}/s" if task.speed else "", style="progress.data.speed")


@contextmanager
def progress(console: Console, *, wanted: bool = True) -> Iterator[Show]:
    """Shows how far something is while the ``with`` lasts: as a bar on a terminal, now and then as
    a line of the log elsewhere, not at all if it is not ``wanted``."""
    if not wanted:
        yield lambda progress: None
    elif console.is_terminal:
        with _bar(console) as show:
            yield show
    else:
        yield _lines()


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
    with Bar(*columns, console=console, transient=True) as bar:
        task = bar.add_task("scanning", total=None)

        def show(progress: Progress) -> None:
            if progress.phase == "scanning":
                bar.update(task, description="scanning", completed=progress.scanned)
            else:
                total = progress.done + progress.left
                bar.update(task, description=progress.phase, completed=progress.done, total=total)

        yield show


def _lines() -> Show:
    last = time.monotonic()

    def show(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _LINE_SECONDS:
            last = time.monotonic()
            log.info(
                "%s: %d files looked at, %d images done, %d left",
                progress.phase,
                progress.scanned,
                progress.done,
                progress.left,
            )

    return show


# Results.


def status(console: Console, status: Status) -> None:
    """The status: a sentence, the folders, and why not everything is mirrored."""
    reasons = status.reasons()
    headline = "[green]in sync[/]" if not reasons else "[yellow]not in sync[/]"
    service = f"process {status.service.pid}" if status.service.is_running else "not running"
    reachable = "" if status.collection.reachable else ", not reachable"
    console.print(f"{headline} · service {service} · ", end="")
    console.print(f"{status.collection.endpoint} collection{reachable}", highlight=False)
    table = _table(
        "folder", "state", ">images", ">waiting", ">failed", ">held", "last scan", "path"
    )
    for folder in status.folders:
        counts = folder.counts
        table.add_row(
            printable(folder.row.name.encode()),
            _coloured(folder.state),
            str(counts.images),
            str(counts.pending),
            str(counts.failed),
            str(counts.held),
            ago(folder.row.last_scan, status.now),
            printable(folder.row.path),
        )
    console.print(table)
    for reason in reasons:
        console.print(f"- {reason}", markup=False, highlight=False)
    if status.duplicates_open:
        console.print(f"{status.duplicates_open} open duplicates (snoopsync duplicates)")


def images(console: Console, rows: Iterator[ImageRow]) -> None:
    """The images, a line each."""
    table = _table("state", "image", ">bytes", "ID", "reason")
    for row in rows:
        table.add_row(
            _coloured(row.state), str(row.place), str(row.size), row.image_id, row.error or ""
        )
    console.print(table)


def image_message(row: ImageRow) -> dict[str, Any]:
    """An image as ``list --json`` has it."""
    return {
        "folder": row.place.folder,
        "path": row.place.text,
        "image_id": row.image_id,
        "state": row.state,
        "size": row.size,
        "synced_at": iso(row.synced_at),
        "error": row.error,
    }


def duplicates(console: Console, pairs: list[Duplicate]) -> None:
    """The duplicates, a line each."""
    if not pairs:
        console.print("no duplicates")
        return
    table = _table(">rank", "image", "is like", "state", "found")
    for pair in pairs:
        table.add_row(
            str(pair.rank),
            _side(pair.a),
            _side(pair.b),
            _coloured(pair.state),
            ago(pair.found_at, time.time()),
        )
    console.print(table)


def duplicate_message(pair: Duplicate) -> dict[str, Any]:
    """A pair as ``duplicates --json`` has it."""
    return {
        "a": _side_message(pair.a),
        "b": _side_message(pair.b),
        "rank": pair.rank,
        "found_at": iso(pair.found_at),
        "state": pair.state,
    }


def matches(console: Console, found: list[dict[str, Any]]) -> None:
    """What a search found, the best first."""
    if not found:
        console.print("nothing like it")
        return
    table = _table(">rank", "image", "ID")
    for match in found:
        place = "(in no folder here)"
        if match["path"] is not None:
            place = f"{match['folder']}/{match['path']}"
        table.add_row(str(match["rank"]), place, match["image_id"])
    console.print(table)


def report(console: Console, report: Report) -> None:
    """What a resync did, in a line, and what it left."""
    summary = report.summary
    counts = {
        "added": summary.added,
        "updated": summary.updated,
        "renamed": summary.renamed,
        "adopted": summary.adopted,
        "deleted": summary.deleted,
        "failed": summary.failed,
        "held": summary.held,
    }
    changes = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    console.print(
        f"{summary.scanned} images looked at: {changes or 'nothing to do'}"
        f" ({summary.seconds:.1f} s)",
        highlight=False,
    )
    for missing in report.missing:
        console.print(f"missing: {missing}", markup=False, highlight=False)
    if summary.failed:
        console.print("why they failed: snoopsync list --state failed")
    if summary.held:
        console.print("to let the held deletions go: snoopsync approve")
    if report.orphans:
        console.print(
            f"{report.orphans} images of ours belong to no file: snoopsync resync --prune"
        )
    if report.trouble is not None:
        console.print(f"the collection: {report.trouble}", markup=False, highlight=False)


def ago(then: float | None, now: float) -> str:
    """A moment of the past for people."""
    if then is None:
        return "never"
    seconds = max(0.0, now - then)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name} ago"
    return datetime.fromtimestamp(then).astimezone().strftime("%Y-%m-%d %H:%M")


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        right = column.startswith(">")
        table.add_column(column.lstrip(">"), justify="right" if right else "left", overflow="fold")
    return table


def _coloured(state: str) -> str:
    return f"[{_COLOURS.get(state, 'default')}]{state}[/]"


def _side(side: Side) -> Text:
    return Text(str(side.place) if side.place else f"{side.image_id} (in no folder here)")


def _side_message(side: Side) -> dict[str, Any]:
    place: Place | None = side.place
    return {
        "folder": place.folder if place else None,
        "path": place.text if place else None,
        "image_id": side.image_id,
    }
