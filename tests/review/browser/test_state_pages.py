"""The other pages: held deletions, failed images, search and overview."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.review.browser.archive import Archive, picture_of
from tests.review.browser.conftest import OpenReview
from tests.support.browser import Browser
from tests.support.pictures import encode
from tests.support.process import until

pytestmark = pytest.mark.integration


def held(archive: Archive) -> None:
    """Twelve pictures, of which all but two disappeared."""
    paths = [archive.original(f"{seed}.jpg", seed, 120) for seed in range(12)]
    archive.installation.configure(
        "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 3, percent: 10}}\n"
    )
    archive.resync()
    for path in paths[2:]:
        path.unlink()

    def are_all_held() -> bool:
        archive.resync()
        number: int = archive.installation.status()["folders"][0]["held_deletes"]
        return number == 10

    until(are_all_held)


def test_held_deletions_are_shown_and_approved(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    held(archive)
    open_review("/held")
    window.until_text("#folders h2", "pictures: 10 deletions")
    window.until_text("#lead", "disappeared from your folders")
    window.until_text("#folders .card", "11.jpg")
    window.click("#folders .button.primary")
    window.until_text("dialog[open]", "Delete 10 images of pictures?")
    window.until_text("dialog[open]", "This cannot be undone.")
    window.click("dialog[open] button[value=confirm]")
    window.until_text("#list-end", "No deletion is held")
    assert not window.texts("#lead")
    archive.resync()
    assert archive.installation.status()["folders"][0]["images"] == 2


def test_held_deletions_are_discarded(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    held(archive)
    open_review("/held")
    window.click("#folders .button:not(.primary)")
    window.click("dialog[open] button[value=confirm]")
    window.until_text("#list-end", "No deletion is held")
    window.until_text(".toast", "Discarded: 10 deletions")


def test_cancel_approves_nothing(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    held(archive)
    open_review("/held")
    window.click("#folders .button.primary")
    window.click("dialog[open] button[value=cancel]")
    window.until_gone("dialog[open]")
    assert archive.installation.status()["folders"][0]["held_deletes"] == 10


def test_failed_images_are_listed_with_the_reason(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    archive.write("broken.jpg", b"\xff\xd8\xff no picture")
    archive.resync()
    open_review("/failed")
    window.until_text("#files .name", "broken.jpg")
    assert window.text("#files .warning").strip()
    window.until_text("#files", "next try")


def asked(archive: Archive) -> bytes:
    """A picture that the archive has in another size."""
    archive.original("beach.jpg", 1, 400)
    archive.original("other.jpg", 2, 400)
    archive.resync()
    return encode(picture_of(1, 300), quality=70)


def test_a_chosen_picture_is_searched_for(
    window: Browser, archive: Archive, open_review: OpenReview, tmp_path: Path
) -> None:
    path = tmp_path / "asked.jpg"
    path.write_bytes(asked(archive))
    open_review("/search")
    window.see(".file-button")
    window.driver.find_element("id", "choose").send_keys(str(path))
    window.until_text("#answer", "Yes: 1 picture is the same or alike.")
    window.until_text("#results", "beach.jpg")
    window.until_text("#results", "re-encoded")


#: Drops or pastes a picture, as the browser reports it to the page.
_GIVE = """
const [type, data] = arguments;
const bytes = Uint8Array.from(atob(data), each => each.charCodeAt(0));
const transfer = new DataTransfer();
transfer.items.add(new File([bytes], "asked.jpg", {type: "image/jpeg"}));
const event = type === "paste"
  ? new ClipboardEvent(type, {clipboardData: transfer, bubbles: true})
  : new DragEvent(type, {dataTransfer: transfer, bubbles: true, cancelable: true});
document.body.dispatchEvent(event);
"""


@pytest.mark.parametrize("how", ["drop", "paste"])
def test_a_dropped_or_pasted_picture_is_searched_for(
    window: Browser, archive: Archive, open_review: OpenReview, how: str
) -> None:
    data = base64.b64encode(asked(archive)).decode()
    open_review("/search")
    window.see("#drop")
    window.run(_GIVE, how, data)
    window.until_text("#answer", "Yes: 1 picture")
    window.until_text("#results", "beach.jpg")
    window.until("document.querySelector('#asked').naturalWidth === 300")


def test_a_picture_that_the_collection_does_not_have_is_not_found(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    asked(archive)
    data = base64.b64encode(encode(picture_of(9, 300))).decode()
    open_review("/search")
    window.see("#drop")
    window.run(_GIVE, "drop", data)
    window.until_text("#answer", "No. The collection has no picture like this one.")


def test_the_overview_says_what_status_says(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    archive.copy("copy.jpg", archive.original("beach.jpg", 1, 200))
    archive.write("broken.jpg", b"\xff\xd8\xff no picture")
    archive.resync()
    open_review("/overview")
    status = archive.installation.status()
    for reason in status["reasons"]:
        window.until_text("#overview", reason)
    window.until_text(".figures", "1\n\ngroup to decide")
    window.until_text("#overview table", "pictures")
    window.until_text("#overview table", "Waiting")
    window.until_text(".figures", "marked, 0 bytes")
    window.until_text("#overview", "not running")
