"""Each engine of the storage, with one way to look behind it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Protocol

import psycopg
import pytest

from snoopsync.storage.hosting import Hosting
from snoopsync.storage.images import ImageStore
from snoopsync.storage.postgres.registry import PostgresHosting
from snoopsync.storage.sqlite.registry import SqliteHosting, collection_path
from tests.support.postgres import Cluster

ENGINES = ["sqlite", "postgres"]


class Engine(Protocol):
    """A place for collections, which any number of processes may open."""

    def open(self) -> Hosting:
        """Open it as one more process."""
        ...

    def execute(self, statement: str) -> None:
        """Change the tables of the only collection behind the back of all processes."""


class SqliteEngine:
    """A directory."""

    def __init__(self, data: Path) -> None:
        self.data = data

    def open(self) -> Hosting:
        return SqliteHosting(self.data, 0.0)

    def execute(self, statement: str) -> None:
        [directory] = (self.data / "collections").iterdir()
        path = collection_path(self.data, directory.name)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute(statement)


class PostgresEngine:
    """A database."""

    def __init__(self, url: str) -> None:
        self.url = url

    def open(self) -> Hosting:
        return PostgresHosting(self.url)

    def execute(self, statement: str) -> None:
        with psycopg.connect(self.url) as connection:
            connection.execute("SET search_path TO snoopsync")
            connection.execute(statement)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, data: Path) -> Engine:
    if request.param == "sqlite":
        return SqliteEngine(data)
    cluster: Cluster = request.getfixturevalue("cluster")
    return PostgresEngine(cluster.new_database())


@pytest.fixture
def hosting(engine: Engine) -> Iterator[Hosting]:
    with closing(engine.open()) as hosting:
        yield hosting


@pytest.fixture
def stores(engine: Engine) -> Iterator[list[ImageStore]]:
    """Two processes' views of one collection."""
    with ExitStack() as stack:
        opened = [stack.enter_context(closing(engine.open())) for _ in range(2)]
        opened[0].add_key("pictures")
        [collection] = opened[0].collections()
        yield [stack.enter_context(closing(each.images(collection))) for each in opened]


@pytest.fixture
def store(stores: list[ImageStore]) -> ImageStore:
    return stores[0]
