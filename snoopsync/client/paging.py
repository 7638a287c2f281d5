"""Reads a listing page by page, whatever the sizes of the pages."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from snoopsync.core.errors import BadAnswer, ExcessiveAnswer, Refused
from snoopsync.core.protocol import ListAnswer, ListedImage

#: A longer listing is treated as endless. No collection has this many images.
MOST_IMAGES = 20_000_000

#: How often a listing is read again from the start because the first image of a page was deleted.
_RESTARTS = 10

#: How many pages may repeat an earlier page before the listing is treated as endless.
_REPEATED_PAGES = 20

#: How many pages in a row may be empty. Some services send many, because they divide the listing
#: into pages before they leave out deleted images.
_EMPTY_PAGES = 1000


@dataclass(frozen=True, slots=True)
class ListingLimits:
    """How much of a listing is read. ``page_images``: how many images to request for each page.
    ``images``, ``pages``: the limits of the whole listing. ``unknown_images``: how many images of
    this owner may be in the listing but not in the state file (each takes up to 300 bytes of
    memory)."""

    page_images: int = 1000
    images: int = MOST_IMAGES
    pages: int = 1_000_000
    unknown_images: int = 2_000_000


DEFAULT_LIMITS = ListingLimits()


def list_all(
    get_page: Callable[[str | None], ListAnswer], limits: ListingLimits = DEFAULT_LIMITS
) -> Iterator[ListedImage]:
    """Like ``read_pages``, but yield every image only once. Keeps all IDs in memory."""
    given: set[str] = set()
    for image in read_pages(get_page, limits):
        if image["id"] not in given:
            given.add(image["id"])
            yield image


def read_pages(
    get_page: Callable[[str | None], ListAnswer], limits: ListingLimits = DEFAULT_LIMITS
) -> Iterator[ListedImage]:
    """Yield every image, in the order of the listing. ``get_page`` takes the ``start`` of a page.
    Memory use does not grow with the listing.

    Pages may shift while they are read, so an image may appear twice. If the first image of a page
    was deleted, services refuse the page in different ways, and the listing is read again from the
    start. Raises ``BadAnswer`` for a listing that has no end, and whatever ``get_page`` raises.
    """
    images = pages = 0  # of all passes together

    def counted(start: str | None) -> ListAnswer:
        nonlocal images, pages
        page = get_page(start)
        images, pages = images + len(page["images"]), pages + 1
        if images > limits.images or pages > limits.pages:
            raise ExcessiveAnswer(
                f"the listing is refused: it has no end after {images} images on {pages} pages"
            )
        return page

    for restart in range(_RESTARTS + 1):
        try:
            yield from _one_pass(counted)
            return
        except _StartDeleted as deleted:
            if restart == _RESTARTS:
                raise BadAnswer(
                    "the listing keeps leading to an image that is not in the collection:"
                    f" {deleted.start!r:.120} ({deleted.error})"
                ) from None


class _StartDeleted(Exception):
    def __init__(self, start: str, error: Refused) -> None:
        self.start = start
        self.error = error


def _one_pass(get_page: Callable[[str | None], ListAnswer]) -> Iterator[ListedImage]:
    """Yield the images of one pass. To detect a cycle, each page is compared with one earlier page,
    at a distance that doubles (Brent's algorithm)."""
    compared: tuple[frozenset[str], str | None] = frozenset(), None
    pages = repeated = stuck = empty = 0
    start: str | None = None
    while True:
        page = _page(get_page, start)
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
            raise BadAnswer(f"the listing has no end: it makes no progress at {start!r:.120}")
        if pages.bit_count() == 1:  # a power of two
            compared, repeated = (ids, start), 0


def _page(get_page: Callable[[str | None], ListAnswer], start: str | None) -> ListAnswer:
    try:
        return get_page(start)
    except Refused as error:
        if start is None:
            raise
        raise _StartDeleted(start, error) from None
