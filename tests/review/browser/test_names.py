"""Names of files that are no ordinary text, in every place where the page shows a name."""

from __future__ import annotations

import os

import pytest
from selenium.webdriver.common.keys import Keys

from snoopsync.core.model import printable
from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser

pytestmark = pytest.mark.integration

#: HTML, a newline, an escape sequence, text from right to left, quotes, and bytes without meaning.
NAMES = (
    b'<img src=x onerror="document.title=1">.jpg',
    b"</script><script>document.title=1</script>.jpg",
    b"two\nlines\x1b[31m.jpg",
    "evil\u202egpj.exe.jpg".encode(),
    b'it\'s "quoted" & {{7*7}}.jpg',
    b"caf\xe9 \xff.jpg",
)


def shown(name: bytes) -> str:
    """The name as the page shows it: each file's own name is the last part of its path."""
    return printable(name.rpartition(b"/")[2])


def pairs(archive: Archive) -> None:
    """For each name a group: a file of that name, and a copy in a directory of that name."""
    for seed, name in enumerate(NAMES):
        safe = name.replace(b"/", b"")
        original = archive.original(safe, seed, 160 + 20 * seed)
        archive.copy(b"dir " + safe + b"/copy " + safe, original)
    archive.resync()


def assert_harmless(window: Browser) -> None:
    """No name became an element or ran."""
    assert window.count("main img[src=x], main script, main b b") == 0
    assert "snoopsync" in window.driver.title


def test_the_list_and_the_compare_view_show_every_name_as_text(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    pairs(archive)
    open_review()
    window.until_count(".card", len(NAMES))
    titles = window.run(
        "return [...document.querySelectorAll('.card h2')].map(each => each.textContent)"
    )
    assert set(titles) == {printable(name.replace(b"/", b"")) for name in NAMES}
    assert_harmless(window)
    window.press(Keys.ENTER)
    for place in range(1, len(NAMES) + 1):
        window.until_text("#compare-summary", f"{place} of {len(NAMES)} groups")
        name = window.run(
            "return document.querySelector('[data-side=left] .caption-name').textContent"
        )
        assert name in titles
        assert name in window.run("return document.querySelector('#advice').textContent")
        table = window.run("return document.querySelector('#facts').textContent")
        assert name in table and f"dir {name}" in table and f"copy {name}" in table
        assert_harmless(window)
        window.press("j")


def test_the_marked_list_shows_every_name_as_text(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    pairs(archive)
    page = open_review()
    window.click("#decide-all")
    window.until_text("#all-preview", f"{len(NAMES)} files")
    window.click("#all-confirm")
    window.until_text("#marked-count", str(len(NAMES)))
    window.open(page.address + "/marked")
    window.until_count("#files .row", len(NAMES))
    text = window.run("return document.querySelector('#files').textContent")
    for name in NAMES:
        assert f"copy {printable(name.replace(b'/', b''))}" in text
    assert_harmless(window)


def test_failed_and_held_images_show_every_name_as_text(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    safe = [name.replace(b"/", b"") for name in NAMES]
    paths = [archive.original(name, seed, 120) for seed, name in enumerate(safe)]
    archive.original("kept.jpg", 99, 120)
    archive.resync()
    for path in paths:
        path.unlink()
    for name in safe:
        archive.write(b"broken " + name, b"\xff\xd8\xff no picture")
    archive.installation.configure(
        "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 1, percent: 10}}\n"
    )
    archive.resync()
    page = open_review("/held")
    window.until_count("#folders .card", len(NAMES))
    text = window.run("return document.querySelector('#folders').textContent")
    assert all(printable(name) in text for name in safe)
    assert_harmless(window)
    window.open(page.address + "/failed")
    window.until_count("#files .row", len(NAMES))
    text = window.run("return document.querySelector('#files').textContent")
    assert all(f"broken {printable(name)}" in text for name in safe)
    assert_harmless(window)


def test_search_results_and_the_overview_show_names_as_text(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    name = NAMES[0]
    folder = archive.installation.home / os.fsdecode(b"<b>bold<b>")
    folder.mkdir()
    archive.installation.configure(
        folders=f"folders: [{{path: '{archive.installation.pictures}', name: pictures}},"
        f" {{path: '{folder}', name: '<b>bold<b>'}}]\n"
    )
    path = archive.original(name, 1, 200)
    archive.resync()
    page = open_review("/search")
    window.driver.find_element("id", "choose").send_keys(str(path))
    window.until_text("#results", shown(name))
    assert_harmless(window)
    window.open(page.address + "/overview")
    window.until_text("#overview table", "<b>bold<b>")
    assert_harmless(window)
