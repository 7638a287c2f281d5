"""The status as text: whether everything is mirrored, the current activity, the folders, and the
reasons why something is not mirrored."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.measure import Measurement
from rich.style import Style
from rich.table import Table
from rich.text import Text

from snoopsync.cli.tables import COLOURS, file_uri, has_links
from snoopsync.core.left_out import describe
from snoopsync.core.model import printable
from snoopsync.core.text import ago, counted, images
from snoopsync.status.model import FolderStatus, Status

_TITLES = ("folder", "state", "images", "waiting", "failed", "held", "scanned", "path")

#: More columns than any line has.
_UNLIMITED = 1_000_000

#: The colours of nonzero counts, by column.
_COUNT_COLOURS = {"waiting": "cyan", "failed": "red", "held": "yellow"}


def print_status(console: Console, status: Status) -> None:
    """Print the status."""
    if console.is_terminal:
        console.print(status_group(console, status))
    else:
        for line in status_lines(status):
            console.print(line, markup=False, highlight=False, soft_wrap=True)


def status_group(console: Console, status: Status) -> Group:
    """The status for a terminal."""
    colour = "yellow" if status.reasons() else "green"
    parts: list[RenderableType] = [Text.assemble((_answer(status), colour), _service_line(status))]
    if status.doing is not None:
        parts.append(Text(status.doing, "cyan"))
    parts += _folders(console, status)
    remarks = Table.grid(padding=(0, 1, 0, 0))
    for remark in _remarks(status):
        remarks.add_row("-", Text(remark, overflow="fold"))
    if remarks.row_count:  # an empty table is a blank line
        parts.append(remarks)
    parts += [Text(line, overflow="fold") for line in [*_left_out(status), *_notes(status)]]
    return Group(*parts)


def status_lines(status: Status) -> Iterator[str]:
    """The status for a pipe or a file, line by line."""
    yield _answer(status) + _service_line(status)
    if status.doing is not None:
        yield status.doing
    for folder in status.folders:
        name, state, _, *counts, scanned, path = _cells(folder, status.now)
        count = "{}, {} waiting, {} failed, {} held".format(images(folder.counts.images), *counts)
        yield f"{name}: {state}, {count}, scanned {scanned}, {path}"
    for remark in _remarks(status):
        yield f"- {remark}"
    yield from _left_out(status)
    yield from _notes(status)


def _answer(status: Status) -> str:
    return "not in sync" if status.reasons() else "in sync"


def _service_line(status: Status) -> str:
    service = "service not running"
    if status.service.is_running:
        service = f"service running (process {status.service.pid})"
    return f" · {service} · {status.collection.endpoint} collection"


def _remarks(status: Status) -> Iterator[str]:
    """The reasons why not everything is mirrored, and the last error if no reason contains it."""
    reasons = status.reasons()
    yield from map(printable, reasons)
    error = status.collection.last_error
    if error is not None and not any(error in reason for reason in reasons):
        yield f"last error: {printable(error)}"


def _left_out(status: Status) -> Iterator[str]:
    """The files in each folder that are not mirrored."""
    for folder in status.folders:
        if folder.row.left_out:
            yield f"{printable(folder.row.name)}: left out: {describe(folder.row.left_out)}"


def _notes(status: Status) -> Iterator[str]:
    """Facts that do not affect whether everything is mirrored."""
    if status.to_renew:
        to_renew = counted(status.to_renew, "image is", "images are")
        yield (
            f"{to_renew} sent again at low priority, because the collection describes pictures in a"
            " new way"
        )
    if status.duplicate_groups_open:
        groups = counted(status.duplicate_groups_open, "group")
        yield f"{groups} of duplicates (snoopsync duplicates)"
    if status.to_compare:
        yield f"{images(status.to_compare)} not yet searched for duplicates"


def _folders(console: Console, status: Status) -> list[RenderableType]:
    """The table of the folders. If it does not fit, the paths are on lines of their own below."""
    is_linked = has_links(console)
    table = _table(status, _TITLES, is_linked=is_linked)
    unlimited = console.options.update(max_width=_UNLIMITED)
    if Measurement.get(console, unlimited, table).maximum <= console.width:
        return [table]
    paths = (
        Text.assemble(f"{printable(folder.row.name)}: ", _path(folder, is_linked=is_linked))
        for folder in status.folders
    )
    return [_table(status, _TITLES[:-1], is_linked=is_linked), *paths]


def _path(folder: FolderStatus, *, is_linked: bool) -> Text:
    # A long path is wrapped, not cut, so that it can be copied.
    path = Text(printable(folder.row.path), overflow="fold")
    if is_linked:
        path.stylize(Style(link=file_uri(socket.gethostname(), folder.row.path)))
    return path


def _table(status: Status, titles: Sequence[str], *, is_linked: bool) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for title in titles:
        is_number = title in ("images", *_COUNT_COLOURS)
        table.add_column(title, justify="right" if is_number else "left", no_wrap=True)
    for folder in status.folders:
        cells = zip(titles, _cells(folder, status.now), strict=False)
        row = [Text(cell, _colour(title, cell)) for title, cell in cells]
        if "path" in titles:
            row[-1] = _path(folder, is_linked=is_linked)
        table.add_row(*row)
    return table


def _colour(title: str, cell: str) -> str:
    if title == "state":
        return COLOURS.get(cell, "")
    return _COUNT_COLOURS.get(title, "") if cell != "0" else ""


def _cells(folder: FolderStatus, now: float) -> tuple[str, ...]:
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
