"""Odd listings for ``CollectionServer.get_page``.

The pages are made from the server's collection, so only the listing is wrong.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from snoopsync.core.errors import NotFound, Refused
from snoopsync.core.protocol import ListAnswer
from tests.support.collection_server import CollectionServer

#: The errors of different services for a start that does not exist.
UNKNOWN_START: dict[int, type[Refused]] = {404: NotFound, 400: Refused, 410: Refused}


def page(ids: Sequence[str], next_image_id: str | None) -> ListAnswer:
    """Return a page with these images."""
    return {
        "status": 200,
        "message": "OK",
        "collection_id": "c",
        "images": [{"id": image_id, "image_time": ""} for image_id in ids],
        "next_image_id": next_image_id,
    }


@dataclass
class OddListing:
    """Pages of ``size`` images, whatever the request says.

    ``repeats``, ``dangles`` and ``hides`` are the probabilities that a page is repeated, that it
    leads to an image that does not exist, and that an image is left out. ``meanwhile`` runs before
    each page. ``unknown_start`` is the status for a start that does not exist.
    """

    server: CollectionServer
    dice: Random
    size: int = 3
    repeats: float = 0.0
    dangles: float = 0.0
    hides: float = 0.0
    unknown_start: int = 404
    meanwhile: Callable[[], None] = lambda: None
    pages: int = 0
    _last: ListAnswer | None = None

    def __call__(self, start: str | None, _count: int | None) -> ListAnswer:
        """Return the page that begins at ``start``."""
        self.pages += 1
        self.meanwhile()
        if start is None:
            self._last = None
        if self._last is not None and self.dice.random() < self.repeats:
            return self._last
        ids = self.ids()
        if start is not None and start not in ids:
            error = UNKNOWN_START[self.unknown_start]
            raise error("unknown start", status=self.unknown_start)
        begin = 0 if start is None else ids.index(start)
        shown = [each for each in ids[begin : begin + self.size] if not self._is_hidden()]
        rest = ids[begin + self.size :]
        next_image_id = rest[0] if rest else None
        if rest and self.dice.random() < self.dangles:
            next_image_id = f"deleted.{self.pages}"
        self._last = page(shown, next_image_id)
        return self._last

    def ids(self) -> list[str]:
        """Return the IDs of all images, newest first."""
        return [image["id"] for image in self.server.collection.get_images(None, 10_000)["images"]]

    def _is_hidden(self) -> bool:
        return self.dice.random() < self.hides


def one_page_for_ever(ids: Sequence[str]) -> Callable[[str | None, int | None], ListAnswer]:
    """Make every page the same, so the listing never ends."""
    return lambda _start, _count: page(ids, ids[-1])


def ever_new_starts(ids: Sequence[str]) -> Callable[[str | None, int | None], ListAnswer]:
    """Make every page have the same images and a new start."""
    numbers = itertools.count()
    return lambda _start, _count: page(ids, f"next.{next(numbers)}")


def ever_new_images(
    size: int, owner: str = "somebody"
) -> Callable[[str | None, int | None], ListAnswer]:
    """Make every page have this many new images."""
    numbers = itertools.count()

    def get_page(_start: str | None, _count: int | None) -> ListAnswer:
        ids = [f"{owner}.{next(numbers)}" for _ in range(size)]
        return page(ids, f"after.{ids[-1]}")

    return get_page
