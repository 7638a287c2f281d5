"""A collection in a real file, with a clock that the tests set."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from snoopsync.embedded import EmbeddedCollection, open_embedded


@dataclass
class Clock:
    """A clock that only tests advance."""

    time: datetime = datetime(2015, 1, 25, 20, 43, 5, 690218, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.time

    def advance(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "data" / "collection.sqlite3"


@pytest.fixture
def collection(database: Path, clock: Clock) -> Iterator[EmbeddedCollection]:
    opened = open_embedded(database, name="pictures", now=clock)
    yield opened
    opened.close()
