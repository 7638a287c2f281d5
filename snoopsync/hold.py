"""Deletions in bulk wait for a person: the refusal before a disaster.

A disk that was mounted empty, a script that went wrong, a folder that was emptied by mistake: from
here they look like many deletions in a short time. One at a time looks harmless, so everything
counts that was sent in the last ten minutes, is about to be sent, or is seen to be gone already.
"""

from __future__ import annotations

from dataclasses import dataclass

#: The window that deletions are counted in.
WINDOW_SECONDS = 600.0

#: A folder of this many images or more must not become empty unasked.
SMALLEST_FULL_FOLDER = 10


@dataclass(frozen=True, slots=True)
class Losses:
    """The deletions of one folder, counted.

    ``images`` are in the collection now, or on their way to it, so that it makes no difference how
    far the uploads are; ``sent`` were deleted inside the window; ``coming`` are images whose files
    are gone: those about to be deleted, those held, and those that are not gone for long enough
    yet.
    """

    images: int
    sent: int
    coming: int

    @property
    def total(self) -> int:
        """All that the window would see deleted."""
        return self.sent + self.coming

    @property
    def before(self) -> int:
        """How many images the folder had when the window began."""
        return self.images + self.sent

    @property
    def percent(self) -> float:
        """The share of the folder that would be deleted."""
        return 100.0 * self.total / self.before if self.before else 0.0


def must_hold(losses: Losses, count: int, percent: float) -> bool:
    """Are these deletions too many to be sent unasked? They are when they are more than ``count``
    and more than ``percent`` of the folder, or when a folder of some size would become empty."""
    if losses.before >= SMALLEST_FULL_FOLDER and losses.total >= losses.before:
        return True
    return losses.total > max(count, losses.before * percent / 100.0)
