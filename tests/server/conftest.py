"""An installation, and a data directory for the service."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.process import Installation


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"
