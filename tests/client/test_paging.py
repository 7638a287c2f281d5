"""Reading a listing page by page, from services with odd pages."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from snoopsync.client.paging import list_all
from snoopsync.core.errors import BadAnswer, NotFound, Refused
from snoopsync.core.protocol import ListAnswer


def page(ids: str, next_image_id: str | None = None) -> ListAnswer:
    """Return a page with an image for every letter."""
    return {
        "status": 200,
        "message": "OK",
        "collection_id": "c",
        "images": [{"id": letter, "image_time": "t"} for letter in ids],
        "next_image_id": next_image_id,
    }


def walk(get_page: Callable[[str | None], ListAnswer]) -> str:
    return "".join(image["id"] for image in list_all(get_page))


def test_every_page_is_read() -> None:
    pages = {None: page("ab", "c"), "c": page("cd", "e"), "e": page("e")}
    assert walk(pages.__getitem__) == "abcde"


def test_an_image_on_two_pages_is_given_once() -> None:
    pages = {None: page("ab", "c"), "c": page("bc")}
    assert walk(pages.__getitem__) == "abc"


def test_empty_pages_are_skipped() -> None:
    pages = {None: page("ab", "c"), "c": page("", "d"), "d": page("e")}
    assert walk(pages.__getitem__) == "abe"


def test_many_empty_pages_are_skipped() -> None:
    """A service may leave out thousands of deleted images after it has cut its pages."""

    def get_page(start: str | None) -> ListAnswer:
        number = int(start or 0)
        return page("ab") if number == 500 else page("", f"{number + 1}")

    assert walk(get_page) == "ab"


def test_a_page_that_leads_to_itself_is_a_bad_answer() -> None:
    asked: list[str | None] = []

    def get_page(start: str | None) -> ListAnswer:
        asked.append(start)
        return page("cd", "c") if start else page("ab", "c")

    with pytest.raises(BadAnswer, match="no end"):
        walk(get_page)
    assert len(asked) < 50


def test_pages_in_a_circle_are_a_bad_answer() -> None:
    pages = {None: page("ab", "c"), "c": page("cd", "e"), "e": page("ef", "c")}
    with pytest.raises(BadAnswer, match="no end"):
        walk(pages.__getitem__)


def test_endless_pages_without_new_images_are_a_bad_answer() -> None:
    numbers = itertools.count()
    with pytest.raises(BadAnswer, match="no end"):
        walk(lambda _start: page("ab", f"next {next(numbers)}"))


@pytest.mark.parametrize("refusal", [NotFound("gone", status=404), Refused("what?", status=400)])
def test_a_listing_starts_again_when_the_start_of_a_page_is_deleted(refusal: Refused) -> None:
    asked: list[str | None] = []

    def get_page(start: str | None) -> ListAnswer:
        asked.append(start)
        match start, len(asked):
            case None, 1:
                return page("ab", "c")
            case None, _:
                return page("nab", "d")
            case "d", _:
                return page("de")
        raise refusal

    assert walk(get_page) == "abnde"
    assert asked == [None, "c", None, "d"]


def test_a_start_that_never_exists_ends_the_listing() -> None:
    asked: list[str | None] = []

    def get_page(start: str | None) -> ListAnswer:
        asked.append(start)
        if start is None:
            return page("ab", "c")
        raise NotFound("gone", status=404)

    with pytest.raises(BadAnswer, match=r"not in the collection: 'c' \(404 gone\)"):
        walk(get_page)
    assert len(asked) < 50


def test_a_listing_that_is_not_found_is_not_requested_again() -> None:
    asked: list[str | None] = []

    def get_page(start: str | None) -> ListAnswer:
        asked.append(start)
        raise NotFound("no such call", status=404)

    with pytest.raises(NotFound):
        walk(get_page)
    assert asked == [None]
