"""The fixtures of this package."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import ServedWorld, Shelf, World


@pytest.fixture(params=[True, False], ids=["tells content", "tells no content"])
def either_world(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[World]:
    """With a collection that gives a match's SHA-256, and with one that gives its rank alone."""
    with ServedWorld(tmp_path, Shelf(tells_content=request.param)) as world:
        yield world
