"""Asks the collection which images that other owners added are like ours.

Our own searches find what the collection already has. If another machine later adds a copy of one
of our pictures, only that machine's search finds the two. So the service asks for what others added
since the moment up to which it last asked. That moment is in the state file. It is stored together
with what was reported, so that a restart neither loses nor repeats anything.

The first moment is taken before the first search. What others added before it is found by the
searches, and what they add after it is reported. A state file of an older version has images that
were searched for earlier. What others added between such a search and the first moment stays
unreported: the other machine alerted about it.
"""

from __future__ import annotations

import time

from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import CollectionError, NotFound, Refused, Unauthorized, Unavailable
from snoopsync.core.protocol import ChangesAnswer
from snoopsync.state.images import State
from snoopsync.state.reported_pairs import ReportedPair, ReportedPairs
from snoopsync.sync.low_priority import Rest

#: The fact in the state file with the moment up to which we asked.
_FACT = "changes_since"

#: How many pages are read before the next pause. The next time continues there.
_MOST_PAGES = 1_000

#: How often the first moment is asked for before searches. Later only ``work_off`` asks, so that a
#: call that fails slowly does not delay the searches.
_MOST_FIRST_ATTEMPTS = 3


class ChangesPoll:
    """Stores what the collection reports about images of other owners. ``max_rank``: the largest
    rank of a duplicate. ``begin`` and ``work_off`` may run in two threads."""

    def __init__(
        self,
        owner: str,
        state: State,
        reported: ReportedPairs,
        collection: RetryingCollection,
        max_rank: int,
    ) -> None:
        self._owner = owner
        self._state = state
        self._reported = reported
        self._collection = collection
        self._max_rank = max_rank
        self._first_attempts = 0

    def begin(self) -> None:
        """Store the present moment, unless one is stored. Call this before each search. Nothing
        happens if the collection does not answer. Raises ``Unauthorized``, as the search would."""
        if self._first_attempts < _MOST_FIRST_ATTEMPTS and self._collection.outage is None:
            if self._since() is not None:
                self._first_attempts = _MOST_FIRST_ATTEMPTS
                return
            self._first_attempts += 1
            try:
                self._store_present_moment()
            except Unauthorized:
                raise
            except CollectionError:
                pass  # ``work_off`` asks again

    def work_off(self, rest: Rest) -> bool:
        """Ask for everything up to the present moment. Returns whether something new was stored.

        Raises ``NotFound`` if the collection does not offer this, and other errors of the
        collection."""
        is_new = False
        try:
            since = self._since()
            if since is None:
                self._store_present_moment()
                return False
            present: int | None = None
            for _ in range(_MOST_PAGES):
                began = time.monotonic()
                page = self._collection.changes(since, self._owner)
                if page["next"] == since:
                    break
                is_new = self._store(page) or is_new
                since = page["next"]
                # Others may add images all the time, so only those up to now are waited for.
                present = present or self._present_moment()
                # Leave half of the time to others.
                if since >= present or not rest(time.monotonic() - began):
                    break
        except CollectionError as error:
            if is_new:
                return True  # the next time continues with the rest
            if isinstance(error, Unauthorized):
                # A proxy may refuse only this call. If the service refuses the keys, every other
                # call shows that, and this one must not stop them.
                raise Unavailable(error.message) from error
            if isinstance(error, Refused):
                raise NotFound("this collection does not report changes") from error
            raise
        return is_new

    def _since(self) -> int | None:
        moment = self._state.fact(_FACT) or ""
        return int(moment) if moment.isdecimal() else None

    def _present_moment(self) -> int:
        return self._collection.changes(None, self._owner)["next"]

    def _store_present_moment(self) -> None:
        moment = self._present_moment()
        with self._state.transaction():
            if self._since() is None:  # the other thread may have stored an earlier one
                self._state.set_fact(_FACT, str(moment))

    def _store(self, page: ChangesAnswer) -> bool:
        """Store the pairs of a page, and the moment up to which it looked. Returns whether any of
        the pairs is new."""
        pairs = [
            ReportedPair(each["match"], each["id"], each["rank"], each["kind"], each["label"])
            for each in page["pairs"]
            if each["rank"] <= self._max_rank
        ]
        with self._state.transaction():
            stored = self._reported.add(pairs)
            self._state.set_fact(_FACT, str(page["next"]))
        return stored > 0
