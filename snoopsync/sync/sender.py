"""Sends what the state file says is outstanding, and records what the collection confirmed.

What is sent is decided at the last moment, by one more look at the path: a plan may be old by the
time its turn comes. An image is removed only if the guard cleared its deletion in this process.
After a restart, the file of a dirty row has to be gone for long enough again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
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

#: How often the collection is asked whether it accepts the keys now, in seconds.
_CREDENTIALS_SECONDS = 60.0

#: How long a row waits whose file is not the one that was planned for, in seconds. Meanwhile the
#: path is looked at again.
_SECOND_LOOK_SECONDS = 1.0

#: The topic in the log of keys that are accepted and refused again and again.
_ALTERNATES = "the collection keeps accepting and refusing requests"


class Sender:
    """Keeps the workers busy. Used by the engine's thread. Paths that are not as they were planned
    for go to the ``inbox``.

    ``trouble`` is why nothing can be sent now, or ``None``. ``landed`` counts the requests that
    ended. Single images are logged at ``image_log_level``. ``capacity`` is how many may be with the
    workers at the same time. ``remembered`` knows which ones are, if the process dies.
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
        self.on_landed: Callable[[], None] = lambda: None
        self._state = state
        self._intents = state.intents
        self._folders = folders
        self._transfer = transfer
        self._workers = workers
        self._capacity = capacity
        self._schedule = schedule
        self.remembered = InFlight(state, None)
        self._clock = schedule.clock
        self._inbox = inbox
        self._cleared: dict[str, Cleared] = {}
        self._prunes: list[Cleared] = []
        self._flying: dict[str, Future[TransferResult | None]] = {}
        self._next_credentials = 0.0
        self._probe: Future[CollectionError | None] | None = None
        self.landed = 0
        self._throttle = LogThrottle(log)

    @property
    def in_flight(self) -> int:
        """How many images are being sent or removed now."""
        return len(self._flying)

    def is_idle(self, present: Sequence[str]) -> bool:
        """Is everything of these folders sent that can be sent now?"""
        return not (self._flying or self._prunes or self._outstanding(1, present))

    def has_postponed(self, present: Sequence[str]) -> bool:
        """Does anything of these folders wait for a moment, although it was not refused?"""
        return self._intents.has_postponed(present)

    def clear(self, cleared: Cleared) -> None:
        """The image may be removed. If its file is gone, that is done when its row's turn comes. If
        it is pruned, that is done as soon as a worker is free."""
        if cleared.delete.cause is Cause.GONE:
            self._cleared[cleared.delete.image_id] = cleared
        else:
            self._prunes.append(cleared)

    def is_cleared(self, image_id: str) -> bool:
        """Is the removal of this image cleared, and not done?"""
        return image_id in self._cleared

    def drop_prunes(self) -> None:
        """Do not remove the images that were to be pruned and were not sent yet."""
        self._prunes.clear()

    def note_planned(self, action: Action) -> None:
        """This was planned for its image. A new plan cancels any pending deletion."""
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
        """Let the requests under way end, and record what they did. False if some did not end in
        time: they are abandoned, and sent again after the next start."""
        ended = self._workers.close(timeout_seconds)
        self.remembered.remember(())  # first: a state file that is full stops the next line
        self.collect()
        self._throttle.close()
        return ended

    # Sending.

    def dispatch(self, present: Sequence[str], look: Callable[[RelPath], Observation]) -> None:
        """Give the workers what these folders have to send."""
        self._throttle.log_suppressed(self._clock.monotonic())
        items = self._next(present) if self.can_send() else []
        if items:
            # Once for all of them, and before the first one is sent.
            self.remembered.remember([*self._flying, *(each.record.image_id for each in items)])
        for item in items:
            self._send(item, look)

    def _next(self, present: Sequence[str]) -> list[Outstanding]:
        """What to send now. Images that the death of a process interrupted come first, and each
        alone."""
        interrupted = self.remembered.interrupted
        if not interrupted.isdisjoint(self._flying):
            return []
        if interrupted and (items := self._outstanding(1, present, interrupted)):
            return [] if self._flying else items
        # Few enough that none waits for long.
        room = self._capacity - len(self._flying)
        while self._prunes and room > 0:
            room -= self._prune(self._prunes.pop())
        return self._outstanding(room, present) if room > 0 else []

    def _outstanding(
        self, limit: int, present: Sequence[str], only: Collection[str] | None = None
    ) -> list[Outstanding]:
        now = self._schedule.now()
        return self._intents.outstanding(limit, now, present, list(self._flying), only)

    def _send(self, item: Outstanding, look: Callable[[RelPath], Observation]) -> None:
        record = item.record
        folder = self._folders[record.rel_path.folder]
        if not folder.selection.wants(record.rel_path.path):
            self._pass_over(item)
            return
        observation = look(record.rel_path)
        if isinstance(observation, File) and observation.fingerprint == record.seen:
            self._cleared.pop(record.image_id, None)
            self._fly(record.image_id, partial(self._transfer.upload, folder, item))
        elif isinstance(observation, Gone) and record.image_id in self._cleared:
            cleared = self._cleared[record.image_id]
            removal = Removal(
                # The file may have been renamed since then.
                replace(cleared, delete=replace(cleared.delete, rel_path=record.rel_path)),
                item.mark,
                item.attempts,
                confirmed=record.sha256 is not None,
                counts=cleared.counts and not item.approved,
            )
            proof = partial(folder.prove_gone, record.rel_path.path, record.submount)
            self._fly(record.image_id, partial(self._transfer.delete, removal, proof))
        elif isinstance(observation, File | Gone):
            # Not what was planned for: the path has to come to rest again first.
            self.remembered.interrupted.discard(record.image_id)
            self._look_again(record.image_id, record.rel_path)
        else:
            self._retry_later(
                Rejected(
                    record.image_id, record.rel_path, item.mark, item.attempts, observation.reason
                )
            )

    def _look_again(self, image_id: str, *rel_paths: RelPath) -> None:
        self._intents.postpone(image_id, self._schedule.now() + _SECOND_LOOK_SECONDS)
        self._inbox.put(rel_paths)

    def _prune(self, cleared: Cleared) -> bool:
        """Remove an image that is pruned, unless it has a file again. Returns whether it is
        sent."""
        delete = cleared.delete
        record = self._state.record(delete.image_id)
        if (record and record.rel_path) != delete.rel_path or self._wants(delete.rel_path):
            self.tally.unpruned += 1
            return False
        removal = Removal(cleared, counts=cleared.counts)
        self._fly(delete.image_id, partial(self._transfer.delete, removal, self._prove_left_out))
        return True

    def _wants(self, rel_path: RelPath | None) -> bool:
        folder = self._folders.get(rel_path.folder) if rel_path is not None else None
        return folder is not None and rel_path is not None and folder.selection.wants(rel_path.path)

    def _prove_left_out(self) -> Observation:
        """Scans of all folders found that no file needs the image. That only holds while the
        folders are still the same ones. May be called on any thread."""
        for folder in self._folders.values():
            if not folder.is_present():
                return Unclear(f"{printable(folder.path)} is missing or not the same directory")
        return Gone()

    def _pass_over(self, item: Outstanding) -> None:
        """The configuration leaves this file out now, so nothing of it is sent. An image that was
        sent once is remembered, in case the configuration names it again."""
        if item.record.sha256 is None:
            self._intents.forget(item.record.image_id)
        else:
            self._intents.stop_sending(item.record.image_id)

    def _fly(self, image_id: str, job: Callable[[], TransferResult | None]) -> None:
        future = self._workers.submit(job)
        self._flying[image_id] = future
        future.add_done_callback(lambda _: self.on_landed())

    def can_send(self) -> bool:
        """Can anything be sent? While there is trouble, a worker asks the collection now and then,
        with one small request. Nothing here waits for the answer."""
        if self.trouble is None:
            return True
        if self._probe is None:
            now = self._clock.monotonic()
            if now < self._next_credentials:
                return False
            self._next_credentials = now + _CREDENTIALS_SECONDS
            self._probe = self._workers.submit(self._transfer.probe)
            self._probe.add_done_callback(lambda _: self.on_landed())
        if not self._probe.done():
            return False
        probe, self._probe = self._probe, None
        if probe.cancelled() or isinstance(probe.exception(), Stopped):
            return False
        if (error := probe.result()) is not None:
            self.trouble = error
            return False
        self._log(
            _ALTERNATES,
            logging.WARNING,
            Event.REQUESTS_TAKEN_AGAIN,
            "the collection accepts requests again",
        )
        self.trouble = None
        return True

    def retry_now(self) -> None:
        """If nothing can be sent now, ask the collection at once whether it accepts requests."""
        self._next_credentials = self._clock.monotonic()

    # Confirming.

    def collect(self) -> None:
        """Record the results of the requests that ended."""
        landed = {image_id: each for image_id, each in self._flying.items() if each.done()}
        self._flying = {id_: each for id_, each in self._flying.items() if id_ not in landed}
        self.landed += len(landed)
        results = {id_: each.result() for id_, each in landed.items() if not each.cancelled()}
        if not results:
            return
        ended = (id_ for id_, each in results.items() if not isinstance(each, Trouble | None))
        self.remembered.interrupted.difference_update(ended)
        done: list[Action] = []
        with self._state.transaction():
            for result in results.values():
                match result:
                    case Uploaded():
                        done.append(self._confirm(result))
                    case Deleted():
                        done.append(self._forget(result))
                    case FileDiffers(image_id, rel_path):
                        self._doubt(image_id, rel_path)
                    case Rejected():
                        self._retry_later(result)
                    case Trouble(error):
                        self.stop_sending(error)
        if not self._flying:
            self.remembered.remember(())
        self.on_done(done)

    def _confirm(self, uploaded: Uploaded) -> Action:
        record = uploaded.record
        self._intents.confirm(uploaded.sent, self._clock.now())
        file = File(record.seen, record.submount)
        if record.sha256 is None:
            self.tally.note(record.rel_path, record.image_id, ImageOutcome.ADDED)
            self._log_image(Event.ADDED, record.rel_path, record.image_id)
            return Add(record.rel_path, record.image_id, file)
        self.tally.note(record.rel_path, record.image_id, ImageOutcome.UPDATED)
        self._log_image(Event.UPDATED, record.rel_path, record.image_id)
        return Update(record.rel_path, record.image_id, file)

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
            newest = removal.cleared.newest
            self._state.deletions.note_sent(folder, self._schedule.now(), newest)
        is_pruned = removal.cleared.delete.cause is not Cause.GONE
        self.tally.note_deleted(None if is_pruned else removal.rel_path)
        self._log_image(Event.DELETED, removal.rel_path, removal.image_id)
        return removal.cleared.delete

    def _doubt(self, image_id: str, rel_path: RelPath) -> None:
        record = self._state.record(image_id)
        # The file may have been renamed while it was sent.
        now_at = rel_path if record is None else record.rel_path
        self._look_again(image_id, *dict.fromkeys((rel_path, now_at)))

    def _retry_later(self, rejected: Rejected) -> None:
        delay = IMAGE_RETRY_SECONDS[min(rejected.attempts, len(IMAGE_RETRY_SECONDS) - 1)]
        is_new = True
        if rejected.mark is None:
            self.tally.unpruned += 1
        else:
            retry_at = self._schedule.now() + delay
            is_new = self._intents.defer(
                rejected.image_id, rejected.mark, rejected.reason, retry_at
            )
        if is_new:
            self._log(
                rejected.reason,
                logging.WARNING,
                Event.REFUSED,
                "%s: %s",
                rejected.rel_path or rejected.image_id,
                rejected.reason,
                **path_keys(rejected.rel_path),
                image_id=rejected.image_id,
                reason=rejected.reason,
            )

    def stop_sending(self, error: CollectionError) -> None:
        """Send nothing for now: the collection cannot be used."""
        if self.trouble is None:
            refused = isinstance(error, Unauthorized)
            event = Event.CREDENTIALS_REFUSED if refused else Event.SENDING_STOPPED
            message = "nothing can be sent now: %s"
            self._log(_ALTERNATES, logging.ERROR, event, message, error, error=str(error))
            self._next_credentials = self._clock.monotonic() + _CREDENTIALS_SECONDS
            self._probe = None  # an earlier one says nothing about this error
        self.trouble = error

    # Logging.

    def note_renamed(self, image_id: str, source: RelPath, rel_path: RelPath) -> None:
        """A picture was renamed. It keeps its image, and nothing is sent."""
        self.tally.note(rel_path, image_id, ImageOutcome.RENAMED)
        log_event(
            log,
            self.image_log_level,
            Event.RENAMED,
            "renamed %s to %s",
            *(source, rel_path),
            **path_keys(rel_path),
            image_id=image_id,
            source_folder=source.folder,
            source_path=source.text,
        )

    def _log_image(self, event: Event, rel_path: RelPath | None, image_id: str) -> None:
        keys = path_keys(rel_path)
        name = rel_path or image_id
        log_event(log, self.image_log_level, event, "%s %s", event, name, **keys, image_id=image_id)

    def _log(
        self, topic: str, level: int, event: Event, message: str, *args: object, **keys: Field
    ) -> None:
        now = self._clock.monotonic()
        self._throttle.log(now, topic, level, event, message, *args, **keys)
