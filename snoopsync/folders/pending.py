"""The paths that changed and have no plan yet, from the first sign of a change until its meaning is
known.

Each path takes the same steps. First it settles: ``Settler`` decides how long. A settled path is
then queued and planned together with others. A path is postponed if the meaning of its change
depends on something that is not known yet. The path is looked at again before each step, because it
may have changed meanwhile.
"""

from __future__ import annotations

from collections import ChainMap, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from snoopsync.core.model import File, Fingerprint, Gone, Observation, RelPath, Unclear
from snoopsync.core.settle import Settler
from snoopsync.folders.folder import Folder, FolderSessions
from snoopsync.runtime.clock import Clock

#: The observation of a path that is left out by the configuration, or whose folder is missing.
_NO_PATH = Unclear("not a path of a folder that is present")


class Inbox:
    """The paths that any part of the engine wants to look at again. Used by the engine's thread."""

    def __init__(self) -> None:
        self._paths: deque[RelPath] = deque()

    def __len__(self) -> int:
        return len(self._paths)

    def put(self, rel_paths: Iterable[RelPath]) -> None:
        """Look at these paths again, as if they had just changed."""
        self._paths.extend(rel_paths)

    def take(self, count: int) -> list[RelPath]:
        """Remove and return the oldest ``count`` paths, or fewer if there are fewer."""
        return [self._paths.popleft() for _ in range(min(count, len(self._paths)))]


class PendingPaths:
    """The pending paths. Used by the engine's thread. The length is the number of these paths. A
    path that can't be examined is dropped, and ``on_unclear`` is called with it and the reason."""

    def __init__(
        self,
        folders: Mapping[str, Folder],
        settle_seconds: float,
        delete_after_seconds: float,
        clock: Clock,
    ) -> None:
        self.on_unclear: Callable[[RelPath, str], None] = lambda rel_path, reason: None
        self._folders = folders
        self._clock = clock
        self._settler = Settler(
            settle_seconds,
            # A moved file settles at its new path first, so that the move is found.
            max(delete_after_seconds, 2 * settle_seconds),
        )
        self._settled: dict[RelPath, Observation] = {}
        self._queued: dict[RelPath, Observation] = {}
        # The queued paths in reverse order: the next path is removed from the end.
        self._queue: list[RelPath] = []
        self._postponed: dict[RelPath, Observation] = {}
        # The settled files in these three, by inode.
        self._by_inode: dict[int, tuple[RelPath, File]] = {}

    def __len__(self) -> int:
        return self.settling + len(self._settled) + len(self._queued) + len(self._postponed)

    @property
    def settling(self) -> int:
        """How many paths have not settled."""
        return len(self._settler)

    @property
    def can_plan(self) -> bool:
        """Whether any path can be planned now."""
        return bool(self._settled or self._queue)

    @property
    def has_queue(self) -> bool:
        """Whether any queued path has no plan yet."""
        return bool(self._queue)

    @property
    def has_undecided(self) -> bool:
        """Whether any settled path has no plan yet."""
        return bool(self._settled or self._queue or self._postponed)

    def unsent(self) -> Iterator[tuple[RelPath, bool]]:
        """All pending paths, each with whether it was a file at the last look."""
        for rel_path, seen in self._settler.waiting():
            yield rel_path, seen is not None
        for rel_path, observation in self._settled_observations():
            yield rel_path, isinstance(observation, File)

    def rel_paths(self) -> set[RelPath]:
        """All pending paths."""
        return {rel_path for rel_path, _ in self.unsent()}

    def _settled_observations(self) -> Iterator[tuple[RelPath, Observation]]:
        return chain(self._settled.items(), self._queued.items(), self._postponed.items())

    def next_due(self) -> float | None:
        """When to call ``look_at_due`` next, in monotonic seconds, or ``None``."""
        return self._settler.next_due()

    def vanishing(self, folder: str) -> frozenset[RelPath]:
        """The paths of this folder that are gone and have no plan yet, for however long."""
        undecided = (
            rel_path
            for rel_path, observation in self._settled_observations()
            if rel_path.folder == folder and isinstance(observation, Gone)
        )
        return self._settler.gone(folder).union(undecided)

    def is_vanishing(self, folder: str) -> bool:
        """Whether any path of this folder is gone, but for less than ``delete_after_seconds``."""
        return self._settler.has_gone(folder)

    def arriving(self) -> Mapping[int, tuple[RelPath, File]]:
        """The pending files, by inode. Valid until the next change."""
        settling = {
            seen.inode: (rel_path, File(seen))
            for rel_path, seen in self._settler.waiting()
            if seen is not None
        }
        return ChainMap(self._by_inode, settling)

    def _index(self, observations: Mapping[RelPath, Observation]) -> None:
        for rel_path, observation in observations.items():
            if isinstance(observation, File):
                self._by_inode[observation.fingerprint.inode] = rel_path, observation

    def _unindex(self, rel_path: RelPath, observation: Observation | None) -> None:
        if isinstance(observation, File):
            inode = observation.fingerprint.inode
            if self._by_inode.get(inode, (None,))[0] == rel_path:
                del self._by_inode[inode]

    # Looking.

    def observation(self, rel_path: RelPath) -> Observation:
        """What is at this path now."""
        with FolderSessions() as sessions:
            return self._observation(rel_path, sessions)

    def see(self, rel_path: RelPath, seen: Fingerprint | None) -> None:
        """Note a difference between the disk and the record. ``seen`` is ``None`` if no file is at
        the path."""
        if self._settler.see(rel_path, seen, self._clock.monotonic()):
            self._settled[rel_path] = observation = self.observation(rel_path)
            self._index({rel_path: observation})

    def look_again(self, rel_paths: Iterable[RelPath]) -> None:
        """Look at these paths as if they had just changed."""
        with FolderSessions() as sessions:
            for rel_path in rel_paths:
                observation = self._observation(rel_path, sessions)
                if isinstance(observation, Unclear):
                    self._settler.drop(rel_path)
                    self._report_unclear(rel_path, observation)
                else:
                    self.see(
                        rel_path, observation.fingerprint if isinstance(observation, File) else None
                    )

    def look_at_due(self) -> None:
        """Look at the paths that may have settled by now."""
        self.look_again(self._settler.due(self._clock.monotonic()))

    def note_moved_away(self, sources: Iterable[RelPath]) -> None:
        """Note that files were moved away from these paths, so that their absence is already
        planned. A new file at one of the paths is pending."""
        with FolderSessions() as sessions:
            for rel_path in sources:
                observation = self._observation(rel_path, sessions)
                if isinstance(observation, File):
                    self.see(rel_path, observation.fingerprint)
                else:
                    self._settler.drop(rel_path)
                    self._unindex(rel_path, self._postponed.pop(rel_path, None))

    def drop_folder(self, name: str) -> None:
        """Drop the settling paths of this folder, which is missing, so that they mean nothing."""
        self._settler.drop_folder(name)

    def _observation(self, rel_path: RelPath, sessions: FolderSessions) -> Observation:
        folder = self._folders.get(rel_path.folder)
        if folder is None or folder.identity is None or not folder.selection.wants(rel_path.path):
            return _NO_PATH
        return sessions.of(folder).look(rel_path.path)

    def _report_unclear(self, rel_path: RelPath, observation: Unclear) -> None:
        if observation is not _NO_PATH:
            self.on_unclear(rel_path, observation.reason)

    # Planning.

    def queue(self, *, postponed: bool) -> None:
        """Queue the settled paths, sorted by path. ``postponed``: also queue the postponed paths.
        The queue must be empty."""
        assert not self._queue
        if postponed:
            self._queued, self._postponed = self._postponed, {}
        self._queued |= self._settled
        self._settled = {}
        self._queue = sorted(self._queued, reverse=True)

    def next_batch(self, count: int) -> dict[RelPath, Observation]:
        """Remove up to ``count`` paths from the queue. Returns what is at each path now."""
        batch: dict[RelPath, Observation] = {}
        with FolderSessions() as sessions:
            for _ in range(min(count, len(self._queue))):
                rel_path = self._queue.pop()
                self._unindex(rel_path, self._queued.pop(rel_path))
                observation = self._observation(rel_path, sessions)
                if isinstance(observation, Unclear):
                    self._report_unclear(rel_path, observation)
                batch[rel_path] = observation
        return batch

    def postpone(self, observations: Mapping[RelPath, Observation]) -> None:
        """Postpone these paths, because the meaning of the observations is not known yet."""
        self._postponed |= observations
        self._index(observations)

    def resume(self, rel_paths: Iterable[RelPath]) -> dict[RelPath, Observation]:
        """Remove these paths from the postponed paths, and look at them again."""
        resumed = [each for each in rel_paths if each in self._postponed]
        for rel_path in resumed:
            self._unindex(rel_path, self._postponed.pop(rel_path))
        with FolderSessions() as sessions:
            return {rel_path: self._observation(rel_path, sessions) for rel_path in resumed}
