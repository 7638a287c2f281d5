"""The tests' HTTP server in a process of its own, which records when each request arrived."""

from __future__ import annotations

import multiprocessing
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from snoopsync.core.errors import Conflict, NotFound
from snoopsync.core.protocol import (
    ImageAnswer,
    ImageCollection,
    ImageSource,
    ListAnswer,
    SearchAnswer,
    SearchByIdAnswer,
)
from snoopsync.embedded import open_embedded
from tests.support.collection_server import CollectionServer, Seen

_TIME = "2015-01-25T20:43:05.690218+00:00"


class MemoryCollection:
    """The smallest possible collection: a set of IDs. No images are similar."""

    id = "6b7c9142"
    name = "in memory"
    user = "benchmark"

    def __init__(self) -> None:
        self._ids: dict[str, None] = {}
        self._lock = threading.Lock()

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        """Add an image, or replace one, as in ``ImageCollection``."""
        assert image_id is not None, "snoopsync makes the IDs"
        with self._lock:
            if (image_id in self._ids) is not update_existing:
                raise NotFound("unknown") if update_existing else Conflict("known")
            self._ids[image_id] = None
        return self._answer(image_id, 200 if update_existing else 201)

    def get_image(self, image_id: str) -> ImageAnswer:
        """The answer about an image."""
        if image_id not in self._ids:
            raise NotFound("unknown")
        return self._answer(image_id, 200)

    def delete_image(self, image_id: str) -> ImageAnswer:
        """Remove an image."""
        with self._lock:
            if image_id not in self._ids:
                raise NotFound("unknown")
            del self._ids[image_id]
        return self._answer(image_id, 200)

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        """All images on one page."""
        with self._lock:
            ids = list(reversed(self._ids))
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "images": [{"id": image_id, "image_time": _TIME} for image_id in ids],
            "next_image_id": None,
        }

    def images(self) -> Iterator[Any]:
        """All images."""
        yield from self.get_images()["images"]

    def search_images_by_id(self, image_id: str, limit: int | None = None) -> SearchByIdAnswer:
        """No images: none are similar."""
        answer = self._answer(image_id, 200)
        return {
            "status": 200,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": answer["image_time"],
            "results": [],
        }

    def search_images(self, image: ImageSource, limit: int | None = None) -> SearchAnswer:
        """No images: none are similar."""
        return {"status": 200, "message": "OK", "collection_id": self.id, "results": []}

    def close(self) -> None:
        """Does nothing."""

    def _answer(self, image_id: str, status: int) -> ImageAnswer:
        return {
            "status": status,
            "message": "OK",
            "collection_id": self.id,
            "image_id": image_id,
            "image_time": _TIME,
        }


@dataclass(frozen=True, slots=True)
class Arrival:
    """One request, and the time at which it had arrived completely (seconds, monotonic clock)."""

    at: float
    method: str
    path: str
    length: int


class Served:
    """The server's process."""

    def __init__(self, pipe: Connection, endpoint: str) -> None:
        self._pipe = pipe
        self.endpoint = endpoint

    def arrivals(self) -> list[Arrival]:
        """The requests since the last call."""
        self._pipe.send("arrivals")
        found: list[Arrival] = self._pipe.recv()
        return found

    def uploads(self) -> list[Arrival]:
        """Of the requests since the last call, those with an image."""
        return [seen for seen in self.arrivals() if seen.method in ("POST", "PUT") and seen.length]


@contextmanager
def serving(database: Path | None = None) -> Iterator[Served]:
    """Serve the embedded collection in the file ``database``, or one in memory."""
    processes = multiprocessing.get_context("spawn")
    ours, theirs = processes.Pipe()
    process = processes.Process(target=_serve, args=(theirs, database), daemon=True)
    process.start()
    try:
        yield Served(ours, ours.recv())
    finally:
        ours.send("stop")
        process.join()


def _serve(pipe: Connection, database: Path | None) -> None:
    collection: ImageCollection = MemoryCollection()
    if database is not None:
        collection = open_embedded(database)
    arrivals: list[Arrival] = []

    def arrived(seen: Seen) -> None:
        arrivals.append(Arrival(time.monotonic(), seen.method, seen.path, seen.length))

    with closing(collection), CollectionServer(collection) as server:
        server.fault_for = arrived
        pipe.send(server.endpoint)
        while pipe.recv() != "stop":
            count = len(arrivals)  # more may arrive meanwhile
            pipe.send(arrivals[:count])
            del arrivals[:count]
