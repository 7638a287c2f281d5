"""A browser for the tests of the review page, and a folder of pictures that it is opened for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol

import pytest

from tests.review.browser.archive import Archive
from tests.support import browser as browsers
from tests.support.browser import Browser
from tests.support.process import Installation
from tests.support.reviewing import Reviewed, reviewing


class OpenReview(Protocol):
    """Starts the review page of an installation, the archive's if none is given, enters it with the
    window, and opens this path."""

    def __call__(
        self, path: str = "/", *, installation: Installation | None = None, trash: bool = False
    ) -> Reviewed: ...


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """One browser for all tests of a process: it takes a second to start."""
    why = browsers.missing()
    if why is not None:
        pytest.skip(why)
    with browsers.browser(tmp_path_factory.mktemp("profile")) as started:
        yield started


@pytest.fixture
def window(chromium: Browser) -> Iterator[Browser]:
    """The browser with an empty window. At the end of a test it has nothing to complain about:
    no error of a script, no violation of the content policy."""
    chromium.open("about:blank")
    chromium.resize(1400, 900)
    chromium.prefer("dark")
    chromium.complaints()
    yield chromium
    assert chromium.complaints() == []


@pytest.fixture
def archive(tmp_path: Path) -> Archive:
    """A folder of pictures, which is mirrored into a collection of its own."""
    return Archive(Installation(tmp_path))


@pytest.fixture
def open_review(window: Browser, archive: Archive) -> Iterator[OpenReview]:
    """Starts the page for the archive as it is, and enters it with the window."""
    with ExitStack() as stack:

        def start(
            path: str = "/", *, installation: Installation | None = None, trash: bool = False
        ) -> Reviewed:
            home = installation or archive.installation
            reviewed = stack.enter_context(reviewing(home, trash=trash))
            window.open(reviewed.entrance)
            window.see("main")
            if path != "/":
                window.open(reviewed.address + path)
            return reviewed

        yield start
        # The page must not ask a server that has stopped.
        window.open("about:blank")
