"""What a command found or did, for people and for programs: tables, lines, JSON.

Names and IDs are made printable: whatever is in them, a line stays a line. In JSON, bytes that are
not UTF-8 are surrogates, from which ``os.fsencode`` gets them back.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.filesize import decimal

from snoopsync.cli.overview import ago
from snoopsync.cli.tables import COLOURS, Column, Linked, Row, Targets, write_table
from snoopsync.core.duplicates import facts_of
from snoopsync.core.events import Event
from snoopsync.core.keep import Keep
from snoopsync.core.left_out import describe
from snoopsync.core.model import ImageState, RelPath, path_keys, printable
from snoopsync.core.planner import Action
from snoopsync.core.protocol import Match, PictureFacts
from snoopsync.core.text import counted, images, iso
from snoopsync.state.images import ImageRow, State
from snoopsync.state.pairs import Duplicate, Side
from snoopsync.sync.resync import Report

if TYPE_CHECKING:
    # Late, because the checks load what a resync does not need.
    from snoopsync.checks import Finding


def json_lines(values: Iterable[Mapping[str, Any]]) -> None:
    """Each value on one line of standard output."""
    sys.stdout.writelines(json.dumps(value) + "\n" for value in values)


def json_error(message: str, exit_code: int) -> None:
    """An error, as a program that asked for JSON reads it from standard error."""
    sys.stderr.write(json.dumps({"error": message, "exit_code": int(exit_code)}) + "\n")


def finding(console: Console, finding: Finding) -> None:
    """What a check found, on a line, and how to mend it, below."""
    # In its colour on a terminal, with as many blanks after it as without.
    state = f"{finding.state:<7}"
    if console.is_terminal and not console.no_color:
        state = click.style(state, fg=COLOURS[finding.state])
    sys.stdout.write(f"{state}  {finding.check}: {printable(finding.message)}\n")
    for line in (finding.mend or "").splitlines():
        sys.stdout.write(f"{'':9}{printable(line)}\n")


def finding_message(finding: Finding) -> dict[str, Any]:
    """What a check found, as ``check --json`` has it."""
    return {
        "check": finding.check,
        "state": finding.state,
        "message": finding.message,
        "mend": finding.mend,
    }


def image_list(console: Console, rows: Iterable[ImageRow], targets: Targets) -> None:
    """The images, a line each."""
    size = decimal if console.is_terminal else str
    write_table(
        console,
        (
            Column("state", width=7),
            Column("size", width=9, right=True),
            Column("ID", spare=True),
            Column("image"),
        ),
        ((row.state, size(row.size), row.image_id, _linked(row, targets)) for row in rows),
    )


def _linked(row: ImageRow, targets: Targets) -> Linked:
    is_there = row.state is not ImageState.HELD
    return Linked(str(row.rel_path), targets.of(row.rel_path) if is_there else None, _error(row))


def _error(row: ImageRow) -> str:
    return f": {printable(row.error)}" if row.error else ""


def image_message(row: ImageRow) -> dict[str, Any]:
    """An image as ``list --json`` has it."""
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
    """A pair, and which one of it to keep."""

    pair: Duplicate
    keep: Keep | None


def duplicates(console: Console, pairs: Iterable[ListedPair], targets: Targets) -> None:
    """The duplicates: on a terminal the two images below one another, elsewhere a line each."""
    rows = _pairs_below(pairs, targets) if console.is_terminal else _pairs_beside(pairs)
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


def _pairs_beside(pairs: Iterable[ListedPair]) -> Iterator[Row]:
    now = time.time()
    for listed in pairs:
        pair = listed.pair
        found = ago(pair.found_at, now)
        sides = (_side(side) + _remark(listed, side) for side in (pair.a, pair.b))
        yield str(pair.rank), _kind(pair.kind), pair.state, found, *sides


def _pairs_below(pairs: Iterable[ListedPair], targets: Targets) -> Iterator[Row]:
    now = time.time()
    for listed in pairs:
        pair = listed.pair
        a, b = (
            Linked(_side(side), targets.of(side.rel_path), _remark(listed, side))
            for side in (pair.a, pair.b)
        )
        yield str(pair.rank), _kind(pair.kind), pair.state, ago(pair.found_at, now), a
        yield "", "", "", "", b


def _kind(kind: str | None) -> str:
    return "-" if kind is None else printable(kind)


def _remark(listed: ListedPair, side: Side) -> str:
    keep = listed.keep
    if keep is None or keep.image_id != side.image_id:
        return ""
    return f"  (keep: {keep.reason.words})"


def duplicate_message(listed: ListedPair) -> dict[str, Any]:
    """A pair as ``duplicates --json`` has it."""
    pair = listed.pair
    return {
        "a": _side_message(pair.a),
        "b": _side_message(pair.b),
        "rank": pair.rank,
        "kind": pair.kind,
        **_keep_message(listed.keep),
        "found_at": iso(pair.found_at),
        "state": pair.state,
    }


def _keep_message(keep: Keep | None) -> dict[str, Any]:
    return {"keep": keep and keep.image_id, "reason": keep and keep.reason}


@dataclass(frozen=True, slots=True)
class Result:
    """What a search found: an image, what the collection says of it, and whether to keep it, or the
    file that was searched for if that is mirrored."""

    side: Side
    match: Match
    keep: Keep | None


def matches(console: Console, found: Sequence[Result], targets: Targets) -> None:
    """What a search found, the best first."""
    if not found and console.is_terminal:
        console.print("nothing like it")
        return
    write_table(
        console,
        (Column("rank", right=True), Column("kind"), Column("ID", spare=True), Column("image")),
        (_matched(console, result.side, result.match, targets) for result in found),
    )


def _matched(console: Console, side: Side, match: Match, targets: Targets) -> Row:
    image = Linked(_named(console, side.image_id, side.rel_path), targets.of(side.rel_path))
    return str(match["rank"]), _kind(match.get("kind")), printable(side.image_id), image


def _named(console: Console, image_id: str, rel_path: RelPath | None) -> str:
    """The image's place. Without one it has its ID, which a narrow terminal shows nowhere else."""
    return _side(Side(image_id, rel_path)) if console.is_terminal else _path_text(rel_path)


def match_message(result: Result) -> dict[str, Any]:
    """A match as ``search --json`` has it."""
    side, match = result.side, result.match
    return {
        "image_id": side.image_id,
        "rank": match["rank"],
        **path_keys(side.rel_path),
        "kind": match.get("kind"),
        **_size_message(facts_of(match)),
        **_keep_message(result.keep),
    }


def _size_message(facts: PictureFacts) -> dict[str, Any]:
    return {name: facts.get(name) for name in ("width", "height", "size_bytes")}


def plan(console: Console, actions: Sequence[Action], *, as_json: bool) -> None:
    """What a resync would do, a line an action, in the order of their places."""
    actions = sorted(actions, key=lambda action: action.rel_path or RelPath("", b""))
    if as_json:
        json_lines(
            {"action": action.verb} | path_keys(action.rel_path) | {"image_id": action.image_id}
            for action in actions
        )
    else:
        rows = (
            (
                action.verb,
                printable(action.image_id),
                _named(console, action.image_id, action.rel_path),
            )
            for action in actions
        )
        write_table(console, (Column("action"), Column("ID", spare=True), Column("image")), rows)


def held(console: Console, state: State, folders: Collection[str]) -> None:
    """The images of these folders whose deletion waits for approval, a line each."""
    rows = [row for row in state.images(ImageState.HELD) if row.rel_path.folder in folders]
    if rows:
        image_list(console, rows, Targets({}))
    elif console.is_terminal:
        console.print("no deletion is held")


def report(console: Console, report: Report, *, dry_run: bool = False) -> None:
    """What a resync did, in a line, and what it left."""
    _print(console, _did(report, dry_run=dry_run))
    if report.left_out:
        _print(console, f"left out: {describe(report.left_out)}")
    for missing in report.missing:
        _print(console, f"missing: {printable(missing)}")
    for unsent in report.unsent:
        _print(console, printable(unsent))
    more = report.refused + report.waiting - len(report.unsent)
    if more > 0:
        _print(console, f"and {more} more: snoopsync list --state failed, --state pending")
    for unreadable in report.unreadable:
        _print(console, f"can't be read: {printable(unreadable)}")
    waiting = len(report.pruning.deletes) if report.pruning and report.pruning.waits else 0
    if report.summary.held > waiting:
        _print(console, "to let the held deletions go: snoopsync approve")
    if report.pruning is None and report.orphans:
        orphans = counted(
            report.orphans, "image in the collection has", "images in the collection have"
        )
        _print(
            console,
            f"{orphans} no file here; to delete what no"
            " folder of the configuration holds: snoopsync resync --prune",
        )
    for _, message in left_undone(report):
        _print(console, printable(message))


def left_undone(report: Report) -> Iterator[tuple[Event, str]]:
    """Why a prune did not do all that it was asked for: the event, and what to say."""
    pruning = report.pruning
    if pruning is None:
        return
    for kept in pruning.kept:
        yield Event.NOT_PRUNED, kept
    if pruning.waits:
        why = "; ".join(pruning.doubts) or "more than sync.hold_deletes_over allows"
        yield (
            Event.NOT_PRUNED,
            f"{images(len(pruning.deletes))} to prune: {why}, none is deleted; to delete exactly"
            " those printed above: snoopsync resync --prune --yes",
        )
    if pruning.failed:
        yield (
            Event.NOT_PRUNED,
            f"{images(pruning.failed)} could not be pruned: see the log",
        )


def _did(report: Report, *, dry_run: bool) -> str:
    """What a resync did: one sentence."""
    summary = report.summary
    counts = {
        "added": summary.added,
        "updated": summary.updated,
        "renamed": summary.renamed,
        "adopted": summary.adopted,
        "deleted": summary.deleted,
        "failed": report.refused,
        "waiting": report.waiting,
        "not compared": summary.failed - report.refused - report.waiting,
        "held": summary.held,
    }
    changes = [f"{count} {name}" for name, count in counts.items() if count]
    scanned = f"{images(summary.scanned)} looked at"
    took = f"({summary.seconds:.1f} s)"
    if report.trouble is not None:
        done = ", ".join([scanned, *changes])
        return f"not done, the collection: {printable(report.trouble)}; {done} {took}"
    would = "it would be: " if dry_run and changes else ""
    return f"{scanned}, {would}{', '.join(changes) or 'nothing to do'} {took}"


def _print(console: Console, line: str) -> None:
    console.print(line, markup=False, highlight=False, soft_wrap=True)


def _path_text(rel_path: RelPath | None) -> str:
    return "(in no folder here)" if rel_path is None else str(rel_path)


def _side(side: Side) -> str:
    if side.rel_path is not None:
        return str(side.rel_path)
    where = f"(was {side.was})" if side.was is not None else _path_text(None)
    return f"{printable(side.image_id)} {where}"


def _side_message(side: Side) -> dict[str, Any]:
    message = {
        **path_keys(side.rel_path),
        "image_id": side.image_id,
        **_size_message(side.facts),
    }
    if side.rel_path is None:
        message["was"] = side.was and side.was.text
    return message
