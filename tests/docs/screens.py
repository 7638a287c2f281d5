"""Draws the terminals in ``docs/images``: ``python -m tests.docs.screens``.

Everything on them is real output. Only the home directory has another name.
"""

from __future__ import annotations

import io
import re
import shlex
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from tests.support.paths import ROOT
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.terminal import LINK, Terminal

IMAGES = ROOT / "docs" / "images"

#: The terminals that are drawn.
DRAWN = ("run", "status")

COLUMNS = 100

#: The name that the home directory has on the pictures.
HOME = "/home/ada"

NAMES = [
    *("beach", "harbour", "market", "garden", "bridge", "station"),
    *("dunes", "lighthouse", "mill", "meadow", "orchard", "quay"),
]

SIZE = (1200, 900)

#: What moves the cursor, hides it or clears a line; colours end in "m".
NOT_COLOUR = re.compile(r"\x1b\[[0-9;?]*[A-Za-ln-z]")


def visible(written: str) -> str:
    """What stays on the screen of all that was written there: a progress bar is overwritten."""
    screen: list[str] = []
    for line in LINK.sub("", written).replace("\r\n", "\n").split("\n"):
        if screen and "\x1b[1A" in line:
            screen.pop()
        screen.append(NOT_COLOUR.sub("", re.split(r"\r|\x1b\[2K", line)[-1]))
    return "\n".join(screen)


def prompt(*arguments: str) -> str:
    """The line with which a person starts a command."""
    return f"\x1b[1m$ snoopsync {shlex.join(arguments)}\x1b[0m\n"


class Story:
    """A home directory with pictures, and what its terminals show."""

    def __init__(self, directory: Path) -> None:
        self.home = Installation(directory)
        self.pictures = self.home.pictures.rename(directory / "Pictures")
        for seed, name in enumerate(NAMES):
            (self.pictures / f"{name}.jpg").write_bytes(encode(photo(seed, SIZE)))

    def screens(self) -> dict[str, str]:
        """The text on each terminal, with its colours. While the service runs, a picture is copied,
        shrunk and rotated, the copy is renamed, and another picture is copied."""
        with Terminal(self.home, "run", "Pictures", columns=COLUMNS) as service:
            until(lambda: "12 added" in service.text)
            copy = photo(0, SIZE).rotate(90, expand=True).resize((450, 600))
            (self.pictures / "small.webp").write_bytes(encode(copy, "WEBP"))
            until(lambda: len(self.duplicates()) == 1)
            (self.pictures / "small.webp").rename(self.pictures / "holiday.webp")
            until(lambda: "holiday.webp" in service.text)
            run = self.visible(prompt("run", "Pictures") + service.text)
            market = (self.pictures / "market.jpg").read_bytes()
            (self.pictures / "copy of market.jpg").write_bytes(market)
            until(lambda: len(self.duplicates()) == 2 and self.home.is_in_sync())
            asked = [("status",), ("duplicates",), ("search", "Pictures/beach.jpg")]
            status = "".join(self.answer(*each) for each in asked)
            pair = ("Pictures/beach.jpg", "Pictures/holiday.webp")
            dismiss = self.answer("duplicates", "dismiss", *pair)
            return {"run": run, "status": status, "dismiss": dismiss}

    def duplicates(self) -> list[object]:
        """The pairs that are known."""
        return self.home.json("duplicates", "--json")

    def answer(self, *arguments: str) -> str:
        """What a command shows, below its prompt."""
        written = Terminal(self.home, *arguments, columns=COLUMNS).end()
        return self.visible(prompt(*arguments) + written)

    def visible(self, written: str) -> str:
        """What stays on the screen, with another name for the home directory."""
        return visible(written).replace(str(self.home.home), HOME)


def svg(name: str, text: str) -> str:
    """A picture of a terminal with this text. It loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO())
    console.print(Text.from_ansi(text.rstrip() + "\n"))
    picture = console.export_svg(title="snoopsync", unique_id=name)
    return re.sub(r" *@font-face \{.*?\}\n", "", picture, flags=re.DOTALL)


def screens() -> dict[str, str]:
    """The text on each terminal, by its name."""
    # A short path: the table of folders is as wide as the terminal.
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        return Story(Path(directory)).screens()


def main() -> None:
    """Draw them."""
    shown = screens()
    for name in DRAWN:
        (IMAGES / f"{name}.svg").write_text(svg(name, shown[name]))


if __name__ == "__main__":
    main()
