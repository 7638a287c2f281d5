"""How to give up a disk below a folder that is gone for good."""

from __future__ import annotations

import pytest
import yaml

from snoopsync.core.retiring import disk_gone, exclude_pattern
from snoopsync.core.selection import Selection


@pytest.mark.parametrize("directory", [b"card", b"my card", b"it's", b"a/b", b"a*b", b"a[1]?"])
def test_the_pattern_excludes_exactly_the_directory(directory: bytes) -> None:
    pattern = yaml.safe_load(exclude_pattern(directory))
    selection = Selection(None, (pattern,))
    assert not selection.enters(directory)
    assert selection.enters(directory + b"x")
    assert selection.enters(b"above/" + directory)


def test_the_advice_has_the_pattern_and_the_command() -> None:
    advice = disk_gone(b"it's")
    assert "add '/it''s/' to the folder's exclude" in advice
    assert "snoopsync resync --prune" in advice
