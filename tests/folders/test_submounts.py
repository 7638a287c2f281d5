"""Disks below a folder are told apart by their number, or by what is on them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.core.model import UNNUMBERED, File, Fingerprint, RelPath
from snoopsync.core.planner import Add
from snoopsync.folders.directory_facts import DirectoryFacts
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.stable_file import StableFile
from snoopsync.folders.submounts import Submounts, is_submount, own_number
from snoopsync.state.database import Database
from snoopsync.state.images import State


class TwoMounts(Disk):
    """``card`` and what is below it is on a mount of its own, of a file system with this ID."""

    def __init__(self) -> None:
        self.mount = 7
        self.file_system_id = 0

    def mount_id(self, root: OpenFolder, directory: bytes) -> int:
        return self.mount if directory.startswith(b"card") else 1

    def facts(self, root: OpenFolder, directory: bytes) -> DirectoryFacts:
        return DirectoryFacts(self.mount_id(root, directory), 0, is_unique=True)

    def file_system(self, root: OpenFolder, directory: bytes) -> int:
        return self.file_system_id if directory.startswith(b"card") else 1


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    (tmp_path / "photos/card/dcim").mkdir(parents=True)
    (tmp_path / "photos/own").mkdir()
    return tmp_path / "photos"


def number_of(disk: TwoMounts, photos: Path, directory: bytes = b"card/dcim") -> int:
    with disk.open_folder(os.fsencode(photos)) as root:
        return own_number(disk, root, directory)


def test_only_a_directory_on_another_mount_is_a_submount(photos: Path) -> None:
    disk = TwoMounts()
    with disk.open_folder(os.fsencode(photos)) as root:
        found = {path: is_submount(disk, root, path) for path in (b"", b"own", b"card/dcim")}
    assert found == {b"": False, b"own": False, b"card/dcim": True}


def test_the_number_is_that_of_the_file_system_and_the_mounted_directory(photos: Path) -> None:
    disk = TwoMounts()
    assert number_of(disk, photos) == 0  # a file system without an ID
    disk.file_system_id = 77
    number = number_of(disk, photos)
    assert number > UNNUMBERED
    assert number_of(disk, photos, b"card") == number
    disk.mount = 8  # unplugged and plugged in
    assert number_of(disk, photos) == number
    disk.file_system_id = 78
    assert number_of(disk, photos) != number


class Scene:
    """A card below a folder, with three pictures that the state file knows under a number."""

    def __init__(self, photos: Path, database: Database) -> None:
        self.photos = photos
        self.disk = TwoMounts()
        self.state = State(database)
        self.submounts = self.begin()

    def begin(self) -> Submounts:
        """The state at a new start."""
        root = os.fsencode(self.photos)

        def open_file(path: bytes) -> StableFile:
            return StableFile(self.disk, root, path)

        self.submounts = Submounts("photos", root, self.disk, self.state, open_file)
        return self.submounts

    def know(self, submount: int) -> None:
        for number in range(3):
            path = self.photos / f"card/{number}.jpg"
            path.write_bytes(b"x" * (number + 1))
            seen = File(Fingerprint.of(path.lstat()), submount)
            rel_path = RelPath("photos", f"card/{number}.jpg".encode())
            self.state.intents.apply([Add(rel_path, f"t.{number}", seen)], 0.0)

    def number(self) -> object:
        with self.disk.open_folder(os.fsencode(self.photos)) as root:
            device = self.disk.stat(root, b"card").st_dev
            return self.submounts.number(root, b"card", device)


@pytest.fixture
def scene(photos: Path, database: Database) -> Scene:
    return Scene(photos, database)


def test_a_disk_with_an_id_has_its_own_number(scene: Scene) -> None:
    scene.disk.file_system_id = 77
    assert scene.number() == number_of(scene.disk, scene.photos)
    assert scene.submounts.by_content == set()


def test_an_unknown_disk_without_an_id_gets_a_number_once_for_each_mount(scene: Scene) -> None:
    first = scene.number()
    assert isinstance(first, int) and first > UNNUMBERED
    assert scene.number() == first
    scene.disk.mount = 8
    assert scene.number() != first


def test_a_disk_without_an_id_is_recognised_by_its_files(scene: Scene) -> None:
    scene.know(submount=4711)
    assert scene.number() == 4711
    assert scene.submounts.by_content == {4711}


def test_another_disk_without_an_id_is_not_recognised(scene: Scene) -> None:
    scene.know(submount=4711)
    for number in range(3):
        (scene.photos / f"card/{number}.jpg").write_bytes(b"another picture")
    assert scene.number() != 4711
    assert scene.submounts.by_content == set()
