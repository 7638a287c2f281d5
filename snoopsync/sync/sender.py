"""Sends what is outstanding in the state file, and records what the collection confirmed.

The sender looks at each path again before it sends, because the plan may be old by then. An image
is only removed if the guard cleared its deletion in this process. After a restart, the file of a
dirty row must be gone for long enough again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from functools import partial

from snoopsync.core.errors import CollectionError, Stopped, Unauthorized
from snoopsync.core.events import Event, Field, log_event
from snoopsync.core.model import File, Gone, Observation, RelPath, Unclear, path_keys, printable
from snoopsync.core.planner import Action, Add, Cause, Forget, Update
from snoopsync.core.tally import ImageOutcome, Tally
from snoopsync.folders.folder import Folder
from snoopsync.folders.pending import Inbox
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State
from snoopsync.state.intents import Outstanding
from snoopsync.state.schedule import Schedule
from snoopsync.sync.deletion_guard import Cleared
from snoopsync.sync.in_flight import InFlight
from snoopsync.sync.refusals import Refusals
from snoopsync.sync.transfer import (
    Deleted,
    FileDiffers,
    Rejected,
    Removal,
    Transfer,
    TransferResult,
    Trouble,
    Uploaded,
)

log = logging.getLogger("snoopsync.mirror")

#: How often to check whether the collection accepts requests again, in seconds.
_CREDENTIALS_SECONDS = 60.0

#: How long a row waits if its file has changed since it was planned, in seconds. Meanwhile the path
#: is looked at again.
_SECOND_LOOK_SECONDS = 1.0

#: When only this fraction of the capacity waits for the workers, results are recorded, and more
#: images are given to the workers.
_RESERVE = 4

#: The log topic for a collection that keeps accepting and refusing requests.
_KEEPS_CHANGING = "the collection keeps accepting and refusing requests"

#: Returns what is at a path now.
Look = Callable[[RelPath], Observation]


class Sender:
    """Gives the workers what is outstanding, and records the results. Used by the engine's thread.
    Paths that changed since they were planned go to the ``inbox``.

    ``trouble`` is why nothing can be sent now, or ``None``. ``completed`` counts the requests that
    ended. Single images are logged at ``image_log_level``. At most ``capacity`` images are given to
    the workers at the same time, and ``in_flight_file`` stores which ones in case the process dies.
    ``on_completed`` is called when it is time to record results. ``refusals`` decides when refused
    images are sent again.
    """

    def __init__(
        self,
        state: State,
        folders: Mapping[str, Folder],
        transfer: Transfer,
        workers: Workers,
        capacity: int,
        schedule: Schedule,
        inbox: Inbox,
    ) -> None:
        self.trouble: CollectionError | None = None
        self.tally = Tally(())
        self.image_log_level = logging.INFO
        self.on_done: Callable[[Sequence[Action]], None] = lambda actions: None
        self.on_completed: Callable[[], None] = lambda: None
        self._state = state
        self._intents = state.intents
        self._folders = folders
        self._transfer = transfer
        self._workers = workers
        self._capacity = capacity
        self._schedule = schedule
        self.in_flight_file = InFlight(state, None)
        self._clock = schedule.clock
        self._inbox = inbox
        self._cleared: dict[str, Cleared] = {}
        self._prunes: list[Cleared] = []
        self._requests: dict[str, Future[TransferResult | None]] = {}
        self._next_credentials = 0.0
        self._probe: Future[CollectionError | None] | None = None
        self.completed = 0
        self._throttle = LogThrottle(log)
        self.refusals = Refusals(state, schedule, self._log)

    @property
    def in_flight(self) -> int:
        """How many images are being sent or removed now."""
        return len(self._requests)

    def is_idle(self, present: Sequence[str]) -> bool:
        """Whether everything in these folders is sent that can be sent now."""
        return not (self._requests or self._prunes or self._outstanding(1, present))

    def has_postponed(self, present: Sequence[str]) -> bool:
        """Whether anything in these folders waits for a moment without having been refused."""
        return self._intents.has_postponed(present)

    def clear(self, cleared: Cleared) -> None:
        """Allow the removal of an image. If its file is gone, the image is removed when its row's
        turn comes. If it is pruned, it is removed as soon as a worker is free."""
        if cleared.delete.cause is Cause.GONE:
            self._cleared[cleared.delete.image_id] = cleared
        else:
            self._prunes.append(cleared)

    def is_cleared(self, image_id: str) -> bool:
        """Whether the removal of this image is cleared, but not done yet."""
        return image_id in self._cleared

    def drop_prunes(self) -> None:
        """Cancel the prunes that were not sent yet."""
        self._prunes.clear()

    def note_planned(self, action: Action) -> None:
        """Note a new plan for an image. A new plan cancels any pending deletion."""
        log_event(
            log,
            logging.DEBUG,
            Event.PLANNED,
            "%s %s %s",
            *(action.verb, action.image_id, action.rel_path),
            action=action.verb.value,
            **path_keys(action.rel_path),
            image_id=action.image_id,
        )
        self._cleared.pop(action.image_id, None)

    def close(self, timeout_seconds: float) -> bool:
        """Wait for the running requests, and record their results. Returns false if some did not
        end in time. They are abandoned, and sent again after the next start."""
        ended = self._workers.close(timeout_seconds)
        self.in_flight_file.remember(())  # first, because ``collect`` raises if the disk is full
        self.collect()
        self._throttle.close()
        return ended

    # Sending.

    def dispatch(self, present: Sequence[str], look: Look, missing: Collection[str]) -> None:
        """Give the workers what these folders have to send. ``missing``: images that are not in the
        collection and that wait for a new plan."""
        self._throttle.log_suppressed(self._clock.monotonic())
        items = self._next(present) if self.can_send() else []
        if items:
            # Stored once for all of them, before the first one is sent.
            ids = (item.record.image_id for item in items)
            self.in_flight_file.remember([*self._requests, *ids])
        for item in items:
            self._send(item, look, missing)

    def _next(self, present: Sequence[str]) -> list[Outstanding]:
        """What to send now. Images that were interrupted when a process died come first, one at a
        time."""
        interrupted = self.in_flight_file.interrupted
        if not interrupted.isdisjoint(self._requests):
            return []
        if interrupted and (items := self._outstanding(1, present, interrupted)):
            return [] if self._requests else items
        # The capacity is small, so that no image waits long.
        room = self._capacity - len(self._requests)
        while self._prunes and room > 0:
            room -= self._prune(self._prunes.pop())
        return self._outstanding(room, present) if room > 0 else []

    def _outstanding(
        self, limit: int, present: Sequence[str], only: Collection[str] | None = None
    ) -> list[Outstanding]:
        now = self._schedule.now()
        return self._intents.outstanding(limit, now, present, list(self._requests), only)

    def _send(self, item: Outstanding, look: Look, missing: Collection[str]) -> None:
        record = item.record
        folder = self._folders[record.rel_path.folder]
        if not folder.selection.wants(record.rel_path.path):
            self._skip_left_out(item)
            return
        observation = look(record.rel_path)
        is_planned = record.image_id not in missing
        if isinstance(observation, File) and observation.fingerprint == record.seen and is_planned:
            self._cleared.pop(record.image_id, None)
            if self.refusals.may_send(item):
                self._submit(record.image_id, partial(self._transfer.upload, folder, item))
        elif isinstance(observation, Gone) and record.image_id in self._cleared:
            removal = Removal.of(self._cleared[record.image_id], item)
            proof = partial(folder.prove_gone, record.rel_path.path, record.submount)
            self._submit(record.image_id, partial(self._transfer.delete, removal, proof))
        elif isinstance(observation, File | Gone):
            # The path or its image has changed since it was planned, so it is planned again first.
            self.in_flight_file.interrupted.discard(record.image_id)
            self._look_again(record.image_id, record.rel_path)
        else:
            self._retry_later(Rejected.of(item, observation.reason))

    def _look_again(self, image_id: str, *rel_paths: RelPath) -> None:
        self._intents.postpone(image_id, self._schedule.now() + _SECOND_LOOK_SECONDS)
        self._inbox.put(rel_paths)

    def _prune(self, cleared: Cleared) -> bool:
        """Remove an image that is pruned, unless it has a file again. Returns whether the request
        is sent."""
        delete = cleared.delete
        record = self._state.record(delete.image_id)
        if (record and record.rel_path) != delete.rel_path or self._wants(delete.rel_path):
            self.tally.unpruned += 1
            return False
        removal = Removal(cleared, counts=cleared.counts)
        self._submit(delete.image_id, partial(self._transfer.delete, removal, self._prove_left_out))
        return True

    def _wants(self, rel_path: RelPath | None) -> bool:
        folder = self._folders.get(rel_path.folder) if rel_path is not None else None
        return folder is not None and rel_path is not None and folder.selection.wants(rel_path.path)

    def _prove_left_out(self) -> Observation:
        """``Gone`` while all folders are present. Complete scans of the folders found no file for
        the image, which only holds while the folders are the same. For any thread."""
        for folder in self._folders.values():
            if not folder.is_present():
                return Unclear(f"{printable(folder.path)} is missing or not the same directory")
        return Gone()

    def _skip_left_out(self, item: Outstanding) -> None:
        """Skip a file that the configuration now leaves out. The record of an image that was sent
        once is kept, in case the configuration wants the file again."""
        if item.record.sha256 is None:
            self._intents.forget(item.record.image_id)
        else:
            self._intents.stop_sending(item.record.image_id)

    def _submit(self, image_id: str, job: Callable[[], TransferResult | None]) -> None:
        future = self._workers.submit(job)
        self._requests[image_id] = future
        future.add_done_callback(self._note_ended)

    def _note_ended(self, _future: Future[TransferResult | None]) -> None:
        # While enough jobs wait for the workers, results gather, and share a commit.
        if self._workers.waiting <= self._capacity // _RESERVE:
            self.on_completed()

    def can_send(self) -> bool:
        """Whether anything can be sent. While there is ``trouble``, a worker regularly probes the
        collection with a small request. This never waits for the response."""
        if self.trouble is None:
            return True
        if self._probe is None:
            now = self._clock.monotonic()
            if now < self._next_credentials:
                return False
            self._next_credentials = now + _CREDENTIALS_SECONDS
            self._probe = self._workers.submit(self._transfer.probe)
            self._probe.add_done_callback(lambda _: self.on_completed())
        if not self._probe.done():
            return False
        probe, self._probe = self._probe, None
        if probe.cancelled() or isinstance(probe.exception(), Stopped):
            return False
        if (error := probe.result()) is not None:
            self.trouble = error
            return False
        message = "the collection accepts requests again"
        self._log(_KEEPS_CHANGING, logging.WARNING, Event.REQUESTS_TAKEN_AGAIN, message)
        self.trouble = None
        return True

    def retry_now(self) -> None:
        """If nothing can be sent now, probe the collection at once."""
        self._next_credentials = self._clock.monotonic()

    # Confirming.

    def collect(self) -> None:
        """Record the results of the requests that ended."""
        completed = {image_id: each for image_id, each in self._requests.items() if each.done()}
        self._requests = {id_: each for id_, each in self._requests.items() if id_ not in completed}
        self.completed += len(completed)
        results = {id_: each.result() for id_, each in completed.items() if not each.cancelled()}
        if not results:
            return
        ended = (id_ for id_, each in results.items() if not isinstance(each, Trouble | None))
        self.in_flight_file.interrupted.difference_update(ended)
        done: list[Action] = []
        with self._state.transaction():
            for result in results.values():
                match result:
                    case Uploaded():
                        done.append(self._confirm(result))
                    case Deleted():
                        done.append(self._forget(result))
                    case FileDiffers(image_id, rel_path):
                        self._recheck(image_id, rel_path)
                    case Rejected():
                        self._retry_later(result)
                    case Trouble(error):
                        self.stop_sending(error)
            for image_id in completed:
                self.refusals.note_ended(image_id)
        if not self._requests:
            self.in_flight_file.remember(())
        self.on_done(done)

    def _confirm(self, uploaded: Uploaded) -> Action:
        record = uploaded.record
        self._intents.confirm(uploaded.sent, self._clock.now())
        self._state.labels.note_sent(uploaded.sent, record.rel_path)
        self.refusals.note_accepted(record.image_id, record.rel_path)
        kind: type[Add | Update] = Update if record.sha256 is not None else Add
        action = kind(record.rel_path, record.image_id, File(record.seen, record.submount))
        outcome, event, where = ImageOutcome.UPDATED, Event.UPDATED, "in"
        if kind is Add:
            outcome, event, where = ImageOutcome.ADDED, Event.ADDED, "to"
        self.tally.note(record.rel_path, record.image_id, outcome)
        self._log_image(event, where, record.rel_path, record.image_id)
        return action

    def _forget(self, deleted: Deleted) -> Action:
        removal = deleted.removal
        self._cleared.pop(removal.image_id, None)
        if removal.mark is None:
            self._intents.forget(removal.image_id)
        else:
            self._intents.confirm_deleted(removal.image_id, removal.mark)
        if removal.rel_path is not None and not deleted.was_held:
            return Forget(removal.rel_path, removal.image_id)
        if removal.counts:
            folder = removal.rel_path.folder if removal.rel_path is not None else None
            self._state.deletions.note_sent(folder, self._schedule.now(), removal.cleared.newest)
        is_pruned = removal.cleared.delete.cause is not Cause.GONE
        self.tally.note_deleted(None if is_pruned else removal.rel_path)
        self._log_image(Event.DELETED, "from", removal.rel_path, removal.image_id)
        return removal.cleared.delete

    def _recheck(self, image_id: str, rel_path: RelPath) -> None:
        record = self._state.record(image_id)
        # The file may have been renamed while it was sent.
        now_at = rel_path if record is None else record.rel_path
        self._look_again(image_id, *dict.fromkeys((rel_path, now_at)))

    def _retry_later(self, rejected: Rejected) -> None:
        if rejected.mark is None:
            self.tally.unpruned += 1
        self.refusals.note_refused(rejected)

    def stop_sending(self, error: CollectionError) -> None:
        """Send nothing for now: the collection cannot be used."""
        if self.trouble is None:
            refused = isinstance(error, Unauthorized)
            event = Event.CREDENTIALS_REFUSED if refused else Event.SENDING_STOPPED
            message = "nothing can be sent now: %s"
            self._log(_KEEPS_CHANGING, logging.ERROR, event, message, error, error=str(error))
            self._next_credentials = self._clock.monotonic() + _CREDENTIALS_SECONDS
            self._probe = None  # an earlier probe does not apply to this error
        self.trouble = error

    # Logging.

    def note_renamed(self, image_id: str, source: RelPath, rel_path: RelPath) -> None:
        """Note that a picture was renamed. It keeps its image, so nothing is sent."""
        self.tally.note(rel_path, image_id, ImageOutcome.RENAMED)
        source_keys = {"source_folder": source.folder, "source_path": source.text}
        keys = {**path_keys(rel_path), "image_id": image_id, **source_keys}
        message, words = "renamed %s to %s", (source, rel_path)
        log_event(log, self.image_log_level, Event.RENAMED, message, *words, **keys)

    def _log_image(self, event: Event, where: str, path: RelPath | None, image_id: str) -> None:
        keys, words = path_keys(path), (event, path or image_id, where)
        message = "%s %s %s the collection"
        log_event(log, self.image_log_level, event, message, *words, **keys, image_id=image_id)

    def _log(
        self, topic: str, level: int, event: Event, message: str, *args: object, **keys: Field
    ) -> None:
        self._throttle.log(self._clock.monotonic(), topic, level, event, message, *args, **keys)
