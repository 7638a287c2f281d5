"""The engine: takes changes from the disk to the collection, and records what is confirmed.

One thread owns everything here; workers only send. Each ``step`` goes in one direction: look at the
folders, let changes settle, plan, ask the deletion guard, record the intents, send, record what was
confirmed. A full resync is a state of the engine: while it runs, each step also advances it.
``run`` and ``resync`` only differ in how long they call ``step``.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Collection as Container
from dataclasses import dataclass, field

from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.errors import CollectionError
from snoopsync.core.labels import Labelling
from snoopsync.core.model import File, Gone, Record, RelPath
from snoopsync.core.planner import Action, Adopt, Delete, Forget, Rename
from snoopsync.core.tally import ImageOutcome
from snoopsync.folders.monitor import FolderMonitor
from snoopsync.folders.pending import Inbox, PendingPaths
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State
from snoopsync.state.schedule import Schedule
from snoopsync.sync.adoption import Adoption
from snoopsync.sync.deletion_guard import Cleared, DeletionGuard, FolderView
from snoopsync.sync.plan_input import PlanInputReader
from snoopsync.sync.planning import Planning, PlanningPace
from snoopsync.sync.remote_listing import RemoteListing
from snoopsync.sync.resync import ResyncRequest, ResyncRun
from snoopsync.sync.sender import Sender
from snoopsync.sync.transfer import Rehearsal, Transfer

#: How long one step looks at directories, in seconds.
_LOOK_SECONDS = 0.1

#: How many paths of the inbox one step looks at.
_LOOKS_AT_ONCE = 2000

#: While more paths than this are settling, no directory is looked at. This limits memory.
_MAX_SETTLING = 20_000

#: The longest time between two steps, in seconds.
_IDLE_SECONDS = 1.0

#: How often to check whether the running requests have ended, in seconds.
_DRAINING_SECONDS = 0.1

#: How many images a rehearsal handles in one step.
_REHEARSED_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Settings:
    """The engine's settings. A ``rehearsal`` plans everything and sends nothing. Without
    ``hold_over``, deletions are never held for being too many. ``labelling``: which labels images
    are sent with."""

    owner: str
    settle_seconds: float
    delete_after_seconds: float
    workers: int
    hold_over: HoldPolicy | None
    rehearsal: bool = False
    planning: PlanningPace = field(default_factory=PlanningPace)
    labelling: Labelling = field(default_factory=Labelling)


class SyncEngine:
    """Keeps the collection equal to the folders. One thread calls ``step`` and ``wait``
    alternately. Any thread may call ``wake``.

    ``search_collection`` is the collection for searches, which can fail while other requests
    succeed. ``on_done`` is called with completed actions. Paths that are put into ``inbox`` are
    looked at again.
    """

    def __init__(
        self,
        settings: Settings,
        monitors: Sequence[FolderMonitor],
        state: State,
        collection: RetryingCollection,
        search_collection: RetryingCollection,
        schedule: Schedule,
        make_workers: Callable[[int, str], Workers] = Workers,
    ) -> None:
        self.monitors = tuple(monitors)
        self.state = state
        self.collection = collection
        self.schedule = schedule
        self.clock = schedule.clock
        self.guard = DeletionGuard(settings.hold_over, state)
        self.inbox = Inbox()
        self.on_done: Callable[[Sequence[Action]], None] = lambda actions: None
        self._folders = folders = {each.folder.name: each.folder for each in monitors}
        self._wake = threading.Event()
        self._resync: ResyncRun | None = None
        self._is_draining = False
        self._pending = PendingPaths(
            folders, settings.settle_seconds, settings.delete_after_seconds, self.clock
        )
        self._pending.on_unclear = self._note_unclear
        self._readers = make_workers(2, "read")
        senders = make_workers(settings.workers, "send")
        kind = Rehearsal if settings.rehearsal else Transfer
        transfer = kind(collection, settings.labelling)
        # Large enough that no worker waits for this thread, which writes results in one commit.
        capacity = _REHEARSED_AT_ONCE if settings.rehearsal else 2 * settings.workers
        self.sender = Sender(state, folders, transfer, senders, capacity, schedule, self.inbox)
        self.sender.on_done = self._report_done
        self.sender.on_completed = self.wake
        self.listing = RemoteListing(
            settings.owner, state, collection, senders, self.clock, 2 * settings.settle_seconds
        )
        self._adoption = Adoption(
            *(settings.owner, folders, search_collection, self.clock, make_workers),
            self.inbox,
            self.wake,
        )
        reader = PlanInputReader(settings.owner, folders, state, self._readers, self.inbox)
        self._planning = Planning(
            *(self._pending, self.inbox, reader, self.listing, self._adoption, state),
            settings.planning,
        )
        self._newest = dict.fromkeys(folders, state.deletions.newest())
        # A file that is back ends the approval, although a scan finds it unchanged.
        self.inbox.put(each.rel_path for name in folders for each in state.deletions.approved(name))

    # A full resync.

    def begin_resync(self, request: ResyncRequest) -> ResyncRun:
        """Begin a full resync, which the next steps advance. Only one resync may run at a time."""
        assert self._resync is None
        self._adoption.forget()
        self._resync = ResyncRun(self, request)
        return self._resync

    @property
    def is_resyncing(self) -> bool:
        """Whether a full resync is running."""
        return self._resync is not None

    def _abandon_resync(self) -> None:
        if self._resync is not None:
            self._resync.abandon()
            self._resync = None

    # For the parts around the engine.

    def wake(self) -> None:
        """End the current or next ``wait``."""
        self._wake.set()

    def drain(self) -> None:
        """From now on, begin nothing new and only record the results of the running requests."""
        self._is_draining = True
        self.wake()

    def take_over(self, before: SyncEngine) -> None:
        """Continue the work of an earlier engine with the same collection and state file."""
        self.listing.take_over(before.listing)
        self.sender.in_flight_file = before.sender.in_flight_file
        # Files whose images it was about to delete must be gone for long enough again.
        dirty = (self.state.intents.dirty_paths(name) for name in self._folders)
        paths = {*before._pending.rel_paths(), *before.inbox.take(len(before.inbox))}
        self.inbox.put(sorted(paths.union(*dirty)))

    def wait(self) -> None:
        """Wait until there is something to do."""
        if self._is_draining:
            self.clock.wait(self._wake, _DRAINING_SECONDS)
            self._wake.clear()
            return
        if self._resync is not None and self._resync.can_advance:
            return
        now = self.clock.monotonic()
        if not (self.is_looking or self.inbox or self._pending.can_plan):
            due = [monitor.next_due for monitor in self.monitors]
            settled = self._pending.next_due()
            if settled is not None:
                due.append(settled)
            if self.listing.gathers_until > now:
                due.append(self.listing.gathers_until)
            self.clock.wait(self._wake, max(0.0, min([*due, now + _IDLE_SECONDS]) - now))
            self._wake.clear()

    @property
    def is_idle(self) -> bool:
        """Whether everything is done that can be done now."""
        if self._pending.settling or not self.is_idle_except_settling:
            return False
        return not self.sender.has_postponed(self._present)

    @property
    def is_idle_except_settling(self) -> bool:
        """Whether everything is done except for files that are settling, or that changed while they
        were sent."""
        if self.is_looking or self.inbox or self._pending.has_undecided:
            return False
        return self.sender.is_idle(self._present)

    @property
    def is_looking(self) -> bool:
        """Whether anything is left to look at in a folder."""
        return any(monitor.is_busy for monitor in self.monitors)

    @property
    def unsettled(self) -> int:
        """How many changed paths have no plan yet."""
        return len(self._pending) + len(self.inbox)

    def unsettled_paths(self) -> Iterator[tuple[RelPath, bool]]:
        """The changed paths without a plan, each with whether it was a file at the last look."""
        return self._pending.unsent()

    def has_file(self, rel_path: RelPath) -> bool:
        """Whether a file is at this path now."""
        return isinstance(self._pending.observation(rel_path), File)

    @property
    def in_flight(self) -> int:
        """How many images are being sent or removed now."""
        return self.sender.in_flight

    @property
    def has_requests(self) -> bool:
        """Whether another thread is waiting for the collection, or is handling its response."""
        return bool(self.in_flight or self.listing.is_being_read or self._adoption.is_searching)

    @property
    def trouble(self) -> CollectionError | None:
        """Why nothing can be sent now, or ``None``."""
        return self.sender.trouble

    @property
    def _present(self) -> list[str]:
        return [monitor.row.name for monitor in self.monitors if not monitor.is_missing]

    def close(self, timeout_seconds: float) -> bool:
        """Wait for the running requests, and record their results. Returns false if some did not
        end within ``timeout_seconds``. They are abandoned, and sent again after the next start."""
        try:
            ended = self.sender.close(timeout_seconds)
            self._abandon_resync()
            self._report_held(is_last=True)
        finally:
            # Also if the state file is full, so that no thread is left.
            self._readers.close(timeout_seconds=0.1)
            self._adoption.close(timeout_seconds=0.2)
            for monitor in self.monitors:
                monitor.close()
            self.collection.log_suppressed()
        return ended

    def left_out(self, folders: Container[str] | None = None) -> list[Record]:
        """The records of files that the configuration no longer wants, in these folders or in all
        folders that were ever configured."""
        return [
            record
            for row in self.state.folders.rows()
            if folders is None or row.name in folders
            for record in self.state.records_in(row.name)
            if not self._is_wanted(record.rel_path)
        ]

    def remove(self, prunes: Sequence[Cleared]) -> None:
        """Remove these images. A person asked for a prune, and the guard cleared these
        deletions."""
        self.listing.note_planned([cleared.delete for cleared in prunes])
        for cleared in prunes:
            self.sender.clear(cleared)

    def _is_wanted(self, rel_path: RelPath) -> bool:
        folder = self._folders.get(rel_path.folder)
        return folder is not None and folder.selection.wants(rel_path.path)

    def _report_done(self, actions: Sequence[Action]) -> None:
        if actions:
            self.on_done(actions)

    # One step.

    def step(self) -> None:
        """Do what is due now."""
        if self._is_draining:
            self._abandon_resync()
            self.sender.collect()  # the path to look at again is not lost: its row is dirty
            return
        if self._resync is not None:
            self._resync.advance()
            if self._resync.is_over:
                self._resync = None
                return
        self._look()
        self._collect()
        for actions in self._planning.plans(is_looking=self.is_looking):
            self._carry_out(actions)
        self._send()
        self._report_held()
        if self._resync is not None:
            self._resync.check()
            if self._resync.is_over:
                self._resync = None

    def _look(self) -> None:
        self._note_newest()
        now = self.clock.monotonic()
        for monitor in self.monitors:
            monitor.update(now)
            if monitor.is_missing:
                self._pending.drop_folder(monitor.folder.name)
            monitor.refresh_row()
        if self._pending.settling < _MAX_SETTLING:
            for monitor in self.monitors:
                for rel_path, seen in monitor.differences(time.monotonic() + _LOOK_SECONDS, now):
                    self._pending.see(rel_path, seen)
        self._pending.look_at_due()

    def _collect(self) -> None:
        """Take the results of the workers' requests and of the adoption searches."""
        self.sender.collect()
        try:
            self._adoption.collect()
        except CollectionError as error:
            if error.concerns_all or self.listing.is_under_way:
                self.sender.stop_sending(error)
        self._pending.look_again(self.inbox.take(_LOOKS_AT_ONCE))

    def _send(self) -> None:
        # While the listing is read, it is not known whether it contains an image that is sent
        # meanwhile.
        if not self.listing.is_gathering:
            missing = self.listing.remote.missing if self.listing.remote is not None else ()
            self.sender.dispatch(self._present, self._pending.observation, missing)

    def _note_unclear(self, rel_path: RelPath, reason: str) -> None:
        for monitor in self.monitors:
            if monitor.folder.name == rel_path.folder:
                monitor.note_unclear(rel_path.path, reason)

    def _note_newest(self) -> None:
        """Remember the newest image row, for each folder that is not losing files now. During a
        scan it is unknown whether a new file or a loss came first."""
        if self._pending.has_undecided:
            return
        newest = self.state.deletions.newest()
        for monitor in self.monitors:
            name = monitor.folder.name
            if not (monitor.is_busy or self._loses_files(name)):
                self._newest[name] = newest

    def _loses_files(self, folder: str) -> bool:
        return self._pending.is_vanishing(folder) or self.state.deletions.holds_any(folder)

    def _view(self, folder: str) -> FolderView:
        return FolderView(self._pending.vanishing(folder), self._newest[folder])

    def _report_held(self, *, is_last: bool = False) -> None:
        now = self.clock.monotonic()
        self.guard.report(self._pending.is_vanishing, now, is_last=is_last)

    def _carry_out(self, actions: Sequence[Action]) -> None:
        deletes = [
            action
            for action in actions
            if isinstance(action, Delete) and not self.sender.is_cleared(action.image_id)
        ]
        verdict = self.guard.judge(deletes, self._view, self.schedule.now(), self.clock.monotonic())
        others = [action for action in actions if not isinstance(action, Delete)]
        planned = [*others, *(cleared.delete for cleared in verdict.send)]
        with self.state.transaction():
            self.state.intents.apply(planned, self.clock.now())
            self.state.deletions.hold(action.image_id for action in verdict.hold)
        # These files have been gone for long enough, and only wait for others that the guard counts
        # with them. Restarting their timers would deadlock them.
        self._pending.postpone(
            {delete.rel_path: Gone() for delete in verdict.unsettled if delete.rel_path is not None}
        )
        self.listing.note_planned(planned)
        for action in planned:
            self.sender.note_planned(action)
            match action:
                case Rename(rel_path, image_id, _, source):
                    self.sender.note_renamed(image_id, source, rel_path)
                case Adopt():
                    self.sender.tally.note(action.rel_path, action.image_id, ImageOutcome.ADOPTED)
        for cleared in verdict.send:
            self.sender.clear(cleared)
        self._pending.note_moved_away(each.source for each in planned if isinstance(each, Rename))
        self._report_done([each for each in planned if isinstance(each, Rename | Adopt | Forget)])
