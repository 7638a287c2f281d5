"""What the tests of the hosted collection start from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.server.http import ConnectionLimits
from snoopsync.server.uploads import RequestLimits
from tests.server.helpers import SHORT_SECONDS, SLOWLY
from tests.support.hosted import Hosted, hosted
from tests.support.process import Installation


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """A home directory without a configuration."""
    return Installation(tmp_path)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosted]:
    """A service that accepts pictures of at most 1 MiB."""
    with hosted(tmp_path_factory.mktemp("hosted"), RequestLimits(body_bytes=1 << 20)) as service:
        yield service


@pytest.fixture
def client(service: Hosted, request: pytest.FixtureRequest) -> Iterator[Collection]:
    """A client with a collection of its own."""
    with service.client(request.node.name[:100]) as client:
        yield client


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Hosted]:
    """A service with short timeouts."""
    connections = ConnectionLimits(seconds=SHORT_SECONDS, handshake_seconds=SHORT_SECONDS)
    limits = RequestLimits(body_bytes=1 << 20, body_seconds=2.0, pause_seconds=SHORT_SECONDS)
    with hosted(tmp_path / "data", limits, SLOWLY, connections) as service:
        yield service


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Hosted]:
    """A service with at most four connections, and three requests for each key."""
    connections = ConnectionLimits(connections=4)
    with hosted(
        tmp_path / "data", RequestLimits(requests_per_key=3), connections=connections
    ) as service:
        yield service
