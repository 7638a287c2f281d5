"""A series of shots: it is shown, and nothing suggests to remove any of them."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser
from tests.support.camera import frame, taken

pytestmark = pytest.mark.integration


@pytest.fixture
def series(archive: Archive) -> Archive:
    """Three shots of a burst, and two files with the same bytes."""
    for number in range(3):
        shot = taken(frame(1, 3 * number, (640, 480)), 0.2 * number)
        archive.write(f"IMG_200{number}.JPG", shot)
    archive.copy("copy.jpg", archive.original("large.jpg", 2, 600))
    archive.resync()
    return archive


def test_a_series_suggests_no_picture_to_keep(
    window: Browser, series: Archive, open_review: OpenReview
) -> None:
    open_review()
    window.until_count(".card", 2)
    [card] = [text for text in window.texts(".card") if "IMG_2000.JPG" in text]
    assert "3 pictures · a series" in card and "A series: shots taken seconds apart" in card
    assert "Keep first" not in card
    window.click("[href*='/group/'][aria-label*='a series']")
    window.until_text("#advice", "These pictures are a series: shots of one scene")
    window.until("document.querySelector('[data-decision=keep]').disabled")
    window.press("x")
    window.until_text("#advice", "To keep only one, pick it")
    window.press("2")
    window.until_text("#advice", "You picked IMG_2001.JPG")
    window.until_text("#advice", "2 other files will be marked")
    window.press("x")
    window.until_text("#marked-count", "2")


def test_a_decision_about_all_groups_leaves_series_out(
    window: Browser, series: Archive, open_review: OpenReview
) -> None:
    open_review()
    window.until_count(".card", 2)
    window.click("#decide-all")
    window.until_text("dialog[open]", "1 group")
    window.until_text("dialog[open]", "a series of similar shots")
    window.press(Keys.ESCAPE)
