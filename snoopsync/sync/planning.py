"""Plans for the settled paths, batch by batch.

A batch takes well under a second to plan, and one step of the engine only plans as many batches as
it has time for. So the engine stays responsive even when it plans for a million files after the
state file was lost.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from snoopsync.core.model import File, Gone, Observation, RelPath, Unclear
from snoopsync.core.planner import Action, plan
from snoopsync.folders.pending import Inbox, PendingPaths
from snoopsync.state.images import State
from snoopsync.sync.adoption import Adoption
from snoopsync.sync.plan_input import PlanInputReader
from snoopsync.sync.remote_listing import RemoteListing


@dataclass(frozen=True, slots=True)
class PlanningPace:
    """How many files are planned together, and for how many seconds one step plans."""

    batch_files: int = 2000
    step_seconds: float = 0.5


class Planning:
    """Goes through the pending paths in passes. Within a pass the files come first, because a new
    file may be one that is gone from another path. The adoption searches for all files of a pass
    begin together at its end. Used by the engine's thread."""

    def __init__(
        self,
        pending: PendingPaths,
        inbox: Inbox,
        reader: PlanInputReader,
        listing: RemoteListing,
        adoption: Adoption,
        state: State,
        pace: PlanningPace,
    ) -> None:
        self._pending = pending
        self._inbox = inbox
        self._reader = reader
        self._listing = listing
        self._adoption = adoption
        self._state = state
        self._pace = pace
        self._gone: list[RelPath] = []
        self._unsearched: dict[RelPath, File] = {}
        self._is_looking = False
        # Both as of the beginning of a pass. Otherwise, if more becomes known during the pass, a
        # path would be planned without those that were postponed before.
        self._has_postponed = False
        self._plans_new_files = False

    def plans(self, *, is_looking: bool) -> Iterator[list[Action]]:
        """The plans that one step has time for. Carry out each plan before requesting the next one.
        ``is_looking``: more is left to look at in a folder."""
        until = time.monotonic() + self._pace.step_seconds
        self._is_looking = is_looking
        if not self._pending.has_queue:
            self._has_postponed = not self._awaits_more
            self._plans_new_files = self._may_be_new
            self._pending.queue(postponed=self._has_postponed)
        while self._pending.has_queue:
            yield self._plan(self._next_files())
            if self._pending.has_queue and time.monotonic() >= until:
                return
        gone, self._gone = self._gone, []
        if gone and self._has_postponed and not self._awaits_more:
            yield self._plan(self._still_gone(gone))
        if self._unsearched and self._listing.remote is not None and self._adoption.can_search:
            unclaimed = frozenset(self._listing.remote.unclaimed)
            self._adoption.search(self._unsearched, unclaimed)
        self._unsearched = {}

    def _next_files(self) -> dict[RelPath, File]:
        files: dict[RelPath, File] = {}
        for rel_path, observation in self._pending.next_batch(self._pace.batch_files).items():
            if self._must_wait(rel_path, observation):
                self._pending.postpone({rel_path: observation})
            elif isinstance(observation, File):
                files[rel_path] = observation
            elif isinstance(observation, Gone):
                self._pending.postpone({rel_path: observation})
                self._gone.append(rel_path)
        return files

    def _still_gone(self, rel_paths: list[RelPath]) -> dict[RelPath, Gone]:
        """The postponed paths in ``rel_paths`` that are still gone. They are planned together,
        because the deletion guard counts them together."""
        observations = self._pending.resume(rel_paths)
        self._inbox.put(each for each, seen in observations.items() if not isinstance(seen, Gone))
        return {each: seen for each, seen in observations.items() if isinstance(seen, Gone)}

    def _must_wait(self, rel_path: RelPath, observation: Observation) -> bool:
        """Whether missing knowledge may change the meaning of this observation. A file that is gone
        or was replaced may appear at another path. A new file may already be in the collection."""
        if isinstance(observation, Unclear):
            return False
        record = self._state.record_at(rel_path)
        if record is None:
            may_be_new = self._plans_new_files and self._may_be_new
            return isinstance(observation, File) and not may_be_new
        if isinstance(observation, File) and observation.fingerprint.inode == record.seen.inode:
            return False
        return self._awaits_more or not self._has_postponed

    @property
    def _may_be_new(self) -> bool:
        """Whether enough is known about the collection to decide that a file is new."""
        return not self._listing.is_gathering and self._adoption.can_search

    @property
    def _awaits_more(self) -> bool:
        """Whether more is about to be known about the disk or the collection."""
        return self._is_looking or bool(self._inbox) or not self._may_be_new

    def _plan(self, observations: Mapping[RelPath, File | Gone]) -> list[Action]:
        remote = self._listing.remote
        if remote is not None and remote.unclaimed:
            remote = self._adoption.add_found(remote, observations)
        planned = plan(self._reader.read(observations, self._pending.arriving, remote))
        unsearched = {
            rel_path: file
            for rel_path in planned.unsearched
            if isinstance(file := observations[rel_path], File)
        }
        self._pending.postpone(unsearched)
        self._unsearched |= unsearched
        return planned.actions
