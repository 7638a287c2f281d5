"""The full resync: compares the disk, the state and the collection's listing once, and makes them
equal.

A resync is a state of the engine. While it runs, every step of the engine advances it through these
phases: scan the folders and read the listing; compare the two; adopt or send what differs; prune
images, if the request asks for that.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from snoopsync.core.errors import CollectionError, Stopped, Unauthorized, Unreachable
from snoopsync.core.events import Event, log_event
from snoopsync.core.tally import Tally
from snoopsync.sync.pruning import Approve, Prune
from snoopsync.sync.resync_report import ResyncReport, report_of, with_pruning

if TYPE_CHECKING:
    from snoopsync.sync.engine import SyncEngine

log = logging.getLogger("snoopsync.resync")

#: The fact in the state file that identifies its collection.
COLLECTION_FACT = "collection_id"

#: How long a command waits for a collection that is down, in seconds.
COMMAND_PATIENCE_SECONDS = 15.0

#: How long a resync waits for files that do not settle, after its last progress.
_UNSETTLED_SECONDS = 60.0

#: How many files a log line names.
_SAMPLES = 3

#: How often the progress is updated, in seconds.
_PROGRESS_SECONDS = 0.2


class Phase(StrEnum):
    """What a resync is doing."""

    SCANNING = "scanning"
    SENDING = "sending"
    PRUNING = "pruning"


@dataclass(frozen=True, slots=True)
class ResyncProgress:
    """The progress of a resync. ``phase`` is a ``Phase``, or another word in a message from another
    version. ``done`` and ``left`` are numbers of images."""

    phase: str
    scanned: int
    done: int
    left: int


#: Shows the progress of a resync.
Show = Callable[[ResyncProgress], None]


@dataclass(frozen=True, slots=True)
class ResyncRequest:
    """What to resync.

    ``prune``: also delete the images that the configuration leaves out. If they exceed the guard's
    limit, ``prune`` is called and returns whether the plan is approved. ``retry_refused``: retry
    refused images now, before they are due. ``patience_seconds``: how long the collection may be
    down.
    """

    folders: Collection[str]
    prune: Approve | None = None
    retry_refused: bool = True
    patience_seconds: float = COMMAND_PATIENCE_SECONDS


class ResyncRun:
    """One full resync, which the engine advances. ``progress`` is ``None`` before the first step.
    ``report`` is ``None`` until the resync is done, and stays ``None`` if it is abandoned."""

    def __init__(self, engine: SyncEngine, request: ResyncRequest) -> None:
        self.progress: ResyncProgress | None = None
        self.report: ResyncReport | None = None
        self.is_over = False
        self._engine = engine
        self._request = request
        self._monitors = [each for each in engine.monitors if each.folder.name in request.folders]
        self._began = engine.clock.monotonic()
        self._count_at = 0.0
        self._phase = Phase.SCANNING
        self._phases = self._run()
        engine.sender.tally = Tally({monitor.folder.name for monitor in self._monitors})
        # With very many images, the progress and the summary are more useful than a line for each.
        engine.sender.image_log_level = logging.DEBUG
        engine.state.intents.retry_now(refused=request.retry_refused)
        if request.retry_refused:
            engine.sender.refusals.try_now()
        self._prune: Prune | None = None
        if request.prune is not None:
            self._prune = Prune(engine, self._monitors, request.prune)

    @property
    def can_advance(self) -> bool:
        """Whether the engine can advance the resync without waiting."""
        return self._phase is not Phase.SCANNING and self._engine.is_idle

    def advance(self) -> None:
        """Advance the resync. Called before each step of the engine."""
        try:
            self._phase = next(self._phases)
        except StopIteration:
            self._finish(None)
        except Stopped:
            self.abandon()
        except CollectionError as error:
            if isinstance(error, Unauthorized):
                self._engine.sender.stop_sending(error)
            self._finish(error)

    def check(self) -> None:
        """End the resync if the collection cannot be used, else update the progress. Called after
        each step of the engine."""
        trouble = self._engine.trouble or self._outage()
        if trouble is not None:
            self._finish(trouble)
        elif self._engine.clock.monotonic() >= self._count_at:
            self._count_at = self._engine.clock.monotonic() + _PROGRESS_SECONDS
            self.progress = self._count()

    def abandon(self) -> None:
        """End without a report, because the engine stops."""
        self._end()

    def _finish(self, trouble: CollectionError | None) -> None:
        orphans = self._end()
        seconds = self._engine.clock.monotonic() - self._began
        report = report_of(
            self._engine, self._monitors, orphans=orphans, trouble=trouble, seconds=seconds
        )
        self.report = with_pruning(report, self._prune.outcome) if self._prune else report

    def _end(self) -> int:
        """Reset the engine to its normal state. Returns the number of images without a file."""
        self.is_over = True
        self._engine.sender.image_log_level = logging.INFO
        # The proof for a prune is only valid during this resync.
        self._engine.sender.drop_prunes()
        # After one complete comparison, the state file knows what the collection holds.
        was_compared = self._engine.state.fact(COLLECTION_FACT) is not None
        return len(self._engine.listing.end(trust_state=was_compared))

    def _outage(self) -> CollectionError | None:
        outage = self._engine.collection.outage
        if outage is None or outage.seconds < self._request.patience_seconds:
            return None
        return Unreachable(outage.last_error)

    def _count(self) -> ResyncProgress:
        engine = self._engine
        scanned = sum(monitor.scanned for monitor in self._monitors)
        left = engine.state.intents.count_dirty() + engine.unsettled
        return ResyncProgress(self._phase, scanned, engine.sender.tally.done, left)

    # The phases. The engine performs a step at each ``yield`` of the current phase.

    def _run(self) -> Iterator[Phase]:
        engine = self._engine
        engine.sender.trouble = None
        for monitor in self._monitors:
            monitor.scan()
        listing = engine.listing.begin(on_read=engine.wake)
        yield Phase.SCANNING
        while engine.is_looking or not listing.done():
            yield Phase.SCANNING
        differences = listing.result()
        engine.listing.apply(differences)
        if engine.state.fact(COLLECTION_FACT) not in (None, differences.collection_id):
            engine.sender.refusals.forget_formats()
        for rel_paths in engine.listing.missing_paths():
            engine.inbox.put(rel_paths)
            yield Phase.SENDING
        yield Phase.SENDING
        yield from self._send()
        if self._prune is not None:
            for _ in self._prune.run():
                yield Phase.PRUNING
        engine.state.set_fact(COLLECTION_FACT, differences.collection_id)

    def _send(self) -> Iterator[Phase]:
        """Wait until everything is sent, except for files that do not settle."""
        engine = self._engine
        done, patient_until = -1, 0.0
        while not engine.is_idle:
            now = engine.clock.monotonic()
            if engine.sender.tally.done != done:
                done, patient_until = engine.sender.tally.done, now + _UNSETTLED_SECONDS
            elif engine.is_idle_except_settling and now > patient_until:
                self._log_unsettled()
                return
            yield Phase.SENDING

    def _log_unsettled(self) -> None:
        rel_paths = sorted(
            rel_path for rel_path, is_file in self._engine.unsettled_paths() if is_file
        )
        log_event(
            log,
            logging.WARNING,
            Event.RESTLESS,
            "not waiting for files that keep changing (%d): %s%s",
            len(rel_paths),
            ", ".join(map(str, rel_paths[:_SAMPLES])),
            ", ..." if len(rel_paths) > _SAMPLES else "",
            count=len(rel_paths),
            samples=[rel_path.text for rel_path in rel_paths[:_SAMPLES]],
        )


def run_resync(
    engine: SyncEngine, request: ResyncRequest, show: Show = lambda progress: None
) -> ResyncReport:
    """Step the engine until a full resync is done. Calls ``show`` with its progress. Raises
    ``Stopped`` if the engine is stopped meanwhile."""
    run, shown = engine.begin_resync(request), None
    while not run.is_over:
        engine.step()
        if run.progress is not None and run.progress is not shown:
            shown = run.progress
            show(shown)
        if not run.is_over:
            engine.wait()
    if run.report is None:
        raise Stopped
    return run.report
