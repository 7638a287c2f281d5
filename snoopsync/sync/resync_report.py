"""What a full resync did: counted when it has ended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from snoopsync.core.errors import CollectionError, Unauthorized
from snoopsync.core.exits import Exit
from snoopsync.core.left_out import LeftOutCounts, merge
from snoopsync.core.model import RelPath, printable
from snoopsync.core.tally import ImageOutcome
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.state.images import Counts
from snoopsync.sync.pruning import Pruning

if TYPE_CHECKING:
    from snoopsync.sync.engine import SyncEngine

#: How many images a report names of those that were not sent, and of those that cannot be read.
_NAMED = 20

#: Why an image was not sent, if it was not refused.
_RESTLESS = "the file is being written to"
_NOT_SENT = "not sent yet"
_NOT_DELETED = "gone, and not deleted from the collection yet"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a resync did, in images.

    ``scanned`` is the sum of ``added``, ``updated``, ``renamed``, ``adopted``, ``unchanged`` and
    ``failed``: each file that was found is counted once. ``failed`` counts the files that are not
    mirrored, for whatever reason, and the images that should be deleted and are not. ``held``
    counts the deletions that wait for a person, those of a prune too. ``seconds`` is how long it
    took.
    """

    scanned: int
    added: int
    updated: int
    deleted: int
    renamed: int
    adopted: int
    unchanged: int
    failed: int
    held: int
    seconds: float

    def after(self, first: Summary) -> Summary:
        """This summary and ``first``, of the resync right before it, added up."""
        changed = first.added + first.updated + first.renamed + first.adopted
        return replace(
            self,
            added=first.added + self.added,
            updated=first.updated + self.updated,
            deleted=first.deleted + self.deleted,
            renamed=first.renamed + self.renamed,
            adopted=first.adopted + self.adopted,
            unchanged=max(0, self.unchanged - changed),
            seconds=round(first.seconds + self.seconds, 3),
        )


@dataclass(frozen=True, slots=True)
class ResyncReport:
    """The end of a resync.

    ``orphans``: images of ours that no file was found for. ``trouble``: why the resync could not be
    completed, or ``None``. Of the images that failed, some were ``refused`` and some are
    ``waiting``; the others could not be compared. ``unsent`` and ``unreadable`` name the first of
    them, with the reason. ``left_out``: what the folders contain that is not mirrored. ``pruning``:
    what a prune did, if one was asked for.
    """

    summary: Summary
    exit_code: Exit
    missing: tuple[str, ...]
    orphans: int
    trouble: str | None
    left_out: LeftOutCounts
    refused: int = 0
    waiting: int = 0
    unsent: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    pruning: Pruning | None = None

    def after(self, first: ResyncReport) -> ResyncReport:
        """This report, with what ``first``, of the resync right before it, did."""
        return replace(self, summary=self.summary.after(first.summary))

    def as_message(self) -> dict[str, Any]:
        """The report as JSON has it."""
        pruning = self.pruning and self.pruning.as_message()
        return asdict(replace(self, pruning=None)) | {"pruning": pruning}

    def summary_message(self) -> dict[str, Any]:
        """The summary as ``--json`` has it."""
        return asdict(self.summary)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> ResyncReport:
        """The report that ``as_message`` wrote."""
        return cls(
            Summary(**message["summary"]),
            Exit(message["exit_code"]),
            tuple(message["missing"]),
            message["orphans"],
            message["trouble"],
            message["left_out"],
            message.get("refused", 0),
            message.get("waiting", 0),
            tuple(message.get("unsent", ())),
            tuple(message.get("unreadable", ())),
            Pruning.from_message(message["pruning"]) if message["pruning"] else None,
        )


@dataclass(frozen=True, slots=True)
class _Unsent:
    """An image that differs from the disk. ``image_id`` is ``None`` for a file that is not planned
    for. ``is_file``: there is a file; else the image has to be deleted."""

    image_id: str | None
    reason: str
    is_file: bool
    is_refused: bool = False

    def describe(self, rel_path: RelPath) -> str:
        """One line about the image at this path."""
        return f"{'failed' if self.is_refused else 'waiting'}: {rel_path}: {self.reason}"


def _find_unsent(
    engine: SyncEngine, monitors: Sequence[FolderMonitor], *, is_cut_short: bool
) -> dict[RelPath, _Unsent]:
    """The images of these folders that are not mirrored now: what the state file has planned and
    not confirmed, and what has not come to rest. Of a missing folder only the refused images are
    known. ``is_cut_short``: it may be all of the images, and nothing had the time to settle."""
    missing = {monitor.folder.name: monitor.is_missing for monitor in monitors}
    found: dict[RelPath, _Unsent] = {}
    for item in engine.state.intents.unsent(list(missing)):
        if item.error is None and missing[item.rel_path.folder]:
            continue
        is_file = not engine.sender.is_cleared(item.image_id)
        is_file = is_file and (is_cut_short or engine.has_file(item.rel_path))
        reason = item.error or (_NOT_SENT if is_file else _NOT_DELETED)
        found[item.rel_path] = _Unsent(item.image_id, reason, is_file, item.error is not None)
    for rel_path, is_file in engine.unsettled_paths():
        if missing.get(rel_path.folder) is False and rel_path not in found:
            waits = _NOT_SENT if is_cut_short else _RESTLESS
            found[rel_path] = _Unsent(None, waits if is_file else _NOT_DELETED, is_file)
    return found


def report_of(
    engine: SyncEngine,
    monitors: Sequence[FolderMonitor],
    *,
    orphans: int,
    trouble: CollectionError | None,
    seconds: float,
) -> ResyncReport:
    """The report of a resync of these folders, which has ended now."""
    tally, counts = engine.sender.tally, engine.state.counts()
    unsent = _find_unsent(engine, monitors, is_cut_short=trouble is not None)
    fates = tally.end({item.image_id for item in unsent.values() if item.image_id})
    files = sum(item.is_file for item in unsent.values())
    held = sum(counts.get(monitor.folder.name, Counts()).held for monitor in monitors)
    # A file may have come after its directory was listed.
    scanned = max(sum(monitor.scanned for monitor in monitors), fates.total() + files)
    unchanged = scanned - fates.total() - files
    failed = len(unsent)
    if trouble is not None:
        # It is not known whether the files that could not be compared are as they should be.
        failed, unchanged = failed + unchanged, 0
    missing = tuple(monitor.row.reason or "" for monitor in monitors if monitor.is_missing)
    unreadable = _unreadable(monitors)
    summary = Summary(
        scanned=scanned,
        added=fates[ImageOutcome.ADDED],
        updated=fates[ImageOutcome.UPDATED],
        deleted=tally.deleted,
        renamed=fates[ImageOutcome.RENAMED],
        adopted=fates[ImageOutcome.ADOPTED],
        unchanged=unchanged,
        failed=failed,
        held=held,
        seconds=round(seconds, 3),
    )
    left_out: LeftOutCounts = {}
    for monitor in monitors:
        merge(left_out, monitor.row.left_out)
    return ResyncReport(
        summary,
        _exit_code(trouble, waits=bool(held or missing), fails=bool(failed or unreadable)),
        missing,
        orphans,
        str(trouble) if trouble else None,
        left_out,
        sum(item.is_refused for item in unsent.values()),
        sum(not item.is_refused for item in unsent.values()),
        tuple(unsent[rel_path].describe(rel_path) for rel_path in sorted(unsent)[:_NAMED]),
        unreadable,
    )


def _exit_code(trouble: CollectionError | None, *, waits: bool, fails: bool) -> Exit:
    """``waits``: deletions are held, or a folder is missing. ``fails``: images are not mirrored."""
    if isinstance(trouble, Unauthorized):
        return Exit.UNAUTHORIZED
    if trouble is not None:
        return Exit.UNREACHABLE
    if waits:
        return Exit.HELD_OR_MISSING
    return Exit.IMAGES_FAILED if fails else Exit.OK


def _unreadable(monitors: Sequence[FolderMonitor]) -> tuple[str, ...]:
    lines = (
        f"{printable(monitor.folder.absolute(path))}: {reason}"
        for monitor in monitors
        for path, reason in islice(monitor.unreadable.items(), _NAMED)
    )
    return tuple(islice(lines, _NAMED))


def with_pruning(report: ResyncReport, pruning: Pruning) -> ResyncReport:
    """The report, with what a prune did."""
    report = replace(report, pruning=pruning)
    if pruning.waits:
        summary = replace(report.summary, held=report.summary.held + len(pruning.deletes))
        report = replace(report, summary=summary)
    if report.exit_code is Exit.OK and (pruning.waits or pruning.failed):
        code = Exit.HELD_OR_MISSING if pruning.waits else Exit.IMAGES_FAILED
        report = replace(report, exit_code=code)
    return report
