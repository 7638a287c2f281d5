"""One folder over time: hints say where to look, scans look everywhere; both give differences."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.model import File, Fingerprint, FolderState, RelPath
from snoopsync.core.planner import Add
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from snoopsync.folders.identity_check import REFUSED_SECONDS, STALLED_SECONDS
from snoopsync.folders.monitor import GUARD_SECONDS, RETRY_SECONDS, FolderMonitor, Pace
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch
from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.hints import Hints
from snoopsync.watching.mounts import MOUNTINFO
from snoopsync.watching.watcher import Watcher
from tests.support.unstamped import UnstampedDisk
from tests.support.world import DiskFolder

FOREVER = float("inf")


class ScriptedWatch:
    """Gives the hints that it was given, and remembers what was asked of it."""

    alive = True
    behind = False
    last_proof: float | None = None
    restarts = 0

    def __init__(self) -> None:
        self.unwatched: Mapping[bytes, str] = {}
        self.hints = Hints()
        self.covered: list[bytes] = []
        self.forgotten: list[bytes] = []

    def cover(self, directory: bytes) -> bool:
        self.covered.append(directory)
        return True

    def forget(self, directory: bytes) -> None:
        self.forgotten.append(directory)

    def take(self) -> Hints:
        hints, self.hints = self.hints, Hints()
        return hints


class ScriptedWatcher(Watcher):
    """Gives the folder this watch."""

    def __init__(self, scripted: ScriptedWatch) -> None:
        super().__init__(lambda: None)
        self.scripted = scripted

    def watch(self, name: str, root: bytes) -> HintSource:
        return self.scripted


class PartlyDeadDisk(UnstampedDisk):
    """Some directories can't be listed."""

    def __init__(self) -> None:
        self.dead: set[bytes] = set()
        self.code = errno.EACCES
        self.before_lstat: Callable[[], object] = lambda: None

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self.before_lstat()
        return super().lstat(root, path)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if root.absolute(path) in self.dead:
            raise OSError(self.code, os.strerror(self.code))
        with super().entries(root, path) as entries:
            yield entries


class Scene:
    """A folder, what is known of it, and somebody who looks at it."""

    def __init__(self, base: Path, database: Database) -> None:
        self.disk = DiskFolder(base / "photos")
        self.disk.root.mkdir()
        self.edge = PartlyDeadDisk()
        self.state = State(database)
        self.state.folders.save(FolderRow("photos", os.fsencode(self.disk.root), None, None))
        self.watch = ScriptedWatch()
        self.now = 1000.0
        self.monitor = self.begin()

    def begin(
        self,
        *,
        exclude: tuple[str, ...] = (),
        wanted: str = "events",
        mountinfo: Path = MOUNTINFO,
        dormant: bool = False,
    ) -> FolderMonitor:
        """A new start."""
        path = os.fsencode(self.disk.root)
        folder = Folder("photos", path, Selection(None, exclude), self.edge)
        lookout = FolderWatch("photos", path, wanted, ScriptedWatcher(self.watch), mountinfo)
        [row] = self.state.folders.rows()
        pace = Pace(900.0, 30.0)
        self.monitor = FolderMonitor(folder, lookout, self.state, row, pace, dormant=dormant)
        return self.monitor

    def know(self, *paths: str) -> None:
        """The state file knows these files as they are."""
        for path in paths:
            fingerprint = Fingerprint.of((self.disk.root / path).lstat())
            rel_path = RelPath("photos", os.fsencode(path))
            self.state.intents.apply([Add(rel_path, f"tester.{path}", File(fingerprint))], 0.0)

    def look(self) -> dict[str, bool]:
        """Look at everything there is to look at: the paths that are not as they are known, and
        whether there is a file."""
        self.monitor.update(self.now)
        while self.monitor.is_being_recognised:
            list(self.monitor.differences(FOREVER, self.now))
        differences = list(self.monitor.differences(FOREVER, self.now))
        return {difference.rel_path.text: difference.seen is not None for difference in differences}

    def wait(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        yield Scene(tmp_path, database)


def names(directory: str, *names: str) -> Hints:
    return Hints({os.fsencode(directory): frozenset(map(os.fsencode, names))})


# The scan.


def test_the_first_look_scans_everything(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.disk.write("x/y/b.jpg", b"b")
    scene.disk.write("x/readme.txt", b"no picture")
    assert scene.look() == {"a.jpg": True, "x/y/b.jpg": True}
    assert scene.monitor.row.state is FolderState.OK
    assert scene.monitor.scanned == 2


def test_what_is_as_it_is_known_is_no_news(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.disk.write("x/b.jpg", b"b")
    scene.know("a.jpg", "x/b.jpg")
    assert scene.look() == {}


def test_what_changed_or_went_is_news(scene: Scene) -> None:
    for path in ("same.jpg", "changed.jpg", "gone.jpg", "x/gone.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("same.jpg", "changed.jpg", "gone.jpg", "x/gone.jpg")
    scene.disk.write("changed.jpg", b"others")
    scene.disk.remove("gone.jpg")
    scene.disk.remove("x")
    assert scene.look() == {"changed.jpg": True, "gone.jpg": False, "x/gone.jpg": False}


def test_a_directory_is_watched_before_it_is_listed(scene: Scene) -> None:
    class Racing(ScriptedWatch):
        """Somebody writes right after the watch was put on."""

        def cover(self, directory: bytes) -> bool:
            if directory == b"x":
                scene.disk.write("x/late.jpg", b"late")
            return super().cover(directory)

    scene.disk.write("x/a.jpg", b"a")
    scene.watch = Racing()
    scene.begin()
    assert "x/late.jpg" in scene.look()


def test_what_is_not_wanted_any_more_is_no_news(scene: Scene) -> None:
    for path in ("a.jpg", "x/b.jpg", "x/c.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("a.jpg", "x/b.jpg", "x/c.jpg")
    scene.begin(exclude=("a.jpg", "x/"))
    assert scene.look() == {}
    scene.disk.remove("x")
    scene.disk.remove("a.jpg")
    scene.monitor.scan()
    assert scene.look() == {}


def test_scans_are_repeated_a_little_at_random(scene: Scene) -> None:
    scene.look()
    scene.disk.write("a.jpg", b"a")
    scene.wait(800.0)
    assert scene.look() == {}
    scene.wait(200.0)
    assert scene.look() == {"a.jpg": True}


def test_a_folder_that_is_polled_is_scanned_at_its_interval(scene: Scene) -> None:
    scene.begin(wanted="poll")
    scene.look()
    scene.disk.write("a.jpg", b"a")
    scene.wait(29.0)
    assert scene.look() == {}
    scene.wait(1.0)
    assert scene.look() == {"a.jpg": True}


def test_a_dormant_folder_is_known_and_never_scanned(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.begin(dormant=True)
    assert scene.look() == {}
    scene.wait(10_000.0)
    assert scene.look() == {}
    assert scene.monitor.folder.identity is not None


# Hints.


def test_a_hint_at_a_name_is_a_look_at_it(scene: Scene) -> None:
    for path in ("x/gone.jpg", "x/same.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("x/gone.jpg", "x/same.jpg")
    scene.look()
    scene.disk.write("x/new.jpg", b"new")
    scene.disk.remove("x/gone.jpg")
    scene.watch.hints = names("x", "new.jpg", "gone.jpg", "same.jpg", "never.jpg")
    assert scene.look() == {"x/new.jpg": True, "x/gone.jpg": False}


def test_a_hint_at_a_directory_that_came_is_a_look_at_all_below(scene: Scene) -> None:
    scene.look()
    scene.disk.write("x/y/a.jpg", b"a")
    scene.watch.hints = names("", "x")
    assert scene.look() == {"x/y/a.jpg": True}
    assert b"x/y" in scene.watch.covered


@pytest.mark.parametrize(
    "hints", [names("", "x"), Hints(trees=frozenset([b"x"])), Hints({b"": None})]
)
def test_a_hint_at_a_directory_that_went_is_news_of_all_below(scene: Scene, hints: Hints) -> None:
    scene.disk.write("x/y/a.jpg", b"a")
    scene.disk.write("x/b.jpg", b"b")
    scene.disk.write("xx/c.jpg", b"c")
    scene.know("x/y/a.jpg", "x/b.jpg", "xx/c.jpg")
    scene.look()
    scene.disk.remove("x")
    scene.watch.hints = hints
    assert scene.look() == {"x/y/a.jpg": False, "x/b.jpg": False}
    assert scene.watch.forgotten == [b"x"]


def test_lost_events_mean_a_scan(scene: Scene) -> None:
    scene.look()
    scene.disk.write("x/a.jpg", b"a")
    scene.watch.hints = Hints(everything=True)
    assert scene.look() == {"x/a.jpg": True}


def test_hints_below_an_excluded_directory_are_not_followed(scene: Scene) -> None:
    scene.begin(exclude=("x/",))
    scene.look()
    scene.disk.write("x/y/a.jpg", b"a")
    scene.watch.hints = Hints({b"x": None, b"": frozenset([b"x"])}, trees=frozenset([b"x/y"]))
    assert scene.look() == {}
    assert b"x" not in scene.watch.covered


def test_a_held_image_whose_file_is_back_is_news(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.know("a.jpg")
    scene.state.deletions.hold(["tester.a.jpg"])
    scene.look()
    scene.watch.hints = names("", "a.jpg")
    assert scene.look() == {"a.jpg": True}


# Trouble.


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_of_a_directory_that_can_not_be_listed_nothing_is_said(scene: Scene, code: int) -> None:
    scene.disk.write("x/y/a.jpg", b"a")
    scene.know("x/y/a.jpg")
    scene.edge.code = code
    scene.edge.dead = {os.fsencode(scene.disk.root / "x")}
    scene.disk.remove("x/y")
    assert scene.look() == {}
    scene.monitor.refresh_row()
    assert scene.monitor.row.state == "unwatched"
    assert os.strerror(code) in (scene.monitor.row.reason or "")

    scene.edge.dead = set()
    scene.wait(RETRY_SECONDS)
    assert scene.look() | scene.look() == {"x/y/a.jpg": False}
    scene.monitor.refresh_row()
    assert scene.monitor.row.state == "ok"


def test_a_folder_that_is_gone_is_missing_and_back_by_itself(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.know("a.jpg")
    scene.look()
    away = scene.disk.root.with_name("away")
    scene.disk.root.rename(away)
    scene.wait(GUARD_SECONDS)
    assert scene.look() == {}
    assert scene.monitor.is_missing
    away.rename(scene.disk.root)
    scene.disk.write("b.jpg", b"b")
    scene.wait(GUARD_SECONDS)
    assert scene.look() == {"b.jpg": True}
    assert not scene.monitor.is_missing


def test_a_network_disk_that_is_mounted_late_is_polled_from_then_on(
    scene: Scene, tmp_path: Path
) -> None:
    """At the start there was only the directory that it is mounted on."""
    root, table = os.fsencode(scene.disk.root), tmp_path / "mountinfo"
    local = b"20 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
    table.write_bytes(local)
    away = scene.disk.root.rename(scene.disk.root.with_name("away"))
    scene.begin(wanted="auto", mountinfo=table)
    scene.look()
    assert scene.monitor.row.state == "missing"
    away.rename(scene.disk.root)
    table.write_bytes(local + b"21 20 0:41 / " + root + b" rw - nfs4 nas:/photos rw\n")
    scene.wait(GUARD_SECONDS)
    scene.look()
    assert (scene.monitor.row.state, scene.monitor.row.watch) == ("ok", "poll")
    covered = len(scene.watch.covered)
    scene.disk.write("a.jpg", b"a")
    scene.wait(30.0)
    assert scene.look() == {"a.jpg": True}
    assert len(scene.watch.covered) == covered


def test_a_hint_that_the_folder_is_gone_is_followed_at_once(scene: Scene) -> None:
    scene.look()
    scene.disk.remove("")
    scene.watch.hints = Hints(root_gone=True)
    scene.look()
    assert scene.monitor.is_missing


@pytest.mark.parametrize("is_back", [True, False])
@pytest.mark.parametrize(
    "hints",
    [names("x", "a.jpg"), names("z", "new.jpg"), names("", "x"), Hints({b"x/y": None})],
)
def test_of_a_folder_that_is_not_there_only_its_guard_speaks(
    scene: Scene, caplog: pytest.LogCaptureFixture, hints: Hints, is_back: bool
) -> None:
    """Whatever is looked at before that; and if it is back by then, nothing has happened, and
    nothing is missed."""
    for path in ("x/a.jpg", "x/y/b.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("x/a.jpg", "x/y/b.jpg")
    scene.disk.write("z/readme.txt", b"text")
    scene.look()
    away = scene.disk.root.rename(scene.disk.root.with_name("away"))
    (away / "z" / "new.jpg").write_bytes(b"bytes")
    scene.watch.hints = hints
    assert scene.look() == {}
    assert caplog.messages == []
    if is_back:
        away.rename(scene.disk.root)
        assert scene.look() == {"z/new.jpg": True}
        scene.monitor.refresh_row()
        assert scene.monitor.row.state == "ok"
        assert caplog.messages == []
    else:
        assert scene.look() == {}
        assert scene.monitor.is_missing
        [said] = caplog.messages
        assert "is missing" in said


@pytest.mark.parametrize("code", [errno.ESTALE, errno.ENOTCONN])
def test_of_a_folder_whose_disk_is_gone_only_its_guard_speaks(
    scene: Scene, caplog: pytest.LogCaptureFixture, code: int
) -> None:
    scene.disk.write("x/a.jpg", b"bytes")
    scene.know("x/a.jpg")
    scene.look()
    scene.edge.code = code
    scene.edge.dead = {os.fsencode(scene.disk.root), os.fsencode(scene.disk.root / "x")}
    scene.watch.hints = Hints({b"x": None})
    assert scene.look() | scene.look() == {}
    assert scene.monitor.is_missing
    [said] = caplog.messages
    assert "is missing" in said


def test_a_folder_that_was_gone_for_a_moment_is_watched_anew(scene: Scene) -> None:
    """A file system gives the number of a directory that was deleted to the next one."""
    scene.disk.write("x/a.jpg", b"a")
    scene.look()
    scene.watch.covered.clear()
    scene.watch.hints = Hints(root_gone=True)
    scene.look()
    assert scene.watch.covered == [b"", b"x"]


def test_another_directory_in_the_place_of_the_folder_is_not_it(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.know("a.jpg")
    scene.look()
    scene.disk.root.rename(scene.disk.root.with_name("away"))
    scene.disk.root.mkdir()
    for start in (scene.begin, lambda: None):
        start()
        scene.wait(GUARD_SECONDS)
        assert scene.look() == {}
        assert "not the same directory" in (scene.monitor.row.reason or "")

    scene.monitor.accept()
    assert scene.look() == {"a.jpg": False}


def test_a_disk_with_another_number_is_known_by_what_is_on_it(scene: Scene) -> None:
    """Device numbers are given out anew at every boot."""
    for name in "abcd":
        scene.disk.write(f"{name}.jpg", name.encode())
    scene.know("a.jpg", "b.jpg", "c.jpg", "d.jpg")
    scene.look()
    scene.disk.remove("d.jpg")
    row = scene.monitor.row
    scene.state.folders.save(replace(row, device=(row.device or 0) + 1, file_system=0))
    scene.begin()
    assert scene.look() == {"d.jpg": False}
    assert scene.monitor.row.device == row.device
    assert scene.state.deletions.needing_approval("photos") == {"tester.d.jpg"}


def test_another_disk_with_the_same_numbers_is_not_the_folder(scene: Scene) -> None:
    """It was swapped while snoopsync was stopped, and the system gave it the other's number."""
    scene.disk.write("a.jpg", b"a")
    scene.know("a.jpg")
    scene.look()
    scene.disk.remove("a.jpg")
    row = scene.monitor.row
    scene.state.folders.save(replace(row, file_system=row.file_system + 1))
    scene.begin()
    assert scene.look() == {}
    assert scene.monitor.is_missing

    scene.monitor.accept()
    scene.begin()
    assert scene.look() == {"a.jpg": False}


def test_a_folder_whose_disk_was_not_written_down_is_known_by_what_is_on_it(scene: Scene) -> None:
    """Device and inode prove nothing after a restart."""
    for name in "abc":
        scene.disk.write(f"{name}.jpg", name.encode())
    scene.know("a.jpg", "b.jpg", "c.jpg")
    scene.look()
    scene.disk.remove("a.jpg")
    row = scene.monitor.row
    scene.state.folders.save(replace(row, file_system=0))
    scene.begin()
    assert scene.look() == {"a.jpg": False}
    assert scene.monitor.row.file_system == row.file_system

    scene.disk.remove("b.jpg")
    scene.disk.remove("c.jpg")
    scene.state.folders.save(replace(row, file_system=0))
    scene.begin()
    assert scene.look() == {}
    assert scene.monitor.is_missing


def test_files_need_approval_if_they_are_missing_at_the_first_scan_after_recognition_by_content(
    scene: Scene,
) -> None:
    for name in "abcdef":
        scene.disk.write(f"{name}.jpg", name.encode())
    scene.know(*(f"{name}.jpg" for name in "abcdef"))
    scene.look()
    scene.state.folders.save(replace(scene.monitor.row, file_system=0))
    scene.disk.remove("a.jpg")
    scene.begin()
    scene.monitor.update(scene.now)
    while scene.monitor.is_being_recognised:
        assert scene.monitor.is_missing, "until that is known, nothing is sent"
        assert scene.monitor.is_busy
        list(scene.monitor.differences(FOREVER, scene.now))
    assert scene.monitor.row.recognised_by_content
    scene.begin()
    assert scene.monitor.row.recognised_by_content, "a restart is no scan"
    assert scene.look() == {"a.jpg": False}
    assert not scene.monitor.row.recognised_by_content
    scene.disk.remove("b.jpg")
    scene.watch.hints = names("", "b.jpg")
    assert scene.look() == {"b.jpg": False}
    assert scene.state.deletions.needing_approval("photos") == {"tester.a.jpg"}


def test_a_directory_that_could_not_be_listed_at_the_first_scan_needs_approval_too(
    scene: Scene,
) -> None:
    for path in ("a.jpg", "b.jpg", "x/c.jpg"):
        scene.disk.write(path, path.encode())
    scene.know("a.jpg", "b.jpg", "x/c.jpg")
    scene.look()
    scene.state.folders.save(replace(scene.monitor.row, file_system=0))
    scene.edge.dead = {os.fsencode(scene.disk.root / "x")}
    scene.begin()
    assert scene.look() == {}
    assert scene.state.deletions.needing_approval("photos") == {"tester.x/c.jpg"}


def test_a_disk_that_never_answers_is_missing_and_stops_nothing(scene: Scene) -> None:
    for name in "ab":
        scene.disk.write(f"{name}.jpg", name.encode())
    scene.know("a.jpg", "b.jpg")
    scene.look()
    scene.state.folders.save(replace(scene.monitor.row, file_system=0))
    answers = threading.Event()
    scene.edge.before_lstat = answers.wait
    scene.begin()
    scene.monitor.update(scene.now)
    list(scene.monitor.differences(FOREVER, scene.now))
    assert scene.monitor.is_being_recognised
    scene.wait(STALLED_SECONDS + 1.0)
    list(scene.monitor.differences(FOREVER, scene.now))
    assert not scene.monitor.is_being_recognised
    assert scene.monitor.row.reason == "its disk does not respond"
    scene.wait(REFUSED_SECONDS)
    scene.monitor.update(scene.now)
    assert not scene.monitor.is_being_recognised, "one thread is waiting for it already"
    answers.set()
    scene.monitor._check._abandoned.result()
    scene.wait(GUARD_SECONDS)
    assert scene.look() == {}
    assert not scene.monitor.is_missing


def test_a_folder_that_nothing_is_known_of_may_be_any_directory(scene: Scene) -> None:
    scene.look()
    scene.disk.root.rename(scene.disk.root.with_name("away"))
    scene.disk.root.mkdir()
    scene.disk.write("a.jpg", b"a")
    scene.begin()
    assert scene.look() == {"a.jpg": True}
