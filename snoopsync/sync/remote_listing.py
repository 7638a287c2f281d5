"""What the collection's listing says beside the state file, while it takes part in the planning."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
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

#: How many images are named that somebody else has changed.
_SAMPLE = 5

#: How many images of a collection that names its images in order are compared at once.
_RANGE_IDS = 20_000


class Listing(NamedTuple):
    """The collection's images that are ours and not confirmed, and those that the state file takes
    for confirmed and that are proven not to be there. ``foreign``: those that were changed since
    they were confirmed, with the time of that confirmation."""

    unconfirmed: frozenset[str]
    missing: frozenset[str]
    foreign: Mapping[str, str]


class Comparison:
    """From ``begin`` on nothing new is planned; from ``compare`` on the listing takes part. After
    ``end`` it does so as long as there are images of ours that no file was found for: it may be on
    a disk, or in a directory, that was away.

    Without a memory of its own, only the collection can say which of the files it has already.
    ``gather_seconds``: for so long after ``compare`` files may come to rest that are planned
    together, until ``gathers_until`` (monotonic): which file is which of the unclaimed images is
    only clear from all of them. One that never rests is not waited for.
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
        self._owner = owner
        self._state = state
        self._collection = collection
        self._workers = workers
        self._clock = clock
        self._gather_seconds = gather_seconds
        self._awaits_listing = False
        self.gathers_until = 0.0
        self.is_under_way = False

    def begin(self) -> None:
        """Wait for ``compare``."""
        self._awaits_listing = True
        self.is_under_way = True

    def read_listing(self) -> Listing:
        """Read the collection's listing. Waits for the network, so it is not for the thread that
        plans. Raises ``CollectionError``."""
        if not self._collection.lists_times:
            return self._compare_ids()
        # Read first: what is confirmed meanwhile may have a time that the listing does not know.
        times = self._state.confirmed_times()
        # Others' images are none of our business: a listing may have millions of them.
        listed_times = self._collection.image_times(
            self._state.confirmed_ids(), lambda image_id: owns(self._owner, image_id)
        )
        listed = listed_times.keys()
        confirmed = self._state.confirmed_ids()
        unconfirmed = frozenset(
            image_id for image_id in listed - confirmed if owns(self._owner, image_id)
        )
        return Listing(
            unconfirmed, self._missing(confirmed - listed), _foreign(times, listed_times)
        )

    def _compare_ids(self) -> Listing:
        """The listing of a collection that names its images in order. One range of IDs at a time is
        compared, so that memory stays flat."""
        unconfirmed: set[str] = set()
        suspects: set[str] = set()
        after: str | None = ""
        while after is not None:
            listed = self._collection.image_ids(after, _RANGE_IDS)
            last = listed[-1] if len(listed) == _RANGE_IDS else None
            # Read after the listing: what was confirmed in between is not taken for unconfirmed.
            confirmed = self._state.confirmed_ids_between(after, last)
            if listed != confirmed:
                unconfirmed.update(set(listed).difference(confirmed))
                suspects.update(set(confirmed).difference(listed))
            after = last
        ours = frozenset(image_id for image_id in unconfirmed if owns(self._owner, image_id))
        return Listing(ours, self._missing(suspects), {})

    def _missing(self, suspects: Iterable[str]) -> frozenset[str]:
        """Those that are not in the collection. A listing in pages can miss an image that was there
        all the time, so each is asked for."""
        each = sorted(suspects)
        there = self._workers.map(self._is_there, each)
        return frozenset(
            image_id for image_id, is_there in zip(each, there, strict=True) if not is_there
        )

    def _is_there(self, image_id: str) -> bool:
        try:
            self._collection.get_image(image_id)
        except NotFound:
            return False
        return True

    def compare(self, listing: Listing) -> list[RelPath]:
        """Let this listing take part. Returns the places of the images that it lacks."""
        # The state is read after the listing: what was added in between is not taken for unknown.
        unclaimed = listing.unconfirmed
        if unclaimed:
            unclaimed -= self._state.all_ids()
        self.remote = Remote(unclaimed, listing.missing)
        self._awaits_listing = False
        self.gathers_until = self._clock.monotonic() + self._gather_seconds
        self._doubt(listing.foreign)
        records = map(self._state.record, listing.missing)
        return [record.rel_path for record in records if record is not None]

    def _doubt(self, foreign: Mapping[str, str]) -> None:
        """Send again what somebody else has changed, and say so."""
        with self._state.transaction():
            doubtful = [
                image_id
                for image_id in foreign
                if self._state.intents.mark_unconfirmed(image_id, foreign[image_id])
            ]
        if doubtful:
            records = map(self._state.record, doubtful[:_SAMPLE])
            samples = [record.rel_path for record in records if record is not None]
            log_event(
                log,
                logging.WARNING,
                Event.FOREIGN_CHANGES,
                "another program changed %s of this owner in the collection; snoopsync sends them"
                " again: %s%s. Does another installation have the owner %s too?",
                images(len(doubtful)),
                ", ".join(map(str, samples)),
                ", ..." if len(doubtful) > _SAMPLE else "",
                self._owner,
                count=len(doubtful),
                samples=[rel_path.full_text for rel_path in samples],
            )

    @property
    def is_gathering(self) -> bool:
        """Has what is new to wait?"""
        if self._awaits_listing:
            return True
        return self.remote is not None and self._clock.monotonic() < self.gathers_until

    @property
    def wants_all(self) -> bool:
        """Must all that is new be planned together?"""
        return self.is_under_way and self.remote is not None and bool(self.remote.unclaimed)

    def note(self, actions: Sequence[Action]) -> None:
        """These were planned: their images are spoken for."""
        if self.remote is not None:
            spoken_for = {action.image_id for action in actions}
            self.remote = replace(
                self.remote,
                unclaimed=self.remote.unclaimed - spoken_for,
                missing=self.remote.missing - spoken_for,
            )

    def end(self, *, trust_state: bool) -> frozenset[str]:
        """The comparison is over, and what is new is planned as it comes, if the state file knows
        what the collection holds. Returns the images of ours that no file was found for."""
        unclaimed = self.remote.unclaimed if self.remote is not None else frozenset[str]()
        self.remote = Remote(unclaimed) if unclaimed and trust_state else None
        self._awaits_listing = not trust_state
        self.is_under_way = False
        return unclaimed


def _foreign(confirmed: Mapping[str, str], listed: Mapping[str, str]) -> dict[str, str]:
    """The images, with their times, that the listing has another time for."""
    told = [image_id for image_id in confirmed if listed.get(image_id)]
    foreign = {each: confirmed[each] for each in told if listed[each] != confirmed[each]}
    # A listing that writes the same times otherwise than the answers do would say so of all.
    return foreign if len(foreign) < len(told) else {}
