"""The page is readable and usable: on a phone, in dark and light, with the keyboard, by name."""

from __future__ import annotations

import pytest
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser, Theme, computed_style

pytestmark = pytest.mark.integration

PAGES = ("/", "/marked", "/held", "/failed", "/search", "/overview")

#: Texts whose contrast with their background is below 4.5, or 3 for large text (WCAG 2.1 AA). Text
#: on pictures is left out: it has a background of its own.
_POOR_CONTRAST = """
const parse = text => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  return {r, g, b, a};
};
const light = ({r, g, b}) => {
  const [x, y, z] = [r, g, b].map(each => {
    const share = each / 255;
    return share <= 0.03928 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * x + 0.7152 * y + 0.0722 * z;
};
const behind = element => {
  for (let at = element; at; at = at.parentElement) {
    const colour = parse(getComputedStyle(at).backgroundColor);
    if (colour.a > 0.7) return colour;
  }
  return parse(getComputedStyle(document.documentElement).backgroundColor);
};
const poor = [];
for (const element of document.querySelectorAll("body *")) {
  const text = [...element.childNodes].filter(each => each.nodeType === 3 && each.data.trim());
  if (!text.length || !element.checkVisibility({visibilityProperty: true})) continue;
  if (element.matches(".more, option, :disabled, .skip-link")) continue;
  const style = getComputedStyle(element);
  const [one, other] = [light(parse(style.color)), light(behind(element))];
  const contrast = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
  const isLarge = parseFloat(style.fontSize) >= 24;
  if (contrast < (isLarge ? 3 : 4.5)) poor.push([text[0].data.trim(), contrast]);
}
return poor;
"""

#: Visible controls without a name for a screen reader, and pictures without an alternative.
_NAMELESS = """
const named = element => element.getAttribute("aria-label") || element.innerText?.trim()
  || element.labels?.[0]?.innerText.trim() || element.getAttribute("aria-labelledby");
const nameless = [...document.querySelectorAll("a, button, input, select, textarea, dialog, nav")]
  .filter(each => each.checkVisibility() && !named(each));
return [...nameless, ...document.querySelectorAll("img:not([alt])")].map(each => each.outerHTML);
"""


def messy(archive: Archive) -> None:
    """Groups of several kinds, and a failed image."""
    original = archive.original("2014/iceland/a rather long name of a picture.jpg", 1, 600)
    archive.copy("phone backup/IMG_20140503_102233.jpg", original)
    archive.smaller("web/a rather long name of a picture-small.jpg", 1, 200)
    archive.mirrored("old/mirrored.jpg", 1, 500)
    archive.copy("copy of market.jpg", archive.original("market.jpg", 2, 200))
    archive.write("broken.jpg", b"\xff\xd8\xff no picture")
    archive.resync()


def open_compare(window: Browser) -> None:
    window.click(".card .mosaic")
    window.until_count(".pane[data-loaded=full]", 2)


def until_settled(window: Browser, path: str) -> None:
    """Wait until the page has what it shows."""
    shown = {"/": ".card", "/failed": ".row", "/overview": "table", "/search": "#drop"}
    window.see(shown.get(path, "#list-end"))


@pytest.mark.parametrize("width", [400, 1400])
def test_no_page_is_wider_than_the_window(
    window: Browser, archive: Archive, open_review: OpenReview, width: int
) -> None:
    messy(archive)
    page = open_review()
    window.resize(width, 860, phone=width == 400)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    for path in PAGES:
        window.open(page.address + path)
        until_settled(window, path)
        assert window.run(f"return {overflow}") == 0, path
    window.open(page.address)
    open_compare(window)
    assert window.run(f"return {overflow}") == 0


def test_a_group_is_decided_with_a_finger_at_the_width_of_a_phone(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    messy(archive)
    open_review()
    window.resize(400, 860, phone=True)
    window.click(".card .mosaic")
    window.until_count(".pane[data-loaded=full]", 2)
    window.click("[data-mode=flicker]")
    window.click("#stage")
    assert len(window.texts(".pane .caption-name")) == 1
    window.click("[data-decision=keep]")
    window.until_text(".toast", "Marked: 3 files.")
    window.click(".toast .link-button")
    window.until_text(".toast", "Undone")


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_the_colours_follow_the_system_and_have_contrast(
    window: Browser, archive: Archive, open_review: OpenReview, theme: Theme
) -> None:
    messy(archive)
    window.prefer(theme)
    page = open_review()
    for path in PAGES:
        window.open(page.address + path)
        until_settled(window, path)
        assert window.run(_POOR_CONTRAST) == [], path
    window.open(page.address)
    open_compare(window)
    assert window.run(_POOR_CONTRAST) == []
    window.press("?")
    window.see("#keys-dialog")
    assert window.run(_POOR_CONTRAST) == []
    background = computed_style(window, "html", "background-color")
    assert background == {"dark": "rgb(21, 20, 18)", "light": "rgb(246, 245, 241)"}[theme]


def test_the_choice_between_dark_and_light_is_remembered(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    messy(archive)
    open_review()
    dark = computed_style(window, "html", "background-color")
    window.click("#switch-theme")
    light = computed_style(window, "html", "background-color")
    assert light != dark
    window.driver.refresh()
    assert computed_style(window, "html", "background-color") == light
    window.click("#switch-theme")
    assert computed_style(window, "html", "background-color") == dark


def test_each_control_has_a_name_and_each_page_a_heading(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    messy(archive)
    page = open_review()
    for path in PAGES:
        window.open(page.address + path)
        until_settled(window, path)
        assert window.run(_NAMELESS) == [], path
        assert len(window.texts("h1")) == 1, path
    window.open(page.address)
    window.click("#decide-all")
    window.until_text("#all-preview", "will be marked")
    assert window.run(_NAMELESS) == []
    window.press(Keys.ESCAPE)
    open_compare(window)
    assert window.run(_NAMELESS) == []
    window.press("?")
    window.see("#keys-dialog")
    assert window.run(_NAMELESS) == []


def test_the_focus_is_visible_wherever_the_tab_key_goes(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    messy(archive)
    open_review()
    open_compare(window)
    seen = set()
    for _ in range(25):
        window.press(Keys.TAB)
        name, is_marked = window.run(
            "const at = document.activeElement; const style = getComputedStyle(at);"
            "return [at.outerHTML, style.outlineStyle !== 'none' || at === document.body]"
        )
        assert is_marked, name
        seen.add(name)
    assert len(seen) > 15


@pytest.mark.parametrize("path", PAGES)
def test_each_page_shows_its_keys(
    window: Browser, archive: Archive, open_review: OpenReview, path: str
) -> None:
    archive.resync()
    open_review(path)
    window.click("#show-keys")
    window.until_text("#keys-dialog", "marked files")


def test_messages_are_announced(window: Browser, archive: Archive, open_review: OpenReview) -> None:
    messy(archive)
    open_review()
    toasts = window.run("return document.querySelector('#toasts').getAttribute('aria-live')")
    assert toasts == "polite"
