"""The watcher gives a hint for every change, in real folders with real inotify."""

from __future__ import annotations

import contextlib
import os
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from snoopsync.watching.hint_source import HintSource, PollWatch
from snoopsync.watching.hints import Hints
from snoopsync.watching.supervision import NOT_FOUND
from snoopsync.watching.watcher import Watcher
from tests.support.watching import DEADLINE_SECONDS, Alarm, Churn, Follower
from tests.watching.helpers import hints_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_a_written_file_is_hinted_by_its_name(alarm: Alarm, follower: Follower, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"x")
    alarm.until(lambda: follower.saw(lambda hints: b"a.jpg" in (hints.directories[b""] or ())))
    alarm.until(follower.is_right)


def test_an_atomic_save_is_seen(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    (root / "a.jpg").write_bytes(b"old")
    alarm.until(follower.is_right)
    (root / ".a.tmp").write_bytes(b"new")
    (root / ".a.tmp").rename(root / "a.jpg")
    alarm.until(follower.is_right)
    (outside / "a.tmp").write_bytes(b"newer")
    (outside / "a.tmp").rename(root / "a.jpg")
    alarm.until(follower.is_right)


def test_our_own_listing_raises_no_hint(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    (root / "a.jpg").write_bytes(b"x")
    (outside / "last.jpg").write_bytes(b"x")
    # A move is one event, and no hint of what was before it comes after it.
    (outside / "last.jpg").rename(root / "last.jpg")
    alarm.until(lambda: follower.saw(lambda hints: b"last.jpg" in (hints.directories[b""] or ())))
    follower.taken.clear()
    follower.scan_tree(b"")
    (root / "a.jpg").read_bytes()
    (root / "b.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)
    seen = set[bytes]()
    for hints in follower.taken:
        seen |= hints.directories[b""] or set()
    assert seen == {b"b.jpg"}


def test_a_file_made_without_a_name_is_seen_when_it_is_closed(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    """O_TMPFILE: the event has the name it never had."""
    try:
        descriptor = os.open(root, os.O_TMPFILE | os.O_RDWR)
    except OSError as error:
        pytest.skip(f"no O_TMPFILE here: {error}")
    # Not os.link, which can't follow the link in /proc before Python 3.13.
    source = f"/proc/self/fd/{descriptor}"
    subprocess.run(["ln", "-L", source, root / "a.jpg"], check=True, pass_fds=[descriptor])
    alarm.until(follower.is_right)
    os.write(descriptor, b"more")
    os.close(descriptor)
    alarm.until(follower.is_right)


def test_a_file_that_got_another_name_by_a_link_is_seen_when_it_is_closed(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    with (root / "a.tmp").open("wb") as file:
        os.link(root / "a.tmp", root / "a.jpg")
        (root / "a.tmp").unlink()
        alarm.until(follower.is_right)
        file.write(b"more")
    alarm.until(follower.is_right)


def test_a_file_that_loses_its_name_right_before_it_is_closed_is_seen_under_the_other(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    with (root / "a.tmp").open("wb") as file:
        os.link(root / "a.tmp", root / "a.jpg")
        alarm.until(follower.is_right)
        # What happens while the reader is held up is read as one.
        alarm.open.clear()
        (root / "b.jpg").touch()
        assert alarm.held.wait(DEADLINE_SECONDS)
        (root / "a.tmp").unlink()
        file.write(b"more")
    alarm.open.set()
    alarm.until(follower.is_right)


def test_a_directory_that_becomes_readable_is_watched(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    (root / "album").mkdir()
    alarm.until(follower.is_right)
    (root / "album").chmod(0o500)
    alarm.until(lambda: follower.saw(lambda hints: b"album" in hints.directories))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_directory_without_permission_is_unwatched_until_it_has_it(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    album = root / "album"
    album.mkdir(mode=0)
    alarm.until(lambda: follower.saw(lambda hints: b"album" in hints.trees))
    assert "permission" in follower.watch.unwatched[b"album"]
    album.chmod(0o700)
    alarm.until(lambda: follower.is_right() and not follower.watch.unwatched)
    (album / "a.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_odd_names_give_hints(alarm: Alarm, follower: Follower, root: Path) -> None:
    for name in (b"\xff\xfe", b"a\nb", "é".encode(), "e\u0301".encode(), b"x" * 255):
        directory = root / os.fsdecode(name)
        directory.mkdir()
        alarm.until(follower.is_right)
        (directory / os.fsdecode(name)).write_bytes(b"x")
    alarm.until(follower.is_right)


def test_a_directory_that_is_replaced_and_removed_is_followed(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    album, away = root / "album", outside / "album"
    for _ in range(20):
        album.mkdir()
        alarm.until(follower.is_right)
        album.rename(away)
        album.mkdir()
        album.rmdir()
        away.rmdir()
    album.mkdir()
    alarm.until(follower.is_right)
    (album / "a.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_a_copied_tree_is_whole(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    (outside / "album" / "sub").mkdir(parents=True)
    for number in range(100):
        (outside / "album" / "sub" / f"{number}.jpg").write_bytes(b"x" * number)
    copy = subprocess.Popen(["cp", "-r", outside / "album", root])
    alarm.until(lambda: follower.is_right() and copy.poll() == 0 and follower.is_right())
    assert len(follower.known[b"album/sub"]) == 100


@pytest.mark.parametrize("seed", range(6))
def test_after_any_changes_the_hints_are_complete(
    alarm: Alarm, follower: Follower, root: Path, outside: Path, seed: int
) -> None:
    churn = Churn(root, outside, random.Random(seed), operations=500)
    churn.start()

    def is_over() -> bool:
        follower.step()
        return not churn.is_alive()

    alarm.until(is_over)
    alarm.until(follower.is_right)
    for directory in list(follower.known):
        (root / os.fsdecode(directory) / "last.jpg").write_bytes(b"last")
    alarm.until(follower.is_right)
    assert not any(hints.everything for hints in follower.taken)


def test_a_root_that_is_renamed_or_deleted_is_gone(
    alarm: Alarm, watcher: Watcher, root: Path, outside: Path
) -> None:
    watch = watcher.watch("photos", os.fsencode(root))
    assert watch.cover(b"")
    root.rename(outside / "photos")
    hints_of(alarm, watch, lambda hints: hints.root_gone)
    root.mkdir()
    assert watch.cover(b"")
    root.rmdir()
    hints_of(alarm, watch, lambda hints: hints.root_gone)
    assert not watch.cover(b"")
    assert watch.unwatched == {b"": NOT_FOUND}
    root.mkdir()
    assert watch.cover(b"")
    assert not watch.unwatched


def test_a_folder_that_is_missing_at_first_is_reported_by_its_monitor(
    watcher: Watcher, root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    watch = watcher.watch("photos", os.fsencode(root))
    root.rmdir()
    assert not watch.cover(b"")
    watcher.check(0.0)
    root.mkdir()
    watcher.check(1.0)
    assert caplog.messages == []


def test_a_directory_that_vanished_is_not_covered_and_not_reported(
    watcher: Watcher, root: Path, outside: Path
) -> None:
    watch = watcher.watch("photos", os.fsencode(root))
    (root / "link").symlink_to(outside)
    assert not watch.cover(b"album")
    assert not watch.cover(b"link")
    assert not watch.unwatched


def test_a_folder_behind_a_symlink_is_watched(alarm: Alarm, watcher: Watcher, root: Path) -> None:
    link = root.with_name("link")
    link.symlink_to(root)
    follower = Follower(watcher.watch("photos", os.fsencode(link)), link)
    (root / "a.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")
def test_a_mount_and_an_unmount_give_hints(
    alarm: Alarm, watcher: Watcher, root: Path, outside: Path
) -> None:
    watch = watcher.watch("photos", os.fsencode(root))
    assert watch.cover(b"")
    (root / "a disk").mkdir()
    hints_of(alarm, watch, bool)
    with mounted(outside):
        pass
    with mounted(root / "a disk"):
        assert hints_of(alarm, watch, bool) == Hints(trees=frozenset({b"a disk"}))
    assert hints_of(alarm, watch, bool) == Hints(trees=frozenset({b"a disk"}))
    for directory in (root, root.parent):
        with mounted(directory):
            assert hints_of(alarm, watch, bool) == Hints(root_gone=True)
        assert hints_of(alarm, watch, bool) == Hints(root_gone=True)


@contextlib.contextmanager
def mounted(directory: Path) -> Iterator[None]:
    """A fresh file system is there."""
    command = ["mount", "-t", "tmpfs", "none", str(directory)]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", directory], check=True)


def test_a_poll_watch_gives_no_hints(root: Path) -> None:
    watch: HintSource = PollWatch()
    assert watch.cover(b"")
    (root / "a.jpg").write_bytes(b"x")
    watch.forget(b"")
    assert not watch.take()
    assert watch.alive
    assert not watch.unwatched
