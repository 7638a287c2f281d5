"""When has a place come to rest? Looks go in, a verdict comes out; the time is an argument.

A file may be sent when two looks, at least ``settle`` apart, showed the same fingerprint, and
nothing else in between. A file is gone when it was seen to be gone all through ``delete_after``.
No clock of the file system takes part, so a server's clock that is off does no harm.
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
    rests_at: float


class Settler:
    """Remembers what was last seen at each place that has not come to rest.

    Times are seconds of any clock that never goes back.
    """

    def __init__(self, settle_seconds: float, delete_after_seconds: float) -> None:
        self._settle_seconds = settle_seconds
        self._delete_after_seconds = delete_after_seconds
        self._waiting: dict[RelPath, _Waiting] = {}
        # An entry counts if ``_alarms`` has its time; the others are left over. A place that has
        # an alarm gets another one only if that is earlier, so one that never rests adds none.
        self._due: list[tuple[float, RelPath]] = []
        self._alarms: dict[RelPath, float] = {}
        self._gone: dict[str, set[RelPath]] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, rel_path: object) -> bool:
        return rel_path in self._waiting

    def see(self, rel_path: RelPath, seen: Fingerprint | None, now: float) -> bool:
        """Take note of a look (``None``: there is no file). True if the place is at rest: then
        it is forgotten here, and the caller's to deal with."""
        waiting = self._waiting.get(rel_path)
        if waiting is None or waiting.seen != seen:
            waiting = _Waiting(seen, now + self._patience(seen))
            self._forget_gone(rel_path)
            self._waiting[rel_path] = waiting
            if seen is None:
                self._gone.setdefault(rel_path.folder, set()).add(rel_path)
        if now >= waiting.rests_at:
            self.drop(rel_path)
            return True
        if waiting.rests_at < self._alarms.get(rel_path, math.inf):
            self._set_alarm(rel_path, waiting.rests_at)
        return False

    def drop(self, rel_path: RelPath) -> None:
        """Forget a place: it is as it should be, or nothing can be known of it now."""
        self._waiting.pop(rel_path, None)
        self._forget_gone(rel_path)

    def drop_folder(self, folder: str) -> None:
        """Forget every place of a folder: it is missing, so its looks say nothing."""
        for rel_path in [rel_path for rel_path in self._waiting if rel_path.folder == folder]:
            self.drop(rel_path)

    def due(self, now: float) -> list[RelPath]:
        """The places that must be looked at again now. Each has to be given to ``see`` or
        ``drop``: it is not named a second time."""
        rel_paths = []
        while self._due and self._due[0][0] <= now:
            at, rel_path = heapq.heappop(self._due)
            if at != self._alarms.get(rel_path):
                continue
            del self._alarms[rel_path]
            waiting = self._waiting.get(rel_path)
            if waiting is None:
                continue
            if waiting.rests_at <= now:
                rel_paths.append(rel_path)
            else:
                self._set_alarm(rel_path, waiting.rests_at)
        return rel_paths

    def next_due(self) -> float | None:
        """When to ask ``due`` next, or ``None``."""
        return self._due[0][0] if self._due else None

    def waiting(self) -> Iterator[tuple[RelPath, Fingerprint | None]]:
        """Every place that has not come to rest, with what was last seen there."""
        return ((rel_path, waiting.seen) for rel_path, waiting in self._waiting.items())

    def gone(self, folder: str) -> frozenset[RelPath]:
        """The places of this folder that were seen to be gone, and wait for ``delete_after``."""
        return frozenset(self._gone.get(folder, ()))

    def has_gone(self, folder: str) -> bool:
        """Are there any such places?"""
        return folder in self._gone

    def _patience(self, seen: Fingerprint | None) -> float:
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
