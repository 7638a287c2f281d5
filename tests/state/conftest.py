"""An empty state file."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.state.database import Database
from snoopsync.state.images import State
from tests.support.duplicates import Duplicates


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the state file is."""
    return tmp_path / "state.sqlite3"


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    """The open state file."""
    with closing(Database(path)) as database:
        yield database


@pytest.fixture
def state(database: Database) -> State:
    """The images in the state file."""
    return State(database)


@pytest.fixture
def world(database: Database) -> Duplicates:
    """The duplicates in the state file."""
    return Duplicates(database)
