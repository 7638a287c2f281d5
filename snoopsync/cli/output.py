"""The results of commands, as text for people and as JSON for programs.

Names and IDs are made printable, so that each stays on one line. In JSON, bytes that are not UTF-8
are surrogates, which ``os.fsencode`` turns back into the bytes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.filesize import decimal

from snoopsync.cli.json_lines import print_json
from snoopsync.cli.tables import Column, FileLinks, LinkCell, Row, coloured, write_table
from snoopsync.core.duplicates import facts_of, kind_words
from snoopsync.core.keep import Keep
from snoopsync.core.model import ImageState, RelPath, path_keys, printable
from snoopsync.core.planner import Action
from snoopsync.core.protocol import Match, PictureFacts
from snoopsync.core.text import ago, iso
from snoopsync.state.images import ImageRow, State
from snoopsync.state.pairs import Duplicate
from snoopsync.state.sides import Side

if TYPE_CHECKING:
    # Only for types: the checks load modules that a resync does not need.
    from snoopsync.checks import Finding


def print_finding(console: Console, finding: Finding) -> None:
    """Print a finding on one line, and its fix below."""
    severity = coloured(console, f"{finding.severity:<7}")
    sys.stdout.write(f"{severity}  {finding.check}: {printable(finding.message)}\n")
    for line in (finding.fix or "").splitlines():
        sys.stdout.write(f"{'':9}{printable(line)}\n")


def finding_json(finding: Finding) -> dict[str, Any]:
    """A line of ``check --json``."""
    return {
        "check": finding.check,
        "state": finding.severity,
        "message": finding.message,
        "mend": finding.fix,
    }


def print_images(console: Console, rows: Iterable[ImageRow], links: FileLinks) -> None:
    """Print the images, one per line."""
    size = decimal if console.is_terminal else str
    write_table(
        console,
        (
            Column("state", width=7),
            Column("size", width=9, right=True),
            Column("ID", optional=True),
            Column("image"),
        ),
        ((row.state, size(row.size), row.image_id, _image_cell(row, links)) for row in rows),
    )


def _image_cell(row: ImageRow, links: FileLinks) -> LinkCell:
    has_file = row.state is not ImageState.HELD
    remark = f": {printable(row.error)}" if row.error else ""
    return LinkCell(str(row.rel_path), links.of(row.rel_path) if has_file else None, remark)


def image_json(row: ImageRow) -> dict[str, Any]:
    """A line of ``list --json``."""
    return {
        **path_keys(row.rel_path),
        "image_id": row.image_id,
        "state": row.state,
        "size": row.size,
        "synced_at": iso(row.synced_at),
        "error": row.error,
    }


@dataclass(frozen=True, slots=True)
class ListedPair:
    """A pair, and which of its images to keep."""

    pair: Duplicate
    keep: Keep | None


def print_duplicates(console: Console, pairs: Iterable[ListedPair], links: FileLinks) -> None:
    """Print the pairs: on a terminal two lines each, elsewhere one."""
    rows = _two_line_rows(pairs, links) if console.is_terminal else _one_line_rows(pairs)
    first = next(rows, None)
    if first is not None:
        columns = (
            Column("rank", right=True),
            Column("kind"),
            Column("state"),
            Column("found"),
            Column("images"),
        )
        write_table(console, columns, chain([first], rows))
    elif console.is_terminal:
        console.print("no duplicates")


def _one_line_rows(pairs: Iterable[ListedPair]) -> Iterator[Row]:
    now = time.time()
    for listed in pairs:
        pair = listed.pair
        found = ago(pair.found_at, now)
        sides = {side.image_id: side_text(side) for side in (pair.a, pair.b)}
        keep = ("-", "-") if listed.keep is None else _keep_cells(listed.keep, sides)
        kind = kind_cell(pair.kind, human=False)
        yield str(pair.rank), kind, pair.state, found, *sides.values(), *keep


def _keep_cells(keep: Keep, sides: Mapping[str, str]) -> tuple[str, str]:
    return sides[keep.image_id], keep.reason


def _two_line_rows(pairs: Iterable[ListedPair], links: FileLinks) -> Iterator[Row]:
    now = time.time()
    for listed in pairs:
        pair = listed.pair
        a, b = (
            LinkCell(side_text(side), links.of(side.rel_path), _remark(listed, side))
            for side in (pair.a, pair.b)
        )
        kind = kind_cell(pair.kind, human=True)
        yield str(pair.rank), kind, pair.state, ago(pair.found_at, now), a
        yield "", "", "", "", b


def kind_cell(kind: str | None, *, human: bool) -> str:
    """A kind in words for people, or as it is for programs."""
    if kind is None:
        return "-"
    return kind_words(kind) if human else printable(kind)


def _remark(listed: ListedPair, side: Side) -> str:
    keep = listed.keep
    if keep is None or keep.image_id != side.image_id:
        return ""
    return f"  (keep: {keep.reason.words})"


def pair_json(listed: ListedPair) -> dict[str, Any]:
    """A line of ``duplicates --pairs --json``."""
    pair = listed.pair
    return {
        "a": _side_json(pair.a),
        "b": _side_json(pair.b),
        "rank": pair.rank,
        "kind": pair.kind,
        **_keep_json(listed.keep),
        "found_at": iso(pair.found_at),
        "state": pair.state,
    }


def _keep_json(keep: Keep | None) -> dict[str, Any]:
    return {"keep": keep and keep.image_id, "reason": keep and keep.reason}


@dataclass(frozen=True, slots=True)
class SearchResult:
    """An image that a search found, the collection's match, and which to keep: this image, or the
    searched file if it is mirrored."""

    side: Side
    match: Match
    keep: Keep | None


def print_matches(console: Console, found: Sequence[SearchResult], links: FileLinks) -> None:
    """Print what a search found, the most similar first."""
    if not found and console.is_terminal:
        console.print("no similar pictures")
        return
    write_table(
        console,
        (Column("rank", right=True), Column("kind"), Column("ID", optional=True), Column("image")),
        (_match_row(console, result.side, result.match, links) for result in found),
    )


def _match_row(console: Console, side: Side, match: Match, links: FileLinks) -> Row:
    is_named = console.is_terminal or side.label is not None
    name = side_text(side) if is_named else _path_text(side.rel_path)
    image = LinkCell(name, links.of(side.rel_path))
    kind = kind_cell(match.get("kind"), human=console.is_terminal)
    return str(match["rank"]), kind, printable(side.image_id), image


def _image_name(console: Console, image_id: str, rel_path: RelPath | None) -> str:
    """The image's path. On a terminal an image without a path is shown by its ID, because a narrow
    terminal leaves out the column with the ID."""
    return side_text(Side(image_id, rel_path)) if console.is_terminal else _path_text(rel_path)


def match_json(result: SearchResult) -> dict[str, Any]:
    """An item of ``search --json``."""
    side, match = result.side, result.match
    return {
        "image_id": side.image_id,
        "rank": match["rank"],
        **path_keys(side.rel_path),
        **({} if side.label is None else {"label": side.label}),
        "kind": match.get("kind"),
        **_size_json(facts_of(match)),
        **_keep_json(result.keep),
    }


def _size_json(facts: PictureFacts) -> dict[str, Any]:
    return {name: facts.get(name) for name in ("width", "height", "size_bytes")}


def print_plan(console: Console, actions: Sequence[Action], *, as_json: bool) -> None:
    """Print the planned actions, one per line, sorted by path."""
    actions = sorted(actions, key=lambda action: action.rel_path or RelPath("", b""))
    if as_json:
        print_json(
            {"action": action.verb} | path_keys(action.rel_path) | {"image_id": action.image_id}
            for action in actions
        )
    else:
        rows = (
            (
                action.verb,
                printable(action.image_id),
                _image_name(console, action.image_id, action.rel_path),
            )
            for action in actions
        )
        write_table(console, (Column("action"), Column("ID", optional=True), Column("image")), rows)


def print_held(console: Console, state: State, folders: Collection[str]) -> None:
    """Print the images of these folders whose deletion is held, one per line."""
    rows = [row for row in state.images(ImageState.HELD) if row.rel_path.folder in folders]
    if rows:
        print_images(console, rows, FileLinks({}))
    elif console.is_terminal:
        console.print("no deletions are held")


def _path_text(rel_path: RelPath | None) -> str:
    return "(no file here)" if rel_path is None else str(rel_path)


def side_text(side: Side) -> str:
    """The image's path; without a path, its ID or label."""
    if side.rel_path is not None:
        return str(side.rel_path)
    where = f"(was {side.was})" if side.was is not None else _path_text(None)
    return f"{printable(side.label or side.image_id)} {where}"


def _side_json(side: Side) -> dict[str, Any]:
    message = {
        **path_keys(side.rel_path),
        "image_id": side.image_id,
        **_size_json(side.facts),
    }
    if side.rel_path is None:
        message["was"] = side.was and side.was.text
    return message
