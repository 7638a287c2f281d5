"""``serve import`` and ``serve export``, as users run them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import psycopg
import pytest

from snoopsync.client.collection import Collection
from snoopsync.core.exits import Exit
from tests.support.hosted import hosted_process
from tests.support.pictures import encode, photo
from tests.support.postgres import Cluster
from tests.support.process import Installation, Service

pytestmark = pytest.mark.integration


@pytest.fixture
def url(cluster: Cluster) -> str:
    return cluster.new_database()


def add_picture(home: Installation, data: Path) -> dict[str, str]:
    """A collection with one picture of another machine, and its keys."""
    key: dict[str, str] = home.json("keys", "add", "family", "--data", data, "--json")[0]
    with (
        hosted_process(home, data) as (_, endpoint),
        Collection(key["public_key"], key["secret_key"], endpoint) as collection,
    ):
        collection.add_image(io.BytesIO(encode(photo(0), quality=60)), "other.1")
    return key


def uploads(service: Service) -> list[str]:
    """The lines in the log of a service about pictures that it received."""
    return [line for line in service.lines if re.search(r"(POST|PUT) \S*/image", line)]


def test_a_daemon_whose_collection_moves_to_a_database_sends_nothing_again(
    home: Installation, data: Path, url: str
) -> None:
    key = add_picture(home, data)
    keys = (key["public_key"], key["secret_key"])
    with hosted_process(home, data) as (service, endpoint):
        home.configure_keys(endpoint, *keys)
        [first] = home.json("resync", "--json")
        assert first["added"] == len(uploads(service)) == 3
        duplicates = home.json("duplicates", "--pairs", "--json")
        assert len(duplicates) == 1
        with Collection(*keys, endpoint) as collection:
            listing = list(collection.images())
    out = home.ok("serve", "import", "--data", data, "--database", url)
    assert "family: 4 images verified, 4 of them moved now, digest " in out
    with hosted_process(home, data, "--database", url) as (service, endpoint):
        home.configure_keys(endpoint, *keys)
        [second] = home.json("resync", "--json")
        assert second["unchanged"] == 3
        assert not any(second[name] for name in ("added", "updated", "deleted", "adopted"))
        assert home.json("duplicates", "--pairs", "--json") == duplicates
        assert home.json("status", "--json")[0]["to_compare"] == 0
        with Collection(*keys, endpoint) as collection:
            assert list(collection.images()) == listing
            [same, *_] = collection.search_images(io.BytesIO(encode(photo(0), quality=60)))[
                "results"
            ]
            assert same["id"] == "other.1"
        assert not uploads(service)


def test_an_export_can_be_served(home: Installation, data: Path, url: str) -> None:
    key = add_picture(home, data)
    home.ok("serve", "import", "--data", data, "--database", url)
    master, back = data / "master.key", home.home / "back"
    [moved] = home.json(
        *("serve", "export", "--database", url, "--data", back, "--json"),
        *("--master-key", master),
    )
    assert (moved["collection_name"], moved["images"], moved["moved"]) == ("family", 1, 1)
    with (
        hosted_process(home, back) as (_, endpoint),
        Collection(key["public_key"], key["secret_key"], endpoint) as collection,
    ):
        assert [each["id"] for each in collection.images()] == ["other.1"]


def test_a_move_needs_both_sides_for_itself_and_equal_in_the_end(
    home: Installation, data: Path, url: str
) -> None:
    add_picture(home, data)
    command = ("serve", "import", "--data", data, "--database", url)
    assert home.run("serve", "import", "--data", data).code == Exit.USAGE
    with hosted_process(home, data):
        done = home.run(*command)
        assert done.code == Exit.LOCKED
        assert "in use by another snoopsync" in done.err
    home.ok(*command)
    with hosted_process(home, data, "--database", url):
        done = home.run(*command)
        assert done.code == Exit.LOCKED
        assert "stop them" in done.err
    with psycopg.connect(url) as connection:
        connection.execute("UPDATE snoopsync.image SET quality = quality + 1")
    done = home.run(*command)
    assert done.code == Exit.BUG
    assert "the images of the collection family" in done.err
