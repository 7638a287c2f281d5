"""How a listing is read page by page, whatever the service makes of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from snoopsync.errors import BadAnswer, Refused
from snoopsync.protocol import ListAnswer, ListedImage

#: Images asked for at a time.
PAGE_IMAGES = 1000

#: The listing is read from the top again this often when the place it had reached is deleted.
_RESTARTS = 10

#: Pages in a row that may only repeat what others said before the listing is taken for a circle.
_REPEATED_PAGES = 20

#: Pages in a row that may be empty, though each leads on. A service that cuts its pages first, and
#: then leaves out what was deleted, has many.
_EMPTY_PAGES = 1000


def listed(get_page: Callable[[str | None], ListAnswer]) -> Iterator[ListedImage]:
    """Every image, once, in the listing's order; ``get_page`` is given the ``start`` of a page.

    Pages may shift while they are read: an image that turns up twice is given once, and when the
    image that a page should start at is gone, which services refuse in one way or another, the
    listing is read from the top again. Raises ``BadAnswer`` for a listing that has no end, and
    whatever ``get_page`` raises.
    """
    given: set[str] = set()
    for restart in range(_RESTARTS + 1):
        try:
            yield from _one_pass(get_page, given)
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


def _one_pass(
    get_page: Callable[[str | None], ListAnswer], given: set[str]
) -> Iterator[ListedImage]:
    passed: set[str] = set() if given else given  # one set does for the first pass
    starts: set[str] = set()
    repeated = empty = 0
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
        if len(passed) > before:
            repeated = empty = 0
        elif page["images"] or start in starts:
            repeated += 1
        else:
            repeated, empty = 0, empty + 1
        starts.add(start)
        if repeated > _REPEATED_PAGES or empty > _EMPTY_PAGES:
            raise BadAnswer(f"the listing has no end: it came to {start!r:.120} without progress")


def _page(get_page: Callable[[str | None], ListAnswer], start: str | None) -> ListAnswer:
    try:
        return get_page(start)
    except Refused as error:
        if start is None:
            raise
        raise _PlaceGone(start, error) from None
