"""Decides which bulk deletions are held until a person approves them.

An empty mount point, a wrong disk and a faulty script all look like many deletions in a short time.
Each deletion alone looks harmless, so the rule counts all deletions in a window: those that were
sent, those that are about to be sent, and those whose files are gone.

``snoopsync.sync.deletion_guard`` applies the rule.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The window in which deletions are counted.
WINDOW_SECONDS = 600.0

#: A folder with this many images or more never becomes empty without approval.
SMALLEST_FULL_FOLDER = 10


@dataclass(frozen=True, slots=True)
class Losses:
    """The deletions of one folder (or of one owner's images), counted in images.

    An image is *known* if the collection confirmed it and it was planned before the first of these
    deletions was noticed. New files do not count as known: the files of a wrong disk must not hide
    that all files of the right disk are gone.

    ``kept``: known images that stay. ``sent``: deletions sent in the window. ``coming``: images
    that are about to be deleted or are held, and images whose files are gone but not for long
    enough. ``unconfirmed``: how many of the ``coming`` images the collection never confirmed.
    """

    kept: int
    sent: int
    coming: int
    unconfirmed: int = 0

    @property
    def total(self) -> int:
        """The number of deletions that count: sent and coming."""
        return self.sent + self.coming

    @property
    def before(self) -> int:
        """The number of images when the window began."""
        return self.kept + self.total

    @property
    def percent(self) -> float:
        """The deletions as a percentage of the images when the window began."""
        return 100.0 * self.total / self.before if self.before else 0.0

    @property
    def leaves_none(self) -> bool:
        """Returns whether a full folder (see ``SMALLEST_FULL_FOLDER``) keeps none of its known
        images."""
        known = self.before - self.unconfirmed
        return self.kept == 0 and known >= SMALLEST_FULL_FOLDER


def must_hold(losses: Losses, count: int, percent: float) -> bool:
    """Returns whether these deletions must be held: there are more than ``count`` and they are more
    than ``percent`` of the images, or they leave no known image in a full folder."""
    return losses.leaves_none or losses.total > max(count, losses.before * percent / 100.0)
