"""The listing of the collection shows which images are missing."""

from __future__ import annotations

import pytest

from snoopsync.cli.exit_codes import of_resync
from tests.support.world import Shelf, World
from tests.sync.helpers import A, B, ids, mirror


@pytest.fixture
def world(either_world: World) -> World:
    return either_world


def test_an_image_that_another_program_deleted_is_sent_again(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.remote.remove(before["a.jpg"])
    report = world.resync()
    assert report.summary.added == 1
    world.check_mirrored()
    assert ids(world) == before


def test_an_image_without_a_file_in_neither_place_is_forgotten(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.remote.remove(before["a.jpg"])
    world.disk.remove("a.jpg")
    world.resync()
    assert world.remote.changes() == []
    world.check_mirrored()


def test_an_incomplete_listing_sends_nothing(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    shelf = world.remote.server.collection
    assert isinstance(shelf, Shelf)
    shelf.hidden.add(before["a.jpg"])
    report = world.resync()
    assert of_resync(report) == 0
    assert world.remote.changes() == []
    assert ids(world) == before
