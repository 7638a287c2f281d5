"""The progress bar on a terminal."""

from __future__ import annotations

import re

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.terminal import ANSI, Terminal

pytestmark = pytest.mark.integration


def test_a_progress_bar_stays_below_the_log(home: Installation) -> None:
    for seed in range(40):
        (home.pictures / f"n{seed}.jpg").write_bytes(encode(photo(100 + seed)))
    home.environment["COLUMNS"] = "100"
    with Terminal(home, "-v", "run") as terminal:
        until(lambda: "sync complete" in terminal.text)
        bar = ANSI.sub("", terminal.text)
        # On a quick machine all is sent before there is a rate, and a time that is left.
        assert re.search(r"sending .*\d+/43 +(\d+/s +\d+:\d\d:\d\d|-:--:--)", bar)
        # Each line of the log begins a line of the terminal, which was wiped before.
        written = re.split(r"[\r\n]", terminal.text)
        logged = [ANSI.sub("", line) for line in written if re.search(r"info  |debug  ", line)]
        assert len(logged) > 40
        for line in logged:
            assert re.match(r"\d{4}-\d\d-\d\d ", line), line
        # It goes away when the comparison is done.
        after = terminal.text.partition("sync complete")[2]
        assert "sending" not in after
        assert "\x1b[?25h" in terminal.text
