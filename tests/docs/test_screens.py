"""The terminals in ``docs/images`` and in ``docs/duplicates.md`` show what snoopsync prints."""

from __future__ import annotations

import html
import re

import pytest

from tests.docs.screens import DRAWN, HOME, IMAGES, screens, svg
from tests.support.documentation import PAGES, blocks
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

pytestmark = pytest.mark.integration


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
def test_a_screenshot_shows_the_printed_text(shown: dict[str, str], name: str) -> None:
    """If the output has changed: ``python -m tests.docs.screens`` draws the pictures again."""
    before = (IMAGES / f"{name}.svg").read_text()
    assert words(drawn(before)) == words(drawn(svg(name, shown[name])))


def test_the_page_about_duplicates_shows_the_printed_text(shown: dict[str, str]) -> None:
    examples = blocks(PAGES["duplicates"], "console")
    assert examples
    for block in examples:
        assert words(block) in words("".join(shown.values()))


#: Findings of ``check`` that depend on the machine.
ABOUT_THE_MACHINE = ("decoders:", "extras:", "inotify ", "libraries:")


@pytest.fixture(scope="module")
def checked(tmp_path_factory: pytest.TempPathFactory) -> str:
    """What ``check`` prints about two folders: one has files that are left out, the other one is
    empty, as if its disk was not mounted."""
    home = Installation(tmp_path_factory.mktemp("home"))
    pictures, scans = home.pictures.rename(home.home / "Pictures"), home.home / "Scans"
    for directory in (scans, *(pictures / year for year in ("2023", "2024", "2025"))):
        directory.mkdir()
        (directory / "picture.jpg").write_bytes(encode(photo(len(directory.name))))
    for number in range(3):
        (pictures / f"link{number}.jpg").symlink_to("/etc/hosts")
    for name in ("._a.jpg", "._b.jpg", "._c.jpg", *(f"{number}.svg" for number in range(12))):
        (pictures / name).write_bytes(b"x")
    for name in (".trash", "@eaDir"):
        (pictures / name).mkdir()
    for number in range(8):
        (pictures / f"{number}.x3f").write_bytes(b"x")
    home.configure(folders=f"folders: [{{path: {pictures}}}, {{path: {scans}}}]\n")
    with home.running():
        scans.rename(home.home / "aside")
        scans.mkdir()
        until(lambda: home.status()["folders"][1]["state"] == "missing")
        text = home.run("check").out
    for ours, theirs in (("config", ".config"), ("state", ".local/state")):
        text = text.replace(str(home.home / ours / "snoopsync"), f"{home.home}/{theirs}/snoopsync")
    return text.replace(str(home.home), HOME)


@pytest.mark.parametrize("page", ["operating", "left-out"])
def test_the_pages_show_the_output_of_check(checked: str, page: str) -> None:
    [example] = [block for block in blocks(PAGES[page], "console") if "snoopsync check" in block]
    printed = [words(line) for line in checked.splitlines()]
    for line in example.splitlines()[1:]:
        if not any(each in line for each in ABOUT_THE_MACHINE):
            assert words(line) in printed
