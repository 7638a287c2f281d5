"""What became of the images during one resync. Each image is counted once, whatever was done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from enum import IntEnum

from snoopsync.core.model import RelPath


class ImageOutcome(IntEnum):
    """What was done about an image. Of several things the one that comes first here counts."""

    ADDED = 0
    UPDATED = 1
    ADOPTED = 2
    RENAMED = 3


class Tally:
    """Counts the images of these folders, until it is ended: a service that runs for years sends
    any number of images after its last resync. ``deleted`` goes on. ``unpruned``: images that were
    to be pruned and are still there."""

    def __init__(self, folders: Container[str]) -> None:
        self.deleted = 0
        self.unpruned = 0
        self._folders = folders
        self._fates: dict[str, ImageOutcome] | None = {}

    def note(self, rel_path: RelPath, image_id: str, fate: ImageOutcome) -> None:
        """This was done about an image."""
        if self._fates is not None and rel_path.folder in self._folders:
            self._fates[image_id] = min(fate, self._fates.get(image_id, fate))

    def note_deleted(self, rel_path: RelPath | None) -> None:
        """An image was deleted; without a place, one that a person asked for."""
        if rel_path is None or rel_path.folder in self._folders:
            self.deleted += 1

    @property
    def done(self) -> int:
        """How many images something was done about."""
        return len(self._fates or ()) + self.deleted

    def end(self, unsent: Container[str]) -> Counter[ImageOutcome]:
        """How many images each thing was done about, but for those of these IDs, of which the last
        bytes were not sent. Nothing more is counted after this."""
        fates, self._fates = self._fates or {}, None
        return Counter(fate for image_id, fate in fates.items() if image_id not in unsent)
