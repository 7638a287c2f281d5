"""The full resync: disk, state and the collection's listing are compared and made equal, once.

It is a state of the engine. While it lasts, every step of the engine advances it, through these
phases: the folders are scanned and the listing is read; the two are compared; what differs is
adopted or sent; and, if that was asked for, images are pruned.
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

#: The fact in the state file that says which collection it is about.
COLLECTION_FACT = "collection_id"

#: How long a command waits for a collection that is down, in seconds.
COMMAND_PATIENCE_SECONDS = 15.0

#: How long a resync waits for files that are written to all the time, after its last progress.
_RESTLESS_SECONDS = 60.0

#: How many files a log line names.
_SAMPLES = 3

#: How often the progress is counted, in seconds.
_PROGRESS_SECONDS = 0.2


class Phase(StrEnum):
    """What a resync does now."""

    SCANNING = "scanning"
    SENDING = "sending"
    PRUNING = "pruning"


@dataclass(frozen=True, slots=True)
class ResyncProgress:
    """How far a resync is. ``phase`` is a ``Phase``, or another word in a message of another
    version. ``done`` and ``left`` are images."""

    phase: str
    scanned: int
    done: int
    left: int


#: Shows how far a resync is.
Show = Callable[[ResyncProgress], None]


@dataclass(frozen=True, slots=True)
class ResyncRequest:
    """What to resync.

    ``prune``: also delete the images that the configuration leaves out; if they are more than the
    guard's limit, ``prune`` is called to ask whether this plan is approved. ``retry_refused``: try
    images that were refused now, before their time. ``patience_seconds``: how long the collection
    may be down.
    """

    folders: Collection[str]
    prune: Approve | None = None
    retry_refused: bool = True
    patience_seconds: float = COMMAND_PATIENCE_SECONDS


class ResyncRun:
    """One full resync, which the engine advances. ``progress`` is ``None`` before the first step,
    and ``report`` is ``None`` until the resync is done. One that is abandoned has no report."""

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
        # Of a hundred thousand images, the progress and the sum say more than a line for each.
        engine.sender.image_log_level = logging.DEBUG
        engine.state.intents.retry_now(refused=request.retry_refused)
        self._prune: Prune | None = None
        if request.prune is not None:
            self._prune = Prune(engine, self._monitors, request.prune)

    @property
    def can_advance(self) -> bool:
        """Can the engine advance it without waiting for anything?"""
        return self._phase is not Phase.SCANNING and self._engine.is_idle

    def advance(self) -> None:
        """Go on, before a step of the engine."""
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
        """After a step of the engine: end if the collection cannot be used, and count."""
        trouble = self._engine.trouble or self._outage()
        if trouble is not None:
            self._finish(trouble)
        elif self._engine.clock.monotonic() >= self._count_at:
            self._count_at = self._engine.clock.monotonic() + _PROGRESS_SECONDS
            self.progress = self._count()

    def abandon(self) -> None:
        """End without a report: the engine stops."""
        self._end()

    def _finish(self, trouble: CollectionError | None) -> None:
        orphans = self._end()
        seconds = self._engine.clock.monotonic() - self._began
        report = report_of(
            self._engine, self._monitors, orphans=orphans, trouble=trouble, seconds=seconds
        )
        self.report = with_pruning(report, self._prune.outcome) if self._prune else report

    def _end(self) -> int:
        """Leave the engine as it was before. Returns the number of images without a file."""
        self.is_over = True
        self._engine.sender.image_log_level = logging.INFO
        # What is not pruned by now was only proven for this resync.
        self._engine.sender.drop_prunes()
        # Once everything was compared, the state file knows what the collection holds.
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

    # The phases. The engine makes a step at each ``yield``, which says what for.

    def _run(self) -> Iterator[Phase]:
        engine = self._engine
        engine.sender.trouble = None
        for monitor in self._monitors:
            monitor.scan()
        listing = engine.listing.begin(on_read=engine.wake)
        yield Phase.SCANNING
        while engine.is_looking or not listing.done():
            yield Phase.SCANNING
        engine.listing.apply(listing.result())
        for rel_paths in engine.listing.missing_paths():
            engine.inbox.put(rel_paths)
            yield Phase.SENDING
        yield Phase.SENDING
        yield from self._send()
        if self._prune is not None:
            for _ in self._prune.run():
                yield Phase.PRUNING
        engine.state.set_fact(COLLECTION_FACT, engine.collection.id)

    def _send(self) -> Iterator[Phase]:
        """Until all is sent, except for files that are written to all the time."""
        engine = self._engine
        done, patient_until = -1, 0.0
        while not engine.is_idle:
            now = engine.clock.monotonic()
            if engine.sender.tally.done != done:
                done, patient_until = engine.sender.tally.done, now + _RESTLESS_SECONDS
            elif engine.is_at_rest and now > patient_until:
                self._log_restless()
                return
            yield Phase.SENDING

    def _log_restless(self) -> None:
        rel_paths = sorted(
            rel_path for rel_path, is_file in self._engine.unsettled_paths() if is_file
        )
        log_event(
            log,
            logging.WARNING,
            Event.RESTLESS,
            "not waiting for files that are written to all the time (%d): %s%s",
            len(rel_paths),
            ", ".join(map(str, rel_paths[:_SAMPLES])),
            ", ..." if len(rel_paths) > _SAMPLES else "",
            count=len(rel_paths),
            samples=[rel_path.text for rel_path in rel_paths[:_SAMPLES]],
        )


def run_resync(
    engine: SyncEngine, request: ResyncRequest, show: Show = lambda progress: None
) -> ResyncReport:
    """Step the engine until a full resync is done. ``show`` is called while it runs. Raises
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
