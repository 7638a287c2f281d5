"""The rule for deletions in bulk: which ones wait for a person.

A disk that was mounted empty, another disk in its place, a script that went wrong: all of them look
like many deletions in a short time. One deletion at a time looks harmless, so the rule counts all
of a window: those that were sent, those that are about to be sent, and those whose files are gone.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The window that deletions are counted in.
WINDOW_SECONDS = 600.0

#: A folder of this many images or more never becomes empty without approval.
SMALLEST_FULL_FOLDER = 10


@dataclass(frozen=True, slots=True)
class Losses:
    """The deletions of one folder (or of one owner's images), counted in images.

    An image is *known* if the collection confirmed it, and if it was planned before the first of
    these deletions was noticed. New files are not known: the files of another disk must not hide
    that all files of the right one are gone.

    ``kept``: known images that stay. ``sent``: deleted inside the window. ``coming``: about to be
    deleted, held, or seen to be gone but not for long enough yet; ``unconfirmed`` of these were
    never confirmed by the collection.
    """

    kept: int
    sent: int
    coming: int
    unconfirmed: int = 0

    @property
    def total(self) -> int:
        """How many images the window loses."""
        return self.sent + self.coming

    @property
    def before(self) -> int:
        """How many images there were when the window began."""
        return self.kept + self.total

    @property
    def percent(self) -> float:
        """The share of them that is deleted."""
        return 100.0 * self.total / self.before if self.before else 0.0

    @property
    def leaves_none(self) -> bool:
        """Does a folder of some size keep none of its known images?"""
        known = self.before - self.unconfirmed
        return self.kept == 0 and known >= SMALLEST_FULL_FOLDER


def must_hold(losses: Losses, count: int, percent: float) -> bool:
    """Must these deletions wait for approval? Yes if they are more than ``count`` and more than
    ``percent`` of the images, or if they leave none of the known images of a full folder."""
    return losses.leaves_none or losses.total > max(count, losses.before * percent / 100.0)
