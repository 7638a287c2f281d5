"""Where the tests store collections."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "collection.sqlite3"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
