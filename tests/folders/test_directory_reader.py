"""A scan misses nothing because it does not list a directory that proves to be unchanged."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.core.left_out import totals
from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add
from snoopsync.core.selection import Selection
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.scanner import Scanner
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch
from snoopsync.watching.hints import Hints
from tests.support.mounting import FRESH, mounted, needs_root
from tests.support.unstamped import UnstampedDisk
from tests.support.world import DiskFolder

FOREVER = float("inf")
HOUR_NS = 3_600_000_000_000
MILLISECOND_NS = 1_000_000


class RecordingDisk(Disk):
    """Remembers which directories were listed, at a time that is ``ahead_ns`` of the real one."""

    def __init__(self) -> None:
        self.listed: list[str] = []
        self.ahead_ns = HOUR_NS

    def now_ns(self) -> int:
        return super().now_ns() + self.ahead_ns

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self.listed.append(os.fsdecode(path))
        with super().entries(root, path) as entries:
            yield entries


class UnstampedRecordingDisk(UnstampedDisk, RecordingDisk):
    pass


class PartlyFailingWatch(FolderWatch):
    """A watch that cannot be put on some directories."""

    failing: frozenset[bytes] = frozenset()

    def cover(self, directory: bytes) -> bool:
        return directory not in self.failing


class Scene:
    """A folder with a file in each of two directories, all of it known and scanned once."""

    def __init__(self, base: Path, database: Database, disk: RecordingDisk) -> None:
        self.disk = disk
        self.folder = DiskFolder(base / "photos")
        self.folder.write("x/a.jpg", b"a")
        self.folder.write("x/y/b.jpg", b"b")
        self.folder.write("x/y/readme.txt", b"no picture")
        self.state = State(database)
        path = os.fsencode(self.folder.root)
        self.state.folders.save(FolderRow("photos", path, None, None))
        self.watch = PartlyFailingWatch("photos", path, "auto", None)
        folder = Folder("photos", path, Selection(None, ()), disk)
        folder.identity = folder.identify()
        self.scanner = Scanner(folder, self.watch, self.state, lambda *args, **keys: None)
        for name in ("x/a.jpg", "x/y/b.jpg"):
            self.know(name)
        self.scan()
        self.wait_for_another_time()

    def know(self, path: str) -> None:
        """The state file knows this file as it is."""
        fingerprint = Fingerprint.of((self.folder.root / path).lstat())
        rel_path = RelPath("photos", os.fsencode(path))
        self.state.intents.apply([Add(rel_path, f"tester.{path}", File(fingerprint))], 0.0)

    def wait_for_another_time(self) -> None:
        """Until the kernel gives another time stamp than the ones before."""
        probe = self.folder.root.with_name("probe")
        probe.write_bytes(b"")
        before = probe.stat().st_ctime_ns
        while probe.stat().st_ctime_ns == before:
            probe.write_bytes(b"probe")

    def scan(self, hints: Hints | None = None) -> dict[str, bool]:
        """The paths that are not as they are known, and whether there is a file. ``listed`` has the
        directories that were listed for that."""
        self.disk.listed.clear()
        self.scanner.scan()
        if hints is not None:
            self.scanner.follow(hints)
        differences = list(self.scanner.differences(FOREVER))
        return {difference.rel_path.text: difference.seen is not None for difference in differences}

    @property
    def listed(self) -> set[str]:
        return set(self.disk.listed)


ALL = {"", "x", "x/y"}


@pytest.fixture
def scene(tmp_path: Path, database: Database) -> Scene:
    disk = RecordingDisk()
    with disk.open_folder(os.fsencode(tmp_path)) as root:
        if disk.stamp(root, b"") is None:
            pytest.skip("the file system of the temporary directory has no stamps")
    return Scene(tmp_path, database, disk)


def test_a_directory_that_is_unchanged_is_not_listed_again(scene: Scene) -> None:
    assert scene.scan() == {}
    assert scene.listed == set()
    assert scene.scanner.scanned == 2


def test_left_out_files_are_counted_the_same_without_a_listing(scene: Scene) -> None:
    before = totals(scene.scanner.left_out)
    scene.scan()
    assert totals(scene.scanner.left_out) == before == {"other-type": 1}


def test_a_file_that_is_rewritten_in_place_is_found_without_a_listing(scene: Scene) -> None:
    path = scene.folder.root / "x/a.jpg"
    times = path.stat()
    path.write_bytes(b"A")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert scene.scan() == {"x/a.jpg": True}
    assert scene.listed == set()


def test_a_file_that_is_replaced_by_one_of_the_same_size_is_found(scene: Scene) -> None:
    path = scene.folder.root / "x/a.jpg"
    times = path.stat()
    other = scene.folder.root.with_name("other")
    other.write_bytes(b"A")
    os.utime(other, ns=(times.st_atime_ns, times.st_mtime_ns))
    other.rename(path)
    assert scene.scan() == {"x/a.jpg": True}


def test_new_removed_and_moved_files_are_found_though_mtimes_are_set_back(scene: Scene) -> None:
    directory = scene.folder.root / "x"
    times = directory.stat()
    (directory / "a.jpg").rename(directory / "c.jpg")
    scene.folder.write("x/y/new.jpg", b"new")
    scene.folder.remove("x/y/b.jpg")
    os.utime(directory, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert scene.scan() == {
        "x/a.jpg": False,
        "x/c.jpg": True,
        "x/y/b.jpg": False,
        "x/y/new.jpg": True,
    }


def test_a_change_of_left_out_files_is_found(scene: Scene) -> None:
    scene.folder.write("x/other.txt", b"no picture")
    scene.scan()
    assert totals(scene.scanner.left_out) == {"other-type": 2}


def test_a_new_subdirectory_is_found(scene: Scene) -> None:
    scene.folder.write("x/y/z/new.jpg", b"new")
    assert scene.scan() == {"x/y/z/new.jpg": True}
    assert scene.listed == {"x/y", "x/y/z"}


def test_a_known_subdirectory_that_is_gone_is_found_and_forgotten(scene: Scene) -> None:
    scene.folder.remove("x/y")
    assert scene.scan() == {"x/y/b.jpg": False}
    assert scene.state.listings("photos").of(b"x/y") is None


def test_another_directory_in_the_place_of_a_known_one_is_listed(scene: Scene) -> None:
    (scene.folder.root / "x/y").rename(scene.folder.root.with_name("away"))
    scene.folder.write("x/y/new.jpg", b"new")
    assert scene.scan() == {"x/y/b.jpg": False, "x/y/new.jpg": True}


@needs_root
def test_a_mount_on_a_known_subdirectory_is_found(scene: Scene) -> None:
    with mounted(scene.folder.root / "x/y", *FRESH):
        (scene.folder.root / "x/y/new.jpg").write_bytes(b"elsewhere")
        assert scene.scan()["x/y/new.jpg"]
        assert "x/y" in scene.listed
        assert "x" not in scene.listed


def test_a_directory_that_changed_right_before_its_listing_is_listed_again(scene: Scene) -> None:
    """Another change at the same time would give it the same ctime."""
    scene.folder.write("x/new.jpg", b"new")
    scene.know("x/new.jpg")
    scene.disk.ahead_ns = -(10 * MILLISECOND_NS)
    assert scene.scan() == {}
    scene.disk.ahead_ns = HOUR_NS
    assert scene.scan() == {}
    assert scene.listed == {"x"}
    assert scene.scan() == {}
    assert scene.listed == set()


def test_without_stamps_every_directory_is_listed(tmp_path: Path, database: Database) -> None:
    scene = Scene(tmp_path, database, UnstampedRecordingDisk())
    assert scene.scan() == {}
    assert scene.listed == ALL


def test_every_directory_is_listed_once_a_day(scene: Scene) -> None:
    scene.disk.ahead_ns += 23 * HOUR_NS
    scene.scan()
    assert scene.listed == set()
    scene.disk.ahead_ns += HOUR_NS
    scene.scan()
    assert scene.listed == ALL
    scene.scan()
    assert scene.listed == set()


def test_every_directory_is_listed_after_the_clock_was_set_back(scene: Scene) -> None:
    scene.disk.ahead_ns -= HOUR_NS // 2
    scene.scan()
    assert scene.listed == ALL


def test_every_directory_is_listed_after_the_selection_changed(scene: Scene) -> None:
    scene.state.unwanted.apply("photos", Selection(None, ("*.gif",)))
    scene.scan()
    assert scene.listed == ALL


def test_every_directory_is_listed_after_events_were_lost(scene: Scene) -> None:
    scene.scan(Hints(everything=True))
    assert scene.listed == ALL
    scene.scan()
    assert scene.listed == set()


def test_every_directory_is_listed_if_changes_may_have_been_missed(scene: Scene) -> None:
    scene.scanner.missed = True
    scene.scan()
    assert scene.listed == ALL
    scene.scan()
    assert scene.listed == set()


def test_a_scan_that_did_not_end_leaves_the_lost_events_to_the_next_one(scene: Scene) -> None:
    scene.scanner.follow(Hints(everything=True))
    scene.scanner.stop()
    scene.scan()
    assert scene.listed == ALL


def test_a_directory_that_is_not_watched_is_listed(scene: Scene) -> None:
    scene.watch.failing = frozenset([b"x/y"])
    scene.scan()
    assert scene.listed == {"x/y"}


def test_a_directory_that_a_hint_names_is_listed(scene: Scene) -> None:
    scene.scan(Hints({b"x": None}))
    assert scene.listed == {"x"}
