"""``resync --prune`` deletes what the configuration leaves out, with the same proof and through the
same guard as every other deletion."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.exits import Exit
from snoopsync.core.model import RelPath
from snoopsync.core.planner import Action, Cause, Delete
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.sync.pruning import Pruning
from snoopsync.sync.resync_report import ResyncReport
from tests.support.unstamped import UnstampedDisk
from tests.support.world import DiskFolder, World, fake_picture, lines


class UnreadableDirectory(UnstampedDisk):
    """A disk on which a directory of the name ``deep`` can't be listed."""

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if root.absolute(path).endswith(b"/deep"):
            raise OSError(errno.EACCES, os.strerror(errno.EACCES))
        with super().entries(root, path) as entries:
            yield entries


@pytest.fixture
def two(world: World) -> World:
    """Two folders of four images each."""
    world.add_folder("second")
    for number in range(4):
        world.disk.write(f"{number}.jpg", fake_picture(number))
        disk_of(world, "second").write(f"{number}.jpg", fake_picture(100 + number))
    world.resync()
    world.remote.forget_requests()
    return world


def disk_of(world: World, name: str) -> DiskFolder:
    return DiskFolder(world.folders[name].path)


def test_nothing_is_pruned_while_a_configured_folder_is_missing(two: World) -> None:
    """Its images have no record, and nobody can tell whose they are."""
    two.lose_state()
    root = disk_of(two, "second").root
    root.rename(root.with_name("away"))
    report = two.resync(prune=True)
    assert two.remote.deletes() == []
    assert of_resync(report) == Exit.HELD_OR_MISSING


def test_images_without_a_record_need_approval_while_a_folder_may_be_an_empty_mount_point(
    two: World,
) -> None:
    two.lose_state()
    root = disk_of(two, "second").root
    root.rename(root.with_name("away"))
    root.mkdir()
    report = two.resync(prune=True, approve=lambda _pruning: False)
    assert two.remote.deletes() == []
    assert of_resync(report) == Exit.HELD_OR_MISSING
    assert report.pruning is not None
    assert "folder second contains no image" in report.pruning.doubts[0]


def test_the_last_image_of_the_only_folder_can_be_pruned(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.resync()
    world.lose_state()
    world.disk.remove("a.jpg")
    assert world.resync(prune=True, approve=lambda _pruning: False).summary.deleted == 1


def test_a_prune_of_one_folder_leaves_images_that_may_belong_to_another(two: World) -> None:
    two.lose_state()
    two.resync("photos", prune=True)
    assert two.remote.deletes() == []


def test_the_guard_counts_known_images_whatever_new_files_there_are(world: World) -> None:
    world.hold = HoldPolicy(count=50, percent=10)
    for number in range(12):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.resync()
    for number in range(12):
        world.disk.remove(f"{number}.jpg")
    for number in range(20):
        world.disk.write(f"new-{number}.jpg", fake_picture(50 + number))
    world.resync()
    assert world.remote.deletes() == []
    assert world.held() == 12


def test_a_prune_that_is_more_than_the_limit_waits_for_approval(two: World) -> None:
    two.hold = HoldPolicy(count=2, percent=10)
    two.configure("second", exclude=("*.jpg",))
    report = two.resync(prune=True, approve=lambda _pruning: False)
    assert two.remote.deletes() == []
    assert of_resync(report) == Exit.HELD_OR_MISSING
    assert report.pruning is not None
    assert (report.pruning.waits, len(report.pruning.deletes)) == (True, 4)
    assert (report.summary.held, report.summary.deleted) == (4, 0)

    digest = report.pruning.digest
    report = two.resync(prune=True, approve=lambda pruning: pruning.digest == digest)
    assert (of_resync(report), report.summary.deleted) == (Exit.OK, 4)
    assert len(two.remote.deletes()) == 4


def test_an_approval_covers_exactly_the_plan_that_was_shown(two: World) -> None:
    two.hold = HoldPolicy(count=2, percent=10)
    two.configure("second", exclude=("*.jpg",))
    shown = two.resync(prune=True, approve=lambda _pruning: False).pruning
    assert shown is not None
    two.configure("photos", exclude=("0.jpg",))
    two.resync(prune=True, approve=lambda pruning: pruning.digest == shown.digest)
    assert two.remote.deletes() == []


def test_few_images_are_pruned_without_approval_and_count_in_the_window(two: World) -> None:
    two.hold = HoldPolicy(count=2, percent=10)
    two.configure("photos", exclude=("0.jpg", "1.jpg"))
    two.resync(prune=True, approve=lambda _pruning: False)
    assert len(two.remote.deletes()) == 2
    two.configure("photos", exclude=("0.jpg", "1.jpg", "2.jpg"))
    two.resync(prune=True, approve=lambda _pruning: False)
    assert len(two.remote.deletes()) == 2, "two were deleted a moment ago"


def test_a_folder_that_was_dropped_is_pruned_when_all_that_are_configured_are_there(
    two: World,
) -> None:
    dropped = two.folders.pop("second")
    dropped.path.rename(dropped.path.with_name("away"))
    photos = disk_of(two, "photos").root
    photos.rename(photos.with_name("also-away"))
    assert of_resync(two.resync(prune=True)) == Exit.HELD_OR_MISSING
    assert two.remote.deletes() == []
    photos.with_name("also-away").rename(photos)
    assert two.resync("photos", prune=True).summary.deleted == 4, "it is the only one there is"


def test_a_prune_of_one_folder_deletes_what_was_left_out_of_it(two: World) -> None:
    two.configure("photos", exclude=("0.jpg",))
    two.configure("second", exclude=("0.jpg",))
    before = two.ids()
    two.resync("photos", prune=True)
    assert [seen.image_id for seen in two.remote.deletes()] == [before["photos/0.jpg"]]


def test_a_prune_of_one_folder_reports_the_kept_images(two: World) -> None:
    two.lose_state()
    report = two.resync("photos", prune=True)
    assert report.pruning is not None
    [kept] = report.pruning.kept
    assert "4 images without a record" in kept


def test_nothing_is_pruned_while_a_directory_is_unreadable(two: World) -> None:
    two.disk_edge = UnreadableDirectory()
    two.lose_state()
    disk_of(two, "second").remove("0.jpg")
    disk_of(two, "second").write("deep/9.jpg", fake_picture(9))
    report = two.resync(prune=True)
    assert two.remote.deletes() == []
    assert report.pruning is not None
    assert "deep" in report.pruning.kept[0]


def test_a_prune_needs_its_proof_right_before_each_request(two: World) -> None:
    """A folder that goes missing in the middle of it ends it."""
    two.configure("photos", exclude=("*.jpg",))
    root = disk_of(two, "second").root

    def unmount(_seen: object) -> None:
        if two.remote.deletes() and root.exists():
            root.rename(root.with_name("away"))

    two.remote.server.fault_for = unmount
    report = two.resync(prune=True)
    assert len(two.remote.deletes()) < 4
    assert of_resync(report) != Exit.OK


def test_an_image_whose_file_returned_is_not_pruned(two: World) -> None:
    with two.running() as live:
        mirror = live.components.engine
        rel_path = RelPath("photos", b"0.jpg")
        deletes = [
            Delete(None, two.id_of("0.jpg", "photos"), Cause.UNKNOWN),
            Delete(rel_path, two.id_of("0.jpg", "photos"), Cause.LEFT_OUT),
        ]
        mirror.remove(mirror.guard.clear_prune(deletes, approved=True))
        live.rest()
        assert mirror.sender.tally.unpruned == 2
    assert two.remote.deletes() == []


def test_files_of_a_configured_folder_that_match_no_include_are_deleted_by_prune_alone(
    two: World,
) -> None:
    two.configure("photos", include=("*.png",))
    two.resync()
    disk_of(two, "photos").remove("0.jpg")
    two.resync()
    assert two.remote.deletes() == []


@pytest.mark.parametrize("is_approved", [False, True])
def test_a_dry_run_of_a_prune_equals_the_next_prune(two: World, is_approved: bool) -> None:
    two.hold = HoldPolicy(count=2, percent=10)
    two.configure("second", exclude=("*.jpg",))

    def approve(_pruning: Pruning) -> bool:
        return is_approved

    plan = two.rehearse(prune=True, approve=approve)
    assert two.remote.deletes() == []
    done: list[Action] = []
    report = two.resync_telling(done.extend, prune=True, approve=approve)
    assert lines(done) == plan.lines
    assert plan.report.pruning == report.pruning
    assert of_resync(plan.report) == of_resync(report)
    rehearsed = replace(plan.report.summary, seconds=report.summary.seconds)
    assert rehearsed == report.summary


def test_a_report_with_a_prune_survives_the_socket(two: World) -> None:
    two.hold = HoldPolicy(count=2, percent=10)
    two.lose_state()
    for number in range(3):
        disk_of(two, "second").remove(f"{number}.jpg")
    report = two.resync(prune=True, approve=lambda _pruning: False)
    assert report.pruning is not None
    assert report.pruning.waits
    message = json.loads(json.dumps(report.as_message()))
    assert ResyncReport.from_message(message) == report
