"""The terminals in ``docs/images`` and in ``docs/duplicates.md`` show what snoopsync prints."""

from __future__ import annotations

import html
import re

import pytest

from tests.docs.screens import DRAWN, IMAGES, screens, svg
from tests.documentation import PAGES, blocks


@pytest.fixture(scope="module")
def shown() -> dict[str, str]:
    return screens()


def words(text: str) -> str:
    """The words of a text. What differs between two runs, or two machines, is the same."""
    text = re.sub(r"\x1b\[[0-9;]*m", "", text)
    text = re.sub(r"[a-z0-9-]+\.[A-Za-z0-9_-]{27}", "ID", text)
    text = re.sub(r"\(\w+: changes", "(ext4: changes", text)
    return " ".join(re.sub(r"[0-9]+", "0", text).split())


def drawn(picture: str) -> str:
    """The text of an SVG."""
    texts = re.findall(r"<text [^>]*>(.*?)</text>", picture)
    return " ".join(html.unescape(each) for each in texts)


@pytest.mark.parametrize("name", DRAWN)
def test_a_picture_shows_what_is_printed(shown: dict[str, str], name: str) -> None:
    """If the output has changed: ``python -m tests.docs.screens`` draws the pictures again."""
    before = (IMAGES / f"{name}.svg").read_text()
    assert words(drawn(before)) == words(drawn(svg(name, shown[name])))


def test_the_page_about_duplicates_shows_what_is_printed(shown: dict[str, str]) -> None:
    examples = blocks(PAGES["duplicates"], "console")
    assert examples
    for block in examples:
        assert words(block) in words("".join(shown.values()))
