"""Decides when a path has stopped changing. Observations and times are arguments.

A file may be sent after two observations, at least ``settle`` apart, had the same fingerprint and
no observation between them differed. A file is gone after all observations during ``delete_after``
found it missing. The file system's clock is not used, so a wrong clock of a file server is
harmless.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterator
from dataclasses import dataclass

from snoopsync.core.model import Fingerprint, RelPath


@dataclass(frozen=True, slots=True)
class _Waiting:
    seen: Fingerprint | None
    settles_at: float


class Settler:
    """The last observation of each path that has not settled.

    Times are seconds of one monotonic clock.
    """

    def __init__(self, settle_seconds: float, delete_after_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._delete_after_seconds = delete_after_seconds
        self._waiting: dict[RelPath, _Waiting] = {}
        # An entry is valid only if ``_alarms`` has the same time for its path; other entries are
        # obsolete. A path with an alarm gets another one only for an earlier time, so a path that
        # never settles does not make this list grow.
        self._due: list[tuple[float, RelPath]] = []
        self._alarms: dict[RelPath, float] = {}
        self._gone: dict[str, set[RelPath]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, rel_path: object) -> bool:
        return rel_path in self._waiting

    def see(self, rel_path: RelPath, seen: Fingerprint | None, now: float) -> bool:
        """Record an observation (``None``: there is no file). Returns whether the path has settled.
        A settled path is forgotten here."""
        waiting = self._waiting.get(rel_path)
        if waiting is None or waiting.seen != seen:
            waiting = _Waiting(seen, now + self._delay(seen))
            self._forget_gone(rel_path)
            self._waiting[rel_path] = waiting
            if seen is None:
                self._gone.setdefault(rel_path.folder, set()).add(rel_path)
        if now >= waiting.settles_at:
            self.drop(rel_path)
            return True
        if waiting.settles_at < self._alarms.get(rel_path, math.inf):
            self._set_alarm(rel_path, waiting.settles_at)
        return False

    def drop(self, rel_path: RelPath) -> None:
        """Forget a path that is unchanged or can't be observed."""
        self._waiting.pop(rel_path, None)
        self._forget_gone(rel_path)

    def drop_folder(self, folder: str) -> None:
        """Forget all paths of a missing folder: nothing can be concluded about them."""
        for rel_path in [rel_path for rel_path in self._waiting if rel_path.folder == folder]:
            self.drop(rel_path)

    def due(self, now: float) -> list[RelPath]:
        """The paths to observe again now. Each is returned once: the caller must pass it to
        ``see`` or ``drop``."""
        rel_paths = []
        while self._due and self._due[0][0] <= now:
            at, rel_path = heapq.heappop(self._due)
            if at != self._alarms.get(rel_path):
                continue
            del self._alarms[rel_path]
            waiting = self._waiting.get(rel_path)
            if waiting is None:
                continue
            if waiting.settles_at <= now:
                rel_paths.append(rel_path)
            else:
                self._set_alarm(rel_path, waiting.settles_at)
        return rel_paths

    def next_due(self) -> float | None:
        """When to call ``due`` next; ``None`` if no path waits."""
        return self._due[0][0] if self._due else None

    def waiting(self) -> Iterator[tuple[RelPath, Fingerprint | None]]:
        """All paths that have not settled, with their last observations."""
        return ((rel_path, waiting.seen) for rel_path, waiting in self._waiting.items())

    def gone(self, folder: str) -> frozenset[RelPath]:
        """The paths of this folder whose files have been missing for less than ``delete_after``."""
        return frozenset(self._gone.get(folder, ()))

    def has_gone(self, folder: str) -> bool:
        """Returns whether ``gone`` has a path of this folder."""
        return folder in self._gone

    def _delay(self, seen: Fingerprint | None) -> float:
        return self._delete_after_seconds if seen is None else self._settle_seconds

    def _set_alarm(self, rel_path: RelPath, at: float) -> None:
        self._alarms[rel_path] = at
        heapq.heappush(self._due, (at, rel_path))

    def _forget_gone(self, rel_path: RelPath) -> None:
        rel_paths = self._gone.get(rel_path.folder)
        if rel_paths is not None:
            rel_paths.discard(rel_path)
            if not rel_paths:
                del self._gone[rel_path.folder]
