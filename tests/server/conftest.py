"""What the tests of the hosted collection start from."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process import Installation


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """A home directory without a configuration."""
    return Installation(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of ``serve``."""
    return tmp_path / "data"
