"""The full resync: disk, state and the collection's listing are compared and made equal, once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

from snoopsync.core.errors import CollectionError, Stopped, Unauthorized, Unreachable
from snoopsync.core.events import Event, log_event
from snoopsync.core.exits import Exit
from snoopsync.core.left_out import LeftOutCounts, merge
from snoopsync.core.model import RelPath, printable
from snoopsync.core.tally import ImageOutcome, Tally
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.state.images import Counts
from snoopsync.sync.components import COLLECTION_FACT, COMMAND_PATIENCE_SECONDS, Components
from snoopsync.sync.pruning import Approve, Prune, Pruning
from snoopsync.sync.remote_listing import Listing

log = logging.getLogger("snoopsync.resync")

_SCANNING = "scanning"

#: How long a resync waits for files that are written to all the time, after it got on last.
_RESTLESS_SECONDS = 60.0

#: How many files a line of the log names.
_SAMPLES = 3

#: How many images a report names of those that were not sent, and of those that can't be read.
_NAMED = 20

#: Why an image was not sent that nobody refused.
_RESTLESS = "the file is being written to"
_NOT_SENT = "not sent yet"
_NOT_DELETED = "gone, and not deleted from the collection yet"

#: How often progress is shown.
_SHOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Summary:
    """What a resync did, in images. ``scanned`` is the sum of ``added``, ``updated``, ``renamed``,
    ``adopted``, ``unchanged`` and ``failed``: of the files that were found, each is counted once.
    ``failed`` are those that are not mirrored after it, for whatever reason, and the images that
    should be deleted and are not; ``held`` the deletions that wait for a person, those of a prune
    too."""

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
        """This one and the one right before it, as one."""
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
class Progress:
    """How far it is: what it does now, images done and images that are known to be left."""

    phase: str
    scanned: int
    done: int
    left: int


#: Is told how far something is.
Show = Callable[[Progress], None]


@dataclass(frozen=True, slots=True)
class Report:
    """The end of a resync. ``orphans``: images of ours that no file was found for. ``trouble``: why
    it could not be ended, if so. Of those that failed some were ``refused`` and some are
    ``waiting``; the others could not be compared. ``unsent`` and ``unreadable`` name the first of
    them, with the reason. ``left_out``: what the folders hold that is not mirrored. ``pruning``:
    what a prune did, if one was asked for."""

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

    def after(self, first: Report) -> Report:
        """This one and the one right before it, as one."""
        return replace(self, summary=self.summary.after(first.summary))

    def as_message(self) -> dict[str, Any]:
        """The report as JSON has it."""
        pruning = self.pruning and self.pruning.as_message()
        return asdict(replace(self, pruning=None)) | {"pruning": pruning}

    def summary_message(self) -> dict[str, Any]:
        """The summary as ``--json`` has it."""
        return asdict(self.summary)

    @classmethod
    def from_message(cls, message: dict[str, Any]) -> Report:
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


def resync(
    components: Components,
    *,
    folders: Collection[str],
    prune: Approve | None = None,
    retry_refused: bool = True,
    stop: threading.Event,
    patience_seconds: float = COMMAND_PATIENCE_SECONDS,
    tend: Callable[[], None] = lambda: None,
    show: Show = lambda progress: None,
) -> Report:
    """Compare everything in these folders and make it equal; in a rehearsal, only plan that.

    ``prune``: also delete the images that the configuration leaves out. If they are more than the
    guard's limit, it is asked whether this plan is approved.
    ``retry_refused``: images that were refused are tried now, whenever their time is.
    ``patience_seconds``: for how long the collection may be away. ``tend`` is called with every
    step, for what the service has to do beside it; ``show`` now and then.
    """
    started = components.clock.monotonic()
    show_at = 0.0
    mirror = components.mirror
    monitors = [monitor for monitor in components.monitors if monitor.folder.name in folders]
    mirror.sender.tally = Tally({monitor.folder.name for monitor in monitors})
    components.state.intents.retry_now(refused=retry_refused)
    pruner = Prune(components, monitors, prune) if prune is not None else None
    phases = _phases(components, monitors, pruner)
    trouble: CollectionError | None = None
    try:
        with mirror.quietly():
            for phase in phases:
                mirror.step()
                tend()
                if stop.is_set():
                    break
                trouble = mirror.trouble or _outage(components, patience_seconds)
                if trouble is not None:
                    break
                if components.clock.monotonic() >= show_at:
                    show(_progress(components, monitors, phase))
                    show_at = components.clock.monotonic() + _SHOW_SECONDS
                if phase == _SCANNING or not mirror.is_idle:
                    mirror.wait()
    except CollectionError as error:
        trouble = error
        if isinstance(error, Unauthorized):
            mirror.sender.meet(error)
    except Stopped:
        pass
    # What is not pruned by now was only proven for this run.
    mirror.sender.drop_prunes()
    # Once everything was compared, the state file knows what the collection holds.
    was_compared = components.state.fact(COLLECTION_FACT) is not None
    orphans = mirror.comparison.end(trust_state=was_compared)
    report = _report(
        components, monitors, len(orphans), trouble, components.clock.monotonic() - started
    )
    return report if pruner is None else _with_pruning(report, pruner.outcome)


def _with_pruning(report: Report, pruning: Pruning) -> Report:
    """The report, with what became of a prune."""
    report = replace(report, pruning=pruning)
    if pruning.waits:
        summary = replace(report.summary, held=report.summary.held + len(pruning.deletes))
        report = replace(report, summary=summary)
    if report.exit_code is Exit.OK and (pruning.waits or pruning.failed):
        code = Exit.HELD_OR_MISSING if pruning.waits else Exit.IMAGES_FAILED
        report = replace(report, exit_code=code)
    return report


def _phases(
    components: Components, monitors: Sequence[FolderMonitor], pruner: Prune | None
) -> Iterator[str]:
    """The course of a resync: a step of the mirror is done at each ``yield``, which says what for.
    Raises ``CollectionError``."""
    mirror, state = components.mirror, components.state
    mirror.sender.trouble = None
    mirror.comparison.begin()
    for monitor in monitors:
        monitor.scan()
    listing = read_listing(components)
    yield _SCANNING
    while mirror.is_looking or not listing.done():
        yield _SCANNING
    mirror.look_again(mirror.comparison.compare(listing.result()))
    yield "sending"
    yield from _sending(components)
    if pruner is not None:
        for _ in pruner.run():
            yield "pruning"
    state.set_fact(COLLECTION_FACT, components.collection.id)


def _sending(components: Components) -> Iterator[str]:
    """Until all is sent, but for files that are written to all the time."""
    mirror = components.mirror
    done, patient_until = -1, 0.0
    while not mirror.is_idle:
        now = components.clock.monotonic()
        if mirror.sender.tally.done != done:
            done, patient_until = mirror.sender.tally.done, now + _RESTLESS_SECONDS
        elif mirror.is_at_rest and now > patient_until:
            rel_paths = sorted(
                rel_path for rel_path, is_file in mirror.unsettled_paths() if is_file
            )
            log_event(
                log,
                logging.WARNING,
                Event.RESTLESS,
                "files that are written to all the time are not waited for (%d): %s%s",
                len(rel_paths),
                ", ".join(map(str, rel_paths[:_SAMPLES])),
                ", ..." if len(rel_paths) > _SAMPLES else "",
                count=len(rel_paths),
                samples=[rel_path.text for rel_path in rel_paths[:_SAMPLES]],
            )
            return
        yield "sending"


def _outage(components: Components, patience_seconds: float) -> CollectionError | None:
    """The service waits for a collection that is away for ever, a command does not."""
    outage = components.collection.outage
    if outage is None or outage.seconds < patience_seconds:
        return None
    return Unreachable(outage.last_error)


def _progress(components: Components, monitors: Sequence[FolderMonitor], phase: str) -> Progress:
    left = components.state.intents.count_dirty() + components.mirror.unsettled
    done = components.mirror.sender.tally.done
    return Progress(phase, sum(monitor.scanned for monitor in monitors), done, left)


@dataclass(frozen=True, slots=True)
class _Unsent:
    """An image that is not as the disk has it. ``image_id`` is ``None`` for a file that none was
    planned for; ``is_file``: is there a file, or is the image to be deleted?"""

    image_id: str | None
    reason: str
    is_file: bool
    is_refused: bool = False

    def named(self, rel_path: RelPath) -> str:
        """In words."""
        return f"{'failed' if self.is_refused else 'waiting'}: {rel_path}: {self.reason}"


def _unsent(
    components: Components, monitors: Sequence[FolderMonitor], *, is_cut_short: bool
) -> dict[RelPath, _Unsent]:
    """What is not mirrored now, of these folders, by place: what the state file has planned and
    not confirmed, and what has not come to rest. Of a folder that is missing only what was refused
    is known. ``is_cut_short``: it may be all of the images, and nothing had the time to rest."""
    mirror = components.mirror
    missing = {monitor.folder.name: monitor.is_missing for monitor in monitors}
    found: dict[RelPath, _Unsent] = {}
    for item in components.state.intents.unsent(list(missing)):
        if item.error is None and missing[item.rel_path.folder]:
            continue
        is_file = not mirror.sender.is_cleared(item.image_id)
        is_file = is_file and (is_cut_short or mirror.has_file(item.rel_path))
        reason = item.error or (_NOT_SENT if is_file else _NOT_DELETED)
        found[item.rel_path] = _Unsent(item.image_id, reason, is_file, item.error is not None)
    for rel_path, is_file in mirror.unsettled_paths():
        if missing.get(rel_path.folder) is False and rel_path not in found:
            waits = _NOT_SENT if is_cut_short else _RESTLESS
            found[rel_path] = _Unsent(None, waits if is_file else _NOT_DELETED, is_file)
    return found


def _report(
    components: Components,
    monitors: Sequence[FolderMonitor],
    orphans: int,
    trouble: CollectionError | None,
    seconds: float,
) -> Report:
    tally, counts = components.mirror.sender.tally, components.state.counts()
    unsent = _unsent(components, monitors, is_cut_short=trouble is not None)
    fates = tally.end({item.image_id for item in unsent.values() if item.image_id})
    files = sum(item.is_file for item in unsent.values())
    held = sum(counts.get(monitor.folder.name, Counts()).held for monitor in monitors)
    # A file may have come after its directory was listed.
    scanned = max(sum(monitor.scanned for monitor in monitors), fates.total() + files)
    unchanged = scanned - fates.total() - files
    failed = len(unsent)
    if trouble is not None:
        # What could not be compared to the end is not known to be as it should be.
        failed, unchanged = failed + unchanged, 0
    missing = tuple(monitor.row.reason or "" for monitor in monitors if monitor.is_missing)
    unreadable = [
        f"{printable(monitor.folder.absolute(path))}: {reason}"
        for monitor in monitors
        for path, reason in islice(monitor.unreadable.items(), _NAMED)
    ]
    if isinstance(trouble, Unauthorized):
        code = Exit.UNAUTHORIZED
    elif trouble is not None:
        code = Exit.UNREACHABLE
    elif held or missing:
        code = Exit.HELD_OR_MISSING
    elif failed or unreadable:
        code = Exit.IMAGES_FAILED
    else:
        code = Exit.OK
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
    return Report(
        summary,
        code,
        missing,
        orphans,
        str(trouble) if trouble else None,
        left_out,
        sum(item.is_refused for item in unsent.values()),
        sum(not item.is_refused for item in unsent.values()),
        tuple(unsent[rel_path].named(rel_path) for rel_path in sorted(unsent)[:_NAMED]),
        tuple(unreadable[:_NAMED]),
    )


def read_listing(components: Components) -> Future[Listing]:
    """Read the collection's listing on a thread of its own, which nobody has to wait for."""
    future: Future[Listing] = Future()

    def read() -> None:
        try:
            future.set_result(components.mirror.comparison.read_listing())
        except BaseException as error:  # it belongs to whoever asks for the result
            future.set_exception(error)
        components.mirror.wake()

    threading.Thread(target=read, name="listing", daemon=True).start()
    return future
