"""``image_times`` has the same IDs with and without a listing in pages."""

from __future__ import annotations

import io
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.protocol import ImageCollection
from snoopsync.embedded import EmbeddedCollection, open_embedded
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.pictures import encode, photo

IDS = {"plain", "with space", "ünï", 'quote"\\', "line\nbreak", "nul\0", "\U0001f4f7"}


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[EmbeddedCollection]:
    with closing(open_embedded(tmp_path / "collection.sqlite3")) as collection:
        for number, image_id in enumerate(sorted(IDS)):
            picture = encode(photo(number, (32, 24)))
            collection.add_image(io.BytesIO(picture), image_id)
        yield collection


@pytest.fixture(params=["embedded", "retrying", "remote"])
def collection(
    request: pytest.FixtureRequest, embedded: EmbeddedCollection
) -> Iterator[ImageCollection]:
    if request.param == "embedded":
        yield embedded
    elif request.param == "retrying":
        yield RetryingCollection(embedded)
    else:
        with (
            CollectionServer(embedded) as server,
            Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint) as client,
        ):
            yield RetryingCollection(client)


def test_image_times_has_the_ids_of_the_listing(collection: ImageCollection) -> None:
    named = RetryingCollection(collection).image_times()
    assert set(named) == IDS == {image["id"] for image in collection.images()}


def test_an_empty_collection_has_no_ids(tmp_path: Path) -> None:
    with closing(open_embedded(tmp_path / "collection.sqlite3")) as collection:
        assert RetryingCollection(collection).image_times() == {}


def test_the_commands_start_without_requests() -> None:
    """requests takes as long to import as the rest. The embedded collection does not need it."""
    program = "import sys, snoopsync.cli; sys.exit('requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], check=True)
