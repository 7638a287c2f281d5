"""The mirror: from what was seen on the disk to what the collection has confirmed, and back.

One thread owns everything here; the workers only send. Each ``step`` goes the same way, in one
direction: look (survey), come to rest (settle), decide (gather, plan, guard), write the intent
down, send (sender), write the confirmation down. ``run`` and ``resync`` differ in how they begin
and when they stop stepping.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Collection as Container
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain, islice

from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import CollectionError
from snoopsync.core.model import File, Gone, Observation, Record, RelPath, Unclear
from snoopsync.core.planner import (
    Action,
    Adopt,
    Delete,
    Forget,
    Rename,
    plan,
)
from snoopsync.core.tally import ImageOutcome
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.folders.pending import PendingPaths
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State
from snoopsync.state.schedule import Schedule
from snoopsync.sync.adoption import Recognizer
from snoopsync.sync.delete_guard import Cleared, DeletionGuard, FolderView
from snoopsync.sync.in_flight import InFlight
from snoopsync.sync.plan_input import PlanInputReader
from snoopsync.sync.remote_listing import Comparison
from snoopsync.sync.sender import Sender
from snoopsync.sync.transfer import Rehearsal, Transfer

#: How long one step looks at directories before it does the rest.
_LOOK_SECONDS = 0.1

#: How many files are decided on together: as many as are planned in well under a second.
_BATCH = 2000

#: With more places than this that have not come to rest, looking waits: memory stays flat.
_MOST_UNSETTLED = 20_000

#: How often to wake up without a reason, in seconds.
_IDLE_SECONDS = 1.0

#: How many images a rehearsal deals with in one step.
_REHEARSED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """What the mirror goes by. In a ``rehearsal`` everything is planned and nothing is sent."""

    owner: str
    settle_seconds: float
    delete_after_seconds: float
    workers: int
    rehearsal: bool = False


class SyncEngine:
    """Keeps the collection equal to the folders. One thread calls ``step`` again and again; any
    may call ``wake``. ``searched`` is the collection for searches, which can be down while the rest
    of it is not. ``sender`` has what was done, ``comparison`` the collection's listing."""

    def __init__(
        self,
        settings: Settings,
        monitors: Sequence[FolderMonitor],
        state: State,
        guard: DeletionGuard,
        collection: RetryingCollection,
        searched: RetryingCollection,
        *,
        schedule: Schedule,
        remembered: InFlight,
        make_workers: Callable[[int, str], Workers] = Workers,
    ) -> None:
        clock = schedule.clock
        self.monitors = monitors
        self.on_done: Callable[[Sequence[Action]], None] = lambda actions: None
        self._state = state
        self.guard = guard
        self._collection = collection
        self._schedule = schedule
        self._clock = clock
        self._folders = {monitor.folder.name: monitor.folder for monitor in monitors}
        self._unsettled = PendingPaths(
            self._folders, settings.settle_seconds, settings.delete_after_seconds, clock
        )
        self._unsettled.on_unclear = self._note_unclear
        self._readers = make_workers(2, "read")
        self._gatherer = PlanInputReader(settings.owner, self._folders, state, self._readers)
        senders = make_workers(settings.workers, "send")
        self.sender = Sender(
            state,
            self._folders,
            collection,
            Rehearsal(collection) if settings.rehearsal else Transfer(collection),
            senders,
            # Enough that no worker waits for this thread.
            _REHEARSED_AT_ONCE if settings.rehearsal else 2 * settings.workers,
            schedule,
            remembered,
        )
        self.sender.on_done = self._tell
        self.sender.on_landed = self.wake
        self.comparison = Comparison(
            settings.owner, state, collection, senders, clock, 2 * settings.settle_seconds
        )
        self._wake = threading.Event()
        self._is_draining = False
        newest = state.deletions.newest()
        self._newest = {monitor.folder.name: newest for monitor in monitors}
        self._recognizer = Recognizer(self._folders, searched, clock, make_workers, self.wake)

    # For what is around it.

    def wake(self) -> None:
        """There is something to do: don't wait any longer."""
        self._wake.set()

    def drain(self) -> None:
        """Begin nothing new, but write down what the requests under way bring."""
        self._is_draining = True
        self.wake()

    def take_over(self, before: SyncEngine) -> None:
        """Go on where another one has ended, that was for the same collection and state file."""
        self.comparison.remote = before.comparison.remote
        # What it wanted to delete has to be gone for long enough once more.
        dirty = (self._state.intents.dirty_paths(monitor.folder.name) for monitor in self.monitors)
        self.look_again({*before._unsettled.rel_paths(), *chain.from_iterable(dirty)})

    def look_again(self, rel_paths: Iterable[RelPath]) -> None:
        """Look at these places as if something had changed there."""
        self._unsettled.look_again(rel_paths)

    @contextmanager
    def quietly(self) -> Iterator[None]:
        """Log single images as a detail: of a hundred thousand, progress and a sum say more."""
        self.sender.chatter = logging.DEBUG
        try:
            yield
        finally:
            self.sender.chatter = logging.INFO

    def wait(self) -> None:
        """Wait until there is something to do."""
        now = self._clock.monotonic()
        if not self.is_looking and not self._unsettled.has_rested:
            due = [monitor.next_due for monitor in self.monitors]
            settled = self._unsettled.next_due()
            if settled is not None:
                due.append(settled)
            if self.comparison.gathers_until > now:
                due.append(self.comparison.gathers_until)
            self._clock.wait(self._wake, max(0.0, min([*due, now + _IDLE_SECONDS]) - now))
            self._wake.clear()

    @property
    def is_idle(self) -> bool:
        """Is everything done that can be done now?"""
        if self._unsettled.settling or not self.is_at_rest:
            return False
        return not self.sender.has_postponed(self._present)

    @property
    def is_at_rest(self) -> bool:
        """Is everything done but for the files that don't come to rest, or have just changed while
        they were sent?"""
        if self.is_looking or self._unsettled.has_undecided:
            return False
        return self.sender.is_idle(self._present)

    @property
    def is_looking(self) -> bool:
        """Is there anything left to look at in a folder?"""
        return any(monitor.is_busy for monitor in self.monitors)

    @property
    def unsettled(self) -> int:
        """How many places have changed and are not planned for yet."""
        return len(self._unsettled)

    def unsettled_paths(self) -> Iterator[tuple[RelPath, bool]]:
        """These places; whether a file was there at the last look."""
        return self._unsettled.unsent()

    def has_file(self, rel_path: RelPath) -> bool:
        """Is there a file now?"""
        return isinstance(self._unsettled.observation(rel_path), File)

    @property
    def in_flight(self) -> int:
        """How many images are being sent or removed now."""
        return self.sender.in_flight

    @property
    def trouble(self) -> CollectionError | None:
        """Why nothing can be sent now, if so."""
        return self.sender.trouble

    @property
    def _present(self) -> list[str]:
        return [monitor.row.name for monitor in self.monitors if not monitor.is_missing]

    def close(self, timeout_seconds: float) -> bool:
        """Let the requests under way end, and write down what they did. False if some had not
        ended after ``timeout_seconds``: they are abandoned, and sent again after the next start."""
        ended = self.sender.close(timeout_seconds)
        self._tell_held(is_last=True)
        self._readers.close(timeout_seconds=0.1)
        self._recognizer.close()
        for monitor in self.monitors:
            monitor.close()
        self._collection.log_suppressed()
        return ended

    def left_out(self, folders: Container[str] | None = None) -> list[Record]:
        """The records of the files that the configuration does not name any more, in these folders
        or in all that were ever configured."""
        return [
            record
            for row in self._state.folders.rows()
            if folders is None or row.name in folders
            for record in self._state.records_in(row.name)
            if not self._is_wanted(record.rel_path)
        ]

    def remove(self, prunes: Sequence[Cleared]) -> None:
        """Remove these images, which a person asked for and the guard has cleared."""
        self.comparison.note([cleared.delete for cleared in prunes])
        for cleared in prunes:
            self.sender.clear(cleared)

    def _is_wanted(self, rel_path: RelPath) -> bool:
        folder = self._folders.get(rel_path.folder)
        return folder is not None and folder.selection.wants(rel_path.path)

    def _tell(self, actions: Sequence[Action]) -> None:
        if actions:
            self.on_done(actions)

    # One step.

    def step(self) -> None:
        """Do what is due now."""
        if self._is_draining:
            self.sender.collect()  # a place in doubt is dirty still
            return
        self._look()
        self.look_again(self.sender.collect())
        self._recognize()
        self._decide()
        self._send()
        self._tell_held()

    def _look(self) -> None:
        self._note_newest()
        now = self._clock.monotonic()
        for monitor in self.monitors:
            monitor.update(now)
            if monitor.is_missing:
                self._unsettled.drop_folder(monitor.folder.name)
            monitor.refresh_row()
        if self._unsettled.settling < _MOST_UNSETTLED:
            for monitor in self.monitors:
                for rel_path, seen in monitor.differences(time.monotonic() + _LOOK_SECONDS, now):
                    self._unsettled.see(rel_path, seen)
        self._unsettled.look_at_due()

    def _note_unclear(self, rel_path: RelPath, reason: str) -> None:
        for monitor in self.monitors:
            if monitor.folder.name == rel_path.folder:
                monitor.note_unclear(rel_path.path, reason)

    def _note_newest(self) -> None:
        """Remember, for each folder that is known not to lose anything now, which image rows there
        are. During a scan nobody can say whether a new file or a loss came first."""
        if self._unsettled.has_undecided:
            return
        newest = self._state.deletions.newest()
        for monitor in self.monitors:
            name = monitor.folder.name
            if not (monitor.is_busy or self._loses_files(name)):
                self._newest[name] = newest

    def _loses_files(self, folder: str) -> bool:
        return self._unsettled.is_vanishing(folder) or self._state.deletions.holds_any(folder)

    def _view(self, folder: str) -> FolderView:
        return FolderView(self._unsettled.vanishing(folder), self._newest[folder])

    def _tell_held(self, *, is_last: bool = False) -> None:
        now = self._clock.monotonic()
        self.guard.tell(self._unsettled.is_vanishing, now, is_last=is_last)

    def _send(self) -> None:
        # While the listing is read, nobody could tell whether it has what is sent meanwhile.
        if not self.comparison.is_gathering:
            self.look_again(self.sender.dispatch(self._present, self._unsettled.observation))

    # Deciding.

    def _decide(self) -> None:
        files, gone = {}, {}
        # In order, so that a rehearsal matches the same files with the same records.
        for rel_path, observation in self._unsettled.take(postponed=not self._awaits_more):
            if self._must_wait(rel_path, observation):
                self._unsettled.postpone({rel_path: observation})
            elif isinstance(observation, File):
                files[rel_path] = observation
            elif isinstance(observation, Gone):
                gone[rel_path] = observation
        # What is new may be what has gone from elsewhere, so the files come first.
        for batch in _batches(files, sys.maxsize if self.comparison.wants_all else _BATCH):
            self._plan(batch)
        if self._awaits_more:
            self._unsettled.postpone(gone)
        elif gone:
            self._plan(gone)

    def _must_wait(self, rel_path: RelPath, observation: Observation) -> bool:
        """May what is still to be looked at change what this sight means? A file that went, or was
        replaced, may be found at another place; a new one may be the collection's already."""
        if isinstance(observation, Unclear):
            return False
        record = self._state.record_at(rel_path)
        if record is None:
            return isinstance(observation, File) and not self._may_be_new
        if isinstance(observation, File) and observation.fingerprint.inode == record.seen.inode:
            return False
        return self._awaits_more

    @property
    def _may_be_new(self) -> bool:
        """Can it be said of a file that it is new?"""
        return not self.comparison.is_gathering and self._recognizer.may_ask

    @property
    def _awaits_more(self) -> bool:
        """Is there more to be known, of the disk or of the collection?"""
        return self.is_looking or not self._may_be_new

    def _plan(self, observations: Mapping[RelPath, Observation]) -> None:
        gone = frozenset(
            rel_path
            for rel_path, observation in observations.items()
            if isinstance(observation, Gone)
        )
        plan_input = self._gatherer.gather(observations, gone, self._unsettled.arriving)
        self.look_again(frozenset(observations) - plan_input.asked)
        if self.comparison.remote is not None:
            plan_input, unknown = self._recognizer.recognize(plan_input, self.comparison.remote)
            self._unsettled.postpone(unknown)
        self._carry_out(plan(plan_input))

    def _recognize(self) -> None:
        """Take what the searches have brought that were asked for in planning."""
        try:
            self.look_again(self._recognizer.collect())
        except CollectionError as error:
            if error.concerns_all or self.comparison.is_under_way:
                self.sender.meet(error)

    def _carry_out(self, actions: Sequence[Action]) -> None:
        deletes = [
            action
            for action in actions
            if isinstance(action, Delete) and not self.sender.is_cleared(action.image_id)
        ]
        verdict = self.guard.judge(
            deletes, self._view, self._schedule.now(), self._clock.monotonic()
        )
        others = [action for action in actions if not isinstance(action, Delete)]
        planned = [*others, *(cleared.delete for cleared in verdict.send)]
        with self._state.transaction():
            self._state.intents.apply(planned, self._clock.now())
            self._state.deletions.hold(action.image_id for action in verdict.hold)
        # They have been gone for long enough, and only wait for the others that they are counted
        # with. Restarting their timers would deadlock them.
        self._unsettled.postpone(
            {delete.rel_path: Gone() for delete in verdict.unsettled if delete.rel_path is not None}
        )
        self.comparison.note(planned)
        left: list[RelPath] = []
        for action in planned:
            self.sender.note_planned(action)
            match action:
                case Rename(rel_path, image_id, _, source):
                    self.sender.note_renamed(image_id, source, rel_path)
                    left.append(source)
                case Adopt():
                    self.sender.tally.note(action.rel_path, action.image_id, ImageOutcome.ADOPTED)
        for cleared in verdict.send:
            self.sender.clear(cleared)
        self._unsettled.leave(left)
        self._tell([action for action in planned if isinstance(action, Rename | Adopt | Forget)])


def _batches(
    observations: Mapping[RelPath, Observation], size: int
) -> Iterator[dict[RelPath, Observation]]:
    items = iter(observations.items())
    while batch := dict(islice(items, size)):
        yield batch
