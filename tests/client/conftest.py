"""What the tests of the HTTP client start from."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from snoopsync.client.collection import Collection
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer


@pytest.fixture
def client(server: CollectionServer) -> Iterator[Collection]:
    """A client of the server, with its keys."""
    with Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as collection:
        yield collection


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name.endswith(("CA_BUNDLE", "CERT_FILE")):
            monkeypatch.delenv(name)
