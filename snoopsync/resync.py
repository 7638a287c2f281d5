"""The full resync: disk, state and the collection's listing are compared and made equal, once."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from typing import Any

from snoopsync.assembly import COLLECTION_FACT, COMMAND_PATIENCE_SECONDS, Assembly
from snoopsync.comparison import Listing
from snoopsync.errors import CollectionError, Stopped, Unauthorized, Unreachable
from snoopsync.events import Event, happened
from snoopsync.exits import Exit
from snoopsync.pruning import Approve, Prune, Pruning
from snoopsync.sender import Tally
from snoopsync.survey import Survey

log = logging.getLogger("snoopsync.resync")

_SCANNING = "scanning"

#: How long a resync waits for files that are written to all the time.
_RESTLESS_SECONDS = 60.0

#: How often progress is shown.
_SHOW_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Summary:
    """What a resync did, in images; ``failed`` and ``held`` are all there are after it. Deletions
    of a prune that wait for approval count as held."""

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
    it could not be ended, if so. ``pruning``: what a prune did, if one was asked for."""

    summary: Summary
    exit_code: Exit
    missing: tuple[str, ...]
    orphans: int
    trouble: str | None
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
            Pruning.from_message(message["pruning"]) if message["pruning"] else None,
        )


def resync(
    assembly: Assembly,
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
    started = assembly.clock.monotonic()
    show_at = 0.0
    mirror = assembly.mirror
    surveys = [survey for survey in assembly.surveys if survey.folder.name in folders]
    assembly.state.intents.retry_now(refused=retry_refused)
    pruner = Prune(assembly, surveys, prune) if prune is not None else None
    phases = _phases(assembly, surveys, pruner)
    trouble: CollectionError | None = None
    try:
        with mirror.quietly():
            for phase in phases:
                mirror.step()
                tend()
                if stop.is_set():
                    break
                trouble = mirror.trouble or _outage(assembly, patience_seconds)
                if trouble is not None:
                    break
                if assembly.clock.monotonic() >= show_at:
                    show(_progress(assembly, surveys, phase))
                    show_at = assembly.clock.monotonic() + _SHOW_SECONDS
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
    was_compared = assembly.state.fact(COLLECTION_FACT) is not None
    orphans = mirror.comparison.end(trust_state=was_compared)
    report = _report(assembly, surveys, len(orphans), trouble, assembly.clock.monotonic() - started)
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


def _phases(assembly: Assembly, surveys: Sequence[Survey], pruner: Prune | None) -> Iterator[str]:
    """The course of a resync: a step of the mirror is done at each ``yield``, which says what for.
    Raises ``CollectionError``."""
    mirror, state = assembly.mirror, assembly.state
    mirror.sender.tally = Tally()
    mirror.sender.trouble = None
    mirror.comparison.begin()
    for survey in surveys:
        survey.scan()
    listing = read_listing(assembly)
    yield _SCANNING
    while mirror.is_looking or not listing.done():
        yield _SCANNING
    mirror.look_again(mirror.comparison.compare(listing.result()))
    yield "sending"
    patient_until = assembly.clock.monotonic() + _RESTLESS_SECONDS
    while not mirror.is_idle:
        if mirror.is_at_rest and assembly.clock.monotonic() > patient_until:
            message, count = "%d files don't come to rest: not waiting for them", mirror.unsettled
            happened(log, logging.WARNING, Event.RESTLESS, message, count, count=count)
            break
        yield "sending"
    if pruner is not None:
        for _ in pruner.run():
            yield "pruning"
    state.set_fact(COLLECTION_FACT, assembly.collection.id)


def _outage(assembly: Assembly, patience_seconds: float) -> CollectionError | None:
    """The service waits for a collection that is away for ever, a command does not."""
    outage = assembly.collection.outage
    if outage is None or assembly.clock.now() - outage.since < patience_seconds:
        return None
    return Unreachable(outage.last_error)


def _progress(assembly: Assembly, surveys: Sequence[Survey], phase: str) -> Progress:
    tally = assembly.mirror.sender.tally
    done = tally.added + tally.updated + tally.deleted
    left = assembly.state.intents.count_dirty() + assembly.mirror.unsettled
    return Progress(phase, sum(survey.scanned for survey in surveys), done, left)


def _report(
    assembly: Assembly,
    surveys: Sequence[Survey],
    orphans: int,
    trouble: CollectionError | None,
    seconds: float,
) -> Report:
    tally = assembly.mirror.sender.tally
    names = {survey.folder.name for survey in surveys}
    counts = [count for name, count in assembly.state.counts().items() if name in names]
    failed = sum(count.failed for count in counts)
    held = sum(count.held for count in counts)
    scanned = sum(survey.scanned for survey in surveys)
    changed = tally.added + tally.updated + tally.renamed + tally.adopted + failed
    missing = tuple(survey.row.reason or "" for survey in surveys if survey.is_missing)
    summary = Summary(
        scanned=scanned,
        added=tally.added,
        updated=tally.updated,
        deleted=tally.deleted,
        renamed=tally.renamed,
        adopted=tally.adopted,
        # What could not be compared to the end is not known to be as it should be.
        unchanged=max(0, scanned - changed) if trouble is None else 0,
        failed=failed,
        held=held,
        seconds=round(seconds, 3),
    )
    if isinstance(trouble, Unauthorized):
        code = Exit.UNAUTHORIZED
    elif trouble is not None:
        code = Exit.UNREACHABLE
    elif held or missing:
        code = Exit.HELD_OR_MISSING
    elif failed or any(survey.unreadable for survey in surveys):
        code = Exit.IMAGES_FAILED
    else:
        code = Exit.OK
    return Report(summary, code, missing, orphans, str(trouble) if trouble else None)


def read_listing(assembly: Assembly) -> Future[Listing]:
    """Read the collection's listing on a thread of its own, which nobody has to wait for."""
    future: Future[Listing] = Future()

    def read() -> None:
        try:
            future.set_result(assembly.mirror.comparison.read_listing())
        except BaseException as error:  # it belongs to whoever asks for the result
            future.set_exception(error)
        assembly.mirror.wake()

    threading.Thread(target=read, name="listing", daemon=True).start()
    return future
