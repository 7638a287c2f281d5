"""Attacks on the page from other sites, in a real browser."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.review.browser.archive import Archive
from tests.review.browser.conftest import OpenReview
from tests.support import browser as browsers
from tests.support.browser import Browser, as_script
from tests.support.reviewing import reviewing

pytestmark = pytest.mark.integration


def one_group(archive: Archive) -> None:
    archive.copy("copy.jpg", archive.original("beach.jpg", 1, 300))
    archive.resync()


@contextmanager
def other_site(html: str) -> Iterator[str]:
    """A site of somebody else on another port; its origin."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(html.encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://localhost:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_name_that_was_rebound_to_loopback_gets_nothing(archive: Archive, tmp_path: Path) -> None:
    why = browsers.missing()
    if why is not None:
        pytest.skip(why)
    one_group(archive)
    rule = "--host-resolver-rules=MAP evil.example 127.0.0.1"
    with (
        reviewing(archive.installation) as page,
        browsers.browser(tmp_path / "profile", [rule]) as window,
    ):
        window.open(page.entrance.replace("127.0.0.1", "evil.example"))
        assert "Unknown host" in window.text("body")
        status = window.run_async(
            "fetch('/api/groups').then(answer => arguments[0](answer.status))"
        )
        assert status == 421
        # The token is still good for the person.
        window.open(page.entrance)
        window.until_count(".card", 1)


def test_another_site_can_not_send_a_decision(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    one_group(archive)
    page = open_review()
    window.until_count(".card", 1)
    html = (
        "<title>other</title><form method=post enctype=text/plain"
        f" action='{page.address}/api/undo'><input name='{{\"a\":\"' value='\"}}'></form>"
    )
    with other_site(html) as origin:
        window.open(origin)
        attempt = (
            "const [address, mode, type] = arguments; const done = arguments[arguments.length - 1];"
            "fetch(address, {method: 'POST', mode, credentials: 'include', body: '{}',"
            " headers: {'Content-Type': type}})"
            ".then(answer => done(String(answer.status)), () => done('refused'))"
        )
        for path in ("/api/undo", "/api/decide-all", "/api/marked/trash"):
            address = page.address + path
            assert window.run_async(attempt, address, "cors", "application/json") == "refused"
            # Without CORS the browser hides the answer; the state shows what became of it.
            assert window.run_async(attempt, address, "no-cors", "text/plain") in ("0", "refused")
        window.run("document.forms[0].submit()")
        window.until("document.title !== 'other'")
        assert "No access" in window.text("body") or "another site" in window.text("body")
        window.complaints()
    window.open(page.address)
    window.until_count(".card", 1)


def test_another_site_can_not_show_the_page_or_its_pictures(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    one_group(archive)
    page = open_review()
    thumbnail = window.see(".card img").get_attribute("src")
    html = f"<title>other</title><iframe src='{page.address}/'></iframe><img src='{thumbnail}'>"
    with other_site(html) as origin:
        window.open(origin)
        window.until("document.querySelector('img').complete")
        assert window.run("return document.querySelector('img').naturalWidth") == 0
        frame = "document.querySelector('iframe')"
        assert window.run(f"return {frame}.contentDocument") is None
        window.driver.switch_to.frame(window.driver.find_element("tag name", "iframe"))
        assert window.count(".card") == 0
        window.driver.switch_to.default_content()
        window.open("about:blank")
        window.complaints()


def test_the_address_works_once(window: Browser, archive: Archive, open_review: OpenReview) -> None:
    one_group(archive)
    page = open_review()
    window.until_count(".card", 1)
    window.driver.delete_all_cookies()
    window.open(page.entrance)
    window.until_text("body", "Stop “snoopsync review” with Ctrl-C")
    for path in ("/", "/api/groups", "/static/style.css", "/marked"):
        window.open(page.address + path)
        window.until_text("body", "snoopsync review")
        assert window.count(".card") == 0


def test_the_policy_stops_scripts_and_styles_that_are_not_the_pages_own(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    one_group(archive)
    open_review()
    window.until_count(".card", 1)
    window.run(
        "const script = document.createElement('script');"
        f"script.textContent = {as_script('document.title = 1')};"
        "document.body.append(script)"
    )
    assert window.driver.title != "1"
    assert any("Content Security Policy" in each for each in window.complaints())


def test_a_page_that_is_not_a_picture_is_not_shown_as_one(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    one_group(archive)
    page = open_review()
    window.until_count(".card", 1)
    picture = window.run_async(
        "fetch('/api/groups').then(answer => answer.json())"
        ".then(({groups}) => arguments[0](groups[0].images[0].picture))"
    )
    (archive.installation.pictures / "beach.jpg").write_text("<script>document.title = 1</script>")
    window.open(page.address + picture)
    assert window.driver.title != "1"
    assert window.count("script") == 0


def test_a_browser_that_has_not_entered_gets_a_page_with_a_style(
    window: Browser, archive: Archive, open_review: OpenReview
) -> None:
    one_group(archive)
    page = open_review()
    window.driver.delete_all_cookies()
    window.open(page.address)
    assert "No access" in window.text("h1")
    assert window.run("return getComputedStyle(document.querySelector('p')).marginTop") == "0px"
