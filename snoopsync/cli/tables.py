"""Rows for people: aligned columns on a terminal, the cells between tabs elsewhere.

Each row is written when it is there, so that a listing of any length begins at once and needs no
memory. On a terminal that knows links, an image is one to its file.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from urllib.parse import quote_from_bytes

import click
from rich.cells import cell_len
from rich.console import Console

from snoopsync.core.model import RelPath

#: The colour of a cell that is one of these words.
COLOURS = {
    "ok": "green",
    "warning": "yellow",
    "error": "red",
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

#: The columns are as wide as these first rows need, or as wide as they are said to be at least.
_ROWS_LOOKED_AT = 100

_GAP = "  "

#: A terminal with less room than this for the last column has no use for IDs.
_LEAST_ROOM = 40


@dataclass(frozen=True, slots=True)
class Column:
    """``width``: at least so many cells. ``right``: for numbers. ``spare``: left out on a terminal
    that is too narrow."""

    title: str
    width: int = 0
    right: bool = False
    spare: bool = False


@dataclass(frozen=True, slots=True)
class Linked:
    """A cell that is a link where there are links. ``target``: a URI, or ``None``. ``remark``:
    follows it, and is no link."""

    text: str
    target: str | None
    remark: str = ""

    def __str__(self) -> str:
        return self.text + self.remark


Row = Sequence[str | Linked]


class Targets:
    """What links lead to: files below folders that are at these paths, by name."""

    def __init__(self, paths: Mapping[str, bytes]) -> None:
        # A terminal may show the output of another machine, and has to know.
        host = socket.gethostname()
        self._roots = {name: file_uri(host, path) for name, path in paths.items()}

    def of(self, rel_path: RelPath | None) -> str | None:
        """The URI of the file at this place."""
        root = self._roots.get(rel_path.folder) if rel_path else None
        return f"{root}/{quote_from_bytes(rel_path.path)}" if rel_path and root else None


def file_uri(host: str, path: bytes) -> str:
    """The URI of a file of this host: plain ASCII, whatever bytes are in the path."""
    return f"file://{host}{quote_from_bytes(path.rstrip(b'/'))}"


def has_links(console: Console) -> bool:
    """Does the console's terminal know links, or ignore them at least?"""
    return sys.stdout.isatty() and console.is_terminal and console.color_system is not None


def write_table(console: Console, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Write the rows to standard output, on a terminal under their titles."""
    if not console.is_terminal:
        sys.stdout.writelines("\t".join(map(str, row)) + "\n" for row in rows)
        return
    waiting = iter(rows)
    first = list(islice(waiting, _ROWS_LOOKED_AT))
    widths = [
        max(column.width, *(cell_len(str(cell)) for cell in cells))
        for column, *cells in zip(columns, [each.title for each in columns], *first, strict=True)
    ]
    taken = sum(widths[:-1]) + len(_GAP) * (len(columns) - 1)
    is_narrow = console.width - taken < _LEAST_ROOM
    painter = _Painter(console)
    titles = [painter.title(each.title) for each in columns]
    for row in chain([titles], (map(painter.cell, row) for row in chain(first, waiting))):
        padded = [
            cell.padded(width, right=column.right)
            for column, width, cell in zip(columns, widths, row, strict=True)
            if not (column.spare and is_narrow)
        ]
        sys.stdout.write(_GAP.join(padded).rstrip() + "\n")


@dataclass(frozen=True, slots=True)
class _Painted:
    """What is written for a cell, and how many cells of the terminal that takes."""

    written: str
    length: int

    def padded(self, width: int, *, right: bool) -> str:
        blanks = " " * (width - self.length)
        return blanks + self.written if right else self.written + blanks


class _Painter:
    """Gives cells their colours and links, where the console has them."""

    def __init__(self, console: Console) -> None:
        self._has_colours = console.color_system is not None and not console.no_color
        self._has_links = has_links(console)

    def title(self, text: str) -> _Painted:
        return _Painted(click.style(text, bold=True) if self._has_colours else text, cell_len(text))

    def cell(self, cell: str | Linked) -> _Painted:
        text = written = str(cell)
        if isinstance(cell, Linked):
            if cell.target is not None and self._has_links:
                written = f"\x1b]8;;{cell.target}\x1b\\{cell.text}\x1b]8;;\x1b\\{cell.remark}"
        elif self._has_colours and text in COLOURS:
            written = click.style(text, fg=COLOURS[text])
        return _Painted(written, cell_len(text))
