"""Two installations with the same owner and collection are noticed, and logged."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.planner import Verb
from snoopsync.embedded import open_embedded
from tests.support.pictures import encode, photo
from tests.support.world import ServedWorld, World

MINE, ALSO_MINE, THEIRS = (encode(photo(seed, (64, 48))) for seed in range(3))


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[World]:
    """Two pictures, mirrored into a collection that tells when an image was changed."""
    with (
        closing(open_embedded(tmp_path / "collection.sqlite3")) as collection,
        ServedWorld(tmp_path, collection) as world,
    ):
        world.disk.write("a.jpg", MINE)
        world.disk.write("b.jpg", ALSO_MINE)
        world.resync()
        world.remote.forget_requests()
        yield world


def change(world: World, image_id: str) -> None:
    """Another installation sends other bytes under our ID."""
    world.remote.server.collection.add_image(io.BytesIO(THEIRS), image_id, update_existing=True)


def test_an_image_that_another_program_changed_is_logged_and_sent_again(
    mirrored: World, caplog: pytest.LogCaptureFixture
) -> None:
    change(mirrored, mirrored.id_of("a.jpg"))
    plan = mirrored.rehearse()
    assert plan.lines == ((Verb.UPDATE, "photos/a.jpg", mirrored.id_of("a.jpg")),)
    caplog.clear()
    assert mirrored.resync().summary.updated == 1
    [said] = [record.getMessage() for record in caplog.records if "another program" in record.msg]
    assert "photos/a.jpg" in said
    assert "photos/b.jpg" not in said
    assert "owner tester" in said
    found = mirrored.remote.server.collection.search_images(io.BytesIO(MINE))["results"]
    assert [match["id"] for match in found if match["rank"] == 0] == [mirrored.id_of("a.jpg")]


def test_foreign_changes_are_logged_once(mirrored: World, caplog: pytest.LogCaptureFixture) -> None:
    change(mirrored, mirrored.id_of("a.jpg"))
    mirrored.resync()
    caplog.set_level(logging.WARNING)
    caplog.clear()
    mirrored.remote.forget_requests()
    assert mirrored.resync().summary.updated == 0
    assert mirrored.remote.changes() == []
    assert caplog.records == []


def test_our_own_changes_are_not_foreign_changes(mirrored: World) -> None:
    for data in (THEIRS, MINE):
        mirrored.disk.write("a.jpg", data)
        assert mirrored.resync().summary.updated == 1
        mirrored.remote.forget_requests()
        assert mirrored.resync().summary.updated == 0
        assert mirrored.remote.changes() == []


def test_another_format_of_times_in_a_listing_changes_nothing(
    mirrored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    collection = mirrored.remote.server.collection
    listing = collection.get_images

    def otherwise(start: str | None = None, count: int | None = None) -> object:
        page = listing(start, count)
        for image in page["images"]:
            image["image_time"] = image["image_time"].replace("+00:00", "Z")
        return page

    monkeypatch.setattr(collection, "get_images", otherwise)
    assert mirrored.resync().summary.updated == 0
    assert mirrored.remote.changes() == []
