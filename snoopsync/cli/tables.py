"""Rows for people: aligned columns on a terminal, tab-separated cells elsewhere.

rich's tables need all rows at once. These tables are written row by row, so that a list of any
length starts at once and needs little memory. On a terminal with hyperlinks, images link to their
files.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from urllib.parse import quote_from_bytes

from rich.cells import cell_len
from rich.console import Console
from rich.style import Style

from snoopsync.cli.lines import write_lines
from snoopsync.core.model import RelPath

#: The colours of cells with these words.
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

#: The number of rows that the widths of the columns are computed from.
_SAMPLED_ROWS = 100

_GAP = "  "

#: Optional columns are left out if the last column would be narrower than this.
_MIN_LAST_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Column:
    """A column. ``width``: the minimum width in cells. ``right``: align right, for numbers.
    ``optional``: leave the column out on a narrow terminal."""

    title: str
    width: int = 0
    right: bool = False
    optional: bool = False


@dataclass(frozen=True, slots=True)
class LinkCell:
    """A cell whose text links to ``uri``, if that is not ``None``. ``remark`` follows the text
    without a link."""

    text: str
    uri: str | None
    remark: str = ""

    def __str__(self) -> str:
        return self.text + self.remark


class OutputConsole(Console):
    """Standard output."""

    def on_broken_pipe(self) -> None:
        """Let the program handle it. rich would exit."""
        raise BrokenPipeError


Row = Sequence[str | LinkCell]


class FileLinks:
    """The URIs of files in folders. ``paths``: the folders' paths by name."""

    def __init__(self, paths: Mapping[str, bytes]) -> None:
        # A terminal may show the output of another machine, so the URI contains the host.
        host = socket.gethostname()
        self._roots = {name: file_uri(host, path) for name, path in paths.items()}

    def of(self, rel_path: RelPath | None) -> str | None:
        """The URI of a file, or ``None`` if its folder is unknown."""
        root = self._roots.get(rel_path.folder) if rel_path else None
        return f"{root}/{quote_from_bytes(rel_path.path)}" if rel_path and root else None


def file_uri(host: str, path: bytes) -> str:
    """The URI of a file on this host, in ASCII for any path."""
    return f"file://{host}{quote_from_bytes(path.rstrip(b'/'))}"


def has_links(console: Console) -> bool:
    """Whether the console's terminal shows hyperlinks, or at least ignores them."""
    return sys.stdout.isatty() and console.is_terminal and console.color_system is not None


def coloured(console: Console, text: str) -> str:
    """The text in the colour of its word in ``COLOURS``, if the console has colours."""
    return _styled(console, text, Style(color=COLOURS.get(text.rstrip())))


def write_table(console: Console, columns: Sequence[Column], rows: Iterable[Row]) -> None:
    """Write the rows to standard output, on a terminal with a header."""
    if not console.is_terminal:
        write_lines("\t".join(map(str, row)) for row in rows)
        return
    remaining = iter(rows)
    sample = list(islice(remaining, _SAMPLED_ROWS))
    titles = [column.title for column in columns]
    widths = [
        max(column.width, *(cell_len(str(cell)) for cell in cells))
        for column, *cells in zip(columns, titles, *sample, strict=True)
    ]
    taken = sum(widths[:-1]) + len(_GAP) * (len(columns) - 1)
    is_narrow = console.width - taken < _MIN_LAST_WIDTH

    def write(row: Row, header: Style | None = None) -> None:
        cells = []
        for column, width, cell in zip(columns, widths, row, strict=True):
            if column.optional and is_narrow:
                continue
            text, padding = _written(console, cell, header), " " * (width - cell_len(str(cell)))
            cells.append(padding + text if column.right else text + padding)
        sys.stdout.write(_GAP.join(cells).rstrip() + "\n")

    write(titles, Style(bold=True))
    for row in chain(sample, remaining):
        write(row)


def written(console: Console, cell: LinkCell, *, bold: bool = False) -> str:
    """The cell as ``write_table`` writes it."""
    return _styled(console, str(cell), Style(bold=True)) if bold else _written(console, cell, None)


def _written(console: Console, cell: str | LinkCell, style: Style | None) -> str:
    """The cell with escape sequences for its colour and link."""
    if isinstance(cell, str):
        return _styled(console, cell, style) if style is not None else coloured(console, cell)
    if cell.uri is None or not has_links(console):
        return str(cell)
    return f"{Style(link=cell.uri).render(cell.text)}{cell.remark}"


def _styled(console: Console, text: str, style: Style) -> str:
    has_colours = console.color_system is not None and not console.no_color
    return style.render(text) if has_colours else text
