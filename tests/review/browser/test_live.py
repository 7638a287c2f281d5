"""A running service changes the state while a person looks at the page."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser

pytestmark = pytest.mark.integration


def two_groups(archive: Archive) -> None:
    """Two groups, in the order of the list: large, small."""
    for seed, (name, width) in enumerate((("large", 600), ("small", 200))):
        archive.copy(f"copy of {name}.jpg", archive.original(f"{name}.jpg", seed, width))
    archive.resync()


def check_now(window: Browser) -> None:
    """Let the page ask for changes, as when it becomes visible, and wait for the answer."""
    answers = "performance.getEntriesByType('resource').filter(each => /changes/.test(each.name))"
    before = window.run(f"return {answers}.length")
    window.run("document.dispatchEvent(new Event('visibilitychange'))")
    window.until(f"{answers}.length > arguments[0]", before)


@pytest.fixture
def listed(window: Browser, archive: Archive, open_review: OpenReview) -> Iterator[Browser]:
    """The window, with the list of the two groups, while the service runs."""
    two_groups(archive)
    with archive.installation.running():
        open_review()
        window.until_count(".card", 2)
        yield window


def test_a_group_whose_file_is_removed_elsewhere_leaves_the_list(
    listed: Browser, archive: Archive
) -> None:
    (archive.installation.pictures / "copy of large.jpg").unlink()
    listed.until_count(".card", 1)
    listed.until_text(".card.current h2", "small.jpg")
    listed.until_text("#list-summary", "1 group")


def test_while_a_vanished_group_is_compared_the_next_one_is_shown(
    listed: Browser, archive: Archive
) -> None:
    listed.press(Keys.ENTER)
    listed.until_text(".pane[data-side=left] figcaption", "large.jpg")
    (archive.installation.pictures / "copy of large.jpg").unlink()
    listed.until_text(".pane[data-side=left] figcaption", "small.jpg")
    listed.until_text(".toast", "is gone")


def test_a_new_group_appears(listed: Browser, archive: Archive) -> None:
    archive.copy("copy of new.jpg", archive.original("new.jpg", 5, 300))
    listed.click("#show-news")
    listed.until_count(".card", 3)


def test_a_decision_goes_to_the_running_service(listed: Browser, archive: Archive) -> None:
    listed.press("d")
    listed.until_text(".toast", "Not duplicates")
    listed.until_count(".card", 1)
    assert len(archive.groups()) == 1


def test_a_page_whose_server_has_stopped_says_so(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    two_groups(archive)
    page = open_review()
    window.until_count(".card", 2)
    window.driver.execute_cdp_cmd("Network.enable", {})
    window.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [f"{page.address}/api/*"]})
    try:
        window.until("document.body.classList.contains('offline')")
        window.press("d")
        window.until_text(".toast.error", "does not answer")
        window.until_count(".card", 2)
    finally:
        window.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    window.until("!document.body.classList.contains('offline')")


def test_a_change_that_could_not_be_shown_is_shown_later(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    two_groups(archive)
    page = open_review()
    window.until_count(".card", 2)
    check_now(window)
    window.driver.execute_cdp_cmd("Network.enable", {})
    blocked = f"{page.address}/api/groups*"
    window.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": [blocked]})
    try:
        group = str(archive.groups()[0]["group"])
        archive.installation.run("duplicates", "dismiss", "--group", group)
        check_now(window)
        window.until("document.body.classList.contains('offline')")
    finally:
        window.driver.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})
    check_now(window)
    window.until_count(".card", 1)


def test_the_first_group_appears_by_itself(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    original = archive.original("beach.jpg", 1, 300)
    archive.resync()
    with archive.installation.running():
        open_review()
        window.until_text("#list-end", "No duplicates to decide")
        archive.copy("copy of beach.jpg", original)
        window.until_count(".card", 1)
