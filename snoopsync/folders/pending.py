"""The paths that changed and are not planned for yet, from the first sight of a change until it is
known what the change means.

Each path goes the same way. It settles: ``Settler`` says for how long. It is at rest. Its turn
comes: it is queued, and decided on together with others. Or it is postponed, because what it means
depends on something that is not known yet. A path is looked at again whenever it goes on, because
it may have changed meanwhile.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain

from snoopsync.core.model import File, Fingerprint, Observation, RelPath, Unclear
from snoopsync.core.settle import Settler
from snoopsync.folders.folder import Folder, FolderSessions
from snoopsync.runtime.clock import Clock

#: The observation of a path that the configuration leaves out, or whose folder is missing.
_NO_PATH = Unclear("not a path of a folder that is present")


class Inbox:
    """Paths to look at again, whoever asks for it. Used by the engine's thread."""

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
    """Used by the engine's thread. Its length is the number of paths that are not planned for.
    ``on_unclear`` is called with each path that cannot be looked at. Such a path is dropped here,
    so nothing else knows about it."""

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
            # A file that was moved comes to rest at its new path first, so that the move is found.
            max(delete_after_seconds, 2 * settle_seconds),
        )
        self._at_rest: dict[RelPath, Observation] = {}
        self._queued: dict[RelPath, Observation] = {}
        # The queued paths in reverse order, so that the next one is removed from the end.
        self._queue: list[RelPath] = []
        self._is_queue_fresh = False
        self._postponed: dict[RelPath, Observation] = {}

    def __len__(self) -> int:
        return self.settling + len(self._at_rest) + len(self._queued) + len(self._postponed)

    @property
    def settling(self) -> int:
        """How many paths have not come to rest."""
        return len(self._settler)

    @property
    def has_turn(self) -> bool:
        """Are there paths that can be decided on now?"""
        return bool(self._at_rest or self._queue)

    @property
    def has_queue(self) -> bool:
        """Are there paths that were queued and not decided on?"""
        return bool(self._queue)

    @property
    def has_undecided(self) -> bool:
        """Are there paths that came to rest and were not decided on?"""
        return bool(self._at_rest or self._queue or self._postponed)

    def unsent(self) -> Iterator[tuple[RelPath, bool]]:
        """All pending paths, and for each whether there was a file at the last look."""
        for rel_path, seen in self._settler.waiting():
            yield rel_path, seen is not None
        for rel_path, observation in self._undecided():
            yield rel_path, isinstance(observation, File)

    def rel_paths(self) -> set[RelPath]:
        """All pending paths."""
        return {rel_path for rel_path, _ in self.unsent()}

    def _undecided(self) -> Iterator[tuple[RelPath, Observation]]:
        return chain(self._at_rest.items(), self._queued.items(), self._postponed.items())

    def next_due(self) -> float | None:
        """When to call ``look_at_due`` next (monotonic seconds), or ``None``."""
        return self._settler.next_due()

    def vanishing(self, folder: str) -> frozenset[RelPath]:
        """The paths of this folder that are gone, but not for ``delete_after`` yet."""
        return self._settler.gone(folder)

    def is_vanishing(self, folder: str) -> bool:
        """Are there any such paths?"""
        return self._settler.has_gone(folder)

    def arriving(self) -> dict[int, tuple[RelPath, File]]:
        """The files that are not decided on, by inode."""
        arriving = {
            seen.inode: (rel_path, File(seen))
            for rel_path, seen in self._settler.waiting()
            if seen is not None
        }
        for rel_path, observation in self._undecided():
            if isinstance(observation, File):
                arriving[observation.fingerprint.inode] = (rel_path, observation)
        return arriving

    # Looking.

    def observation(self, rel_path: RelPath) -> Observation:
        """What is at this path now."""
        with FolderSessions() as views:
            return self._observation(rel_path, views)

    def see(self, rel_path: RelPath, seen: Fingerprint | None) -> None:
        """Note a look that differs from what is known (``None``: there is no file)."""
        if self._settler.see(rel_path, seen, self._clock.monotonic()):
            self._at_rest[rel_path] = self.observation(rel_path)

    def look_again(self, rel_paths: Iterable[RelPath]) -> None:
        """Look at these paths as if they had just changed."""
        with FolderSessions() as views:
            for rel_path in rel_paths:
                observation = self._observation(rel_path, views)
                if isinstance(observation, Unclear):
                    self._settler.drop(rel_path)
                    self._report_unclear(rel_path, observation)
                else:
                    self.see(
                        rel_path, observation.fingerprint if isinstance(observation, File) else None
                    )

    def look_at_due(self) -> None:
        """Look at the paths that may have come to rest by now."""
        self.look_again(self._settler.due(self._clock.monotonic()))

    def leave(self, sources: Iterable[RelPath]) -> None:
        """Pictures were moved away from these paths, so their absence is planned for. A file that
        is at one of them now is not."""
        with FolderSessions() as views:
            for rel_path in sources:
                observation = self._observation(rel_path, views)
                if isinstance(observation, File):
                    self.see(rel_path, observation.fingerprint)
                else:
                    self._settler.drop(rel_path)
                    self._postponed.pop(rel_path, None)

    def drop_folder(self, name: str) -> None:
        """The folder is missing: what settles in it means nothing."""
        self._settler.drop_folder(name)

    def _observation(self, rel_path: RelPath, views: FolderSessions) -> Observation:
        folder = self._folders.get(rel_path.folder)
        if folder is None or folder.identity is None or not folder.selection.wants(rel_path.path):
            return _NO_PATH
        return views.of(folder).look(rel_path.path)

    def _report_unclear(self, rel_path: RelPath, observation: Unclear) -> None:
        if observation is not _NO_PATH:
            self.on_unclear(rel_path, observation.reason)

    # Deciding.

    def queue(self, *, postponed: bool) -> None:
        """Queue the paths at rest to be decided on, with the ``postponed`` ones if they are wanted,
        in the order of paths. What was queued before must have been decided on."""
        assert not self._queue
        self._is_queue_fresh = not (postponed and self._postponed)
        if postponed:
            self._queued, self._postponed = self._postponed, {}
        self._queued |= self._at_rest
        self._at_rest = {}
        self._queue = sorted(self._queued, reverse=True)

    def leave_queued(self) -> None:
        """The rest of the queue is for a later step, which looks at these paths again."""
        self._is_queue_fresh = False

    def next_batch(self, count: int) -> dict[RelPath, Observation]:
        """Remove the next ``count`` paths from the queue. Returns what is at each of them."""
        batch: dict[RelPath, Observation] = {}
        with FolderSessions() as views:
            for _ in range(min(count, len(self._queue))):
                rel_path = self._queue.pop()
                seen = self._queued.pop(rel_path)
                observation = seen if self._is_queue_fresh else self._observation(rel_path, views)
                if isinstance(observation, Unclear):
                    self._report_unclear(rel_path, observation)
                batch[rel_path] = observation
        return batch

    def postpone(self, observations: Mapping[RelPath, Observation]) -> None:
        """It is not known yet what these observations mean."""
        self._postponed |= observations

    def resume(self, rel_paths: Iterable[RelPath]) -> dict[RelPath, Observation]:
        """Remove these paths from the postponed ones, and look at them again."""
        resumed = [each for each in rel_paths if self._postponed.pop(each, None) is not None]
        with FolderSessions() as views:
            return {rel_path: self._observation(rel_path, views) for rel_path in resumed}
