"""What a command found, for people and for programs: tables on a terminal, lines elsewhere, JSON.

Names and IDs are made printable: whatever is in them, a line stays a line. In JSON, bytes that are
not UTF-8 are surrogates, from which ``os.fsencode`` gets them back.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console

from snoopsync.model import ImageState, Place, printable
from snoopsync.planner import Action
from snoopsync.resync import Report
from snoopsync.state.images import ImageRow, State
from snoopsync.state.pairs import Duplicate, Side
from snoopsync.status import FolderStatus, Status, images, iso

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
    "gone": "bright_black",
    "dismissed": "bright_black",
}

#: How many of the failed images a resync lists itself.
_FAILED_LISTED = 20


def json_lines(values: Iterable[Mapping[str, Any]]) -> None:
    """Each value on one line of standard output."""
    sys.stdout.writelines(json.dumps(value) + "\n" for value in values)


def status(console: Console, status: Status) -> None:
    """The status: a sentence, the folders, and why not everything is mirrored."""
    reasons = status.reasons()
    headline = "[green]in sync[/]" if not reasons else "[yellow]not in sync[/]"
    service = f"service running (process {status.service.pid})"
    if not status.service.is_running:
        service = "service not running"
    console.print(
        f"{headline} · {service} · {status.collection.endpoint} collection", highlight=False
    )
    if console.is_terminal:
        titles = ("folder", "state", ">images", ">waiting", ">failed", ">held", "scanned", "path")
        _table(console, titles, [_folder_cells(folder, status.now) for folder in status.folders])
    else:
        for folder in status.folders:
            name, state, *counts, scanned, path = _folder_cells(folder, status.now)
            count = "{} images, {} waiting, {} failed, {} held".format(*counts)
            _print(console, f"{name}: {state}, {count}, scanned {scanned}, {path}")
    for reason in reasons:
        _print(console, f"- {printable(reason)}")
    if status.duplicates_open:
        plural = "" if status.duplicates_open == 1 else "s"
        _print(console, f"{status.duplicates_open} open duplicate{plural} (snoopsync duplicates)")


def _folder_cells(folder: FolderStatus, now: float) -> tuple[str, ...]:
    counts = folder.counts
    return (
        printable(folder.row.name),
        folder.state,
        str(counts.images),
        str(counts.pending),
        str(counts.failed),
        str(counts.held),
        ago(folder.row.last_scan, now),
        printable(folder.row.path),
    )


def image_list(console: Console, rows: Iterable[ImageRow]) -> None:
    """The images, a line each."""
    _table(
        console,
        ("state", ">bytes", "ID", "image"),
        ((row.state, str(row.size), row.image_id, _image(row)) for row in rows),
    )


def _image(row: ImageRow) -> str:
    return str(row.place) + (f": {printable(row.error)}" if row.error else "")


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


def duplicates(console: Console, pairs: Sequence[Duplicate]) -> None:
    """The duplicates, a line each."""
    if not pairs and console.is_terminal:
        console.print("no duplicates")
        return
    now = time.time()
    _table(
        console,
        (">rank", "state", "found", "image", "is like"),
        (
            (str(pair.rank), pair.state, ago(pair.found_at, now), _side(pair.a), _side(pair.b))
            for pair in pairs
        ),
    )


def duplicate_message(pair: Duplicate) -> dict[str, Any]:
    """A pair as ``duplicates --json`` has it."""
    return {
        "a": _side_message(pair.a),
        "b": _side_message(pair.b),
        "rank": pair.rank,
        "found_at": iso(pair.found_at),
        "state": pair.state,
    }


def matches(console: Console, found: Sequence[tuple[Side, int]]) -> None:
    """What a search found, the best first."""
    if not found and console.is_terminal:
        console.print("nothing like it")
        return
    rows = ((str(rank), printable(side.image_id), _place(side.place)) for side, rank in found)
    _table(console, (">rank", "ID", "image"), rows)


def match_message(side: Side, rank: int) -> dict[str, Any]:
    """A match as ``search --json`` has it."""
    return {"image_id": side.image_id, "rank": rank} | _place_message(side.place)


def plan(console: Console, actions: Sequence[Action], *, as_json: bool) -> None:
    """What a resync would do, a line an action, in the order of their places."""
    actions = sorted(actions, key=lambda action: action.place or Place("", b""))
    if as_json:
        json_lines(
            {"action": action.verb} | _place_message(action.place) | {"image_id": action.image_id}
            for action in actions
        )
    else:
        rows = (
            (action.verb, printable(action.image_id), _place(action.place)) for action in actions
        )
        _table(console, ("action", "ID", "image"), rows)


def some_failed(state: State, folders: Collection[str]) -> list[ImageRow]:
    """The first of the failed images of these folders."""
    failed = (row for row in state.images(ImageState.FAILED) if row.place.folder in folders)
    return [row for _, row in zip(range(_FAILED_LISTED), failed, strict=False)]


def report(
    console: Console, report: Report, failed: Sequence[ImageRow], *, dry_run: bool = False
) -> None:
    """What a resync did, in a line, and what it left. ``failed``: those to be named."""
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
    would = "it would be: " if dry_run and changes else ""
    _print(
        console,
        f"{images(summary.scanned)} looked at, {would}{changes or 'nothing to do'}"
        f" ({summary.seconds:.1f} s)",
    )
    for missing in report.missing:
        _print(console, f"missing: {printable(missing)}")
    for row in failed:
        _print(console, f"failed: {_image(row)}")
    if summary.failed > len(failed) and not dry_run:
        _print(console, "all that failed: snoopsync list --state failed")
    if summary.held:
        _print(console, "to let the held deletions go: snoopsync approve")
    if report.orphans:
        _print(
            console,
            f"{images(report.orphans)} of ours of no file here: snoopsync resync --prune"
            " deletes what the configuration does not name",
        )
    if report.trouble is not None:
        _print(console, f"not done, the collection: {printable(report.trouble)}")


def ago(then: float | None, now: float) -> str:
    """A moment of the past for people."""
    if then is None:
        return "never"
    seconds = max(0.0, now - then)
    for limit, unit, name in ((90, 1, "s"), (5400, 60, "min"), (129_600, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name} ago"
    with suppress(OverflowError, ValueError, OSError):  # a time of a damaged file
        return datetime.fromtimestamp(then).astimezone().strftime("%Y-%m-%d %H:%M")
    return "at no time"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _table(console: Console, titles: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Aligned columns under their titles on a terminal, the cells between tabs elsewhere. A title
    after ``>`` is of a column of numbers."""
    # Not rich's table, which takes a minute for the images of a large folder.
    if not console.is_terminal:
        sys.stdout.writelines("\t".join(row) + "\n" for row in rows)
        return
    lines = [[title.lstrip(">") for title in titles], *rows]
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for number, cells in enumerate(lines):
        padded = []
        for title, cell, width in zip(titles, cells, widths, strict=True):
            blanks = " " * (width - cell_len(cell))
            painted = cell if console.no_color else _painted(cell, is_title=number == 0)
            padded.append(blanks + painted if title.startswith(">") else painted + blanks)
        sys.stdout.write("  ".join(padded).rstrip() + "\n")


def _painted(cell: str, *, is_title: bool) -> str:
    if is_title:
        return click.style(cell, bold=True)
    colour = _COLOURS.get(cell)
    return cell if colour is None else click.style(cell, fg=colour)


def _place(place: Place | None) -> str:
    return "(in no folder here)" if place is None else str(place)


def _place_message(place: Place | None) -> dict[str, Any]:
    return {
        "folder": place.folder if place else None,
        "path": place.text if place else None,
    }


def _side(side: Side) -> str:
    return str(side.place) if side.place else f"{printable(side.image_id)} {_place(None)}"


def _side_message(side: Side) -> dict[str, Any]:
    return _place_message(side.place) | {"image_id": side.image_id}
