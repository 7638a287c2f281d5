"""The places that have changed and are not planned for yet: from the first sight of a change until
it is known what it means.

Each goes the same way: it settles (``Settler`` says until when), it is at rest, and its turn to be
decided on comes; or it is postponed, since what it means depends on what is still to be seen. A
place is looked at anew whenever it goes on: what was seen before may have changed meanwhile.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from snoopsync.core.model import File, Fingerprint, Observation, RelPath, Unclear
from snoopsync.core.settle import Settler
from snoopsync.folders.folder import Folder, FolderSessions
from snoopsync.runtime.clock import Clock

#: The sight of a place that nobody wants to know of, or that is away with its folder.
_NO_PLACE = Unclear("not a place of a folder that is there")


class PendingPaths:
    """Used by one thread. Its length is how many places are settling or postponed. ``on_unclear``
    is told of each place that can't be looked at, and is dropped here: nobody else knows of it."""

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
            # What has gone may come to rest elsewhere first, to be found as a rename.
            max(delete_after_seconds, 2 * settle_seconds),
        )
        self._at_rest: dict[RelPath, Observation] = {}
        self._postponed: dict[RelPath, Observation] = {}

    def __len__(self) -> int:
        return self.settling + len(self._postponed)

    @property
    def settling(self) -> int:
        """How many places have not come to rest."""
        return len(self._settler)

    @property
    def has_rested(self) -> bool:
        """Are there places at rest, to be decided on at once?"""
        return bool(self._at_rest)

    @property
    def has_undecided(self) -> bool:
        """Are there places that came to rest, and are not decided on?"""
        return bool(self._at_rest or self._postponed)

    def unsent(self) -> Iterator[tuple[RelPath, bool]]:
        """All of them; whether a file was there at the last look."""
        for rel_path, seen in self._settler.waiting():
            yield rel_path, seen is not None
        for rel_path, observation in (*self._at_rest.items(), *self._postponed.items()):
            yield rel_path, isinstance(observation, File)

    def rel_paths(self) -> set[RelPath]:
        """All of them."""
        settling = (rel_path for rel_path, _ in self._settler.waiting())
        return {*settling, *self._at_rest, *self._postponed}

    def next_due(self) -> float | None:
        """When to ``look_at_due`` next (monotonic), or ``None``."""
        return self._settler.next_due()

    def vanishing(self, folder: str) -> frozenset[RelPath]:
        """The places of this folder that were seen to be gone, and not for long enough yet."""
        return self._settler.gone(folder)

    def is_vanishing(self, folder: str) -> bool:
        """Are there any such places?"""
        return self._settler.has_gone(folder)

    def arriving(self) -> dict[int, tuple[RelPath, File]]:
        """The files that are not decided on, by inode."""
        unsettled = (
            (rel_path, seen) for rel_path, seen in self._settler.waiting() if seen is not None
        )
        arriving = {seen.inode: (rel_path, File(seen)) for rel_path, seen in unsettled}
        for rel_path, observation in self._postponed.items():
            if isinstance(observation, File):
                arriving[observation.fingerprint.inode] = (rel_path, observation)
        return arriving

    # Looking.

    def observation(self, rel_path: RelPath) -> Observation:
        """What is there now."""
        with FolderSessions() as views:
            return self._observation(rel_path, views)

    def see(self, rel_path: RelPath, seen: Fingerprint | None) -> None:
        """Take note of a look that differs from what is known (``None``: there is no file)."""
        if self._settler.see(rel_path, seen, self._clock.monotonic()):
            self._at_rest[rel_path] = self.observation(rel_path)

    def look_again(self, rel_paths: Iterable[RelPath]) -> None:
        """Look at these places as if something had changed there."""
        with FolderSessions() as views:
            for rel_path in rel_paths:
                observation = self._observation(rel_path, views)
                if isinstance(observation, Unclear):
                    self._settler.drop(rel_path)
                    self._tell_unclear(rel_path, observation)
                else:
                    self.see(
                        rel_path, observation.fingerprint if isinstance(observation, File) else None
                    )

    def look_at_due(self) -> None:
        """Look at those that may have come to rest by now."""
        self.look_again(self._settler.due(self._clock.monotonic()))

    def leave(self, sources: Iterable[RelPath]) -> None:
        """Pictures were renamed away from these places. That they are gone is no news any more; a
        file that is there now is."""
        with FolderSessions() as views:
            for rel_path in sources:
                observation = self._observation(rel_path, views)
                if isinstance(observation, File):
                    self.see(rel_path, observation.fingerprint)
                else:
                    self._settler.drop(rel_path)
                    self._postponed.pop(rel_path, None)

    def drop_folder(self, name: str) -> None:
        """The folder is missing: what settles there says nothing."""
        self._settler.drop_folder(name)

    def _observation(self, rel_path: RelPath, views: FolderSessions) -> Observation:
        folder = self._folders.get(rel_path.folder)
        if folder is None or folder.identity is None or not folder.selection.wants(rel_path.path):
            return _NO_PLACE
        return views.of(folder).look(rel_path.path)

    def _tell_unclear(self, rel_path: RelPath, observation: Unclear) -> None:
        if observation is not _NO_PLACE:
            self.on_unclear(rel_path, observation.reason)

    # Deciding.

    def take(self, *, postponed: bool) -> list[tuple[RelPath, Observation]]:
        """Those at rest, and the ``postponed`` ones if they are wanted, which are looked at anew;
        in the order of places. They are the caller's to deal with."""
        at_rest, self._at_rest = self._at_rest, {}
        if postponed:
            with FolderSessions() as views:
                at_rest |= {
                    rel_path: self._observation(rel_path, views) for rel_path in self._postponed
                }
            self._postponed.clear()
        for rel_path, observation in at_rest.items():
            if isinstance(observation, Unclear):
                self._tell_unclear(rel_path, observation)
        return sorted(at_rest.items())

    def postpone(self, observations: Mapping[RelPath, Observation]) -> None:
        """What these mean can't be told yet."""
        self._postponed |= observations
