"""How a listing is read page by page, whatever the service makes of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snoopsync.errors import BadAnswer, NotFound
from snoopsync.protocol import ListAnswer, ListedImage

#: Images asked for at a time.
PAGE_IMAGES = 1000

#: The listing is read from the top again this often when the place it had reached is deleted.
_RESTARTS = 10

#: Pages in a row that may bring nothing new before the listing is taken for a circle.
_BARREN_PAGES = 20


def listed(get_page: Callable[[str | None], ListAnswer]) -> Iterator[ListedImage]:
    """Every image, once, in the listing's order; ``get_page`` is given the ``start`` of a page.

    Pages may shift while they are read: an image that turns up twice is given once, and when the
    image that a page should start at is gone (``NotFound``), the listing is read from the top
    again. Raises ``BadAnswer`` for a listing that goes round in circles, and whatever ``get_page``
    raises.
    """
    given: set[str] = set()
    for restart in range(_RESTARTS + 1):
        try:
            yield from _one_pass(get_page, given)
            return
        except _PlaceGone as gone:
            if restart == _RESTARTS:
                raise gone.error from None


class _PlaceGone(Exception):
    def __init__(self, error: NotFound) -> None:
        self.error = error


def _one_pass(
    get_page: Callable[[str | None], ListAnswer], given: set[str]
) -> Iterator[ListedImage]:
    passed: set[str] = set() if given else given  # one set does for the first pass
    barren = 0
    start: str | None = None
    while True:
        page = _page(get_page, start)
        before = len(passed)
        for image in page["images"]:
            known = image["id"] in given
            passed.add(image["id"])
            given.add(image["id"])
            if not known:
                yield image
        start = page["next_image_id"]
        if start is None:
            return
        barren = barren + 1 if len(passed) == before else 0
        if barren > _BARREN_PAGES:
            raise BadAnswer(f"the listing has no end: it came to {start!r:.120} without progress")


def _page(get_page: Callable[[str | None], ListAnswer], start: str | None) -> ListAnswer:
    try:
        return get_page(start)
    except NotFound as error:
        if start is None:
            raise
        raise _PlaceGone(error) from None
