"""What many tests start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.world import ServedWorld, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Folders, a state file and a collection behind HTTP; one folder, ``photos``, is configured."""
    with ServedWorld(tmp_path) as world:
        yield world
