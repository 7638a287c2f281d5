"""One bad file stops nothing: it is listed with its reason, retried at growing intervals, and at
once when it has changed."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO, cast

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.core.backoff import IMAGE_RETRY_SECONDS
from snoopsync.core.model import FolderState, ImageState
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.images import ImageRow, State
from tests.support.collection_server import Seen
from tests.support.faults import Fault, answers, reset_before
from tests.support.unstamped import UnstampedDisk
from tests.support.world import InlineWorkers, Live, ToldWatcher, World, fake_picture

BAD, GOOD, MENDED = b"no picture", fake_picture(1), fake_picture(2)

#: The promised schedule: 25 s, 2 min, 10 min, 1 h, 5 h, 24 h, and then every 24 h.
SCHEDULE = [25.0, 120.0, 600.0, 3600.0, 18_000.0, 86_400.0, 86_400.0, 86_400.0]


class BadDisk(UnstampedDisk):
    """Some files can be neither opened nor looked at, as ``opens`` and ``looks`` say. ``lists``:
    may they be looked at while their directory is listed?"""

    def __init__(self) -> None:
        self.code = errno.EIO
        self.opens: Callable[[bytes], bool] = lambda path: True
        self.looks: Callable[[bytes], bool] = lambda path: True

    def check(self, works: bool) -> None:
        if not works:
            raise OSError(self.code, os.strerror(self.code))

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        self.check(self.opens(root.absolute(path)))
        return super().open(root, path)

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self.check(self.looks(root.absolute(path)))
        return super().lstat(root, path)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        with super().entries(root, path) as entries:
            checked = (BadEntry(entry, self) for entry in entries)
            yield cast(Iterator[os.DirEntry[str]], checked)


@dataclass
class BadEntry:
    """An entry of a listing whose ``lstat`` may fail. What kind it is, the listing itself says."""

    entry: os.DirEntry[str]
    disk: BadDisk

    def __getattr__(self, name: str) -> object:
        return getattr(self.entry, name)

    def stat(self, *, follow_symlinks: bool) -> os.stat_result:
        self.disk.check(self.disk.looks(os.fsencode(self.entry.path)))
        return self.entry.stat(follow_symlinks=follow_symlinks)


def listed(world: World, state: ImageState | None = None) -> list[ImageRow]:
    """``snoopsync list``."""
    with closing(Database(world.state_path, readonly=True)) as database:
        return list(State(database).images(state))


def attempts_until(world: World, live: Live, end: float) -> list[float]:
    """The times of the attempts to send something, while time passes up to ``end``."""
    times: list[float] = []
    while world.clock.monotonic() < end:
        retry_at = live.components.state.intents.next_retry()
        if retry_at is not None and retry_at > world.clock.now():
            world.clock.advance(retry_at - world.clock.now())
        before = len(world.remote.uploads())
        live.rest()
        times += [world.clock.monotonic()] * (len(world.remote.uploads()) - before)
    return times


# The schedule.


def test_a_refused_file_is_tried_again_ever_less_often(world: World) -> None:
    """25 s, 2 min, 10 min, 1 h, 5 h, 24 h, and then every 24 h."""
    assert [*IMAGE_RETRY_SECONDS, IMAGE_RETRY_SECONDS[-1], IMAGE_RETRY_SECONDS[-1]] == SCHEDULE
    world.disk.write("bad.jpg", BAD)
    with world.running() as live:
        begun = world.clock.monotonic()
        times = [begun, *attempts_until(world, live, begun + sum(SCHEDULE))]
    pauses = [later - earlier for earlier, later in pairwise(times)]
    assert pauses[: len(SCHEDULE)] == pytest.approx(SCHEDULE, abs=2.0)


def test_a_refused_file_is_listed_with_its_reason(world: World) -> None:
    world.disk.write("bad.jpg", BAD)
    world.disk.write("good.jpg", GOOD)
    world.resync()
    [failed] = listed(world, ImageState.FAILED)
    assert (failed.rel_path.text, failed.error) == ("bad.jpg", "400 not a picture")
    assert [row.rel_path.text for row in listed(world, ImageState.SYNCED)] == ["good.jpg"]


@pytest.mark.parametrize("change", ["write", "replace", "touch"])
def test_a_refused_file_that_has_changed_is_tried_at_once(world: World, change: str) -> None:
    world.disk.write("bad.jpg", BAD)
    with world.running() as live:
        attempts_until(world, live, world.clock.monotonic() + 800.0)
        world.remote.forget_requests()
        before = world.clock.monotonic()
        if change == "touch":
            world.disk.touch("bad.jpg")
        else:
            getattr(world.disk, change)("bad.jpg", MENDED)
        live.settle()
        assert len(world.remote.uploads()) == 1
        assert world.clock.monotonic() - before < 10.0
    assert world.remote.holds(MENDED) == (change != "touch")


def test_a_changed_file_that_is_refused_again_restarts_the_schedule(world: World) -> None:
    world.disk.write("bad.jpg", BAD)
    with world.running() as live:
        attempts_until(world, live, world.clock.monotonic() + 5000.0)
        world.disk.write("bad.jpg", BAD + b" still")
        live.settle()
        begun = world.clock.monotonic()
        [first, *_] = attempts_until(world, live, begun + 20.0)
        assert first - begun == pytest.approx(SCHEDULE[0], abs=2.0)


def test_a_restart_does_not_restart_the_schedule(world: World) -> None:
    world.disk.write("bad.jpg", BAD)
    with world.running() as live:
        attempts_until(world, live, world.clock.monotonic() + 700.0)
    [before] = listed(world)
    world.remote.forget_requests()
    for _ in range(5):
        with world.running() as live:
            live.settle()
    assert world.remote.uploads() == []
    assert listed(world) == [before]
    with world.running() as live:
        begun = world.clock.monotonic()
        [first, *_] = attempts_until(world, live, begun + 3000.0)
        assert first - begun == pytest.approx(3600.0, abs=30.0)


def test_a_requested_resync_retries_refused_files_at_once(world: World) -> None:
    refuses = True
    world.remote.server.fault_for = lambda seen: answers(415) if seen.length and refuses else None
    world.disk.write("a.jpg", GOOD)
    assert of_resync(world.resync()) == 3
    refuses = False
    assert of_resync(world.resync()) == 0
    world.check_mirrored()


# It stops nothing.


@pytest.mark.parametrize("status", [400, 413, 415, 422, 500])
def test_files_that_are_refused_stop_no_others(world: World, status: int) -> None:
    bad = {os.fsencode(f"bad{number}.jpg") for number in range(20)}
    for name in bad:
        world.disk.write(os.fsdecode(name), b"bad " + name)
    for number in range(20):
        world.disk.write(f"good{number}.jpg", fake_picture(number))
    world.remote.server.fault_for = lambda seen: (
        answers(status) if seen.method == "POST" and 0 < seen.length < 20 else None
    )
    report = world.resync()
    assert (report.summary.added, report.summary.failed) == (20, 20)
    assert all(row.error and str(status) in row.error for row in listed(world, ImageState.FAILED))


def kills_its_connection(length: int) -> Callable[[Seen], Fault | None]:
    """The service resets each connection that sends a file of this length."""
    return lambda seen: reset_before() if seen.length == length else None


@pytest.mark.parametrize("workers", [1, 4])
def test_a_file_that_always_breaks_the_connection_is_retried_later_like_any_other(
    world: World, workers: int
) -> None:
    """To the client that looks like an outage; but while it lasts, other requests are answered."""
    world.sync = type(world.sync)(settle_seconds=0.5, delete_after_seconds=5.0, workers=workers)
    world.make_workers = InlineWorkers if workers == 1 else Workers
    poison = fake_picture(0, size=4321)
    world.remote.server.fault_for = kills_its_connection(len(poison))
    world.disk.write("a-poison.jpg", poison)
    for number in range(1, 30):
        world.disk.write(f"good{number}.jpg", fake_picture(number))
    report = world.resync()
    assert (report.summary.added, report.summary.failed, report.trouble) == (29, 1, None)
    assert len([seen for seen in world.remote.uploads() if seen.length == len(poison)]) <= 5


# The disk.


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_an_unreadable_file_is_listed_as_failed_with_its_reason(world: World, code: int) -> None:
    disk = world.disk_edge = BadDisk()
    disk.code = code
    disk.opens = lambda path: not path.endswith(b"bad.jpg")
    world.disk.write("bad.jpg", MENDED)
    world.disk.write("good.jpg", GOOD)
    with world.running() as live:
        [failed] = listed(world, ImageState.FAILED)
        assert failed.error == f"can't be read: {os.strerror(code)}"
        assert world.remote.holds(GOOD)
        disk.opens = lambda path: True
        begun = world.clock.monotonic()
        attempts_until(world, live, begun + 20.0)
        assert world.clock.monotonic() - begun == pytest.approx(SCHEDULE[0], abs=2.0)
    world.check_mirrored()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_be_read_again_is_sent_at_once(world: World) -> None:
    world.disk.write("bad.jpg", MENDED)
    (world.disk.root / "bad.jpg").chmod(0)
    with world.running() as live:
        attempts_until(world, live, world.clock.monotonic() + 800.0)
        (world.disk.root / "bad.jpg").chmod(0o600)
        live.settle()
    world.check_mirrored()


@pytest.fixture
def one_unclear(world: World) -> BadDisk:
    """Three files are mirrored; then the disk has an error at the inode of one of them."""
    for name in ("a", "bad", "z"):
        world.disk.write(f"x/{name}.jpg", fake_picture(ord(name[0])))
    world.disk.write("top.jpg", GOOD)
    world.resync()
    world.remote.forget_requests()
    disk = world.disk_edge = BadDisk()
    disk.looks = lambda path: not path.endswith(b"bad.jpg")
    return disk


def test_a_file_that_cannot_be_examined_hides_no_other(world: World, one_unclear: BadDisk) -> None:
    with world.running() as live:
        world.disk.write("x/a.jpg", fake_picture(100))
        world.disk.write("x/new.jpg", fake_picture(101))
        world.disk.remove("x/z.jpg")
        live.settle()
        assert world.folder_state() == FolderState.UNWATCHED
        assert live.components.engine.monitors[0].row.reason == (
            f"{world.disk.root}/x/bad.jpg: Input/output error"
        )
    assert sorted(seen.method for seen in world.remote.changes()) == ["DELETE", "POST", "PUT"]
    world.disk_edge = Disk()
    world.resync()
    world.check_mirrored()


def test_a_file_that_cannot_be_examined_is_neither_gone_nor_changed(
    world: World, one_unclear: BadDisk
) -> None:
    """It is found once that is over, although the listing of its directory was recorded."""
    ids = world.ids()
    with world.running() as live:
        for _ in range(5):
            world.clock.advance(1000.0)
            live.settle()
        assert (world.remote.changes(), world.ids()) == ([], ids)
        one_unclear.looks = lambda path: True
        world.disk.write("x/bad.jpg", fake_picture(200))
        world.clock.advance(31.0)
        live.rest()
        assert world.folder_state() == FolderState.OK
    world.check_mirrored()
    assert world.ids() == ids


def test_a_new_file_that_cannot_be_examined_is_found_once_it_can(world: World) -> None:
    disk = world.disk_edge = BadDisk()
    disk.looks = lambda path: not path.endswith(b"bad.jpg")
    world.disk.write("bad.jpg", MENDED)
    world.disk.write("good.jpg", GOOD)
    with world.running() as live:
        live.settle()
        assert len(world.ids()) == 1
        disk.looks = lambda path: True
        live.settle()
    world.check_mirrored()


def test_a_directory_that_cannot_be_examined_is_not_gone(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the listing does not tell files from directories, each has to be looked at."""

    class TypelessEntry(BadEntry):
        def is_file(self, *, follow_symlinks: bool) -> bool:
            self.stat(follow_symlinks=False)
            return self.entry.is_file(follow_symlinks=follow_symlinks)

        def is_dir(self, *, follow_symlinks: bool) -> bool:
            self.stat(follow_symlinks=False)
            return self.entry.is_dir(follow_symlinks=follow_symlinks)

    class TypelessDisk(BadDisk):
        @contextmanager
        def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
            with Disk.entries(self, root, path) as entries:
                checked = (TypelessEntry(entry, self) for entry in entries)
                yield cast(Iterator[os.DirEntry[str]], checked)

    disk = world.disk_edge = TypelessDisk()
    world.disk.write("x/a.jpg", GOOD)
    world.disk.write("top.jpg", MENDED)
    watcher = ToldWatcher()
    with world.running(watcher) as live:
        world.remote.forget_requests()
        forgotten: list[bytes] = []
        monkeypatch.setattr(watcher.told["photos"], "forget", forgotten.append)
        disk.looks = lambda path: b"/x" not in path
        for _ in range(3):
            world.clock.advance(1000.0)
            live.settle()
        assert (world.remote.changes(), forgotten) == ([], [])
        disk.looks = lambda path: True
        world.disk.remove("x")
        watcher.told["photos"].tell_tree("x")
        live.settle()
    world.check_mirrored()
