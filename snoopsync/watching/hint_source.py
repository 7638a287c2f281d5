"""The interface of a source of hints about one folder.

This module imports no engine, so a command that watches nothing loads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from snoopsync.watching.hints import Hints


class HintSource(Protocol):
    """The watch on one folder. Used by the thread that mirrors it.

    A folder can disappear without the hint ``root_gone``: when a directory above it is renamed, or
    when something is mounted over it. So the monitor also checks the folder's identity.
    """

    @property
    def alive(self) -> bool:
        """Whether the watch seems to work."""

    @property
    def behind(self) -> bool:
        """Whether there are events that ``take`` has not returned as hints."""

    @property
    def last_proof(self) -> float | None:
        """When the watch was last proven to work, on the clock given to ``check``; ``None`` if
        never."""

    @property
    def restarts(self) -> int:
        """How many times the engine was replaced."""

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """The directories that can't be watched, each with the reason. The scanner reads and covers
        them again on a timer. ``b""`` is the folder itself."""

    def cover(self, directory: bytes) -> bool:
        """Watch this directory. This **must** be called each time before the directory is read:
        a change before the call is in the listing, and a change after the call is in the hints.

        Returns whether the directory is watched. A directory that exists and can't be watched is in
        ``unwatched``.
        """

    def forget(self, directory: bytes) -> None:
        """Drop the watches of this directory, which has vanished, and of everything below it. Call
        this after following all hints of one ``take``: by then a renamed directory is covered under
        its new path, and keeps its watches."""

    def take(self) -> Hints:
        """The hints since the last call."""


class PollWatch:
    """A source without hints, for a folder that is only scanned on a timer."""

    alive = True
    behind = False
    last_proof: float | None = None
    restarts = 0
    unwatched: Mapping[bytes, str] = {}

    def cover(self, directory: bytes) -> bool:
        """Return ``True``."""
        return True

    def forget(self, directory: bytes) -> None:
        """Do nothing."""

    def take(self) -> Hints:
        """Return no hints."""
        return Hints()
