"""Where the hints about one folder come from: the interface that a scan uses.

It has no engine of its own, so that a command which watches nothing loads none.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from snoopsync.watching.hints import Hints


class HintSource(Protocol):
    """One folder's watching, for the one thread that mirrors it.

    ``root_gone`` does not come for every way to lose a folder (a rename of a directory above it, a
    mount over it): the mirror asks the disk for the folder's identity as well.
    """

    @property
    def alive(self) -> bool:
        """Is it working, as far as one sees?"""

    @property
    def behind(self) -> bool:
        """Have events come in that ``take`` does not know of yet?"""

    @property
    def last_proof(self) -> float | None:
        """When it was last proven to work, on the clock given to ``check``; ``None`` if never."""

    @property
    def restarts(self) -> int:
        """How many times its engine was replaced."""

    @property
    def unwatched(self) -> Mapping[bytes, str]:
        """Directories that can't be watched, with the reason: to be scanned on a timer, and
        covered again. ``b""`` is the folder itself."""

    def cover(self, directory: bytes) -> bool:
        """Watch this directory. It **must** be called each time before the directory is listed:
        what changes before it is in the listing, what changes after it is in the hints.

        Returns whether it is watched. One that can't be is in ``unwatched``; one that does not
        exist is not.
        """

    def forget(self, directory: bytes) -> None:
        """This directory vanished, as its listing or its parent's says: drop the watches of its
        whole subtree. Best called when all hints of one ``take`` were followed: a directory that
        was renamed is then covered under its new path already, and keeps its watches."""

    def take(self) -> Hints:
        """What has gathered since the last time."""


class PollWatch:
    """A folder that is scanned on a timer only: covers nothing and never hints."""

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
