"""Counts what a resync did with each image. Each image counts once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from enum import IntEnum

from snoopsync.core.model import RelPath


class ImageOutcome(IntEnum):
    """What was done with an image. If several things were done, the first in this order counts."""

    ADDED = 0
    UPDATED = 1
    ADOPTED = 2
    RENAMED = 3


class Tally:
    """Counts the images of these folders. Outcomes are counted only until ``end``, since a service
    may send any number of images after its last resync. ``deleted`` is counted after ``end`` too.
    ``unpruned``: the number of images that should have been pruned but were not."""

    def __init__(self, folders: Container[str]) -> None:
        self.deleted = 0
        self.unpruned = 0
        self._folders = folders
        self._outcomes: dict[str, ImageOutcome] | None = {}

    def note(self, rel_path: RelPath, image_id: str, outcome: ImageOutcome) -> None:
        """Record what was done with an image."""
        if self._outcomes is not None and rel_path.folder in self._folders:
            self._outcomes[image_id] = min(outcome, self._outcomes.get(image_id, outcome))

    def note_deleted(self, rel_path: RelPath | None) -> None:
        """Count a deletion. ``rel_path`` is ``None`` for a deletion that a person requested."""
        if rel_path is None or rel_path.folder in self._folders:
            self.deleted += 1

    @property
    def done(self) -> int:
        """The number of images that were added, updated, adopted, renamed or deleted."""
        return len(self._outcomes or ()) + self.deleted

    def end(self, unsent: Container[str]) -> Counter[ImageOutcome]:
        """The number of images for each outcome, without the images in ``unsent``, whose current
        bytes were not sent. Later outcomes are not counted."""
        outcomes, self._outcomes = self._outcomes or {}, None
        return Counter(outcome for image_id, outcome in outcomes.items() if image_id not in unsent)
