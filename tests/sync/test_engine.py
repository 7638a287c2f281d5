"""The engine mirrors folders, and a renamed file keeps its image."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.core.planner import Verb
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.watching.watcher import Watcher
from tests.support.faults import answers
from tests.support.world import (
    DiskFolder,
    ToldWatcher,
    World,
    fake_picture,
    while_running,
    while_stopped,
)
from tests.sync.helpers import A, B, C, D, crash_while_sending, mirror

Meanwhile = Callable[[World], AbstractContextManager[None]]


@pytest.fixture(params=[while_stopped, while_running], ids=["stopped", "live"])
def meanwhile(request: pytest.FixtureRequest) -> Meanwhile:
    """Every rule about changes holds for those that are seen live and for those that are not."""
    how: Meanwhile = request.param
    return how


def test_a_resync_mirrors_everything_and_a_second_one_does_nothing(world: World) -> None:
    for number in range(5):
        world.disk.write(f"album-{number % 2}/{number}.jpg", fake_picture(number))
    report = world.resync()
    assert (of_resync(report), report.summary.added) == (0, 5)
    world.check_mirrored()

    world.remote.forget_requests()
    report = world.resync()
    assert (report.summary.scanned, report.summary.unchanged) == (5, 5)
    assert world.remote.changes() == []


def test_new_changed_and_removed_files_are_mirrored(world: World, meanwhile: Meanwhile) -> None:
    mirror(world, changed=A, removed=B, kept=C)
    with meanwhile(world):
        world.disk.write("new.jpg", D)
        world.disk.write("changed.jpg", fake_picture(9))
        world.disk.remove("removed.jpg")
    world.check_mirrored()
    assert len(world.remote.uploads()) == 2
    assert len(world.remote.deletes()) == 1


def test_images_of_others_are_left_alone(world: World) -> None:
    world.remote.add("somebody.else", A)
    world.remote.add("testers-not", B)
    mirror(world, a=A)
    world.resync(prune=True)
    assert {"somebody.else", "testers-not"} <= world.remote.ids()


def test_a_renamed_file_keeps_its_id_and_sends_nothing(world: World, meanwhile: Meanwhile) -> None:
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.rename("a.jpg", "album/z.jpg")
    world.check_mirrored()
    assert world.id_of("album/z.jpg") == ids["a.jpg"]
    assert world.remote.changes() == []


def test_a_file_moved_to_another_folder_keeps_its_id(world: World, meanwhile: Meanwhile) -> None:
    other = world.add_folder("scans")
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.rename("a.jpg", "a.jpg", other)
    world.check_mirrored()
    assert world.id_of("a.jpg", "scans") == ids["a.jpg"]
    assert world.remote.changes() == []


def test_a_file_moved_by_copying_and_removing_keeps_its_id(world: World) -> None:
    """As `mv` does between file systems: another inode, the same bytes."""
    ids = mirror(world, a=A, b=B)
    world.disk.copy("a.jpg", "album/a.jpg")
    world.disk.remove("a.jpg")
    world.resync()
    world.check_mirrored()
    assert world.id_of("album/a.jpg") == ids["a.jpg"]
    assert world.remote.changes() == []


def test_a_touched_and_renamed_file_keeps_its_id(world: World, meanwhile: Meanwhile) -> None:
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.rename("a.jpg", "c.jpg")
        world.disk.touch("c.jpg")
    assert world.id_of("c.jpg") == ids["a.jpg"]
    assert world.remote.changes() == []


def test_a_renamed_directory_keeps_every_id_and_sends_nothing(
    world: World, meanwhile: Meanwhile
) -> None:
    ids = mirror(world, old_a=A, old_deep_b=B, c=C)
    with meanwhile(world):
        world.disk.rename("old", "new/place")
    world.check_mirrored()
    assert world.id_of("new/place/a.jpg") == ids["old/a.jpg"]
    assert world.id_of("new/place/deep/b.jpg") == ids["old/deep/b.jpg"]
    assert world.remote.changes() == []


def test_a_directory_moved_to_another_folder_keeps_every_id(
    world: World, meanwhile: Meanwhile
) -> None:
    other = world.add_folder("scans")
    ids = mirror(world, old_a=A, old_deep_b=B, c=C)
    with meanwhile(world):
        world.disk.rename("old", "old", other)
    world.check_mirrored()
    assert world.id_of("old/deep/b.jpg", "scans") == ids["old/deep/b.jpg"]
    assert world.remote.changes() == []


def test_a_renamed_folder_that_is_configured_under_its_new_name_keeps_every_id(
    world: World,
) -> None:
    ids = mirror(world, a=A, deep_b=B)
    folder = world.folders.pop("photos")
    new = folder.path.with_name("pictures")
    folder.path.rename(new)
    world.folders["pictures"] = type(folder)("pictures", new)
    world.resync()
    world.check_mirrored()
    assert world.id_of("deep/b.jpg", "pictures") == ids["deep/b.jpg"]
    assert world.remote.changes() == []


def test_a_chain_of_renames_keeps_every_id(world: World, meanwhile: Meanwhile) -> None:
    ids = mirror(world, a=A, b=B, c=C)
    with meanwhile(world):
        world.disk.rename("c.jpg", "d.jpg")
        world.disk.rename("b.jpg", "c.jpg")
        world.disk.rename("a.jpg", "b.jpg")
    world.check_mirrored()
    moved = {"b.jpg": "a.jpg", "c.jpg": "b.jpg", "d.jpg": "c.jpg"}
    assert {new: world.id_of(new) for new in moved} == {new: ids[old] for new, old in moved.items()}
    assert world.remote.changes() == []


def test_under_a_new_owner_everything_is_added_and_the_old_images_are_left_alone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = mirror(world, a=A, b=B)
    for owner in ("zoe", "another"):  # one after the old one in the alphabet, and one before it
        monkeypatch.setattr("tests.support.world.OWNER", owner)
        world.disk.remove("b.jpg")
        world.disk.write("b.jpg", C if owner == "zoe" else D)
        world.resync()
        world.check_mirrored()
        assert world.id_of("a.jpg").startswith(f"{owner}.")
    world.disk.remove("a.jpg")
    world.resync()
    world.check_mirrored()
    assert world.remote.ids() >= set(old.values())


@pytest.mark.parametrize("ring", [["a", "b"], ["a", "b", "c"], ["a", "b", "c", "d"]])
def test_a_swap_or_a_cycle_keeps_every_id(
    world: World, meanwhile: Meanwhile, ring: list[str]
) -> None:
    ids = mirror(world, a=A, b=B, c=C, d=D)
    with meanwhile(world):
        world.disk.rename(f"{ring[0]}.jpg", "../aside")
        for name, after in zip(ring[1:], ring, strict=False):
            world.disk.rename(f"{name}.jpg", f"{after}.jpg")
        world.disk.rename("../aside", f"{ring[-1]}.jpg")
    world.check_mirrored()
    for name, after in zip(ring[1:], ring, strict=False):
        assert world.id_of(f"{after}.jpg") == ids[f"{name}.jpg"]
    assert world.id_of(f"{ring[-1]}.jpg") == ids[f"{ring[0]}.jpg"]
    assert world.remote.changes() == []


def test_a_cycle_keeps_every_id_though_one_file_has_a_second_link(
    world: World, meanwhile: Meanwhile
) -> None:
    world.disk.write("a.jpg", A)
    (world.disk.root / "link.jpg").hardlink_to(world.disk.root / "a.jpg")
    ids = mirror(world, b=B, c=C) | {name: world.id_of(name) for name in ("a.jpg", "link.jpg")}
    with meanwhile(world):
        world.disk.swap("a.jpg", "b.jpg")
        world.disk.swap("b.jpg", "c.jpg")
    world.check_mirrored()
    moved = {"a.jpg": "b.jpg", "b.jpg": "c.jpg", "c.jpg": "a.jpg", "link.jpg": "link.jpg"}
    assert {new: world.id_of(new) for new in moved} == {new: ids[old] for new, old in moved.items()}
    assert world.remote.changes() == []


def test_a_new_picture_where_a_renamed_one_was_gets_an_id_of_its_own(
    world: World, meanwhile: Meanwhile
) -> None:
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.rename("a.jpg", "z.jpg")
        world.disk.write("a.jpg", C)
    world.check_mirrored()
    assert world.id_of("z.jpg") == ids["a.jpg"]
    assert world.id_of("a.jpg") not in ids.values()
    assert len(world.remote.uploads()) == 1
    assert world.remote.deletes() == []


def test_a_copy_gets_an_id_of_its_own(world: World, meanwhile: Meanwhile) -> None:
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.copy("a.jpg", "copy.jpg")
    world.check_mirrored()
    assert world.id_of("a.jpg") == ids["a.jpg"]
    assert world.id_of("copy.jpg") not in ids.values()


def test_a_renamed_file_is_distinguished_from_a_copy(world: World, meanwhile: Meanwhile) -> None:
    """Both have the bytes; the one that has the inode is the picture."""
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.copy("a.jpg", "copy.jpg")
        world.disk.rename("a.jpg", "z.jpg")
    world.check_mirrored()
    assert world.id_of("z.jpg") == ids["a.jpg"]
    assert world.id_of("copy.jpg") not in ids.values()


def test_an_atomic_replace_keeps_the_id(world: World, meanwhile: Meanwhile) -> None:
    ids = mirror(world, a=A, b=B)
    with meanwhile(world):
        world.disk.replace("a.jpg", C)
    world.check_mirrored()
    assert world.id_of("a.jpg") == ids["a.jpg"]
    assert [seen.method for seen in world.remote.changes()] == ["PUT"]


def test_a_renamed_image_that_is_missing_in_the_collection_is_sent(world: World) -> None:
    ids = mirror(world, a=A, b=B)
    world.disk.rename("a.jpg", "z.jpg")
    world.remote.remove(ids["a.jpg"])
    world.resync()
    world.check_mirrored()
    assert world.id_of("z.jpg") == ids["a.jpg"]


@pytest.mark.integration
def test_ten_thousand_files_in_a_renamed_directory_send_no_byte(world: World) -> None:
    for number in range(100):
        directory = world.disk.root / "old" / f"{number:02}"
        directory.mkdir(parents=True)
        for name in range(100):
            (directory / f"{name}.jpg").write_bytes(fake_picture(number * 100 + name, 0))
    world.take_for_mirrored()
    assert world.resync().summary.unchanged == 10_000
    ids = world.ids()
    world.remote.forget_requests()
    world.disk.rename("old", "new/place")
    report = world.resync()
    assert report.summary.renamed == 10_000
    assert sum(seen.length for seen in world.remote.server.requests) == 0
    assert world.ids() == {
        rel_path.replace("photos/old", "photos/new/place"): image_id
        for rel_path, image_id in ids.items()
    }


def test_a_file_is_sent_when_it_has_settled(world: World) -> None:
    with world.running() as live:
        for number in range(3):
            world.disk.write("a.jpg", fake_picture(number))
            live.scan()
            live.components.engine.step()
            world.clock.advance(world.sync.settle_seconds * 0.6)
        live.components.engine.step()
        assert world.remote.uploads() == []
        live.rest()
        assert len(world.remote.uploads()) == 1
    world.check_mirrored()


def test_a_new_file_that_is_seen_before_the_rename_of_the_old_one_is_not_lost(
    world: World,
) -> None:
    """News comes in any order: here of the place that the picture left, before the new one."""
    ids = mirror(world, a=A, b=B)
    with world.running() as live:
        world.disk.rename("a.jpg", "z.jpg")
        world.disk.write("a.jpg", C)
        live.scan()
        live.rest()
        live.until(lambda: world.mirrored() == world.on_disk())
    world.check_mirrored()
    assert world.id_of("z.jpg") == ids["a.jpg"]


def test_a_new_file_that_settles_after_the_rename_of_the_old_one_is_not_lost(
    world: World,
) -> None:
    """The picture that was renamed away takes nothing with it that is at its old place now."""
    ids = mirror(world, a=A, b=B)
    watcher = ToldWatcher()
    with world.running(watcher) as live:
        tell, step = watcher.told["photos"].tell, live.components.engine.step
        world.disk.rename("a.jpg", "z.jpg")
        tell("z.jpg")
        step()
        world.clock.advance(world.sync.settle_seconds * 0.6)
        world.disk.write("a.jpg", C)
        tell("a.jpg")
        step()
        world.clock.advance(world.sync.settle_seconds * 0.6)
        step()
        assert world.id_of("z.jpg") == ids["a.jpg"]
        live.rest()
    world.check_mirrored()


def test_a_rename_is_found_however_short_delete_after_is(world: World) -> None:
    world.sync = type(world.sync)(settle_seconds=0.5, delete_after_seconds=0.0)
    ids = mirror(world, a=A, b=B)
    with world.running() as live:
        world.disk.rename("a.jpg", "z.jpg")
        live.settle()
    assert world.id_of("z.jpg") == ids["a.jpg"]
    assert world.remote.changes() == []


def test_a_file_that_never_settles_delays_no_resync(world: World) -> None:
    world.disk.write("a.jpg", A)
    sizes = iter(range(1, 10_000))

    class Growing(Disk):
        def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
            if root.absolute(path).endswith(b"growing.jpg"):
                world.disk.write("growing.jpg", fake_picture(1, next(sizes)))
            return super().lstat(root, path)

    world.disk.write("growing.jpg", B)
    world.disk_edge = Growing()
    report = world.resync()
    assert report.summary.added == 1
    assert world.remote.holds(A)


def test_an_image_that_was_never_in_the_collection_is_not_reported_as_deleted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    """Its upload may have arrived all the same, so the collection is asked to remove it."""
    caplog.set_level(logging.INFO)
    mirror(world, b=B)
    with world.running() as live:
        refusal = json.dumps({"status": 400, "message": "no picture"}).encode()
        world.remote.server.fault_for = lambda _seen: answers(400, refusal)
        world.disk.write("a.jpg", A)
        live.settle()
        world.remote.server.fault_for = lambda _seen: None
        world.disk.remove("a.jpg")
        live.settle()
        assert [seen.status for seen in world.remote.deletes()] == [404]
        assert live.components.engine.sender.tally.deleted == 0
        assert live.components.state.deletions.sent_since("photos", 0.0) == 0
    assert "deleted" not in caplog.text
    world.check_mirrored()


def test_an_unconfirmed_image_that_arrived_is_reported_as_deleted(
    world: World,
) -> None:
    mirror(world, b=B)
    crash_while_sending(world, "a.jpg", A)
    world.disk.remove("a.jpg")
    assert world.rehearse().report.summary.deleted == 1
    assert world.resync().summary.deleted == 1
    world.check_mirrored()


def test_a_dry_run_does_not_delete_images_that_never_arrived(world: World) -> None:
    world.disk.write("a.jpg", b"no picture")
    world.disk.write("b.jpg", B)
    world.resync()
    world.disk.remove("a.jpg")
    plan = world.rehearse()
    assert [verb for verb, _, _ in plan.lines] == [Verb.FORGET]
    assert plan.report.summary.deleted == world.resync().summary.deleted == 0


def test_a_refused_image_that_is_now_excluded_is_not_a_failure(
    world: World,
) -> None:
    world.disk.write("a.jpg", b"no picture")
    world.disk.write("b.jpg", B)
    assert of_resync(world.resync()) == 3
    world.configure("photos", exclude=("a.jpg",))
    assert of_resync(world.resync()) == 0


def test_a_dry_run_reports_the_plan_of_the_resync_and_changes_nothing(world: World) -> None:
    mirror(world, a=A, b=B, c=C)
    world.disk.rename("a.jpg", "z.jpg")
    world.disk.write("b.jpg", D)
    world.disk.remove("c.jpg")
    world.disk.write("new.jpg", fake_picture(8))
    before = world.dump(), world.on_disk(), world.remote.digests()
    plan = world.rehearse()
    assert [verb for verb, _, _ in plan.lines] == [Verb.ADD, Verb.DELETE, Verb.RENAME, Verb.UPDATE]
    assert (world.dump(), world.on_disk(), world.remote.digests()) == before
    assert world.remote.changes() == []
    assert plan.report.summary.added == world.resync().summary.added == 1


def test_a_dry_run_says_that_an_unfinished_upload_is_sent(world: World) -> None:
    mirror(world, b=B)
    crash_while_sending(world, "a.jpg", A)
    world.disk.rename("a.jpg", "z.jpg")
    verbs = [verb for verb, _, _ in world.rehearse().lines]
    assert verbs == [Verb.ADD, Verb.RENAME]


def test_a_folder_is_not_scanned_that_was_not_asked_for(world: World) -> None:
    other = world.add_folder("scans")
    world.disk.write("a.jpg", A)
    other.write("b.jpg", B)
    world.resync("scans")
    assert set(world.ids()) == {"scans/b.jpg"}


def test_a_watched_folder_is_mirrored_while_it_is_filled(world: World, tmp_path: Path) -> None:
    source = DiskFolder(tmp_path / "source")
    for number in range(30):
        source.write(f"{number % 3}/{number}.jpg", fake_picture(number))
    with while_running(world):
        shutil.copytree(source.root, world.disk.root / "copied")
        shutil.move(source.root, world.disk.root / "moved")
    world.check_mirrored()
    assert len(world.ids()) == 60


def test_watching_starts_and_ends(world: World) -> None:
    watcher = Watcher(lambda: None)
    with world.running(watcher) as live:
        live.until(
            lambda: not watcher.check(0.0) and live.components.engine.monitors[0].watch.proven
        )
    watcher.stop()
