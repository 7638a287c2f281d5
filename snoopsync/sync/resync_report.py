"""The report of a full resync, which is made at its end."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

from snoopsync.core.errors import CollectionError, Unauthorized
from snoopsync.core.left_out import LeftOutCounts, merge
from snoopsync.core.model import RelPath, printable
from snoopsync.core.tally import ImageOutcome
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.state.images import Counts
from snoopsync.sync.pruning import Pruning

if TYPE_CHECKING:
    from snoopsync.sync.engine import SyncEngine

#: How many unsent images and how many unreadable paths a report names.
_NAMED = 20

#: Why an image was not sent, if it was not refused.
_UNSETTLED = "the file is being written to"
_NOT_SENT = "not sent yet"
_NOT_DELETED = "gone, and not deleted from the collection yet"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a resync did, in images.

    ``scanned`` is the sum of ``added``, ``updated``, ``renamed``, ``adopted``, ``unchanged`` and
    ``failed``: each file that was found is counted once. ``failed`` counts the files that are not
    mirrored for any reason, and the images that should have been deleted. ``held`` counts the
    deletions that wait for approval, including those of a prune. ``seconds`` is the duration.
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
        """The sum of this summary and ``first``, the summary of the previous resync."""
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
    """The report of a resync.

    ``orphans``: how many images of this owner have no file. ``trouble``: why the resync could not
    be completed, or ``None``. ``is_unauthorized``: the collection refused the keys. Of the failed
    images, some were ``refused`` and some are ``waiting``; the others could not be compared.
    ``unsent`` and ``unreadable`` name the first ones, each with the reason. ``left_out``: what the
    folders contain that is not mirrored. ``pruning``: what a prune did, or ``None``.
    """

    summary: Summary
    missing: tuple[str, ...]
    orphans: int
    trouble: str | None
    left_out: LeftOutCounts
    is_unauthorized: bool = False
    refused: int = 0
    waiting: int = 0
    unsent: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    pruning: Pruning | None = None

    @property
    def has_failures(self) -> bool:
        """Whether some images should have been mirrored or deleted, and were not."""
        prune_failed = self.pruning is not None and self.pruning.failed > 0
        return bool(self.summary.failed or self.unreadable or prune_failed)

    @property
    def is_complete(self) -> bool:
        """Whether everything was done: nothing failed, nothing is held, no folder is missing."""
        waits = self.summary.held or self.missing
        return self.trouble is None and not (waits or self.has_failures)

    def after(self, first: ResyncReport) -> ResyncReport:
        """This report, combined with ``first``, the report of the previous resync."""
        return replace(self, summary=self.summary.after(first.summary))

    def as_message(self) -> dict[str, Any]:
        """The report as JSON, for a command that asked the service."""
        pruning = self.pruning and self.pruning.as_message()
        return asdict(replace(self, pruning=None)) | {"pruning": pruning}

    def summary_message(self) -> dict[str, Any]:
        """The object that ``resync --json`` prints."""
        return asdict(self.summary)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> ResyncReport:
        """The report from the JSON that ``as_message`` returned."""
        return cls(
            Summary(**message["summary"]),
            tuple(message["missing"]),
            message["orphans"],
            message["trouble"],
            message["left_out"],
            message.get("is_unauthorized", False),
            message.get("refused", 0),
            message.get("waiting", 0),
            tuple(message.get("unsent", ())),
            tuple(message.get("unreadable", ())),
            Pruning.from_message(message["pruning"]) if message["pruning"] else None,
        )


@dataclass(frozen=True, slots=True)
class _Unsent:
    """An image that is not mirrored. ``image_id`` is ``None`` for a file without a plan.
    ``is_file``: the path has a file; otherwise the image must be deleted."""

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
    """The images of these folders that are not mirrored: planned and not confirmed, or not settled.
    Of a missing folder only the refused images are known. ``is_cut_short``: the resync ended early,
    so nothing had time to settle."""
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
            waits = _NOT_SENT if is_cut_short else _UNSETTLED
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
    """The report of a resync of these folders, which has just ended."""
    tally, counts = engine.sender.tally, engine.state.counts()
    unsent = _find_unsent(engine, monitors, is_cut_short=trouble is not None)
    outcomes = tally.end({item.image_id for item in unsent.values() if item.image_id})
    files = sum(item.is_file for item in unsent.values())
    held = sum(counts.get(monitor.folder.name, Counts()).held for monitor in monitors)
    # A file may have appeared after its directory was listed.
    scanned = max(sum(monitor.scanned for monitor in monitors), outcomes.total() + files)
    unchanged = scanned - outcomes.total() - files
    failed = len(unsent)
    if trouble is not None:
        # Files that could not be compared may differ from their images.
        failed, unchanged = failed + unchanged, 0
    missing = tuple(monitor.row.reason or "" for monitor in monitors if monitor.is_missing)
    unreadable = _unreadable(monitors)
    summary = Summary(
        scanned=scanned,
        added=outcomes[ImageOutcome.ADDED],
        updated=outcomes[ImageOutcome.UPDATED],
        deleted=tally.deleted,
        renamed=outcomes[ImageOutcome.RENAMED],
        adopted=outcomes[ImageOutcome.ADOPTED],
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
        missing,
        orphans,
        str(trouble) if trouble else None,
        left_out,
        isinstance(trouble, Unauthorized),
        sum(item.is_refused for item in unsent.values()),
        sum(not item.is_refused for item in unsent.values()),
        tuple(unsent[rel_path].describe(rel_path) for rel_path in sorted(unsent)[:_NAMED]),
        unreadable,
    )


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
    return report
