"""Two pictures of a group: side by side, in one place, and zoomed together."""

from __future__ import annotations

import io
import os
from datetime import datetime
from typing import Any

import pytest
from PIL import Image
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser
from tests.support.process import Installation

pytestmark = pytest.mark.integration

#: The points of both pictures that are in the middle of their panes, as shares of their sizes.
MIDDLES = """[...document.querySelectorAll('.pane')].map(pane => {
  const area = pane.getBoundingClientRect();
  const drawn = pane.querySelector('img').getBoundingClientRect();
  return [(area.left + area.width / 2 - drawn.left) / drawn.width,
          (area.top + area.height / 2 - drawn.top) / drawn.height,
          drawn.width / area.width];
})"""


def two_groups(archive: Archive) -> None:
    archive.original("beach.jpg", 1, 1600)
    archive.smaller("web/beach.jpg", 1, 400)
    archive.mirrored("old/beach mirrored.jpg", 1, 1200)
    archive.copy("copy of market.jpg", archive.original("market.jpg", 2, 300))
    archive.resync()


def open_first(window: Browser) -> None:
    """Open the first group, and wait for its pictures at full resolution."""
    window.see(".card")
    window.press(Keys.ENTER)
    until_loaded(window)


@pytest.fixture
def opened(window: Browser, archive: Archive, open_review: OpenReview) -> Browser:
    """The window, with the first of the two groups open."""
    two_groups(archive)
    open_review()
    open_first(window)
    return window


def until_loaded(window: Browser) -> None:
    window.see("#stage")
    window.until_count(".pane[data-loaded=full]", 2)


def middles(window: Browser) -> list[list[float]]:
    found: list[list[float]] = window.run(f"return {MIDDLES}")
    return found


def shown(window: Browser) -> list[str]:
    """The names in the captions that can be seen."""
    return window.texts(".pane .caption-name")


def test_a_click_opens_a_group_and_back_returns_to_the_list(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    two_groups(archive)
    open_review()
    window.click(".card .mosaic")
    until_loaded(window)
    assert "/group/" in window.address
    assert "beach.jpg" in shown(window)
    window.driver.back()
    window.until_gone("#compare-view")
    window.until_count(".card", 2)


def test_the_pictures_are_shown_at_full_resolution(opened: Browser) -> None:
    assert opened.run("return document.querySelector('[data-side=left] img').naturalWidth") == 1600


def test_differences_are_marked_and_the_one_to_keep_has_a_reason(opened: Browser) -> None:
    opened.until_text("#advice", "Keep beach.jpg: it has more pixels.")
    opened.until_text("#facts", "1600 \u00d7 1200")
    marked = " ".join(opened.texts("#facts tr.differs"))
    assert "Pixels" in marked and "Size" in marked and "Modified" in marked
    assert "more" in marked and "fewer" in marked and "older" in marked
    assert "Format" not in marked
    kinds = " ".join(opened.texts(".strip-words"))
    assert "re-encoded · rank" in kinds and "mirrored · rank" in kinds


def test_the_companions_of_both_pictures_are_named_with_their_roles(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    archive.copy("b.jpg", archive.original("a.jpg", 1))
    archive.write("a.nef", b"RAW")
    archive.write("b.jpg.xmp", b"settings")
    archive.write("b.mov", b"video")
    archive.resync()
    open_review()
    open_first(window)
    window.until_text("#facts", "Companions")
    window.until_text("#facts", "a.nef (RAW file)")
    window.until_text("#facts", "b.jpg.xmp (sidecar), b.mov (video)")


@pytest.mark.parametrize(
    ("later_seconds", "shown"),
    [(90, "2020-02-02 10:01"), (7, "2020-02-02 10:00:07"), (0.25, "2020-02-02 10:00:00.250")],
)
def test_times_are_shown_as_exactly_as_it_takes_to_tell_them_apart(
    window: Browser, archive: Archive, open_review: OpenReview, later_seconds: float, shown: str
) -> None:
    original = archive.original("beach.jpg", 1, 300)
    copy = archive.copy("copy of beach.jpg", original)
    modified = datetime(2020, 2, 2, 10).timestamp()  # noqa: DTZ001 - the page shows local time
    os.utime(original, (modified, modified))
    os.utime(copy, (modified + later_seconds, modified + later_seconds))
    archive.resync()
    open_review()
    open_first(window)
    window.until_text("#advice", "it is the older one")
    window.until_text("#facts [data-side=right]", shown)
    row = window.text("#facts tr.differs")
    assert "older" in row and "newer" in row


def test_the_space_bar_switches_between_the_pictures_in_one_place(opened: Browser) -> None:
    both = shown(opened)
    opened.press(" ")
    assert shown(opened) == [both[1]]
    opened.press(" ")
    assert shown(opened) == [both[0]]
    opened.press("b")
    assert shown(opened) == both


def test_the_space_bar_flickers_also_after_a_click_on_a_button(opened: Browser) -> None:
    both = shown(opened)
    opened.click("[data-mode=flicker]")
    opened.press(" ")
    assert shown(opened) == [both[1]]


def test_the_slider_shows_a_part_of_each_picture(opened: Browser) -> None:
    opened.press("s")
    slider = opened.see("#slider")
    ActionChains(opened.driver).move_to_element(slider).click().perform()
    slider.send_keys(Keys.ARROW_LEFT)
    clip = "document.querySelector('.pane[data-side=right]').style.clipPath"
    assert "49%" in opened.until(clip)
    opened.press("s")
    opened.until_gone("#slider")


def test_the_difference_of_equal_pictures_is_black(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    two_groups(archive)
    open_review("/?kind=identical")
    open_first(window)
    window.press("f")
    window.until_text(".hint", "Black means equal")
    assert brightest(window) < 8


def brightest(window: Browser) -> int:
    """The brightest shade in the middle of the stage."""
    stage = Image.open(io.BytesIO(window.see("#stage").screenshot_as_png)).convert("L")
    width, height = stage.size
    middle = stage.crop((width // 3, height // 3, width * 2 // 3, height * 2 // 3))
    return int(middle.getextrema()[1])  # type: ignore[arg-type]


def test_both_pictures_are_zoomed_and_moved_together(opened: Browser) -> None:
    opened.press("+", "+", "+")
    opened.press_with_shift(Keys.ARROW_RIGHT)
    opened.press_with_shift(Keys.ARROW_DOWN)
    left, right = middles(opened)
    assert left == pytest.approx(right, abs=0.01)
    assert left[0] > 0.52 and left[1] > 0.52 and left[2] > 2
    opened.press("0")
    assert middles(opened)[0][:2] == pytest.approx([0.5, 0.5], abs=0.01)


def test_the_wheel_zooms_at_the_pointer_and_a_drag_moves_both(opened: Browser) -> None:
    pane = opened.see(".pane[data-side=right]")
    at = point_under(opened, pane, 100, 50)
    scroll(opened, pane, 100, 50, -600)
    left, right = middles(opened)
    assert right[2] > 1.5
    assert left == pytest.approx(right, abs=0.01)
    assert point_under(opened, pane, 100, 50) == pytest.approx(at, abs=0.01)
    before = middles(opened)[0]
    ActionChains(opened.driver).click_and_hold(pane).move_by_offset(-60, -30).release().perform()
    left, right = middles(opened)
    assert left[0] > before[0] and left[1] > before[1]
    assert left == pytest.approx(right, abs=0.01)


def point_under(window: Browser, pane: Any, dx: int, dy: int) -> list[float]:
    """The point of the picture that is so far off the middle of its pane, as shares."""
    point: list[float] = window.run(
        "const [pane, dx, dy] = arguments; const area = pane.getBoundingClientRect();"
        "const drawn = pane.querySelector('img').getBoundingClientRect();"
        "return [(area.left + area.width / 2 + dx - drawn.left) / drawn.width,"
        " (area.top + area.height / 2 + dy - drawn.top) / drawn.height]",
        pane,
        dx,
        dy,
    )
    return point


def scroll(window: Browser, pane: Any, dx: int, dy: int, pixels: int) -> None:
    origin = ScrollOrigin.from_element(pane, dx, dy)
    ActionChains(window.driver).scroll_from_origin(origin, 0, pixels).perform()


def test_two_fingers_zoom_both_pictures(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    two_groups(archive)
    open_review()
    window.resize(400, 860, phone=True)
    window.see(".card .mosaic").click()
    until_loaded(window)
    area = window.run(
        "const area = document.querySelector('.pane').getBoundingClientRect();"
        "return [area.left + area.width / 2, area.top + area.height / 2]"
    )
    touch(window, "touchStart", area, 20)
    for apart in (40, 60, 80):
        touch(window, "touchMove", area, apart)
    window.driver.execute_cdp_cmd(
        "Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []}
    )
    window.until("document.getElementById('stage').dataset.zoomed === 'true'")
    left, right = middles(window)
    assert left == pytest.approx(right, abs=0.01)


def touch(window: Browser, kind: str, middle: list[float], apart: int) -> None:
    points = [
        {"x": middle[0] + side * apart, "y": middle[1], "id": number}
        for number, side in enumerate((-1, 1))
    ]
    window.driver.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def test_full_size_shows_one_pixel_of_the_picture_on_one_of_the_screen(opened: Browser) -> None:
    opened.press("z")
    assert opened.text("#zoom-words") == "100 %"
    drawn = "document.querySelector('[data-side=left] img').getBoundingClientRect().width"
    assert opened.run(f"return {drawn}") == pytest.approx(1600, abs=1)
    opened.press("z")
    assert opened.text("#zoom-words") == "fit"


@pytest.mark.parametrize("width", [300, 600], ids=["smaller", "nearly fits"])
def test_full_size_is_exact_for_a_picture_that_is_smaller_or_nearly_fits(
    window: Browser, archive: Archive, open_review: OpenReview, width: int
) -> None:
    archive.copy("copy.jpg", archive.original("picture.jpg", 1, width))
    archive.resync()
    open_review()
    open_first(window)
    window.press("z")
    drawn = "document.querySelector('[data-side=left] img').getBoundingClientRect().width"
    assert window.run(f"return {drawn}") == pytest.approx(width, abs=1)
    assert window.text("#zoom-words") == "100 %"
    window.press("z")
    assert window.text("#zoom-words") == "fit"


def test_a_small_picture_is_zoomed_out_to_its_full_size_and_no_further(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    archive.copy("copy.jpg", archive.original("picture.jpg", 1, 300))
    archive.resync()
    open_review()
    open_first(window)
    window.press(*"-----")
    assert window.text("#zoom-words") == "100 %"
    window.press(*"+++++")
    assert window.run(f"return {MIDDLES}")[0][2] > 1


def test_arrow_keys_go_to_the_next_group_also_when_zoomed(opened: Browser) -> None:
    opened.until_text("#compare-summary", "1 of 2 groups")
    opened.press("z", Keys.ARROW_RIGHT)
    opened.until_text("#compare-summary", "2 of 2 groups")
    opened.press(Keys.ARROW_LEFT)
    opened.until_text("#compare-summary", "1 of 2 groups")


def test_brackets_choose_which_two_pictures_are_compared(opened: Browser) -> None:
    first = shown(opened)
    opened.press("]")
    second = shown(opened)
    assert second[0] == first[0] and second[1] != first[1]
    opened.press("[")
    assert shown(opened) == first


def test_a_number_picks_another_one_to_keep(opened: Browser) -> None:
    picked = opened.run("return document.querySelector('[data-at=\"1\"]').title")
    opened.press("2")
    opened.until_text("#advice", f"You picked {picked}")
    assert shown(opened)[0] == picked
    assert "KEEP" in opened.text(".pane[data-side=left] figcaption")
    assert opened.count(".strip .badge") == 1


def test_a_mirrored_picture_can_be_mirrored_back(opened: Browser) -> None:
    while "mirrored" not in shown(opened)[1]:
        opened.press("]")
    until_loaded(opened)
    opened.press("h", "t")
    transform = opened.run("return document.querySelector('[data-side=right] img').style.transform")
    assert "scaleX(-1)" in transform and "rotate(90deg)" in transform


def test_an_image_of_another_machine_has_a_label_and_no_picture(
    window: Browser,
    machines: tuple[Installation, Installation],
    open_review: OpenReview,
) -> None:
    one, two = machines
    one.ok("resync")
    two.ok("resync")
    open_review(installation=two)
    window.until_text(".card .no-thumb", "On another machine")
    window.press(Keys.ENTER)
    window.until_text(".pane[data-side=left] figcaption", "two.jpg")
    window.until_text(".pane[data-side=right] .no-picture", "On another machine")
    window.until_text(".pane[data-side=right] figcaption", "one.")
    window.until_text("#facts", "on another machine")
    window.press(" ", "s", "f", "b", "+")
    window.until_text(".pane[data-side=right] .no-picture", "On another machine")
