"""The rule for bulk deletions: which ones are held until a person approves them.

An empty mount point, another disk in the place of the right one, a script with a mistake: all of
them look like many deletions in a short time. A single deletion looks harmless, so the rule counts
all deletions of a window: those that were sent, those that are about to be sent, and those whose
files are gone.

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
    deletions was noticed. New files are not known: the files of another disk must not hide that all
    files of the right disk are gone.

    ``kept``: known images that stay. ``sent``: deletions sent in the window. ``coming``: images
    that are about to be deleted, are held, or whose files are gone but not for long enough; the
    collection never confirmed ``unconfirmed`` of these.
    """

    kept: int
    sent: int
    coming: int
    unconfirmed: int = 0

    @property
    def total(self) -> int:
        """The number of images that are deleted in the window."""
        return self.sent + self.coming

    @property
    def before(self) -> int:
        """The number of images when the window began."""
        return self.kept + self.total

    @property
    def percent(self) -> float:
        """The percentage of images that are deleted."""
        return 100.0 * self.total / self.before if self.before else 0.0

    @property
    def leaves_none(self) -> bool:
        """Returns whether a folder of this size keeps none of its known images."""
        known = self.before - self.unconfirmed
        return self.kept == 0 and known >= SMALLEST_FULL_FOLDER


def must_hold(losses: Losses, count: int, percent: float) -> bool:
    """Returns whether these deletions must be held: they are more than ``count`` and more than
    ``percent`` of the images, or they leave none of the known images of a full folder."""
    return losses.leaves_none or losses.total > max(count, losses.before * percent / 100.0)
