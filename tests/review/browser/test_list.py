"""The list of groups: what a person sees first, and how it stays small."""

from __future__ import annotations

import pytest

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser

pytestmark = pytest.mark.integration


def three_groups(archive: Archive) -> None:
    """Two copies of a large picture, a smaller version of another one, and three small copies."""
    archive.copy("copies/large.jpg", archive.original("large.jpg", 1, 900))
    archive.original("medium.jpg", 2, 500)
    archive.smaller("web/medium.jpg", 2, 250)
    small = archive.original("small.jpg", 3, 160)
    archive.copy("small (1).jpg", small)
    archive.copy("small (2).jpg", small)
    archive.resync()


def names(window: Browser) -> list[str]:
    return window.texts(".card h2")


def test_the_group_with_the_most_bytes_comes_first_and_says_what_it_is(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    open_review()
    window.until_count(".card", 3)
    assert names(window)[0] == "large.jpg"
    first = window.texts(".card")[0]
    assert "2 pictures" in first and "can be freed" in first
    assert "it is the older one" in first
    assert "identical" in first
    window.until_text("#list-summary", "3 groups, 7 pictures")


def test_each_card_shows_thumbnails_and_marks_the_one_to_keep(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    open_review()
    window.until_count(".card img", 7)
    window.until("[...document.querySelectorAll('.card img')].every(each => each.naturalWidth)")
    assert window.texts(".card .badge") == ["KEEP", "KEEP", "KEEP"]


def test_filters_and_order_are_in_the_address_and_back_reverts_them(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    open_review()
    window.until_count(".card", 3)
    window.choose("[name=kind]", "reencoded")
    window.until_count(".card", 1)
    assert names(window) == ["medium.jpg"]
    assert window.address.endswith("?kind=reencoded")
    window.driver.back()
    window.until_count(".card", 3)
    window.choose("[name=sort]", "size")
    window.until("document.querySelector('.card h2')?.innerText === 'small.jpg'")
    assert window.address.endswith("?sort=size")
    window.driver.refresh()
    window.until("document.querySelector('.card h2')?.innerText === 'small.jpg'")


def test_a_list_without_a_match_says_so(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    open_review("/?kind=mirrored")
    window.until_text("#list-end", "No group matches the filters")
    window.click("#clear-filters")
    window.until_count(".card", 3)


def test_an_archive_without_duplicates_says_so(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    archive.original("alone.jpg", 1, 160)
    archive.resync()
    open_review()
    window.until_text("#list-end", "No duplicates to decide")


def test_few_cards_are_in_the_page_however_long_the_list_is(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    for seed in range(120):
        archive.copy(f"copy of {seed}.jpg", archive.original(f"{seed}.jpg", seed, 120))
    archive.resync()
    open_review()
    window.until_text("#list-summary", "120 groups")
    seen: set[str] = set()

    def look() -> bool:
        seen.update(names(window))
        assert window.count(".card") < 60
        window.run("scrollBy(0, innerHeight)")
        return len(seen) == 120

    for _ in range(200):
        if look():
            break
        window.run_async("requestAnimationFrame(() => arguments[0]())")
    assert len(seen) == 120
