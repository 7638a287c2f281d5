"""The mirror: from what was seen on the disk to what the collection has confirmed, and back.

One thread owns everything here; the workers only send. Each ``step`` goes the same way, in one
direction: look (survey), come to rest (settle), decide (gather, plan, guard), write the intent
down, send (transfer), write the confirmation down. ``run`` and ``resync`` differ in how they begin
and when they stop stepping.
"""

from __future__ import annotations

import logging
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice

from snoopsync.deletions import DeletionGuard
from snoopsync.errors import CollectionError, NotFound
from snoopsync.folder import DirectoryCache
from snoopsync.gather import Gatherer
from snoopsync.model import File, Fingerprint, Gone, Place, Sight, Unclear, owns
from snoopsync.planner import Action, Add, Adopt, Delete, Remote, Rename, Update, plan, prune
from snoopsync.protocol import ImageCollection
from snoopsync.settle import Settler
from snoopsync.state.images import Outstanding, State
from snoopsync.survey import Survey
from snoopsync.transfer import (
    Deleted,
    LookAgain,
    Outcome,
    Rejected,
    Removal,
    Trouble,
    Uploaded,
    delete,
    remove,
    upload,
)
from snoopsync.workers import Workers

log = logging.getLogger("snoopsync.mirror")

#: How long one step looks at directories before it does the rest.
_LOOK_SECONDS = 0.1

#: How many files are decided on together: as many as are planned in well under a second.
_BATCH = 2000

#: With more places than this that have not come to rest, looking waits: memory stays flat.
_MOST_UNSETTLED = 20_000

#: After these, in this order, an image that was refused is tried again; then the last one again.
RETRY_SECONDS = (25.0, 120.0, 600.0, 3600.0, 18_000.0, 86_400.0)

#: How often the collection is asked whether it takes the keys now.
_CREDENTIALS_SECONDS = 60.0

#: How long a row whose file is not the one that was planned for is left alone: it is being
#: looked at again meanwhile.
_SECOND_LOOK_SECONDS = 1.0

#: How often to wake up without a reason, in seconds.
_IDLE_SECONDS = 1.0


@dataclass
class Tally:
    """What was done since it was last begun anew, in images."""

    added: int = 0
    updated: int = 0
    deleted: int = 0
    renamed: int = 0
    adopted: int = 0


@dataclass(frozen=True, slots=True)
class Settings:
    """What the mirror goes by. In a ``rehearsal`` everything is planned and nothing is sent."""

    owner: str
    settle_seconds: float
    delete_after_seconds: float
    workers: int
    rehearsal: bool = False


class Mirror:
    """Keeps the collection equal to the folders. One thread calls ``step`` again and again; any
    may call ``wake``. ``trouble`` is why nothing can be sent now, if so."""

    def __init__(
        self,
        settings: Settings,
        surveys: Sequence[Survey],
        state: State,
        guard: DeletionGuard,
        collection: ImageCollection,
    ) -> None:
        self.surveys = surveys
        self.tally = Tally()
        self.trouble: CollectionError | None = None
        self.on_plan: Callable[[Sequence[Action]], None] = lambda actions: None
        self.on_confirmed: Callable[[], None] = lambda: None
        self._settings = settings
        self._state = state
        self._guard = guard
        self._collection = collection
        self._folders = {survey.folder.name: survey.folder for survey in surveys}
        self._settler = Settler(settings.settle_seconds, settings.delete_after_seconds)
        self._at_rest: dict[Place, Sight] = {}
        self._postponed: set[Place] = set()
        self._senders = Workers(settings.workers, "send")
        self._readers = Workers(2, "read")
        self._gatherer = Gatherer(settings.owner, self._folders, state, self._readers)
        self._remote: Remote | None = None
        self._awaits_remote = False
        self._adopt_from = 0.0
        self._condemned: dict[str, Removal] = {}
        self._orphans: list[Removal] = []
        self._flying: dict[str, Future[Outcome | None]] = {}
        self._next_credentials = 0.0
        self._wake = threading.Event()

    # For what is around it.

    def wake(self) -> None:
        """There is something to do: don't wait any longer."""
        self._wake.set()

    def wait(self) -> None:
        """Wait until there is something to do."""
        now = time.monotonic()
        if not self.is_looking and not self._at_rest:
            due = [survey.next_due for survey in self.surveys]
            settled = self._settler.next_due()
            if settled is not None:
                due.append(settled)
            self._wake.wait(max(0.0, min([*due, now + _IDLE_SECONDS]) - now))
            self._wake.clear()

    @property
    def is_idle(self) -> bool:
        """Is everything done that can be done now?"""
        if self.is_looking:
            return False
        if self._settler or self._at_rest or self._postponed or self._flying or self._orphans:
            return False
        return self._settings.rehearsal or not self._sendable(1)

    @property
    def is_looking(self) -> bool:
        """Is there anything left to look at in a folder?"""
        return any(survey.is_busy for survey in self.surveys)

    @property
    def is_rehearsal(self) -> bool:
        """Is everything only planned, and nothing sent?"""
        return self._settings.rehearsal

    def begin_tally(self) -> None:
        """Count from nothing."""
        self.tally = Tally()

    @property
    def unsettled(self) -> int:
        """How many places have changed and are not planned for yet."""
        return len(self._settler) + len(self._postponed)

    @property
    def in_flight(self) -> int:
        """How many images are being sent or removed now."""
        return len(self._flying)

    def await_remote(self) -> None:
        """Plan nothing new until ``compare``: without a memory of its own, only the collection can
        say which of the files it has already."""
        self._awaits_remote = True

    def trust_state(self) -> None:
        """Plan without the listing: the state file knows what the collection holds."""
        self._awaits_remote = False

    def close(self, timeout_seconds: float) -> bool:
        """Let the requests under way end, and write down what they did. False if some had not
        ended after ``timeout_seconds``: they are abandoned, and sent again after the next start."""
        ended = self._senders.close(timeout_seconds)
        self._readers.close(timeout_seconds=0.1)
        self._collect()
        return ended

    # With the collection's listing.

    def read_listing(self) -> frozenset[str]:
        """The IDs of the collection's images that are ours. Waits for the network, so it is not
        for the thread that steps. Raises ``CollectionError``."""
        listed = (image["id"] for image in self._collection.images())
        return frozenset(image_id for image_id in listed if owns(self._settings.owner, image_id))

    def compare(self, listing: frozenset[str]) -> None:
        """Let the collection's listing take part in the planning until ``end_comparison``. Raises
        ``CollectionError``."""
        # The state is read after the listing: what was added in between is not taken for unknown.
        unclaimed = listing - self._state.all_ids()
        suspects = [item for item in self._state.confirmed_ids() if item[0] not in listing]
        # A listing in pages can miss an image that was there all the time. Each is asked for.
        there = self._senders.map(self._is_there, [image_id for image_id, _ in suspects])
        missing = {
            image_id: place
            for (image_id, place), is_there in zip(suspects, there, strict=True)
            if not is_there
        }
        self._remote = Remote(unclaimed, frozenset(missing))
        self._awaits_remote = False
        self._adopt_from = time.monotonic() + 2 * self._settings.settle_seconds
        self.look_again(missing.values())

    @property
    def is_comparing(self) -> bool:
        """Does the listing take part, and are there places that it may still say something of?"""
        return self._remote is not None and (self.is_looking or bool(self._postponed))

    def end_comparison(self) -> frozenset[str]:
        """Plan without the listing from now on; the images of ours that no file was found for."""
        remote, self._remote = self._remote or Remote(), None
        return remote.unclaimed

    def prune(self) -> None:
        """Plan to delete the images that the configuration doesn't name any more, and those of
        ours that no record knows. Between ``compare`` and ``end_comparison``."""
        unwanted = [
            record
            for row in self._state.folders()
            for record in self._state.records_in(row.name)
            if not self._is_wanted(record.place)
        ]
        actions = prune(unwanted, self._remote or Remote())
        self.on_plan(actions)
        self._state.apply(actions, time.time())
        if self._settings.rehearsal:
            self.tally.deleted += len(actions)
            actions = []
        for deletion in actions:
            removal = Removal(deletion.image_id, deletion.place, by_request=True)
            if deletion.place is None:
                self._orphans.append(removal)
            else:
                self._condemned[deletion.image_id] = removal
        self._remote = None

    def _is_wanted(self, place: Place) -> bool:
        folder = self._folders.get(place.folder)
        return folder is not None and folder.selection.wants(place.path)

    def _is_there(self, image_id: str) -> bool:
        try:
            self._collection.get_image(image_id)
        except NotFound:
            return False
        return True

    # One step.

    def step(self) -> None:
        """Do what is due now."""
        self._look()
        self._collect()
        self._decide()
        if not self._settings.rehearsal:
            self._dispatch()

    def _look(self) -> None:
        now = time.monotonic()
        for survey in self.surveys:
            survey.tick(now)
            if survey.is_missing:
                self._settler.drop_folder(survey.folder.name)
            survey.refresh_row()
        if len(self._settler) < _MOST_UNSETTLED:
            for survey in self.surveys:
                for place, seen in survey.work(time.monotonic() + _LOOK_SECONDS, now):
                    self._see(place, seen)
        self.look_again(self._settler.due(time.monotonic()))

    def look_again(self, places: Iterable[Place]) -> None:
        """Look at these places as if something had changed there."""
        caches: dict[str, DirectoryCache] = {}
        for place in places:
            sight = self._sight(place, caches)
            if isinstance(sight, Unclear):
                self._settler.drop(place)
            else:
                self._see(place, sight.fingerprint if isinstance(sight, File) else None)

    def _sight(self, place: Place, caches: dict[str, DirectoryCache]) -> Sight:
        folder = self._folders.get(place.folder)
        if folder is None or folder.identity is None or not folder.selection.wants(place.path):
            return Unclear("not a place of a folder that is there")
        return folder.look(place.path, caches.setdefault(place.folder, {}))

    def _see(self, place: Place, seen: Fingerprint | None) -> None:
        if self._settler.see(place, seen, time.monotonic()):
            self._at_rest[place] = self._sight(place, {})

    # Deciding.

    def _decide(self) -> None:
        at_rest, self._at_rest = self._at_rest, {}
        caches: dict[str, DirectoryCache] = {}
        if self._postponed and not (self.is_looking or self._awaits_remote or self._is_gathering):
            at_rest |= {place: self._sight(place, caches) for place in self._postponed}
            self._postponed.clear()
        files, gone = {}, {}
        for place, sight in at_rest.items():
            if self._must_wait(place, sight):
                self._postponed.add(place)
            elif isinstance(sight, File):
                files[place] = sight
            elif isinstance(sight, Gone):
                gone[place] = sight
        # What is new may be what has gone from elsewhere, so the files come first.
        for batch in _batches(files, self._batch_size):
            self._plan(batch)
        if gone:
            self._plan(gone)

    @property
    def _batch_size(self) -> int:
        # Which file is which of the collection's unclaimed images is only clear from all of them.
        return sys.maxsize if self._remote and self._remote.unclaimed else _BATCH

    @property
    def _is_gathering(self) -> bool:
        """Are files still coming to rest that have to be matched with the collection's unclaimed
        images all together? One that never rests is not waited for."""
        if self._remote is None or not self._remote.unclaimed:
            return False
        return self.is_looking or time.monotonic() < self._adopt_from

    def _must_wait(self, place: Place, sight: Sight) -> bool:
        """May what is still to be looked at change what this sight means? A file that went, or was
        replaced, may be found at another place; a new one may be the collection's already."""
        if isinstance(sight, Gone):
            return self.is_looking
        if not isinstance(sight, File):
            return False
        record = self._state.record_at(place)
        if record is not None:
            return self.is_looking and sight.fingerprint.inode != record.seen.inode
        return self._awaits_remote or self._is_gathering

    def _plan(self, sights: Mapping[Place, Sight]) -> None:
        gone = frozenset(place for place, sight in sights.items() if isinstance(sight, Gone))
        world = self._gatherer.gather(sights, gone, self._arriving)
        if self._remote is not None:
            try:
                world = self._gatherer.with_remote(world, self._remote, self._collection)
            except CollectionError as error:
                self.trouble = error
                self._postponed.update(sights)
                return
        self.look_again(frozenset(sights) - world.asked)
        self._carry_out(plan(world))

    def _arriving(self) -> dict[int, tuple[Place, File]]:
        return {
            seen.inode: (place, File(seen))
            for place, seen in self._settler.waiting()
            if seen is not None
        }

    def _carry_out(self, actions: Sequence[Action]) -> None:
        now = time.time()
        deletes = [action for action in actions if isinstance(action, Delete)]
        verdict = self._guard.judge(deletes, self._settler.gone, now)
        others = [action for action in actions if not isinstance(action, Delete)]
        planned = [*others, *verdict.send]
        self.on_plan(planned)
        with self._state.transaction():
            self._state.apply(planned, now)
            self._state.hold(action.image_id for action in verdict.hold)
        for unsettled in verdict.unsettled:
            if unsettled.place is not None:
                self._see(unsettled.place, None)
        if self._remote is not None:
            spoken_for = {action.image_id for action in planned}
            self._remote = replace(
                self._remote,
                unclaimed=self._remote.unclaimed - spoken_for,
                missing=self._remote.missing - spoken_for,
            )
        for action in planned:
            self._note(action)

    def _note(self, action: Action) -> None:
        log.debug("%s %s %s", action.verb, action.image_id, action.place)
        if self._settings.rehearsal:
            self._tally_plan(action)
        match action:
            case Rename(place, _, _, source):
                self.tally.renamed += 1
                log.info("renamed %s to %s", source, place)
                self._settler.drop(source)
                self._postponed.discard(source)
            case Adopt():
                self.tally.adopted += 1
                self.on_confirmed()
            case Delete(place, image_id):
                self._condemned[image_id] = Removal(image_id, place)

    def _tally_plan(self, action: Action) -> None:
        match action:
            case Add():
                self.tally.added += 1
            case Update():
                self.tally.updated += 1
            case Delete():
                self.tally.deleted += 1

    # Sending.

    def _sendable(self, limit: int) -> list[Outstanding]:
        present = [survey.row.name for survey in self.surveys if not survey.is_missing]
        return self._state.outstanding(limit, time.time(), present, list(self._flying))

    def _dispatch(self) -> None:
        if self.trouble is not None and not self._is_over():
            return
        # Enough that no worker waits for this thread, few enough that none waits long in line.
        room = 2 * self._settings.workers - len(self._flying)
        while self._orphans and room > 0:
            removal = self._orphans.pop()
            self._fly(removal.image_id, partial(remove, removal, self._collection))
            room -= 1
        if room > 0:
            for item in self._sendable(room):
                self._send(item)

    def _send(self, item: Outstanding) -> None:
        record = item.record
        folder = self._folders[record.place.folder]
        condemned = self._condemned.get(record.image_id)
        if condemned is not None and condemned.by_request:
            self._fly(record.image_id, partial(remove, condemned, self._collection))
            return
        sight = self._sight(record.place, {})
        if isinstance(sight, File) and sight.fingerprint == record.seen:
            self._condemned.pop(record.image_id, None)
            self._fly(record.image_id, partial(upload, folder, item, self._collection))
        elif isinstance(sight, Gone) and condemned is not None:
            removal = Removal(
                record.image_id,
                record.place,
                record.submount,
                item.mark,
                item.attempts,
                by_request=item.approved,
            )
            self._fly(record.image_id, partial(delete, folder, removal, self._collection))
        else:
            # Not what was planned for: it has to come to rest again first.
            self._state.postpone(record.image_id, time.time() + _SECOND_LOOK_SECONDS)
            self.look_again([record.place])

    def _fly(self, image_id: str, job: Callable[[], Outcome | None]) -> None:
        future = self._senders.submit(job)
        self._flying[image_id] = future
        future.add_done_callback(lambda _: self.wake())

    def _is_over(self) -> bool:
        """Is the trouble over? Asked once in a while, by one small request."""
        now = time.monotonic()
        if now < self._next_credentials:
            return False
        self._next_credentials = now + _CREDENTIALS_SECONDS
        try:
            self._collection.get_images(count=1)
        except CollectionError as error:
            self.trouble = error
            return False
        log.warning("the collection takes requests again")
        self.trouble = None
        return True

    # Confirming.

    def _collect(self) -> None:
        landed = [image_id for image_id, future in self._flying.items() if future.done()]
        if not landed:
            return
        outcomes = [
            future.result() for future in map(self._flying.pop, landed) if not future.cancelled()
        ]
        now = time.time()
        with self._state.transaction():
            for outcome in outcomes:
                if outcome is not None:
                    self._conclude(outcome, now)
        self.on_confirmed()

    def _conclude(self, outcome: Outcome, now: float) -> None:
        match outcome:
            case Uploaded(sent, place, was_known):
                self._state.confirm(sent, now)
                self.tally.updated += was_known
                self.tally.added += not was_known
                log.info("%s %s", "updated" if was_known else "added", place)
            case Deleted(removal):
                self._condemned.pop(removal.image_id, None)
                self._state.forget(removal.image_id)
                if removal.place is not None and not removal.by_request:
                    self._state.count_deletion(removal.place.folder, now)
                self.tally.deleted += 1
                log.info("deleted %s", removal.place or removal.image_id)
            case LookAgain(image_id, place):
                self._state.postpone(image_id, now + _SECOND_LOOK_SECONDS)
                self.look_again([place])
            case Rejected(image_id, rejected_place, mark, attempts, reason):
                delay = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS) - 1)]
                self._state.park(image_id, mark, reason, now + delay)
                log.warning("%s: %s", rejected_place or image_id, reason)
            case Trouble(_, error):
                if self.trouble is None:
                    log.error("nothing can be sent now: %s", error)
                    self._next_credentials = time.monotonic() + _CREDENTIALS_SECONDS
                self.trouble = error


def _batches(sights: Mapping[Place, Sight], size: int) -> Iterator[dict[Place, Sight]]:
    items = iter(sights.items())
    while batch := dict(islice(items, size)):
        yield batch
