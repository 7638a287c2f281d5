"""No image is deleted without proof that its file is gone, many deletions wait for a person, and
editing the configuration deletes nothing."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.config.settings import HoldPolicy
from snoopsync.core.labels import Labelling
from snoopsync.core.model import RelPath
from snoopsync.core.planner import Delete, Verb
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.sync.deletion_guard import Cleared
from snoopsync.sync.transfer import Deleted, FileDiffers, Rejected, Removal, Transfer
from tests.support.mounting import FRESH, make_disk, mounted, needs_root
from tests.support.unstamped import UnstampedDisk
from tests.support.world import DELETE_AFTER_SECONDS, Live, ToldWatcher, World, fake_picture

pytestmark = pytest.mark.integration

Stage = Callable[[World], AbstractContextManager[Callable[[], None]]]


@contextmanager
def seen_live(world: World) -> Iterator[Callable[[], None]]:
    """The problem begins while snoopsync runs, and lasts."""
    with world.running(ToldWatcher()) as live:
        yield lambda: watch_for_long(world, live)


@contextmanager
def seen_after_restart(world: World) -> Iterator[Callable[[], None]]:
    """The problem begins while snoopsync is stopped, and snoopsync finds it at its start."""

    def run() -> None:
        with world.running() as live:
            watch_for_long(world, live)

    yield run


@contextmanager
def seen_by_resync(world: World) -> Iterator[Callable[[], None]]:
    """A single resync finds the problem."""

    def resync() -> None:
        world.resync()

    yield resync


def watch_for_long(world: World, live: Live) -> None:
    for _ in range(3):
        live.settle()
        world.clock.advance(world.sync.delete_after_seconds + 60.0)
        live.settle()


@pytest.fixture(params=[seen_live, seen_after_restart, seen_by_resync])
def stage(request: pytest.FixtureRequest) -> Stage:
    """Every rule holds whenever the problem begins, and for the service and a resync alike."""
    how: Stage = request.param
    return how


@pytest.fixture
def filled(world: World) -> World:
    """Twelve images in two directories."""
    for number in range(12):
        world.disk.write(f"{number % 2}/{number}.jpg", fake_picture(number))
    world.resync()
    world.remote.forget_requests()
    return world


class TroubledDisk(UnstampedDisk):
    """A disk on which looking at some paths fails."""

    def __init__(self) -> None:
        self.code = errno.EIO
        self.troubled: Callable[[bytes], bool] = lambda path: False
        self.lists = True

    def _check(self, path: bytes) -> None:
        if self.troubled(path):
            raise OSError(self.code, os.strerror(self.code))

    def open_folder(self, path: bytes) -> OpenFolder:
        self._check(path)
        return super().open_folder(path)

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._check(root.absolute(path))
        return super().lstat(root, path)

    def stat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self._check(root.absolute(path))
        return super().stat(root, path)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self._check(root.absolute(path))
        with super().entries(root, path) as entries:
            yield entries


def check_back_at_work(world: World, removed: str = "0/0.jpg") -> None:
    """After the problem, syncing resumes by itself, and no known picture is sent again."""
    world.remote.forget_requests()
    world.disk.write("new.jpg", fake_picture(99))
    world.disk.remove(removed)
    world.resync()
    world.check_mirrored()
    assert len(world.remote.uploads()) == 1
    assert len(world.remote.deletes()) == 1


# The folder.


def test_a_folder_that_is_renamed_away_is_missing(filled: World, stage: Stage) -> None:
    root = filled.disk.root
    with stage(filled) as see:
        root.rename(root.with_name("away"))
        see()
        assert filled.remote.changes() == []
        assert filled.folder_state() == "missing"
        root.with_name("away").rename(root)
    check_back_at_work(filled)


def test_a_folder_that_comes_back_is_mirrored_again_by_itself(filled: World) -> None:
    root = filled.disk.root
    with filled.running(ToldWatcher()) as live:
        root.rename(root.with_name("away"))
        watch_for_long(filled, live)
        assert filled.folder_state() == "missing"
        root.with_name("away").rename(root)
        filled.disk.write("new.jpg", fake_picture(99))
        live.until(lambda: filled.folder_state() == "ok")
        live.rest()
    filled.check_mirrored()
    assert len(filled.remote.changes()) == 1


def test_a_folder_that_was_replaced_by_another_directory_is_missing(
    filled: World, stage: Stage
) -> None:
    root = filled.disk.root
    with stage(filled) as see:
        root.rename(root.with_name("away"))
        root.mkdir()
        filled.disk.write("other.jpg", fake_picture(50))
        see()
        assert filled.remote.changes() == []
        assert filled.folder_state() == "missing"
        filled.disk.remove("other.jpg")
        root.rmdir()
        root.with_name("away").rename(root)
    check_back_at_work(filled)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_an_unreadable_folder_is_missing(filled: World, stage: Stage, code: int) -> None:
    disk = filled.disk_edge = TroubledDisk()
    disk.code = code
    root = os.fsencode(filled.disk.root)
    with stage(filled) as see:
        disk.troubled = lambda path: path == root
        see()
        assert filled.remote.changes() == []
        assert filled.folder_state() == "missing"
        disk.troubled = lambda path: False
    check_back_at_work(filled)


def test_a_folder_that_is_gone_for_good_keeps_its_images(filled: World, stage: Stage) -> None:
    with stage(filled) as see:
        filled.disk.remove("")
        see()
    assert filled.remote.changes() == []
    assert filled.folder_state() == "missing"


# What is in the folder.


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_nothing_below_an_unreadable_directory_is_deleted(
    filled: World, stage: Stage, code: int
) -> None:
    disk = filled.disk_edge = TroubledDisk()
    disk.code = code
    directory = os.fsencode(filled.disk.root / "1")
    with stage(filled) as see:
        disk.troubled = lambda path: path.startswith(directory)
        see()
        assert filled.remote.changes() == []
        disk.troubled = lambda path: False
    check_back_at_work(filled)


@pytest.mark.parametrize("code", [errno.EIO, errno.EACCES, errno.ESTALE])
def test_a_file_that_cannot_be_examined_is_not_gone(filled: World, stage: Stage, code: int) -> None:
    disk = filled.disk_edge = TroubledDisk()
    disk.code = code
    with stage(filled) as see:
        disk.troubled = lambda path: path.endswith(b".jpg")
        see()
        assert filled.remote.changes() == []
        disk.troubled = lambda path: False
    check_back_at_work(filled)


def test_a_file_has_to_be_gone_for_long_enough(filled: World) -> None:
    filled.disk.remove("0/0.jpg")
    with filled.running() as live:
        assert len(filled.remote.deletes()) == 1
        filled.disk.remove("0/2.jpg")
        live.scan()
        began = filled.clock.monotonic()
        live.until(lambda: len(filled.remote.deletes()) == 2)
        assert filled.clock.monotonic() - began >= filled.sync.delete_after_seconds


def test_delete_after_starts_again_if_the_file_comes_back(
    filled: World,
) -> None:
    data = filled.disk.read("0/0.jpg")
    with filled.running() as live:
        mirror = live.components.engine
        for _ in range(5):
            filled.disk.remove("0/0.jpg")
            live.scan()
            mirror.step()
            filled.clock.advance(filled.sync.delete_after_seconds * 0.9)
            filled.disk.write("0/0.jpg", data)
            live.scan()
            mirror.step()
        assert filled.remote.deletes() == []


@pytest.mark.parametrize("what", ["file is back", "folder is away", "file is gone"])
def test_a_deletion_is_proven_again_right_before_the_request(filled: World, what: str) -> None:
    with filled.running() as live:
        folder = live.components.engine.monitors[0].folder
        transfer = Transfer(live.components.engine.collection, Labelling())
        root = filled.disk.root
        if what != "file is back":
            filled.disk.remove("0/0.jpg")
        if what == "folder is away":
            root.rename(root.with_name("away"))
        rel_path = RelPath("photos", b"0/0.jpg")
        delete = Delete(rel_path, filled.id_of("0/0.jpg"))
        removal = Removal(Cleared(delete, counts=True, newest=0), mark=7)
        outcome = transfer.delete(removal, lambda: folder.prove_gone(rel_path.path, 0))
    expected = {"file is back": FileDiffers, "folder is away": Rejected, "file is gone": Deleted}
    assert isinstance(outcome, expected[what])
    assert len(filled.remote.deletes()) == (what == "file is gone")


# Mounts.


def unmount(path: Path) -> None:
    subprocess.run(["umount", str(path)], check=True)


@needs_root
def test_the_empty_mount_point_of_a_folder_deletes_nothing(world: World, stage: Stage) -> None:
    with mounted(world.disk.root, *FRESH):
        for number in range(3):
            world.disk.write(f"{number}.jpg", fake_picture(number))
        world.resync()
        world.remote.forget_requests()
        with stage(world) as see:
            unmount(world.disk.root)
            see()
            assert world.remote.changes() == []
            assert world.folder_state() == "missing"


@needs_root
def test_an_empty_disk_mounted_over_a_folder_deletes_nothing(filled: World, stage: Stage) -> None:
    with stage(filled) as see, mounted(filled.disk.root, *FRESH):
        see()
        assert filled.remote.changes() == []
        assert filled.folder_state() == "missing"
    check_back_at_work(filled)


@needs_root
def test_unmounting_a_disk_below_a_folder_deletes_nothing(filled: World, stage: Stage) -> None:
    mount_point = filled.disk.root / "disk"
    mount_point.mkdir()
    with mounted(mount_point, *FRESH):
        for number in range(3):
            filled.disk.write(f"disk/deep/{number}.jpg", fake_picture(100 + number))
        filled.resync()
        filled.remote.forget_requests()
        with stage(filled) as see:
            unmount(mount_point)
            see()
            assert filled.remote.changes() == []
            assert filled.folder_state() == "unwatched", "what is not there is not in order"
    with mounted(mount_point, *FRESH):
        for number in range(3):
            filled.disk.write(f"disk/deep/{number}.jpg", fake_picture(100 + number))
        filled.resync()
        filled.check_mirrored()
        assert filled.remote.changes() == []


@needs_root
def test_another_disk_in_the_place_of_one_below_a_folder_deletes_nothing(
    filled: World, stage: Stage, tmp_path: Path
) -> None:
    first, second = (make_disk(tmp_path / f"{name}.img") for name in ("first", "second"))
    mount_point = filled.disk.root / "disk"
    mount_point.mkdir()
    with ExitStack() as stack:
        stack.enter_context(mounted(mount_point, "-o", "loop", first))
        for number in range(3):
            filled.disk.write(f"disk/deep/{number}.jpg", fake_picture(100 + number))
        filled.resync()
        filled.remote.forget_requests()
        with stage(filled) as see:
            stack.close()
            with mounted(mount_point, "-o", "loop", second):
                see()
                assert filled.remote.changes() == []
                assert filled.folder_state() == "unwatched", "what is not there is not in order"
    with mounted(mount_point, "-o", "loop", first):
        filled.resync()
        filled.check_mirrored()
        assert filled.remote.changes() == []
        filled.disk.remove("disk/deep/0.jpg")
        filled.resync()
        assert len(filled.remote.deletes()) == 1


@needs_root
def test_another_disk_that_has_the_numbers_of_the_folders_own_deletes_nothing(
    world: World, stage: Stage, tmp_path: Path
) -> None:
    """The kernel reuses device numbers, and every root directory has the same inode."""
    first, second = (make_disk(tmp_path / f"{name}.img") for name in ("first", "second"))
    root = world.disk.root
    with ExitStack() as stack:
        stack.enter_context(mounted(root, "-o", "loop", first))
        for number in range(3):
            world.disk.write(f"{number}.jpg", fake_picture(number))
        world.resync()
        world.remote.forget_requests()
        before = root.stat()
        with stage(world) as see:
            stack.close()
            with mounted(root, "-o", "loop", second):
                now = root.stat()
                if (now.st_dev, now.st_ino) != (before.st_dev, before.st_ino):
                    pytest.skip("the system gave the other disk a number of its own")
                see()
                assert world.remote.changes() == []
                assert world.folder_state() == "missing"
    with mounted(root, "-o", "loop", first):
        check_back_at_work(world, removed="0.jpg")


@needs_root
def test_a_disk_mounted_over_a_directory_with_images_deletes_nothing(
    filled: World, stage: Stage
) -> None:
    with stage(filled) as see, mounted(filled.disk.root / "1", *FRESH):
        see()
        assert filled.remote.changes() == []
        assert filled.folder_state() == "unwatched", "what is not there is not in order"
    check_back_at_work(filled)


@needs_root
def test_a_copy_does_not_take_the_image_of_a_picture_that_a_mount_hides(world: World) -> None:
    """Otherwise that image would be deleted with the copy."""
    world.disk.write("album/a.jpg", fake_picture(1))
    world.resync()
    image_id = world.id_of("album/a.jpg")
    with mounted(world.disk.root / "album", *FRESH):
        world.disk.write("copy.jpg", fake_picture(1))
        world.resync()
        assert world.id_of("album/a.jpg") == image_id != world.id_of("copy.jpg")
        world.disk.remove("copy.jpg")
        world.resync()
        assert image_id in world.remote.ids()
    world.resync()
    world.check_mirrored()


# Deletions in bulk.


HOLD = HoldPolicy(count=3, percent=10)


def remove_some(world: World, *numbers: int) -> None:
    for number in numbers:
        world.disk.remove(f"{number % 2}/{number}.jpg")


def test_many_deletions_are_held_and_uploads_continue(filled: World, stage: Stage) -> None:
    filled.hold = HOLD
    with stage(filled) as see:
        remove_some(filled, 0, 1, 2, 3)
        filled.disk.write("new.jpg", fake_picture(99))
        see()
    assert filled.remote.deletes() == []
    assert len(filled.remote.uploads()) == 1
    assert filled.held() == 4
    assert of_resync(filled.resync()) == 4
    assert filled.remote.deletes() == []


def test_few_deletions_are_sent(filled: World, stage: Stage) -> None:
    filled.hold = HOLD
    with stage(filled) as see:
        remove_some(filled, 0, 1, 2)
        see()
    assert len(filled.remote.deletes()) == 3
    filled.check_mirrored()


def test_a_folder_does_not_become_empty_without_approval(filled: World, stage: Stage) -> None:
    filled.hold = HoldPolicy(count=1000, percent=100)
    with stage(filled) as see:
        remove_some(filled, *range(12))
        see()
    assert filled.remote.deletes() == []
    assert filled.held() == 12


def test_deletions_that_trickle_in_are_held(filled: World) -> None:
    filled.hold = HOLD
    with filled.running() as live:
        for number in range(6):
            remove_some(filled, number)
            live.settle()
            filled.clock.advance(30.0)
    assert len(filled.remote.deletes()) == 3
    assert filled.held() == 3


@pytest.mark.parametrize("one_comes_back", [False, True])
def test_deletions_at_different_moments_do_not_wait_for_one_another(
    filled: World, one_comes_back: bool
) -> None:
    """Together they are too many; each part counts the files of the other that are already gone."""
    filled.hold = HoldPolicy(count=5, percent=10)
    with filled.running() as live:
        remove_some(filled, 0, 1, 2)
        live.scan()
        live.step()
        filled.clock.advance(DELETE_AFTER_SECONDS / 2)
        remove_some(filled, 3, 4, 5)
        live.scan()
        live.step()
        if one_comes_back:
            filled.clock.advance(DELETE_AFTER_SECONDS / 2)
            live.step()
            filled.disk.write("1/5.jpg", fake_picture(5))
            live.scan()
        live.rest()
    assert filled.held() == (0 if one_comes_back else 6)
    assert len(filled.remote.deletes()) == (5 if one_comes_back else 0)


def test_deletions_that_trickle_in_are_held_across_restarts(filled: World) -> None:
    filled.hold = HOLD
    for number in range(6):
        remove_some(filled, number)
        filled.resync()
    assert len(filled.remote.deletes()) == 3
    assert filled.held() == 3


def test_deletions_spread_over_more_than_the_window_are_sent(filled: World) -> None:
    filled.hold = HOLD
    with filled.running() as live:
        for number in range(6):
            remove_some(filled, number)
            live.settle()
            filled.clock.advance(400.0)
    assert len(filled.remote.deletes()) == 6


def test_held_deletions_are_sent_when_they_are_approved(filled: World, stage: Stage) -> None:
    filled.hold = HOLD
    remove_some(filled, 0, 1, 2, 3)
    filled.resync()
    assert filled.approve() == 4
    with stage(filled) as see:
        see()
    assert len(filled.remote.deletes()) == 4
    filled.check_mirrored()
    assert of_resync(filled.resync()) == 0


def test_an_approved_deletion_still_needs_its_proof(filled: World, stage: Stage) -> None:
    filled.hold = HOLD
    remove_some(filled, 0, 1, 2, 3)
    filled.resync()
    filled.approve()
    filled.disk.write("0/0.jpg", fake_picture(0))
    with stage(filled) as see:
        see()
    assert len(filled.remote.deletes()) == 3
    filled.check_mirrored()


def test_discarded_deletions_leave_their_images_in_the_collection(
    filled: World, stage: Stage
) -> None:
    filled.hold = HOLD
    before = filled.remote.ids()
    remove_some(filled, 0, 1, 2, 3)
    filled.resync()
    assert filled.approve(discard=True) == 4
    with stage(filled) as see:
        see()
    assert filled.remote.changes() == []
    assert filled.remote.ids() == before
    assert of_resync(filled.resync()) == 0


def test_held_deletions_are_cancelled_when_the_files_come_back(filled: World, stage: Stage) -> None:
    filled.hold = HOLD
    before = filled.ids()
    aside = filled.disk.root.with_name("aside")
    with stage(filled) as see:
        filled.disk.rename("0", "../aside")
        see()
        assert filled.held() == 6
        aside.rename(filled.disk.root / "0")
        see()
    assert filled.held() == 0
    assert filled.ids() == before
    assert filled.remote.changes() == []


def test_a_hold_is_counted_the_same_whatever_else_is_sent(filled: World) -> None:
    """Otherwise a rehearsal, which sends nothing, would hold deletions that the resync sends."""
    filled.hold = HoldPolicy(count=0, percent=20)
    remove_some(filled, 0, 1, 2)
    for number in range(10):
        filled.disk.write(f"new/{number}.jpg", fake_picture(50 + number))
    plan = filled.rehearse()
    report = filled.resync()
    assert plan.report.summary.held == report.summary.held
    assert plan.report.summary.deleted == report.summary.deleted


# The configuration.


@pytest.mark.parametrize(
    "change", [{"exclude": ("1/",)}, {"include": ("*.png",)}, {"exclude": ("*.jpg",)}]
)
def test_a_change_of_include_or_exclude_deletes_nothing_without_prune(
    filled: World, stage: Stage, change: dict[str, tuple[str, ...]]
) -> None:
    before = filled.remote.ids()
    filled.configure("photos", **change)
    with stage(filled) as see:
        see()
    assert filled.remote.changes() == []
    assert filled.remote.ids() == before

    check_prune(filled)


def test_a_folder_removed_from_the_configuration_keeps_its_images_until_a_prune(
    filled: World, stage: Stage
) -> None:
    filled.add_folder("other")
    dropped = filled.folders.pop("photos")
    with stage(filled) as see:
        see()
    assert filled.remote.changes() == []

    check_prune(filled)
    assert filled.remote.digests() == {}
    filled.folders["photos"] = dropped
    assert filled.resync().summary.added == 12


@pytest.mark.parametrize("change", [{"exclude": ("1/",)}, {"include": ("*.png",)}, None])
def test_left_out_images_stay_even_if_their_files_are_removed(
    filled: World, stage: Stage, change: dict[str, tuple[str, ...]] | None
) -> None:
    """They are deleted once the configuration includes them again."""
    before, wanted = filled.remote.ids(), filled.folders["photos"]
    if change is None:
        filled.add_folder("other")
        del filled.folders["photos"]
    else:
        filled.configure("photos", **change)
    with stage(filled) as see:
        shutil.rmtree(wanted.path / "1")
        see()
    assert filled.remote.changes() == []
    assert filled.remote.ids() == before
    filled.folders["photos"] = wanted
    with stage(filled) as see:
        see()
    assert len(filled.remote.deletes()) == len(filled.remote.changes()) == 6
    filled.check_mirrored()


def check_prune(world: World) -> None:
    """The rehearsal shows the deletions that ``--prune`` then does."""
    before = world.remote.ids()
    plan = world.rehearse(prune=True)
    assert {verb for verb, _, _ in plan.lines} == {Verb.DELETE}
    assert world.remote.ids() == before
    report = world.resync(prune=True)
    assert report.summary.deleted == plan.report.summary.deleted == len(plan.lines)
    assert before - world.remote.ids() == {image_id for _, _, image_id in plan.lines}
    world.remote.forget_requests()
    assert world.resync(prune=True).summary.deleted == 0
    assert world.remote.changes() == []


def test_files_that_are_included_again_keep_their_images(filled: World) -> None:
    before = filled.ids()
    filled.configure("photos", exclude=("1/",))
    filled.resync()
    filled.configure("photos", exclude=())
    filled.resync()
    assert filled.ids() == before
    assert filled.remote.changes() == []


def test_nothing_is_pruned_of_a_folder_that_is_missing(filled: World) -> None:
    root = filled.disk.root
    root.rename(root.with_name("away"))
    with nullcontext():
        report = filled.resync(prune=True)
    assert (report.summary.deleted, of_resync(report)) == (0, 4)
    assert filled.remote.deletes() == []
