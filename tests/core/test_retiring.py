"""How to give up a disk below a folder that is gone for good."""

from __future__ import annotations

import pytest

from snoopsync.core.retiring import disk_gone, exclude_pattern
from snoopsync.core.selection import Selection


@pytest.mark.parametrize("directory", [b"usb", b"a/b c", b"*", b"x[1]?", b"back\\slash", b"it's"])
def test_the_pattern_matches_this_directory_and_no_other(directory: bytes) -> None:
    text = exclude_pattern(directory)
    assert (text[0], text[-1]) == ("'", "'")
    selection = Selection(None, (text[1:-1].replace("''", "'"),))
    assert not selection.enters(directory)
    assert selection.enters(b"x1")
    assert selection.enters(b"below/" + directory)


def test_the_advice_has_the_pattern_and_the_command() -> None:
    advice = disk_gone(b"it's")
    assert "add '/it''s/' to the folder's exclude" in advice
    assert "snoopsync resync --prune" in advice
