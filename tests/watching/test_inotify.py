"""The events of inotify: what the kernel tells of directories, mounts and lost events."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from snoopsync.watching.watcher import Watcher
from tests.support.watching import DEADLINE_SECONDS, Alarm, Follower
from tests.watching.helpers import hints_of

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="inotify is Linux's")


def test_a_tree_that_was_renamed_when_full_keeps_being_watched(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    for number in range(30):
        growing, final = root / "growing", root / f"final-{number}"
        growing.mkdir()
        (growing / "sub").mkdir()
        (growing / "sub" / "a.jpg").write_bytes(b"x")
        growing.rename(final)
        (final / "sub" / "b.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)
    for number in range(30):
        (root / f"final-{number}" / "sub" / "c.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_a_directory_that_was_moved_out_is_not_reported_any_more(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    (root / "album" / "sub").mkdir(parents=True)
    alarm.until(follower.is_right)
    (root / "album").rename(outside / "album")
    alarm.until(follower.is_right)
    follower.taken.clear()
    (outside / "album" / "a.jpg").write_bytes(b"x")
    (outside / "album" / "sub" / "a.jpg").write_bytes(b"x")
    (root / "last.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)
    assert {path for hints in follower.taken for path in hints.directories} == {b""}


def test_a_directory_that_is_moved_in_is_watched_with_all_below(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    (outside / "album" / "sub").mkdir(parents=True)
    (outside / "album" / "sub" / "a.jpg").write_bytes(b"x")
    (outside / "album").rename(root / "album")
    alarm.until(follower.is_right)
    (root / "album" / "sub" / "b.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_two_directories_that_swap_names_are_distinguished(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    for name in ("a", "b"):
        (root / name / "sub").mkdir(parents=True)
        (root / name / "sub" / f"{name}.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)
    (root / "a").rename(root / "c")
    (root / "b").rename(root / "a")
    (root / "c").rename(root / "b")
    alarm.until(follower.is_right)
    (root / "a" / "sub" / "b.jpg").write_bytes(b"more")
    (root / "b" / "sub" / "new.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_a_replaced_directory_is_noticed_when_it_is_covered(
    alarm: Alarm, watcher: Watcher, root: Path, outside: Path
) -> None:
    """As after a mount over a directory, where the directory above has no event to tell of it."""
    watch = watcher.watch("photos", os.fsencode(root))
    album = root / "album"
    album.mkdir()
    assert watch.cover(b"album")
    album.rename(outside / "moved")
    album.mkdir()
    hints_of(alarm, watch, lambda hints: hints.trees == {b"album"})
    alarm.rung.clear()
    assert watch.cover(b"album")
    assert watch.take().trees == {b"album"}
    assert alarm.rung.is_set()
    assert watch.cover(b"album")
    assert not watch.take()
    (outside / "moved" / "a.jpg").write_bytes(b"x")
    (album / "b.jpg").write_bytes(b"x")
    hints = hints_of(alarm, watch, bool)
    assert hints.directories == {b"album": frozenset({b"b.jpg"})}


def kernel_watches() -> int:
    """How many watches the kernel holds for this process."""
    count = 0
    for info in Path("/proc/self/fdinfo").iterdir():
        with contextlib.suppress(FileNotFoundError):  # the one that lists them
            count += info.read_text().count("inotify wd:")
    return count


def test_watches_do_not_accumulate(
    alarm: Alarm, follower: Follower, root: Path, outside: Path
) -> None:
    """A directory that left, by whatever way, leaves no watch behind."""
    before = kernel_watches()
    for number in range(5):
        (root / "album" / "sub").mkdir(parents=True)
        alarm.until(follower.is_right)
        assert kernel_watches() == before + 2
        (root / "album").rename(outside / f"{number}")
        (root / "album").mkdir()
        alarm.until(follower.is_right)
        alarm.until(lambda: kernel_watches() == before + 1)
        (root / "album").rename(outside / f"{number}" / "album")
        alarm.until(follower.is_right)
        assert kernel_watches() == before


def test_an_overflow_of_the_queue_is_a_hint_about_everything(
    alarm: Alarm, follower: Follower, root: Path
) -> None:
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 100_000:
        pytest.skip(f"it would take {limit} events to fill the queue")
    alarm.open.clear()
    (root / "first").touch()
    assert alarm.held.wait(DEADLINE_SECONDS)
    for number in range(limit // 2 + 10):
        (root / f"{number % 2}").touch()
        (root / f"{number % 2}").unlink()
    (root / "last.jpg").write_bytes(b"x")
    alarm.open.set()
    alarm.until(lambda: follower.saw(lambda hints: hints.everything))
    alarm.until(follower.is_right)
    (root / "after.jpg").write_bytes(b"x")
    alarm.until(follower.is_right)


def test_events_that_were_not_read_yet_are_reported(
    alarm: Alarm, watcher: Watcher, root: Path
) -> None:
    """However far the reader is behind: in the system's queue, being gathered, or not taken."""
    watch = watcher.watch("photos", os.fsencode(root))
    watch.cover(b"")
    assert not watch.behind
    alarm.open.clear()
    (root / "a.jpg").write_bytes(b"x")
    assert alarm.held.wait(DEADLINE_SECONDS)
    assert watch.behind
    watch.take()
    (root / "b.jpg").write_bytes(b"x")
    assert watch.behind
    alarm.open.set()
    hints_of(alarm, watch, lambda hints: b"b.jpg" in (hints.directories.get(b"") or ()))
    alarm.until(lambda: not watch.take() and not watch.behind)
    watcher.stop()
    assert not watch.behind


IN_A_SMALL_WORLD = """
import json, os, sys
from pathlib import Path
from snoopsync.watching.watcher import Watcher

limit = Path("/proc/sys/user/max_inotify_watches")
try:
    limit.write_text("5")
except OSError as error:
    sys.exit(f"the limit can't be set: {error}")
root = sys.argv[1].encode()
watcher = Watcher(lambda: None)
watch = watcher.watch("photos", root)
names = [b"", *sorted(os.listdir(root))]
covered = [watch.cover(name) for name in names]
unwatched = watch.unwatched
limit.write_text("100")
healed = [watch.cover(name) for name in names]
print(json.dumps([sum(covered), {k.decode(): v for k, v in unwatched.items()},
                  sum(healed), len(watch.unwatched)]))
watcher.stop()
"""


def test_the_limit_of_watches_is_reported_and_repaired(root: Path) -> None:
    """In a user namespace of its own, where the limit is nobody else's."""
    for number in range(10):
        (root / f"{number}").mkdir()
    unshare = shutil.which("unshare")
    if unshare is None:
        pytest.skip("there is no unshare command")
    command = [unshare, "--user", "--map-root-user", sys.executable, "-c"]
    command += [IN_A_SMALL_WORLD, str(root)]
    world = subprocess.run(command, capture_output=True, text=True, check=False)
    if world.returncode != 0 and ("unshare" in world.stderr or "limit can't" in world.stderr):
        pytest.skip(world.stderr.strip())
    covered, unwatched, healed, left = json.loads(world.stdout)
    assert covered == 4, "one of five is the canary's"
    assert len(unwatched) == 7
    assert all("fs.inotify.max_user_watches" in reason for reason in unwatched.values())
    assert (healed, left) == (11, 0)
