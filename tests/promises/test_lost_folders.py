"""Cases in which watchdog's own observer loses whole directories: moves of the folder itself,
mounts, permissions, the limit of watches. In the end the collection equals the disk, and until then
``status`` does not say ``in sync``.

The stock observer is not tested in cases that another part of snoopsync solves: when the folder
goes away and comes back (renamed, unmounted, deleted and created again), the guard of the folder
has it scanned again, and when a link changes its target, supervision restarts any engine.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.support.lesser import as_somebody_ordinary, with_watches
from tests.support.losing import (
    DEADLINE_SECONDS,
    OURS,
    STOCK,
    STOCK_SECONDS,
    Playground,
    Story,
    check_story,
    complaints,
    is_lost_by_stock,
    needs_root,
)
from tests.support.mounting import make_disk
from tests.support.process import until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's"),
]

MISSING = "folder pictures is missing, so none of its images are deleted"
BACK = "folder pictures is back"


def until_state(playground: Playground, state: str) -> None:
    until(lambda: playground.folder_state() == state, DEADLINE_SECONDS)


# The folder itself.


def the_folder_is_renamed_away_and_back(playground: Playground) -> Iterator[None]:
    playground.write("a.jpg", "album/b.jpg")
    yield
    away = playground.root.rename(playground.outside / "away")
    (away / "meanwhile.jpg").write_bytes(playground.picture())
    until_state(playground, "missing")
    away.rename(playground.root)
    yield
    playground.write("late.jpg", "album/late.jpg")


def a_directory_above_it_is_renamed_away_and_back(playground: Playground) -> Iterator[None]:
    playground.write("a.jpg", "album/b.jpg")
    yield
    away = playground.root.parent.rename(playground.outside / "away")
    (away / "pictures" / "meanwhile.jpg").write_bytes(playground.picture())
    until_state(playground, "missing")
    away.rename(playground.root.parent)
    yield
    playground.write("late.jpg", "album/late.jpg")


def another_directory_takes_the_place_of_one_above_it(playground: Playground) -> Iterator[None]:
    """And a person accepts it. The stock observer watches the old one for ever."""
    playground.write("a.jpg", "album/b.jpg")
    yield
    shutil.copytree(playground.root.parent, playground.outside / "copy")
    with playground.unseen():
        playground.root.parent.rename(playground.outside / "away")
        (playground.outside / "copy").rename(playground.root.parent)
    playground.approve()
    yield
    playground.write("late.jpg", "album/late.jpg")


def a_link_on_the_way_is_turned(playground: Playground) -> Iterator[None]:
    """To a copy, and a person accepts it."""
    real = playground.root.rename(playground.outside / "real")
    playground.root.symlink_to(real)
    playground.write("a.jpg", "album/b.jpg")
    yield
    playground.write("late.jpg", "album/late.jpg")
    yield
    shutil.copytree(real, playground.outside / "other")
    with playground.unseen():
        playground.root.unlink()
        playground.root.symlink_to(playground.outside / "other")
    playground.approve()
    yield
    playground.write("later.jpg", "album/later.jpg")


def the_folders_disk_is_unmounted_and_mounted_again(playground: Playground) -> Iterator[None]:
    image = make_disk(playground.outside / "disk.img")
    playground.mount(playground.root, "-o", "loop", image)
    playground.write("a.jpg", "album/b.jpg")
    yield
    playground.unmount(playground.root)
    until_state(playground, "missing")
    playground.mount(playground.root, "-o", "loop", image)
    yield
    playground.write("late.jpg", "album/late.jpg")


GUARDED = (
    Story(the_folder_is_renamed_away_and_back, says=(MISSING, BACK)),
    Story(a_directory_above_it_is_renamed_away_and_back, says=(MISSING, BACK)),
    Story(
        a_link_on_the_way_is_turned,
        says=("watching pictures failed: its path leads to another directory", MISSING, BACK),
    ),
)
REMOUNTED = Story(the_folders_disk_is_unmounted_and_mounted_again, says=(MISSING, BACK))
REPLACED = Story(another_directory_takes_the_place_of_one_above_it, says=(MISSING, BACK))


@pytest.mark.parametrize("story", (*GUARDED, REPLACED), ids=str)
def test_a_folder_that_was_away_is_watched_again(playground: Playground, story: Story) -> None:
    check_story(playground, story)


@needs_root
def test_a_folder_whose_disk_was_unmounted_is_watched_again(playground: Playground) -> None:
    check_story(playground, REMOUNTED)


def test_the_stock_observer_keeps_watching_the_deleted_folder(playground: Playground) -> None:
    assert is_lost_by_stock(playground, REPLACED)


def test_a_folder_that_was_gone_for_a_moment_is_still_watched(
    playground: Playground,
) -> None:
    playground.write("a.jpg", "album/b.jpg")
    with playground.service():
        away = playground.root.rename(playground.outside / "away")
        (away / "meanwhile.jpg").write_bytes(playground.picture())
        away.rename(playground.root)
        playground.check()
        playground.write("late.jpg", "album/late.jpg")
        playground.check()


def test_a_folder_that_was_deleted_and_created_again_at_once_is_still_watched(
    playground: Playground,
) -> None:
    """As when a person restores a folder. If the inode is reused, the guard sees no change."""
    playground.write("a.jpg", "album/b.jpg")
    with playground.service():
        for number in range(5):
            with playground.unseen():
                shutil.rmtree(playground.root)
                playground.write("a.jpg", "album/b.jpg")
            if not playground.comes_right(STOCK_SECONDS):
                playground.approve()
            assert playground.comes_right(DEADLINE_SECONDS)
            playground.write(f"late-{number}.jpg", "album/late.jpg")
            assert playground.comes_right(DEADLINE_SECONDS)
        playground.check()


def test_a_folder_that_was_deleted_and_made_again_is_watched_again(
    playground: Playground,
) -> None:
    """With the old inode it counts as the same folder. Otherwise a person accepts it."""
    playground.write("a.jpg", "album/b.jpg")
    with playground.service():
        shutil.rmtree(playground.root)
        until_state(playground, "missing")
        playground.write("a.jpg")
        if not playground.comes_right(STOCK_SECONDS):
            playground.approve()
        playground.check()
        playground.write("late.jpg", "album/late.jpg")
        playground.check()


# Mounts.


def a_disk_is_mounted_over_a_directory(playground: Playground) -> Iterator[None]:
    """It raises no event. Our own watcher finds it in the system's table of mounts."""
    (playground.root / "disk").mkdir()
    playground.write("a.jpg")
    yield
    playground.mount(playground.root / "disk", "-t", "tmpfs", "none")
    playground.write("disk/b.jpg", "disk/album/c.jpg")
    yield
    playground.write("disk/late.jpg", "disk/album/late.jpg")


def a_disk_in_the_folder_is_unmounted_and_mounted_again(playground: Playground) -> Iterator[None]:
    disk = playground.root / "disk"
    image = make_disk(playground.outside / "disk.img")
    disk.mkdir()
    playground.mount(disk, "-o", "loop", image)
    playground.write("a.jpg", "disk/b.jpg")
    yield
    playground.unmount(disk)
    playground.write("meanwhile.jpg")
    until(lambda: "meanwhile.jpg" in playground.in_collection())
    assert "disk/b.jpg" in playground.in_collection()
    playground.mount(disk, "-o", "loop", image)
    yield
    playground.write("disk/late.jpg", "disk/b.jpg", "disk/album/late.jpg")


MOUNTS = (
    Story(a_disk_is_mounted_over_a_directory),
    Story(
        a_disk_in_the_folder_is_unmounted_and_mounted_again,
        says=("disk: a disk was mounted or unmounted here, its images are not deleted",),
    ),
)


@needs_root
@pytest.mark.parametrize("story", MOUNTS, ids=str)
def test_a_mounted_disk_is_watched(playground: Playground, story: Story) -> None:
    check_story(playground, story)


@needs_root
@pytest.mark.parametrize("story", MOUNTS, ids=str)
def test_the_stock_observer_does_not_notice_mounts(playground: Playground, story: Story) -> None:
    assert is_lost_by_stock(playground, story)


@needs_root
def test_another_disk_in_the_place_of_the_folders_own_deletes_nothing(
    playground: Playground,
) -> None:
    """The kernel reuses device numbers, and every root directory has the same inode."""
    first = make_disk(playground.outside / "first.img")
    second = make_disk(playground.outside / "second.img")
    playground.mount(playground.root, "-o", "loop", first)
    playground.write(*(f"{number}.jpg" for number in range(5)))
    with playground.service():
        playground.check()
        before = playground.in_collection()
        playground.unmount(playground.root)
        until_state(playground, "missing")
        playground.mount(playground.root, "-o", "loop", second)
        until(lambda: "not the same directory" in playground.home.run("status").out)
        assert playground.in_collection() == before
        playground.unmount(playground.root)
        playground.mount(playground.root, "-o", "loop", first)
        playground.check()
        assert playground.in_collection() == before


# Directories that can't be watched.

DIRECTORIES = 20
WATCHES = 10
LIMIT_REACHED = "the limit of inotify watches is reached: raise fs.inotify.max_user_watches"

#: To be run before snoopsync's own program: what can't be watched is tried every second.
_IMPATIENT = """
from snoopsync.folders import monitor
monitor.RETRY_SECONDS = 1.0
"""


def raise_limit(pid: int) -> None:
    more = "echo 1000 > /proc/sys/user/max_inotify_watches"
    # The creator of the namespace is root in it already, and no other user may become root in it.
    enter = ["nsenter", "--user", "--preserve-credentials", "--target", f"{pid}"]
    subprocess.run([*enter, "sh", "-c", more], check=True)


def fill_directories(playground: Playground, name: str) -> None:
    playground.write(*(f"{number}/{name}" for number in range(DIRECTORIES)))


def test_directories_above_the_limit_of_watches_are_mirrored_and_logged(
    playground: Playground,
) -> None:
    fill_directories(playground, "a.jpg")
    with playground.service(_IMPATIENT + OURS, under=with_watches(WATCHES)) as service:
        assert playground.folder_state() == "unwatched"
        assert LIMIT_REACHED in playground.home.run("status").out
        fill_directories(playground, "late.jpg")
        assert playground.comes_right(DEADLINE_SECONDS)
        assert not playground.home.is_in_sync()
        service.line_with(f"folder pictures: directories are not watched: {LIMIT_REACHED}")
        raise_limit(service.pid)
        playground.check()
        fill_directories(playground, "later.jpg")
        playground.check()
        assert len(complaints(service)) == 1


def test_the_stock_observer_is_silent_about_the_limit(playground: Playground) -> None:
    fill_directories(playground, "a.jpg")
    with playground.service(_IMPATIENT + STOCK, under=with_watches(WATCHES)):
        fill_directories(playground, "late.jpg")
        assert not playground.comes_right(STOCK_SECONDS)


def test_an_unreadable_directory_is_logged_and_mirrored_once_it_is_readable(
    playground: Playground,
) -> None:
    playground.write("a.jpg", "locked/b.jpg")
    (playground.root / "locked").chmod(0)
    playground.undo.callback((playground.root / "locked").chmod, 0o700)
    with playground.service(under=as_somebody_ordinary()) as service:
        assert playground.folder_state() == "unwatched"
        assert "locked: Permission denied" in playground.home.run("status").out
        playground.write("late.jpg")
        until(lambda: set(playground.in_collection()) == {"a.jpg", "late.jpg"})
        (playground.root / "locked").chmod(0o700)
        playground.check()
        playground.write("locked/late.jpg")
        playground.check()
        (said,) = complaints(service)
        assert "locked can't be listed, so no image below it is deleted: Permission denied" in said


def test_the_stock_observer_never_watches_a_directory_that_was_unreadable(
    playground: Playground,
) -> None:
    playground.write("a.jpg", "locked/b.jpg")
    (playground.root / "locked").chmod(0)
    playground.undo.callback((playground.root / "locked").chmod, 0o700)
    with playground.service(STOCK, under=as_somebody_ordinary()):
        (playground.root / "locked").chmod(0o700)
        assert playground.comes_right(DEADLINE_SECONDS)
        playground.write("locked/late.jpg")
        assert not playground.comes_right(STOCK_SECONDS)
