"""The state file is lost, wholly or in part: disk and collection are enough to go on from."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from snoopsync.core.protocol import ImageCollection
from snoopsync.embedded import open_embedded
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.runtime.workers import Workers
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, Hang, answers
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.world import ServedWorld, Shelf, World, fake_picture
from tests.sync.helpers import A, B, C, D, ids, mirror


@pytest.fixture
def world(either_world: World) -> World:
    return either_world


def test_without_its_state_a_resync_finds_every_image_again(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "deep/er/b.jpg": B, "c.jpg": C})
    world.lose_state()
    report = world.resync()
    assert (report.summary.adopted, report.summary.added, report.orphans) == (3, 0, 0)
    assert ids(world) == before
    assert world.remote.changes() == []
    world.check_mirrored()


def test_without_its_state_a_running_service_finds_every_image_again(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    with world.running() as live:
        live.rest()
    assert ids(world) == before
    assert world.remote.changes() == []


class ForbiddingDisk(Disk):
    """One file can't be read."""

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        if root.absolute(path).endswith(b"/secret.jpg"):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return super().open(root, path)


def test_an_unreadable_file_delays_no_other(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "secret.jpg": B})
    world.lose_state()
    world.disk_edge = ForbiddingDisk()
    report = world.resync()
    assert (report.summary.adopted, report.summary.failed) == (1, 1)
    assert ids(world)["a.jpg"] == before["a.jpg"]


def test_a_folder_that_is_back_after_its_state_was_lost_finds_its_images_again(
    tmp_path: Path,
) -> None:
    home = Installation(tmp_path)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    with CollectionServer(Shelf()) as server:
        home.configure_service(server.endpoint, PUBLIC_KEY)
        for number in range(3):
            (home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))
        home.ok("resync")
        for number in range(3):  # so that their IDs are not those of their places
            (home.pictures / f"{number}.jpg").rename(home.pictures / f"other-{number}.jpg")
        home.ok("resync")
        before = dict(server.contents)
        shutil.rmtree(home.state.parent)
        away = home.pictures.rename(tmp_path / "away")
        with home.running() as service:
            away.rename(home.pictures)
            service.line_with("is back")
            until(home.is_in_sync)
        assert server.contents == before


def test_a_damaged_state_file_is_rebuilt_like_a_lost_one(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.state_path.write_bytes(b"no database" * 1000)
    world.resync()
    assert ids(world) == before
    assert world.remote.changes() == []


def test_a_file_that_was_renamed_before_the_loss_keeps_its_id(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B, "album/c.jpg": C})
    world.disk.rename("a.jpg", "z.jpg")
    world.disk.rename("album", "moved")
    world.resync()
    world.remote.forget_requests()
    world.lose_state()
    world.resync()
    assert ids(world) == {
        "z.jpg": before["a.jpg"],
        "b.jpg": before["b.jpg"],
        "moved/c.jpg": before["album/c.jpg"],
    }
    assert world.remote.changes() == []


def test_a_file_that_is_renamed_after_the_loss_keeps_its_id(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    world.disk.rename("a.jpg", "z.jpg")
    world.resync()
    assert ids(world) == {"z.jpg": before["a.jpg"], "b.jpg": before["b.jpg"]}
    assert world.remote.changes() == []


def test_a_file_that_changed_after_the_loss_is_sent_under_its_id(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    world.disk.write("a.jpg", C)
    world.resync()
    world.check_mirrored()
    assert ids(world) == before
    assert [(seen.method, seen.image_id) for seen in world.remote.changes()] == [
        ("PUT", before["a.jpg"])
    ]


def test_a_new_picture_at_the_path_of_a_renamed_one_is_distinguished_from_it(world: World) -> None:
    mirror(world, {"a.jpg": A, "b.jpg": B})
    world.disk.rename("a.jpg", "z.jpg")
    world.disk.write("a.jpg", C)
    world.resync()
    before = ids(world)
    world.remote.forget_requests()
    world.lose_state()
    world.resync()
    assert ids(world) == before
    assert world.remote.changes() == []


def test_each_of_several_copies_gets_its_own_image_back(world: World) -> None:
    before = mirror(world, {f"{number}/copy.jpg": A for number in range(6)})
    world.lose_state()
    world.resync()
    assert ids(world) == before
    assert world.remote.changes() == []


def test_a_file_that_was_removed_after_the_loss_is_left_for_prune(world: World) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    world.disk.remove("a.jpg")
    assert world.resync().orphans == 1
    assert world.remote.changes() == []

    report = world.resync(prune=True)
    assert (report.summary.deleted, report.orphans) == (1, 0)
    assert world.remote.ids() == {before["b.jpg"]}


def test_an_old_copy_of_the_state_is_brought_up_to_date(world: World, tmp_path: Path) -> None:
    mirror(world, {"kept.jpg": A, "renamed.jpg": B, "removed.jpg": C, "edited.jpg": D})
    shutil.copytree(world.state_path.parent, tmp_path / "backup")
    world.disk.rename("renamed.jpg", "z.jpg")
    world.disk.remove("removed.jpg")
    world.disk.write("edited.jpg", fake_picture(10))
    world.disk.write("new.jpg", fake_picture(11))
    world.disk.write("renamed.jpg", fake_picture(12))
    world.resync()
    world.check_mirrored()
    before = ids(world)
    world.remote.forget_requests()

    world.lose_state()
    shutil.copytree(tmp_path / "backup", world.state_path.parent)
    world.resync()
    world.check_mirrored()
    assert ids(world) == before
    assert {seen.image_id for seen in world.remote.changes()} <= {before["edited.jpg"]}


def test_lost_records_are_adopted_and_others_stay(world: World, tmp_path: Path) -> None:
    mirror(world, {"a.jpg": A})
    shutil.copytree(world.state_path.parent, tmp_path / "backup")
    before = mirror(world, {"b.jpg": B, "c.jpg": A})
    world.lose_state()
    shutil.copytree(tmp_path / "backup", world.state_path.parent)
    world.resync()
    assert ids(world) == before
    assert world.remote.changes() == []


def test_a_rename_and_a_lost_record_at_once_are_both_understood(
    world: World, tmp_path: Path
) -> None:
    mirror(world, {"a.jpg": A, "x.jpg": D})
    shutil.copytree(world.state_path.parent, tmp_path / "backup")
    before = mirror(world, {"b.jpg": B})
    world.lose_state()
    shutil.copytree(tmp_path / "backup", world.state_path.parent)
    world.disk.rename("a.jpg", "z.jpg")
    world.resync()
    assert ids(world) == {
        "z.jpg": before["a.jpg"],
        "b.jpg": before["b.jpg"],
        "x.jpg": before["x.jpg"],
    }
    assert world.remote.changes() == []


def test_everything_is_sent_to_another_collection_behind_the_same_endpoint(
    world: World,
) -> None:
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.remote.server.collection = Shelf()
    world.remote.server.contents.clear()
    report = world.resync()
    assert report.summary.added == 2
    world.check_mirrored()
    assert ids(world) == before


@pytest.fixture(scope="module")
def photos() -> list[bytes]:
    return [encode(photo(seed, (160, 120))) for seed in range(4)]


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[ImageCollection]:
    collection = open_embedded(tmp_path / "collection" / "collection.sqlite3")
    yield collection
    collection.close()


def test_real_pictures_are_found_again_by_searching(
    tmp_path: Path, embedded: ImageCollection, photos: list[bytes]
) -> None:
    with ServedWorld(tmp_path, embedded) as world:
        before = mirror(world, {f"{number}.jpg": data for number, data in enumerate(photos)})
        smaller = encode(photo(0, (80, 60)))
        before = mirror(world, {"smaller.jpg": smaller}) | before
        world.disk.rename("1.jpg", "album/renamed.jpg")
        world.lose_state()
        report = world.resync()
        assert report.summary.adopted == 5
        assert world.remote.changes() == []
        before["album/renamed.jpg"] = before.pop("1.jpg")
        assert ids(world) == before


def test_a_picture_that_was_saved_again_is_sent_though_it_looks_the_same(
    tmp_path: Path, embedded: ImageCollection, photos: list[bytes]
) -> None:
    """In its own place, and in another one: what is mirrored are the bytes."""
    with ServedWorld(tmp_path, embedded) as world:
        before = mirror(world, {"a.jpg": photos[0], "b.jpg": photos[1]})
        world.disk.write("a.jpg", photos[0] + bytes(9))
        world.disk.rename("b.jpg", "renamed.jpg")
        world.disk.write("renamed.jpg", photos[1] + bytes(9))
        world.lose_state()
        assert world.resync().summary.adopted == 0
        on_disk = world.on_disk()
        assert world.mirrored() == on_disk
        assert ids(world)["a.jpg"] == before["a.jpg"]


def test_a_collection_that_fails_during_a_resync_loses_no_id(world: World) -> None:
    """Without a whole comparison nothing new may be sent: it may be there under another ID."""
    before = mirror(world, {"a.jpg": A, "b.jpg": B})
    world.disk.rename("a.jpg", "z.jpg")
    world.lose_state()
    world.remote.server.fault_for = lambda seen: answers(500) if "/search" in seen.path else None
    with world.running() as live:
        for _ in range(20):
            live.step()
        assert world.remote.changes() == []
        world.remote.server.fault_for = lambda seen: None
        live.reconcile()
        live.rest()
    assert ids(world) == {"z.jpg": before["a.jpg"], "b.jpg": before["b.jpg"]}
    assert world.remote.changes() == []


def search_for(data: bytes, fault: Fault) -> Callable[[Seen], Fault | None]:
    """A service whose search for these bytes, and for nothing else, has this fault."""
    digest = hashlib.sha256(data).hexdigest()
    return lambda seen: fault if "/search" in seen.path and seen.sha256 == digest else None


def test_a_directory_that_was_away_when_the_state_was_lost_finds_its_images_again(
    world: World,
) -> None:
    before = mirror(world, {"a.jpg": A, "album/b.jpg": B, "album/c.jpg": C})
    world.disk.rename("album/b.jpg", "album/z.jpg")  # its ID is not that of its place
    world.resync()
    world.remote.forget_requests()
    world.lose_state()
    away = world.base / "away"
    (world.disk.root / "album").rename(away)
    with world.running() as live:
        live.rest()
        away.rename(world.disk.root / "elsewhere")
        live.settle()
    assert ids(world) == {
        "a.jpg": before["a.jpg"],
        "elsewhere/z.jpg": before["album/b.jpg"],
        "elsewhere/c.jpg": before["album/c.jpg"],
    }
    assert world.remote.changes() == []


def test_new_files_are_added_though_some_images_match_no_file(world: World) -> None:
    mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    world.disk.remove("a.jpg")
    with world.running() as live:
        live.rest()
        world.disk.write("new.jpg", C)
        live.settle()
        world.remote.forget_requests()
        world.disk.rename("new.jpg", "renamed.jpg")
        live.settle()
    assert world.remote.server.requests == []  # a rename sends nothing, not even a search
    assert world.mirrored() == world.on_disk()


@pytest.mark.parametrize("others", [0, 2])
def test_a_failed_search_delays_no_other_file(world: World, others: int) -> None:
    before = mirror(
        world, {"bad.jpg": A} | {f"{n}.jpg": fake_picture(10 + n) for n in range(others)}
    )
    world.lose_state()
    world.remote.server.fault_for = search_for(A, answers(500))
    report = world.resync()
    assert (report.trouble, report.summary.adopted) == (None, others)
    assert ids(world) == before  # at its place, it is its place's image
    world.check_mirrored()


def test_the_engine_works_while_it_searches(tmp_path: Path) -> None:
    with ServedWorld(tmp_path) as world:
        mirror(world, {"a.jpg": A, "b.jpg": B})
        world.lose_state()
        world.disk.remove("b.jpg")
        world.make_workers = Workers
        with world.running() as live:
            live.rest()
            hang = Hang()
            world.remote.server.fault_for = search_for(C, hang)
            world.disk.write("new.jpg", C)
            live.scan()
            live.until(hang.reached.is_set)
            world.disk.write("a.jpg", D)
            live.scan()
            live.until(lambda: world.remote.holds(D))  # in the midst of the search
            assert not world.remote.holds(C)
            hang.release()
            live.until(lambda: world.remote.holds(C))
            live.rest()


def test_a_failing_search_delays_only_new_files(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    mirror(world, {"a.jpg": A, "b.jpg": B})
    world.lose_state()
    world.disk.remove("b.jpg")
    with world.running() as live:
        live.rest()
        world.remote.server.fault_for = lambda seen: (
            answers(500) if "/search" in seen.path else None
        )
        world.disk.write("new.jpg", C)
        world.disk.write("a.jpg", D)
        live.scan()
        live.until(lambda: world.remote.holds(D))
        assert not world.remote.holds(C)
        live.until(lambda: "can't search" in caplog.text)
        world.remote.server.fault_for = lambda seen: None
        live.until(lambda: world.remote.holds(C))
        live.rest()
