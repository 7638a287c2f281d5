"""A collection on loopback that can fail in every way, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.embedded import EmbeddedCollection
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CollectionServer]:
    with (
        closing(EmbeddedCollection(tmp_path / "c.sqlite3")) as stored,
        CollectionServer(stored) as running,
    ):
        yield running


@pytest.fixture
def client(server: CollectionServer) -> Iterator[Collection]:
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as collection:
        yield collection
