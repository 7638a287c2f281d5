"""What the tests of the HTTP client start from."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from snoopsync.client.collection import Collection
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer


@pytest.fixture
def client(server: CollectionServer) -> Iterator[Collection]:
    """A client of the server, with its keys."""
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as collection:
        yield collection
