"""How the page listens, and how a browser is led to it."""

from __future__ import annotations

import stat
import webbrowser
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from snoopsync.core.addresses import Address
from snoopsync.core.errors import SnoopsyncError
from snoopsync.review import groups
from snoopsync.review.entry import Entry
from snoopsync.review.server import entrance, open_listener, opened_in_browser
from tests.support.page_client import PageClient


def test_a_port_that_is_in_use_is_an_error_that_says_what_to_do() -> None:
    with closing(open_listener(Address("127.0.0.1", 0))) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(SnoopsyncError, match=r"in use; another review page .* --listen"):
            open_listener(Address("127.0.0.1", port))


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_the_entrance_has_the_address_and_the_token(host: str) -> None:
    try:
        listener = open_listener(Address(host, 0))
    except SnoopsyncError as error:
        pytest.skip(str(error))
    with closing(listener):
        port = listener.getsockname()[1]
        entry = Entry(port, lambda: 0.0)
        name = f"[{host}]" if ":" in host else host
        assert entrance(listener, entry) == f"http://{name}:{port}/enter?token={entry.token}"


def test_the_browser_gets_a_private_file_that_leads_to_the_page_and_is_removed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    opened: list[str] = []
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(webbrowser, "open", opened.append)
    with opened_in_browser('http://127.0.0.1:1/enter?token="x&y'):
        [url] = opened
        path = Path(unquote(urlsplit(url).path))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert "token" not in url
        assert "url=http://127.0.0.1:1/enter?token=&quot;x&amp;y" in path.read_text()
    assert not path.parent.exists()


def test_without_windows_no_browser_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(webbrowser, "open", lambda _url: pytest.fail("a browser was opened"))
    with opened_in_browser("http://127.0.0.1:1/"):
        pass


def test_a_bug_is_answered_with_a_sentence_and_no_traceback(
    client: PageClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(groups.GroupLists, "page", fail)
    answer = client.send("GET", "/api/groups")
    assert answer.status_code == 500
    assert "bug in snoopsync" in answer.json()["error"]
    assert "secret detail" not in answer.text
    assert client.send("GET", "/api/changes").status_code == 200
