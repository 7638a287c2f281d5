"""The marked list: copy it, take files from it, or move them to the trash."""

from __future__ import annotations

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser

pytestmark = pytest.mark.integration


def marked(
    window: Browser, archive: Archive, open_review: OpenReview, *, trash: bool = False
) -> None:
    """Two groups, decided: ``copy of large.jpg`` and ``copy of small.jpg`` are marked."""
    for seed, (name, width) in enumerate((("large", 600), ("small", 200))):
        archive.copy(f"copy of {name}.jpg", archive.original(f"{name}.jpg", seed, width))
    archive.resync()
    page = open_review(trash=trash)
    window.driver.execute_cdp_cmd(
        "Browser.grantPermissions",
        {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]},
    )
    window.until_count(".card", 2)
    window.press(Keys.ENTER)
    window.see("#compare-view")
    window.press("x", "x")
    window.until_text("#marked-count", "2")
    window.open(page.address + "/marked")
    window.until_count("#files .row", 2)


def copied(window: Browser) -> str:
    """The text in the clipboard."""
    text: str = window.run_async("navigator.clipboard.readText().then(arguments[0])")
    return text


def test_the_list_says_how_many_bytes_and_what_is_kept(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    marked(window, archive, open_review)
    window.until_text("#summary", "2 files")
    window.until_text("#files", "copy of large.jpg")
    window.until_text("#files", "You keep pictures/large.jpg")
    window.until("[...document.querySelectorAll('#files img')].every(each => each.naturalWidth)")


def test_the_paths_are_copied(window: Browser, archive: Archive, open_review: OpenReview) -> None:
    marked(window, archive, open_review)
    window.click("#copy-paths")
    window.until_text(".toast", "The paths are copied")
    folder = archive.installation.pictures
    lines = copied(window).splitlines()
    assert set(lines) == {f"{folder}/copy of large.jpg", f"{folder}/copy of small.jpg"}


def test_the_script_is_copied_and_can_be_saved(
    window: Browser, archive: Archive, open_review: OpenReview, tmp_path: Path
) -> None:
    marked(window, archive, open_review)
    into = window.see("[name=into]")
    assert into.get_attribute("value") == str(Path("~/duplicates").expanduser())
    into.clear()
    into.send_keys(str(tmp_path / "removed"))
    window.click("#script-form button")
    window.until_text(".toast", "The script is copied")
    script = copied(window)
    assert script.startswith("#!/bin/sh")
    assert "copy of large.jpg" in script and str(tmp_path / "removed") in script
    saved = window.see("#save-script").get_attribute("href")
    assert saved is not None and "/api/marked/script?into=" in saved


def test_selected_files_are_unmarked_and_their_groups_are_open_again(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    marked(window, archive, open_review)
    window.click("#files .row input")
    window.until_text("#unmark", "Unmark 1 file")
    window.click("#unmark")
    window.until_count("#files .row", 1)
    window.click(".brand")
    window.until_count(".card", 1)


def test_without_the_option_the_page_says_how_to_get_a_trash(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    marked(window, archive, open_review)
    window.until_text("#trash-words", "snoopsync review --trash")
    window.until_gone("#trash")


def test_marked_files_are_moved_to_the_trash_and_put_back(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    marked(window, archive, open_review, trash=True)
    copies = [archive.installation.pictures / f"copy of {name}.jpg" for name in ("large", "small")]
    window.click("#trash")
    window.click("dialog[open] button[value=confirm]")
    window.until_text(".toast", "Moved to the trash: 2 files")
    window.until_text("#list-end", "No file is marked")
    assert not any(each.exists() for each in copies)
    window.press("u")
    window.until_text(".toast", "Undone")
    assert all(each.exists() for each in copies)


def test_companions_are_listed_and_go_together_with_their_picture(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    video = b"the same video"
    for name in ("large.mov", "copy of large.mov"):
        archive.write(name, video)
    archive.write("copy of large.cr2", b"RAW")
    archive.write("copy of small.xmp", b"settings")
    marked(window, archive, open_review, trash=True)
    window.until_text("#files", "copy of large.mov (video) goes with it if the picture that you")
    window.until_text("#files", "copy of large.cr2 (RAW file) stays: the picture that you keep has")
    window.until_text("#files", "copy of small.xmp (sidecar) goes with it.")
    window.click("#trash")
    window.click("dialog[open] button[value=confirm]")
    window.until_text(".toast", "Moved to the trash: 2 files with 2 companions")
    window.until_text("#refusals", "1 companion stays:")
    left = {path.name for path in archive.installation.pictures.iterdir()}
    assert left == {"large.jpg", "small.jpg", "large.mov", "copy of large.cr2"}
    window.press("u")
    window.until_text(".toast", "Undone")
    assert len(list(archive.installation.pictures.iterdir())) == 8


def test_a_file_whose_kept_picture_has_changed_is_refused_with_the_reason(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    marked(window, archive, open_review, trash=True)
    (archive.installation.pictures / "large.jpg").write_bytes(b"no picture any more")
    window.click("#trash")
    window.click("dialog[open] button[value=confirm]")
    window.until_text("#refusals", "1 file was not moved")
    window.until_text("#refusals", "copy of large.jpg")
    assert (archive.installation.pictures / "copy of large.jpg").exists()
    assert not (archive.installation.pictures / "copy of small.jpg").exists()
