"""Groups of duplicates as text for people and as JSON for programs."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from textwrap import wrap
from typing import Any

from rich.cells import cell_len
from rich.console import Console
from rich.filesize import decimal

from snoopsync.cli.lines import write_lines
from snoopsync.cli.output import kind_cell, side_text
from snoopsync.cli.tables import FileLinks, LinkCell, written
from snoopsync.core.model import path_keys
from snoopsync.core.text import ago, images, iso
from snoopsync.folders.companions import CompanionFinder
from snoopsync.state.groups import Group, GroupImage
from snoopsync.state.sides import Side

_INDENT = "  "

#: The widths of rank, kind, pixels and size, and the space before the path.
_WIDTHS = (4, 10, 11, 9)
_PATH_COLUMN = len(_INDENT) + sum(_WIDTHS) + 2 * len(_WIDTHS)

_NS_PER_SECOND = 1e9


def print_groups(console: Console, groups: Iterator[Group], links: FileLinks) -> None:
    """Print the groups: on a terminal as blocks of lines, elsewhere one line per image."""
    if not console.is_terminal:
        write_lines(_line(group, image) for group in groups for image in group.images)
        return
    is_first, now = True, time.time()
    for group in groups:
        if not is_first:
            sys.stdout.write("\n")
        is_first = False
        _print_block(console, group, links, now)
    if is_first:
        console.print("no duplicates")


def _line(group: Group, image: GroupImage) -> str:
    cells, remark = _cells(group, image, human=False), _remark(group, image, human=False)
    return "\t".join((group.name, *cells, side_text(image.side), remark))


def _print_block(console: Console, group: Group, links: FileLinks, now: float) -> None:
    facts = [images(len(group.images))]
    if group.waste_bytes:
        at_least = "" if group.keep is not None else "at least "
        facts.append(f"{at_least}{decimal(group.waste_bytes)} can be freed")
    if group.series:
        facts.insert(0, "a series")
    if group.open_pairs:
        facts.append(f"found {ago(group.found_at, now)}")
    else:
        facts.append("not open")
    if group.chain and not group.series:
        facts.append("a chain: some are only like a neighbour")
    if group.keep is None and group.is_open:
        facts.append("nothing favours one of them")
    title = f"group {group.name}"
    lines = wrap(f"{title}: {', '.join(facts)}", console.width, subsequent_indent=_INDENT)
    bold = written(console, LinkCell(title, None), bold=True)
    sys.stdout.write("\n".join(lines).replace(title, bold, 1) + "\n")
    for image in group.images:
        cells = _cells(group, image, human=True)
        texts = [
            cell.rjust(width) if at in (0, 3) else cell.ljust(width)
            for at, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=True))
        ]
        line = _INDENT + "  ".join(texts)
        remark = _remark(group, image, human=True)
        name = LinkCell(side_text(image.side), links.of(image.side.rel_path), remark)
        fits = console.width - _PATH_COLUMN >= cell_len(str(name))
        gap = "  " if fits else f"\n{_INDENT * 2}"
        sys.stdout.write(f"{line.rstrip() if not fits else line}{gap}{written(console, name)}\n")


def _cells(group: Group, image: GroupImage, *, human: bool) -> tuple[str, str, str, str]:
    """Rank, kind, pixels and size."""
    side, likeness = image.side, image.likeness
    is_first = image is group.images[0]
    rank = "-" if likeness is None else str(likeness.rank)
    kind = "-" if likeness is None else kind_cell(likeness.kind, human=human)
    if is_first and group.keep is not None:
        rank, kind = "", "keep"
    elif is_first and human:
        rank, kind = "", ""  # the others are compared with this one
    width, height = side.facts.get("width"), side.facts.get("height")
    pixels = "-" if width is None or height is None else f"{width}x{height}"
    size = "-" if side.size_bytes is None else str(side.size_bytes)
    if human and side.size_bytes is not None:
        size = decimal(side.size_bytes)
    return rank, kind, pixels, size


def _remark(group: Group, image: GroupImage, *, human: bool) -> str:
    """Whether the image is gone, or why it is the one to keep."""
    if image.side.is_gone:
        return "  (gone)" if human else "gone"
    if group.keep is None or image is not group.images[0]:
        return "" if human else "-"
    reason = group.keep.reason
    return f"  (keep: {reason.words})" if human else reason


def group_json(group: Group, finder: CompanionFinder) -> dict[str, Any]:
    """A line of ``duplicates --json``. ``finder``: finds the companions of each image."""
    return {
        "group": group.name,
        "images": [_image_json(image, finder) for image in group.images],
        "keep": None if group.keep is None else group.keep.image_id,
        "reason": None if group.keep is None else group.keep.reason,
        "chain": group.chain,
        "series": group.series,
        "open_pairs": group.open_pairs,
        "found_at": iso(group.found_at),
    }


def _image_json(image: GroupImage, finder: CompanionFinder) -> dict[str, Any]:
    side, likeness = image.side, image.likeness
    companions = [] if side.rel_path is None else finder.companions(side.rel_path)
    return {
        **path_keys(side.rel_path),
        "image_id": side.image_id,
        "label": side.label,
        "width": side.facts.get("width"),
        "height": side.facts.get("height"),
        "size_bytes": side.size_bytes,
        "modified_at": _modified_at(side),
        "kind": None if likeness is None else likeness.kind,
        "rank": None if likeness is None else likeness.rank,
        "companions": [each.rel_path.text for each in companions],
    }


def _modified_at(side: Side) -> str | None:
    return None if side.rel_path is None else iso(side.modified_ns / _NS_PER_SECOND)
