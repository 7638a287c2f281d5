"""The source of the hints about one folder, as the scanner uses it.

This module imports no engine, so a command that watches nothing loads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from snoopsync.watching.hints import Hints


class HintSource(Protocol):
    """The watch on one folder. Used by the thread that mirrors it.

    Not every way to lose a folder gives the hint ``root_gone``: a rename of a directory above it or
    a mount over it does not. So the monitor also checks the folder's identity.
    """

    @property
    def alive(self) -> bool:
        """Does the watch seem to work?"""

    @property
    def behind(self) -> bool:
        """Are there events that ``take`` has not returned as hints?"""

    @property
    def last_proof(self) -> float | None:
        """When the watch was last proven to work, on the clock given to ``check``; ``None`` if
        never."""

    @property
    def restarts(self) -> int:
        """How many times the engine was replaced."""

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """Directories that can't be watched, with the reason. The scanner reads and covers them
        again on a timer. ``b""`` is the folder itself."""

    def cover(self, directory: bytes) -> bool:
        """Watch this directory. This **must** be called each time before the directory is read:
        a change before the call is in the listing, and a change after the call is in the hints.

        Returns whether the directory is watched. If it can't be, it is in ``unwatched``, unless it
        does not exist.
        """

    def forget(self, directory: bytes) -> None:
        """Drop the watches of this directory, which vanished, and of everything below it. Call this
        after all hints of one ``take`` were followed: a directory that was renamed is then covered
        under its new path, and keeps its watches."""

    def take(self) -> Hints:
        """The hints since the last call."""


class PollWatch:
    """For a folder that is scanned on a timer only. It gives no hints."""

    alive = True
    behind = False
    last_proof: float | None = None
    restarts = 0
    unwatched: Mapping[bytes, str] = {}

    def cover(self, directory: bytes) -> bool:
        """There is nothing to cover."""
        return True

    def forget(self, directory: bytes) -> None:
        """There is nothing to forget."""

    def take(self) -> Hints:
        """No hints."""
        return Hints()
