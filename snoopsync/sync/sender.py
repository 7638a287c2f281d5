"""Sends what the state file says is outstanding, and writes down what the collection confirmed.

What is sent is decided at the last moment, by one more look at the place: a plan may be old by the
time its turn comes. An image is removed only if the guard has cleared its deletion in this process:
after a restart a dirty row whose file is gone has to be gone for long enough once more.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import replace
from functools import partial

from snoopsync.core.errors import CollectionError, Unauthorized
from snoopsync.core.events import Event, Field, log_event
from snoopsync.core.model import File, Gone, Observation, RelPath, Unclear, path_keys, printable
from snoopsync.core.planner import Action, Add, Cause, Forget, Update
from snoopsync.core.protocol import ImageCollection
from snoopsync.core.tally import ImageOutcome, Tally
from snoopsync.folders.folder import Folder
from snoopsync.log.throttle import LogThrottle
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State
from snoopsync.state.intents import Outstanding
from snoopsync.state.schedule import RETRY_SECONDS, Schedule
from snoopsync.sync.delete_guard import Cleared
from snoopsync.sync.in_flight import InFlight
from snoopsync.sync.transfer import (
    Deleted,
    LookAgain,
    Outcome,
    Rejected,
    Removal,
    Transfer,
    Trouble,
    Uploaded,
)

log = logging.getLogger("snoopsync.mirror")

#: How often the collection is asked whether it takes the keys now.
_CREDENTIALS_SECONDS = 60.0

#: How long a row whose file is not the one that was planned for is left alone: it is being
#: looked at again meanwhile.
_SECOND_LOOK_SECONDS = 1.0

#: What is said of keys that are taken and refused again and again.
_IN_TURNS = "the collection takes requests, and refuses them, in turns"


class Sender:
    """Keeps the workers busy. Used by one thread. ``trouble`` is why nothing can be sent now, if
    so; ``chatter`` is the level that single images are logged at. ``capacity`` is how many may be
    on their way at once. ``remembered`` knows which ones are, should the process die."""

    def __init__(
        self,
        state: State,
        folders: Mapping[str, Folder],
        collection: ImageCollection,
        transfer: Transfer,
        workers: Workers,
        capacity: int,
        schedule: Schedule,
        remembered: InFlight,
    ) -> None:
        self.trouble: CollectionError | None = None
        self.tally = Tally(())
        self.chatter = logging.INFO
        self.on_done: Callable[[Sequence[Action]], None] = lambda actions: None
        self.on_landed: Callable[[], None] = lambda: None
        self._state = state
        self._intents = state.intents
        self._folders = folders
        self._collection = collection
        self._transfer = transfer
        self._workers = workers
        self._capacity = capacity
        self._schedule = schedule
        self.remembered = remembered
        self._clock = schedule.clock
        self._cleared: dict[str, Cleared] = {}
        self._prunes: list[Cleared] = []
        self._flying: dict[str, Future[Outcome | None]] = {}
        self._next_credentials = 0.0
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
        """Is anything of these folders left alone for a moment, although nobody refused it?"""
        return self._intents.has_postponed(present)

    def clear(self, cleared: Cleared) -> None:
        """The image may be removed: one whose file is gone once its row's turn has come, one that
        is pruned as soon as there is room."""
        if cleared.delete.cause is Cause.GONE:
            self._cleared[cleared.delete.image_id] = cleared
        else:
            self._prunes.append(cleared)

    def is_cleared(self, image_id: str) -> bool:
        """Is its removal cleared, and not done?"""
        return image_id in self._cleared

    def drop_prunes(self) -> None:
        """Remove none of the images that were to be pruned and were not sent yet."""
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
        """Let the requests under way end, and write down what they did. False if some had not
        ended by then: they are abandoned, and sent again after the next start."""
        ended = self._workers.close(timeout_seconds)
        self.remembered.remember(())  # first: a state file that is full stops the next line
        self.collect()
        self._throttle.close()
        return ended

    # Sending.

    def dispatch(
        self, present: Sequence[str], look: Callable[[RelPath], Observation]
    ) -> list[RelPath]:
        """Give the workers what these folders have to send. Returns the places that are not as
        they were planned for, and that have to be looked at again."""
        self._throttle.log_suppressed(self._clock.monotonic())
        items = self._next(present) if self.is_welcome() else []
        if items:
            # Once for all of them, and before the first one is sent.
            self.remembered.remember([*self._flying, *(each.record.image_id for each in items)])
        return [item.record.rel_path for item in items if not self._send(item, look)]

    def _next(self, present: Sequence[str]) -> list[Outstanding]:
        """What to send now: first, and each alone, what the death of a process interrupted."""
        interrupted = self.remembered.interrupted
        if not interrupted.isdisjoint(self._flying):
            return []
        if interrupted and (items := self._outstanding(1, present, interrupted)):
            return [] if self._flying else items
        # Few enough that none waits long in line.
        room = self._capacity - len(self._flying)
        while self._prunes and room > 0:
            room -= self._prune(self._prunes.pop())
        return self._outstanding(room, present) if room > 0 else []

    def _outstanding(
        self, limit: int, present: Sequence[str], only: Collection[str] | None = None
    ) -> list[Outstanding]:
        now = self._schedule.now()
        return self._intents.outstanding(limit, now, present, list(self._flying), only)

    def _send(self, item: Outstanding, look: Callable[[RelPath], Observation]) -> bool:
        record = item.record
        folder = self._folders[record.rel_path.folder]
        if not folder.selection.wants(record.rel_path.path):
            self._pass_over(item)
            return True
        observation = look(record.rel_path)
        if isinstance(observation, File) and observation.fingerprint == record.seen:
            self._cleared.pop(record.image_id, None)
            self._fly(record.image_id, partial(self._transfer.upload, folder, item))
        elif isinstance(observation, Gone) and record.image_id in self._cleared:
            cleared = self._cleared[record.image_id]
            removal = Removal(
                # It may have been renamed since.
                replace(cleared, delete=replace(cleared.delete, rel_path=record.rel_path)),
                item.mark,
                item.attempts,
                confirmed=record.sha256 is not None,
                counts=cleared.counts and not item.approved,
            )
            proof = partial(folder.prove_gone, record.rel_path.path, record.submount)
            self._fly(record.image_id, partial(self._transfer.delete, removal, proof))
        elif isinstance(observation, File | Gone):
            # Not what was planned for: it has to come to rest again first.
            self.remembered.interrupted.discard(record.image_id)
            self._intents.postpone(record.image_id, self._schedule.now() + _SECOND_LOOK_SECONDS)
            return False
        else:
            self._park(
                Rejected(
                    record.image_id, record.rel_path, item.mark, item.attempts, observation.reason
                )
            )
        return True

    def _prune(self, cleared: Cleared) -> bool:
        """Remove an image that is pruned, unless it has a file again by now."""
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
        """That no file needs the image was found by scans of all folders. It is only as true as
        they are still the same ones. May be called on any thread."""
        for folder in self._folders.values():
            if not folder.is_present():
                return Unclear(f"{printable(folder.path)} is missing or not the same directory")
        return Gone()

    def _pass_over(self, item: Outstanding) -> None:
        """The configuration does not want this file any more, so nothing of it is sent. What was
        sent once is remembered, for the day that it is wanted again."""
        if item.record.sha256 is None:
            self._intents.forget(item.record.image_id)
        else:
            self._intents.stop_sending(item.record.image_id)

    def _fly(self, image_id: str, job: Callable[[], Outcome | None]) -> None:
        future = self._workers.submit(job)
        self._flying[image_id] = future
        future.add_done_callback(lambda _: self.on_landed())

    def is_welcome(self) -> bool:
        """Can anything be sent? While there is trouble, the collection is asked once in a while,
        by one small request: it is the only one."""
        if self.trouble is None:
            return True
        now = self._clock.monotonic()
        if now < self._next_credentials:
            return False
        self._next_credentials = now + _CREDENTIALS_SECONDS
        try:
            self._collection.get_images(count=1)
        except CollectionError as error:
            self.trouble = error
            return False
        self._say(
            _IN_TURNS,
            logging.WARNING,
            Event.REQUESTS_TAKEN_AGAIN,
            "the collection takes requests again",
        )
        self.trouble = None
        return True

    def retry_now(self) -> None:
        """While nothing can be sent, ask the collection at once whether it can be now."""
        self._next_credentials = self._clock.monotonic()

    # Confirming.

    def collect(self) -> list[RelPath]:
        """Write down what the workers have brought back. Returns the places that have to be looked
        at again."""
        landed = {image_id: each for image_id, each in self._flying.items() if each.done()}
        self._flying = {id_: each for id_, each in self._flying.items() if id_ not in landed}
        self.landed += len(landed)
        outcomes = {id_: each.result() for id_, each in landed.items() if not each.cancelled()}
        if not outcomes:
            return []
        ended = (id_ for id_, each in outcomes.items() if not isinstance(each, Trouble | None))
        self.remembered.interrupted.difference_update(ended)
        done: list[Action] = []
        doubtful: list[RelPath] = []
        with self._state.transaction():
            for outcome in outcomes.values():
                match outcome:
                    case Uploaded():
                        done.append(self._confirm(outcome))
                    case Deleted():
                        done.append(self._forget(outcome))
                    case LookAgain(image_id, rel_path):
                        doubtful += self._doubt(image_id, rel_path)
                    case Rejected():
                        self._park(outcome)
                    case Trouble(error):
                        self.meet(error)
        if not self._flying:
            self.remembered.remember(())
        self.on_done(done)
        return doubtful

    def _confirm(self, uploaded: Uploaded) -> Action:
        record = uploaded.record
        self._intents.confirm(uploaded.sent, self._clock.now())
        file = File(record.seen, record.submount)
        if record.sha256 is None:
            self.tally.note(record.rel_path, record.image_id, ImageOutcome.ADDED)
            self._tell(Event.ADDED, record.rel_path, record.image_id)
            return Add(record.rel_path, record.image_id, file)
        self.tally.note(record.rel_path, record.image_id, ImageOutcome.UPDATED)
        self._tell(Event.UPDATED, record.rel_path, record.image_id)
        return Update(record.rel_path, record.image_id, file)

    def _forget(self, deleted: Deleted) -> Action:
        removal = deleted.removal
        self._cleared.pop(removal.image_id, None)
        if removal.mark is None:
            self._intents.forget(removal.image_id)
        else:
            self._intents.confirm_deleted(removal.image_id, removal.mark)
        if removal.rel_path is not None and not deleted.was_there:
            return Forget(removal.rel_path, removal.image_id)
        if removal.counts:
            folder = removal.rel_path.folder if removal.rel_path is not None else None
            newest = removal.cleared.newest
            self._state.deletions.note_sent(folder, self._schedule.now(), newest)
        is_pruned = removal.cleared.delete.cause is not Cause.GONE
        self.tally.note_deleted(None if is_pruned else removal.rel_path)
        self._tell(Event.DELETED, removal.rel_path, removal.image_id)
        return removal.cleared.delete

    def _doubt(self, image_id: str, rel_path: RelPath) -> list[RelPath]:
        self._intents.postpone(image_id, self._schedule.now() + _SECOND_LOOK_SECONDS)
        record = self._state.record(image_id)
        # It may have been renamed while it was sent.
        return (
            [rel_path]
            if record is None or record.rel_path == rel_path
            else [rel_path, record.rel_path]
        )

    def _park(self, rejected: Rejected) -> None:
        delay = RETRY_SECONDS[min(rejected.attempts, len(RETRY_SECONDS) - 1)]
        is_news = True
        if rejected.mark is None:
            self.tally.unpruned += 1
        else:
            retry_at = self._schedule.now() + delay
            is_news = self._intents.defer(
                rejected.image_id, rejected.mark, rejected.reason, retry_at
            )
        if is_news:
            self._say(
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

    def meet(self, error: CollectionError) -> None:
        """Stop sending: the collection can't be used now."""
        if self.trouble is None:
            refused = isinstance(error, Unauthorized)
            event = Event.CREDENTIALS_REFUSED if refused else Event.SENDING_STOPPED
            message = "nothing can be sent now: %s"
            self._say(_IN_TURNS, logging.ERROR, event, message, error, error=str(error))
            self._next_credentials = self._clock.monotonic() + _CREDENTIALS_SECONDS
        self.trouble = error

    # Telling.

    def note_renamed(self, image_id: str, source: RelPath, rel_path: RelPath) -> None:
        """A picture was renamed: the image is its image still, and there is nothing to send."""
        self.tally.note(rel_path, image_id, ImageOutcome.RENAMED)
        log_event(
            log,
            self.chatter,
            Event.RENAMED,
            "renamed %s to %s",
            *(source, rel_path),
            **path_keys(rel_path),
            image_id=image_id,
            source_folder=source.folder,
            source_path=source.text,
        )

    def _tell(self, event: Event, rel_path: RelPath | None, image_id: str) -> None:
        keys = path_keys(rel_path)
        name = rel_path or image_id
        log_event(log, self.chatter, event, "%s %s", event, name, **keys, image_id=image_id)

    def _say(
        self, topic: str, level: int, event: Event, message: str, *args: object, **keys: Field
    ) -> None:
        now = self._clock.monotonic()
        self._throttle.log(now, topic, level, event, message, *args, **keys)
