"""How a listing is read page by page, whatever the service makes of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snoopsync.core.errors import BadAnswer, ExcessiveAnswer, Refused
from snoopsync.core.protocol import ListAnswer, ListedImage

#: Images asked for at a time.
PAGE_IMAGES = 1000

#: More images than in any collection. A listing that goes on is taken for one without an end.
MOST_IMAGES = 20_000_000

#: The same in pages, for a service that gives fewer images at a time than it is asked for.
MOST_PAGES = 1_000_000

#: The listing is read from the top again this often when the place it had reached is deleted.
_RESTARTS = 10

#: Pages that may repeat one that was read before until the listing is taken for a circle.
_REPEATED_PAGES = 20

#: Pages in a row that may be empty, though each leads on. A service that cuts its pages first, and
#: then leaves out what was deleted, has many.
_EMPTY_PAGES = 1000


def listed(get_page: Callable[[str | None], ListAnswer]) -> Iterator[ListedImage]:
    """Every image, once, in the listing's order; otherwise as ``walk``. Remembers all IDs."""
    given: set[str] = set()
    for image in walk(get_page):
        if image["id"] not in given:
            given.add(image["id"])
            yield image


def walk(get_page: Callable[[str | None], ListAnswer]) -> Iterator[ListedImage]:
    """Every image, in the listing's order; ``get_page`` is given the ``start`` of a page. The
    memory that it takes does not grow with the listing.

    Pages may shift while they are read, so an image may turn up twice. When the image that a page
    should start at is gone, which services refuse in one way or another, the listing is read from
    the top again. Raises ``BadAnswer`` for a listing that has no end, and whatever ``get_page``
    raises.
    """
    length = _Length()
    for restart in range(_RESTARTS + 1):
        try:
            yield from _one_pass(get_page, length)
            return
        except _PlaceGone as gone:
            if restart == _RESTARTS:
                raise BadAnswer(
                    "the listing always leads to an image that is not there:"
                    f" {gone.start!r:.120} ({gone.error})"
                ) from None


class _PlaceGone(Exception):
    def __init__(self, start: str, error: Refused) -> None:
        self.start = start
        self.error = error


class _Length:
    """How much was read of a listing."""

    def __init__(self) -> None:
        self._images = 0
        self._pages = 0

    def add(self, page: ListAnswer) -> None:
        """Raises ``ExcessiveAnswer`` if that is too much."""
        self._pages += 1
        self._images += len(page["images"])
        if self._images > MOST_IMAGES or self._pages > MOST_PAGES:
            raise ExcessiveAnswer(
                f"the listing is refused: it has no end after {self._images} images on"
                f" {self._pages} pages"
            )


def _one_pass(
    get_page: Callable[[str | None], ListAnswer], length: _Length
) -> Iterator[ListedImage]:
    """Finds a circle with one page to compare with, whose distance doubles (Brent's algorithm)."""
    compared: tuple[frozenset[str], str | None] = frozenset(), None
    pages = repeated = stuck = empty = 0
    start: str | None = None
    while True:
        page = _page(get_page, start)
        length.add(page)
        yield from page["images"]
        before, start = start, page["next_image_id"]
        if start is None:
            return
        pages += 1
        stuck = stuck + 1 if start == before else 0
        ids = frozenset(image["id"] for image in page["images"])
        empty = 0 if ids else empty + 1
        if start == compared[1] or (ids and ids <= compared[0]):
            repeated += 1
        if max(repeated, stuck) > _REPEATED_PAGES or empty > _EMPTY_PAGES:
            raise BadAnswer(f"the listing has no end: it came to {start!r:.120} without progress")
        if pages.bit_count() == 1:  # a power of two
            compared, repeated = (ids, start), 0


def _page(get_page: Callable[[str | None], ListAnswer], start: str | None) -> ListAnswer:
    try:
        return get_page(start)
    except Refused as error:
        if start is None:
            raise
        raise _PlaceGone(start, error) from None
