"""What a resync did, as text for people."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from snoopsync.core.left_out import describe
from snoopsync.core.model import printable
from snoopsync.core.text import counted, images
from snoopsync.sync.resync_report import ResyncReport


def orphans_text(report: ResyncReport) -> str | None:
    """A sentence about the images of ours without a record and a file; ``None`` if there is none,
    or if a prune deletes them."""
    if report.pruning is not None or not report.orphans:
        return None
    orphans = counted(
        report.orphans, "image in the collection has", "images in the collection have"
    )
    return f"{orphans} no file here; to delete them: snoopsync resync --prune"


def print_report(report: ResyncReport, folders: Sequence[Path], *, dry_run: bool = False) -> None:
    """Print what a resync did, and what remains to be done. ``folders``: as a person named them.
    If none is named, the resync was of all."""
    _print(_summary(report, dry_run=dry_run))
    if report.left_out:
        _print(f"left out: {describe(report.left_out)}")
    for missing in report.missing:
        _print(f"missing: {printable(missing)}")
    for unsent in report.unsent:
        _print(printable(unsent))
    more = report.refused + report.waiting - len(report.unsent)
    if more > 0:
        _print(f"and {more} more (snoopsync list --state failed, --state pending)")
    for unreadable in report.unreadable:
        _print(f"can't be read: {printable(unreadable)}")
    waiting = len(report.pruning.deletes) if report.pruning and report.pruning.waits else 0
    if report.summary.held > waiting:
        _print("to send the held deletions: snoopsync approve")
    if (orphans := orphans_text(report)) is not None:
        _print(orphans)
    for message in unpruned_reasons(report, folders):
        _print(printable(message))


def unpruned_reasons(report: ResyncReport, folders: Sequence[Path]) -> Iterator[str]:
    """Why a prune did not delete everything that it was asked to."""
    pruning = report.pruning
    if pruning is None:
        return
    yield from pruning.kept
    if pruning.waits:
        why = "; ".join(pruning.doubts) or "more than sync.hold_deletes_over allows"
        command = shlex.join(["snoopsync", "resync", *map(str, folders), "--prune", "--yes"])
        yield (
            f"{images(len(pruning.deletes))} to prune, but none was deleted: {why}; to print the"
            f" plan again and follow it: {command}"
        )
    if pruning.failed:
        yield f"{images(pruning.failed)} could not be pruned: see the log"


def _summary(report: ResyncReport, *, dry_run: bool) -> str:
    """What a resync did, in one sentence."""
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
    scanned = f"{images(summary.scanned)} scanned"
    took = f"({summary.seconds:.1f} s)"
    if report.trouble is not None:
        done = ", ".join([scanned, *changes])
        return (
            f"incomplete, because the collection failed: {printable(report.trouble)}; {done} {took}"
        )
    would = "would be: " if dry_run and changes else ""
    return f"{scanned}, {would}{', '.join(changes) or 'nothing to do'} {took}"


def _print(line: str) -> None:
    sys.stdout.write(f"{line}\n")
