"""A collection whose searches have made-up answers."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from snoopsync.core.errors import CollectionError
from snoopsync.core.protocol import SearchByIdAnswer
from snoopsync.embedded import EmbeddedCollection
from snoopsync.storage.sqlite.images import SqliteImageStore


class MadeUpCollection(EmbeddedCollection):
    """``found``: the images that the search for an image finds, with their ranks. ``failing``: the
    calls that fail, by what they ask for. ``calls``: what was asked for. ``prepared``: the images
    whose searches were prepared together."""

    def __init__(self, database: Path) -> None:
        super().__init__(SqliteImageStore(database, lambda: "c"))
        self.found: dict[str, dict[str, int]] = {}
        self.failing: dict[object, CollectionError] = {}
        self.calls: list[object] = []
        self.prepared: list[list[str]] = []

    def note_call(self, asked: object) -> None:
        """Note a call, and raise its error if it is to fail."""
        self.calls.append(asked)
        if asked in self.failing:
            raise self.failing[asked]

    def prepare_searches(self, image_ids: Iterable[str]) -> None:
        self.prepared.append(list(image_ids))

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        self.note_call(image_id)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": "",
            "results": [
                {"id": found, "rank": rank} for found, rank in self.found.get(image_id, {}).items()
            ],
        }
