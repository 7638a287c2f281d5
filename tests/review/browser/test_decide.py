"""Decisions about groups, with the mouse and with the keyboard alone, and how they are undone."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser

pytestmark = pytest.mark.integration


#: The page has loaded all of the group that it shows.
HAS_DETAILS = (
    "performance.getEntriesByType('resource')"
    ".some(each => each.name.includes('/api/group/') && each.responseEnd)"
)

#: The page notices no change until it decides.
ASK_NO_CHANGES = """
const ask = fetch;
window.fetch = (address, ...rest) =>
  address.includes('/api/changes') ? new Promise(() => {}) : ask(address, ...rest);
"""


def three_groups(archive: Archive) -> None:
    """In the order of the list: large, medium, small."""
    for seed, (name, width) in enumerate((("large", 900), ("medium", 500), ("small", 200))):
        archive.copy(f"copies/{name}.jpg", archive.original(f"{name}.jpg", seed, width))
    archive.resync()


def group_without_a_suggestion(archive: Archive) -> None:
    """The same picture with the same evidence, and other bytes: nothing favours one of them."""
    picture = archive.smaller("equal 1.jpg", 7, 300)
    archive.write("equal 2.jpg", picture.read_bytes() + b"\0", age_days=30)
    archive.resync()


@pytest.fixture
def listed(window: Browser, archive: Archive, open_review: OpenReview) -> Browser:
    """The window with the list of the three groups."""
    three_groups(archive)
    open_review()
    window.until_count(".card", 3)
    return window


@pytest.fixture
def opened(listed: Browser) -> Browser:
    """The window, with the first of the three groups open."""
    listed.press(Keys.ENTER)
    until_comparing(listed, "large.jpg")
    return listed


def until_comparing(window: Browser, name: str) -> None:
    window.until_text(".pane[data-side=left] figcaption", name)


def open_groups(archive: Archive) -> list[str]:
    """The names of the pictures to keep, of the groups that are open."""
    return [group["images"][0]["path"] for group in archive.groups()]


def test_keep_marks_the_others_and_shows_the_next_group_at_once(
    opened: Browser, archive: Archive
) -> None:
    opened.click("[data-decision=keep]")
    until_comparing(opened, "medium.jpg")
    opened.until_text(".toast", "large.jpg is kept. Marked: 1 file.")
    opened.until_text("#marked-count", "1")
    opened.press("m")
    opened.until_text("#files", "copies/large.jpg")
    assert archive.groups()[0]["images"][0]["path"] == "large.jpg"


def test_a_picked_picture_is_kept_and_the_suggested_one_is_marked(opened: Browser) -> None:
    opened.press("2", "x")
    opened.until_text(".toast", "Marked: 1 file.")
    opened.press("m")
    opened.until_text("#files .name", "pictures/large.jpg")
    opened.until_text("#files", "You keep pictures/copies/large.jpg")


def test_not_duplicates_dismisses_the_group_for_good(opened: Browser, archive: Archive) -> None:
    opened.click("[data-decision=dismiss]")
    until_comparing(opened, "medium.jpg")
    opened.until_text(".toast", "Not duplicates: 2 pictures.")
    archive.resync()
    assert open_groups(archive) == ["medium.jpg", "small.jpg"]


def test_later_moves_a_group_to_a_list_of_its_own(opened: Browser) -> None:
    opened.press("l")
    until_comparing(opened, "medium.jpg")
    opened.press(Keys.ESCAPE)
    opened.until_count(".card", 2)
    opened.choose("[name=state]", "later")
    opened.until_count(".card", 1)
    assert opened.texts(".card h2") == ["large.jpg"]
    opened.press(Keys.ENTER)
    until_comparing(opened, "large.jpg")
    opened.press("r")
    opened.until_text("#list-end", "Nothing is left for later")
    opened.choose("[name=state]", "open")
    opened.until_count(".card", 3)


@pytest.mark.parametrize("key", ["x", "d", "l"])
def test_each_decision_is_undone_with_a_key_and_its_group_is_shown_again(
    opened: Browser, archive: Archive, key: str
) -> None:
    opened.press(key)
    until_comparing(opened, "medium.jpg")
    opened.press("u")
    until_comparing(opened, "large.jpg")
    opened.until_text(".toast", "Undone")
    opened.press(Keys.ESCAPE)
    opened.until_count(".card", 3)
    opened.until("document.querySelector('#marked-count').hidden")
    assert len(open_groups(archive)) == 3


def test_the_message_of_an_undone_decision_no_longer_offers_to_undo_it(opened: Browser) -> None:
    opened.press("d")
    opened.until_text(".toast", "Not duplicates")
    opened.press("u")
    opened.until_text(".toast", "Undone: not duplicates.")
    assert opened.count(".toast button") == 0


def test_an_undone_decision_no_longer_counts_as_decided(opened: Browser) -> None:
    opened.press("d")
    opened.until_text("#compare-summary", "1 of 2 groups, 1 decided")
    opened.press("l")
    opened.until_text("#compare-summary", "1 of 1 group, 2 decided")
    opened.press("u")
    opened.until_text("#compare-summary", "1 of 2 groups, 1 decided")
    opened.press("u")
    opened.until("!document.querySelector('#compare-summary').innerText.includes('decided')")


def test_several_decisions_are_undone_one_after_the_other_also_after_a_restart(
    opened: Browser, open_review: OpenReview
) -> None:
    opened.press("d")
    until_comparing(opened, "medium.jpg")
    opened.press("x")
    until_comparing(opened, "small.jpg")
    opened.until_text(".toast", "medium.jpg is kept")
    open_review()
    opened.until_count(".card", 1)
    opened.press("u")
    opened.until_count(".card", 2)
    opened.press("u")
    opened.until_count(".card", 3)
    opened.press("u")
    opened.until_text(".toast", "Nothing to undo")


@pytest.mark.parametrize("path", ["/", "/marked", "/held", "/failed", "/search", "/overview"])
def test_every_page_lists_the_key_that_undoes_the_last_decision(
    opened: Browser, archive: Archive, path: str
) -> None:
    opened.press("x")
    opened.until_text("#marked-count", "1")
    opened.run("location.assign(arguments[0])", path)
    opened.until("location.pathname === arguments[0]", path)
    opened.until_text("#marked-count", "1")
    opened.press("?")
    everywhere = "[...document.querySelectorAll('#keys-list section')].at(-1).innerText"
    assert "undo the last decision" in opened.until(everywhere)
    opened.press(Keys.ESCAPE)
    opened.until_gone("#keys-dialog")
    opened.press("u")
    opened.until_text(".toast", "Undone: keep one, mark the others.")
    opened.until("document.querySelector('#marked-count').hidden")


def test_a_dismissed_group_can_be_restored(opened: Browser, archive: Archive) -> None:
    opened.press("d")
    until_comparing(opened, "medium.jpg")
    opened.until_text(".toast", "Not duplicates")
    opened.press(Keys.ESCAPE)
    opened.until_count(".card", 2)
    opened.choose("[name=state]", "dismissed")
    opened.until_count(".card", 1)
    opened.press(Keys.ENTER)
    opened.click("[data-decision=restore]")
    opened.until_text("#list-end", "Nothing was dismissed")
    opened.until_text(".toast", "to be decided again")
    assert len(open_groups(archive)) == 3


def test_all_groups_are_decided_with_the_keyboard_alone(opened: Browser, archive: Archive) -> None:
    opened.press("x")
    until_comparing(opened, "medium.jpg")
    opened.press("d")
    until_comparing(opened, "small.jpg")
    opened.press("2", "x")
    opened.until_text("#list-end", "No duplicates to decide")
    opened.until_text("#marked-count", "2")
    assert open_groups(archive) == ["large.jpg", "small.jpg"]


def test_the_keys_decide_about_the_first_group_until_another_one_is_chosen(
    listed: Browser,
) -> None:
    listed.until_text(".card.current h2", "large.jpg")
    listed.press(Keys.ENTER)
    until_comparing(listed, "large.jpg")
    listed.press(Keys.ESCAPE)
    listed.see(".card")
    listed.choose("[name=sort]", "found")
    listed.until_text(".card.current h2", listed.text(".card h2"))
    listed.press("x")
    listed.until_text("#marked-count", "1")


def test_the_list_has_the_same_keys(listed: Browser) -> None:
    listed.press("j")
    listed.until_text(".card.current h2", "medium.jpg")
    listed.press("d")
    listed.until_count(".card", 2)
    listed.until_text(".card.current h2", "small.jpg")
    listed.press("x")
    listed.until_count(".card", 1)
    listed.press("u", "u")
    listed.until_count(".card", 3)


def test_the_list_of_all_groups_still_shows_a_decided_one(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    open_review("/?state=all")
    window.until_count(".card", 3)
    window.press("l")
    window.until_text(".card-words", "Later")
    window.until_text(".toast", "Moved to the list for later")
    window.press("x")
    window.until_text(".card-words", "Marked")
    window.until_text("#marked-count", "1")
    window.until_text("#list-summary", "3 groups")
    assert window.count(".card") == 3
    assert not window.texts("#show-news")


def test_a_question_mark_shows_the_keys(opened: Browser) -> None:
    opened.press("?")
    opened.until_text("#keys-dialog", "show the other one in the same place")
    opened.press("d", Keys.ESCAPE)
    opened.until_gone("#keys-dialog")
    until_comparing(opened, "large.jpg")


def test_a_decision_about_a_group_that_has_changed_is_refused_and_brings_it_back(
    opened: Browser, archive: Archive
) -> None:
    opened.until(HAS_DETAILS)
    opened.run(ASK_NO_CHANGES)
    archive.copy("another.jpg", archive.installation.pictures / "large.jpg")
    archive.resync()
    opened.press("d")
    opened.until_text(".toast.error", "Nothing was decided")
    opened.press(Keys.ESCAPE)
    opened.until_count(".card", 3)
    assert len(open_groups(archive)) == 3


def test_all_shown_groups_are_decided_at_once_after_a_preview(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    archive.smaller("web/large.jpg", 0, 300)
    archive.resync()
    open_review()
    window.until_count(".card", 3)
    window.click("#decide-all")
    window.until_text("#all-preview", "4 files in 3 groups will be marked")
    window.until_text("#all-preview", "3 identical, 1 re-encoded")
    window.click("#all-form [value=dismiss]")
    window.until_text("#all-preview", "7 pictures in 3 groups will not be reported again")
    window.click("#all-form [value=keep]")
    window.until_text("#all-preview", "Nothing is deleted")
    window.click("#all-confirm")
    window.until_text(".toast", "Decided for 3 groups")
    window.until_text("#marked-count", "4")
    window.until_count(".card", 0)
    window.press("u")
    window.until_count(".card", 3)


def test_with_a_filter_only_the_files_that_match_it_are_marked(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    archive.smaller("web/large.jpg", 0, 300)
    archive.resync()
    open_review("/?kind=identical")
    window.until_count(".card", 3)
    window.click("#decide-all")
    window.until_text("#all-keep-words", "mark only the identical files")
    window.until_text("#all-preview", "3 files in 3 groups will be marked")
    window.click("#all-confirm")
    window.until_text("#marked-count", "3")
    # The group with another picture is still to be decided, and says what is marked.
    window.until_count(".card", 1)
    window.until_text(".card", "1 file marked, others to decide")


def test_the_preview_names_the_groups_that_have_no_suggestion(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    three_groups(archive)
    group_without_a_suggestion(archive)
    open_review()
    window.until_count(".card", 4)
    window.click("#decide-all")
    window.until_text("#all-preview", "3 files in 3 groups will be marked")
    window.until_text("#all-preview", "1 group stays")
    window.click("#all-form button[value=cancel]")
    window.until_gone("#all-dialog")
    window.until_count(".card", 4)


def test_a_group_without_a_suggestion_asks_for_a_pick(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    group_without_a_suggestion(archive)
    open_review()
    window.see(".card")
    window.press(Keys.ENTER)
    window.until_text("#advice", "press its number")
    window.press("x")
    window.press(window.text(".pane[data-side=right] figcaption kbd"))
    window.until_text("#advice", "You picked equal 2.jpg")
    window.click(".pane[data-side=right] figcaption button")
    window.until_text("#advice", "You picked equal 1.jpg")
    window.press("x")
    window.until_text("#list-end", "No duplicates to decide")


def test_a_kept_group_is_taken_back_from_the_marked_ones(opened: Browser) -> None:
    opened.press("x")
    opened.until_text("#marked-count", "1")
    opened.press(Keys.ESCAPE)
    opened.until_count(".card", 2)
    opened.choose("[name=state]", "marked")
    opened.until_count(".card", 1)
    opened.press(Keys.ENTER)
    opened.until_text("#advice", "on the marked list")
    opened.press("r")
    opened.until("document.querySelector('#marked-count').hidden")
