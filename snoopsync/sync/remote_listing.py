"""Compares the collection's listing with the state file."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import islice
from typing import NamedTuple

from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import NotFound
from snoopsync.core.events import Event, log_event
from snoopsync.core.model import RelPath, owns
from snoopsync.core.planner import Action, Remote
from snoopsync.core.text import images
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.workers import Workers
from snoopsync.state.images import State

log = logging.getLogger("snoopsync.mirror")

#: How many paths of missing images are read from the state file at a time.
_PATHS_AT_ONCE = 2000

#: How many changed images a log line names.
_SAMPLE = 5

#: How many images are compared at once if the collection lists its images in order.
_RANGE_IDS = 20_000


class ListingDifferences(NamedTuple):
    """How the collection's listing differs from the state file.

    ``collection_id``: the collection that was listed. ``unconfirmed``: listed images of this owner
    that are not confirmed. ``missing``: confirmed images that are proven not to be in the
    collection. ``foreign``: images that another program changed since they were confirmed, with
    their confirmed time.
    """

    collection_id: str
    unconfirmed: frozenset[str]
    missing: frozenset[str]
    foreign: Mapping[str, str]


class RemoteListing:
    """The differences between the collection's listing and the state file, while planning uses
    them.

    After ``begin`` no new file is planned; after ``apply`` planning uses the listing. After ``end``
    planning uses the listing as long as it has images of this owner without a file, because the
    file may be on a disk or in a directory that is missing now. If the state file was lost, only
    the listing shows which files the collection already has.

    ``gather_seconds``: for this long after ``apply``, until ``gathers_until`` (monotonic), files
    may settle and are then planned together. Only all files together show which file is which
    unclaimed image. A file that does not settle in time is not waited for.
    """

    def __init__(
        self,
        owner: str,
        state: State,
        collection: RetryingCollection,
        workers: Workers,
        clock: Clock,
        gather_seconds: float,
    ) -> None:
        self.remote: Remote | None = None
        # The sets in ``remote``. They shrink with each plan, and may have a million IDs.
        self._unclaimed: set[str] = set()
        self._missing_ids: set[str] = set()
        self._owner = owner
        self._state = state
        self._collection = collection
        self._workers = workers
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._awaits_listing = False
        self._reader: threading.Thread | None = None
        self.gathers_until = 0.0
        self.is_under_way = False

    def begin(self, on_read: Callable[[], None]) -> Future[ListingDifferences]:
        """Read the listing on a separate thread, and plan no new file until ``apply``. ``on_read``
        is called on that thread at the end. The future raises ``CollectionError``."""
        self._awaits_listing = True
        self.is_under_way = True
        future: Future[ListingDifferences] = Future()

        def read() -> None:
            try:
                future.set_result(self.read())
            except BaseException as error:  # raised again by ``result()``
                future.set_exception(error)
            on_read()

        self._reader = threading.Thread(target=read, name="listing", daemon=True)
        self._reader.start()
        return future

    @property
    def is_being_read(self) -> bool:
        """Whether the listing is being read."""
        return self._reader is not None and self._reader.is_alive()

    def read(self) -> ListingDifferences:
        """Read the collection's listing. Waits for the network, so the engine's thread never calls
        this. Raises ``CollectionError``."""
        if not self._collection.lists_times:
            return self._compare_ids()
        # Read before the listing: an image that is confirmed meanwhile may have a newer time than
        # the listing.
        times = self._state.confirmed_times()
        # Skip images of other owners: a listing may have millions of them.
        listed_times = self._collection.image_times(
            self._state.confirmed_ids(), lambda image_id: owns(self._owner, image_id)
        )
        listed = listed_times.keys()
        confirmed = self._state.confirmed_ids()
        unconfirmed = frozenset(
            image_id for image_id in listed - confirmed if owns(self._owner, image_id)
        )
        missing = self._missing(confirmed - listed)
        return ListingDifferences(
            self._collection.id, unconfirmed, missing, _foreign(times, listed_times)
        )

    def _compare_ids(self) -> ListingDifferences:
        """Compare with a collection that lists its images in order. This compares one range of IDs
        at a time, to limit memory."""
        unconfirmed: set[str] = set()
        suspects: set[str] = set()
        after: str | None = ""
        while after is not None:
            listed = self._collection.image_ids(after, _RANGE_IDS)
            # Read after the listing, so that an image that is confirmed in between is not taken for
            # unconfirmed.
            confirmed = self._state.confirmed_ids_between(after, listed.last)
            if listed.json != confirmed.json:
                listed_ids, confirmed_ids = set(listed.ids()), set(confirmed.ids())
                unconfirmed |= listed_ids - confirmed_ids
                suspects |= confirmed_ids - listed_ids
            after = listed.last
        ours = frozenset(image_id for image_id in unconfirmed if owns(self._owner, image_id))
        return ListingDifferences(self._collection.id, ours, self._missing(suspects), {})

    def _missing(self, suspects: Iterable[str]) -> frozenset[str]:
        """The IDs in ``suspects`` that are not in the collection. A listing in pages can miss an
        image that was in the collection all the time, so each one is requested."""
        ids = sorted(suspects)
        found = self._workers.map(self._is_in_collection, ids)
        return frozenset(image_id for image_id, is_in in zip(ids, found, strict=True) if not is_in)

    def _is_in_collection(self, image_id: str) -> bool:
        try:
            self._collection.get_image(image_id)
        except NotFound:
            return False
        return True

    def apply(self, differences: ListingDifferences) -> None:
        """Use the listing for planning."""
        # The state is read after the listing, so that an image that was added in between is not
        # unclaimed.
        unclaimed = differences.unconfirmed
        if unclaimed:
            unclaimed -= self._state.all_ids()
        self._unclaimed, self._missing_ids = set(unclaimed), set(differences.missing)
        self.remote = Remote(self._unclaimed, self._missing_ids)
        self._awaits_listing = False
        self.gathers_until = self._clock.monotonic() + self._gather_seconds
        self._resend_foreign(differences.foreign)

    def missing_paths(self) -> Iterator[list[RelPath]]:
        """The paths of the files whose images are missing, a few thousand at a time."""
        missing = iter(sorted(self.remote.missing)) if self.remote is not None else iter(())
        while image_ids := list(islice(missing, _PATHS_AT_ONCE)):
            records = map(self._state.record, image_ids)
            yield [record.rel_path for record in records if record is not None]

    def _resend_foreign(self, foreign: Mapping[str, str]) -> None:
        """Mark the images that another program changed to be sent again, and log them."""
        with self._state.transaction():
            marked = [
                image_id
                for image_id in foreign
                if self._state.intents.mark_unconfirmed(image_id, foreign[image_id])
            ]
        if marked:
            records = map(self._state.record, marked[:_SAMPLE])
            samples = [record.rel_path for record in records if record is not None]
            log_event(
                log,
                logging.WARNING,
                Event.FOREIGN_CHANGES,
                "another program changed %s of this owner in the collection; snoopsync sends them"
                " again: %s%s. Does another installation have the owner %s too?",
                images(len(marked)),
                ", ".join(map(str, samples)),
                ", ..." if len(marked) > _SAMPLE else "",
                self._owner,
                count=len(marked),
                samples=[rel_path.full_text for rel_path in samples],
            )

    @property
    def is_gathering(self) -> bool:
        """Whether new files must wait."""
        if self._awaits_listing:
            return True
        return self.remote is not None and self._clock.monotonic() < self.gathers_until

    def note_planned(self, actions: Sequence[Action]) -> None:
        """Note that actions were planned, so that their images are no longer unclaimed or
        missing."""
        planned = {action.image_id for action in actions}
        self._unclaimed -= planned
        self._missing_ids -= planned

    def end(self, *, trust_state: bool) -> frozenset[str]:
        """End the comparison. ``trust_state``: the state file is complete, so new files are planned
        as they appear; otherwise they wait. Returns the images of this owner without a file."""
        self._missing_ids = set()
        keeps = bool(self._unclaimed) and trust_state
        self.remote = Remote(self._unclaimed) if keeps else None
        self._awaits_listing = not trust_state
        self.is_under_way = False
        return frozenset(self._unclaimed)

    def take_over(self, before: RemoteListing) -> None:
        """Continue with the listing of an earlier engine with the same collection."""
        self.remote = before.remote
        self._unclaimed, self._missing_ids = before._unclaimed, before._missing_ids


def _foreign(confirmed: Mapping[str, str], listed: Mapping[str, str]) -> dict[str, str]:
    """The images, with their confirmed times, for which the listing has another time."""
    common = [image_id for image_id in confirmed if listed.get(image_id)]
    foreign = {each: confirmed[each] for each in common if listed[each] != confirmed[each]}
    # If all times differ, the listing formats the same times in another way than the responses.
    return foreign if len(foreign) < len(common) else {}
