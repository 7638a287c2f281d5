"""Listings as odd services give them, for ``CollectionServer.get_page``.

The pages are made from the server's own record, so what is left out or said twice is the listing's
doing alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from snoopsync.core.errors import NotFound, Refused
from snoopsync.core.protocol import ListAnswer
from tests.support.collection_server import CollectionServer

#: What a start that is not there is answered, by one service or another.
UNKNOWN_START: dict[int, type[Refused]] = {404: NotFound, 400: Refused, 410: Refused}


def page(ids: Sequence[str], next_image_id: str | None) -> ListAnswer:
    """An answer with these images."""
    return {
        "status": 200,
        "message": "OK",
        "collection_id": "c",
        "images": [{"id": image_id, "image_time": ""} for image_id in ids],
        "next_image_id": next_image_id,
    }


@dataclass
class OddListing:
    """Whatever it is asked for, a page has ``size`` images. With the given odds a page is given a
    second time, leads to an image that is not there, or leaves an image out. ``meanwhile`` is what
    happens before each page. ``unknown_start`` is a status."""

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
        """The page that starts there."""
        self.pages += 1
        self.meanwhile()
        if start is None:
            self._last = None
        if self._last is not None and self.dice.random() < self.repeats:
            return self._last
        ids = self.ids()
        if start is not None and start not in ids:
            error = UNKNOWN_START[self.unknown_start]
            raise error("there is nothing to start at", status=self.unknown_start)
        begin = 0 if start is None else ids.index(start)
        shown = [each for each in ids[begin : begin + self.size] if not self._is_hidden()]
        rest = ids[begin + self.size :]
        next_image_id = rest[0] if rest else None
        if rest and self.dice.random() < self.dangles:
            next_image_id = f"deleted.{self.pages}"
        self._last = page(shown, next_image_id)
        return self._last

    def ids(self) -> list[str]:
        """All images, the newest first."""
        return [image["id"] for image in self.server.collection.get_images(None, 10_000)["images"]]

    def _is_hidden(self) -> bool:
        return self.dice.random() < self.hides


def one_page_for_ever(ids: Sequence[str]) -> Callable[[str | None, int | None], ListAnswer]:
    """Its end is never reached."""
    return lambda _start, _count: page(ids, ids[-1])


def ever_new_starts(ids: Sequence[str]) -> Callable[[str | None, int | None], ListAnswer]:
    """Each page leads on to another, and all are the same."""
    numbers = itertools.count()
    return lambda _start, _count: page(ids, f"next.{next(numbers)}")


def ever_new_images(
    size: int, owner: str = "somebody"
) -> Callable[[str | None, int | None], ListAnswer]:
    """Each page leads on to another with this many images, which nobody has ever seen."""
    numbers = itertools.count()

    def get_page(_start: str | None, _count: int | None) -> ListAnswer:
        ids = [f"{owner}.{next(numbers)}" for _ in range(size)]
        return page(ids, f"after.{ids[-1]}")

    return get_page
