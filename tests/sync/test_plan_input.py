"""What is read for the planner: all that may matter, and not a byte more than needed."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import BinaryIO

import pytest

from snoopsync.core.model import File, Fingerprint, Gone, Observation, RelPath, Unclear, image_ids
from snoopsync.core.planner import Add, PlanInput, Remote
from snoopsync.core.selection import Selection
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.pending import Inbox
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.sync.plan_input import PlanInputReader
from tests.support.world import DiskFolder, InlineWorkers, fake_picture

A, B, C = (fake_picture(number) for number in range(3))


class CountingDisk(Disk):
    """Remembers which files were opened, and does something then."""

    def __init__(self) -> None:
        self.opened: list[str] = []

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        self.opened.append(os.fsdecode(root.absolute(path).rpartition(b"/")[2]))
        return super().open(root, path)


class Scene:
    """Two folders, and what is known of them."""

    def __init__(self, base: Path, database: Database) -> None:
        self.edge = CountingDisk()
        self.state = State(database)
        self.disks, self.folders = {}, {}
        for name in ("photos", "scans"):
            self.disks[name] = DiskFolder(base / name)
            self.disks[name].root.mkdir()
            path = os.fsencode(base / name)
            self.folders[name] = Folder(name, path, Selection(None, ()), self.edge)
            self.folders[name].identity = self.folders[name].identify()
        self.disk = self.disks["photos"]
        self.inbox = Inbox()
        self.plan_input_reader = PlanInputReader(
            "tester", self.folders, self.state, InlineWorkers(1, "read"), self.inbox
        )

    def know(self, path: str) -> None:
        """This file is mirrored."""
        rel_path, data = at(path), self.disk.read(path)
        image_id = f"tester.{path}"
        file = self.observation(path)
        assert isinstance(file, File)
        self.state.intents.apply([Add(rel_path, image_id, file)], 0.0)
        self.state.intents.confirm(Sent(image_id, 1, hashlib.sha256(data).digest(), None), 0.0)

    def observation(self, path: str) -> Observation:
        return self.folders["photos"].look(os.fsencode(path))

    def read(
        self, *paths: str, arriving: Mapping[int, tuple[RelPath, File]] | None = None
    ) -> PlanInput:
        observations = {at(path): self.observation(path) for path in paths}
        return self.plan_input_reader.read(observations, lambda: arriving or {})


def at(path: str, folder: str = "photos") -> RelPath:
    return RelPath(folder, os.fsencode(path))


def digest(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        yield Scene(tmp_path, database)


@pytest.mark.parametrize("name", ["x", "y", "z"])
def test_a_cycle_of_renames_is_read_from_any_of_its_paths(scene: Scene, name: str) -> None:
    rel_paths = ("x/a.jpg", "y/a.jpg", "z/a.jpg")
    for rel_path, data in zip(rel_paths, (A, B, C), strict=True):
        scene.disk.write(rel_path, data)
        scene.know(rel_path)
    scene.disk.swap("x", "y")
    scene.disk.swap("y", "z")
    world = scene.read(f"{name}/a.jpg")
    assert world.asked == {at(f"{name}/a.jpg")}
    assert set(world.records) == set(map(at, rel_paths))
    assert scene.edge.opened == []


def test_the_former_path_of_a_file_is_examined(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.rename("a.jpg", "z.jpg")
    world = scene.read("z.jpg")
    assert world.observations[at("a.jpg")] == Gone()


def test_the_path_with_the_same_content_is_examined(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.copy("a.jpg", "z.jpg")
    scene.disk.remove("a.jpg")
    world = scene.read("z.jpg")
    assert world.observations[at("a.jpg")] == Gone()
    assert world.hashes[at("z.jpg")] == digest(A)


@pytest.mark.parametrize("replaced", [True, False])
def test_an_unsettled_file_is_where_its_record_moved(scene: Scene, replaced: bool) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.rename("a.jpg", "z.jpg")
    if replaced:
        scene.disk.write("a.jpg", B)
    file = scene.observation("z.jpg")
    assert isinstance(file, File)
    world = scene.read("a.jpg", arriving={file.fingerprint.inode: (at("z.jpg"), file)})
    assert world.observations[at("z.jpg")] == file
    assert world.asked == {at("a.jpg")}


def test_a_directory_that_was_renamed_is_not_read(scene: Scene) -> None:
    for number in range(5):
        scene.disk.write(f"x/{number}.jpg", fake_picture(number))
        scene.know(f"x/{number}.jpg")
    scene.disk.rename("x", "y")
    scene.read(*[f"y/{number}.jpg" for number in range(5)])
    assert scene.edge.opened == []


def test_a_new_file_is_read_only_if_its_size_is_known(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.write("longer.jpg", A + b"longer")
    scene.disk.write("as-long.jpg", B)
    scene.read("longer.jpg", "as-long.jpg")
    assert scene.edge.opened == ["as-long.jpg"]


def test_a_touched_file_is_read(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.touch("a.jpg")
    assert scene.read("a.jpg").hashes == {at("a.jpg"): digest(A)}


def test_a_file_that_changed_since_it_was_seen_is_not_planned(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.write("b.jpg", B)
    observations = {at("b.jpg"): scene.observation("b.jpg")}
    scene.disk.write("b.jpg", C)
    world = scene.plan_input_reader.read(observations, dict)
    assert world.asked == frozenset()
    assert scene.inbox.take(9) == [at("b.jpg")]
    assert at("b.jpg") not in world.observations


def test_nothing_is_planned_for_a_folder_that_went_missing(scene: Scene) -> None:
    scene.disk.write("a.jpg", A)
    scene.know("a.jpg")
    scene.disk.remove("a.jpg")
    observations = {at("a.jpg"): scene.observation("a.jpg")}
    scene.disk.root.rename(scene.disk.root.with_name("away"))
    world = scene.plan_input_reader.read(observations, dict)
    assert isinstance(world.observations[at("a.jpg")], Unclear)


def test_a_deletion_is_proven_before_it_is_planned(scene: Scene) -> None:
    """Here the file was on a disk below the folder, that is not mounted now."""
    scene.disk.write("disk/a.jpg", A)
    seen = Fingerprint.of((scene.disk.root / "disk/a.jpg").lstat())
    scene.state.intents.apply([Add(at("disk/a.jpg"), "tester.a", File(seen, submount=77))], 0.0)
    scene.disk.remove("disk/a.jpg")
    assert isinstance(scene.observation("disk/a.jpg"), Gone)
    assert isinstance(scene.read("disk/a.jpg").observations[at("disk/a.jpg")], Unclear)


def test_the_ids_that_a_new_file_can_not_get_are_read(scene: Scene) -> None:
    """Up to the first that is free, and beyond it while it may be adopted by another file."""
    scene.disk.write("new.jpg", A)
    first, second, third, _ = islice(image_ids("tester", at("new.jpg")), 4)
    file = scene.observation("new.jpg")
    assert isinstance(file, File)
    scene.state.intents.apply([Add(at("elsewhere.jpg"), first, file)], 0.0)
    scene.state.intents.apply([Add(at("elsewhere-too.jpg"), third, file)], 0.0)
    assert scene.read("new.jpg").taken == {first}
    observations = {at("new.jpg"): file}
    remote = Remote(frozenset({second}))
    assert scene.plan_input_reader.read(observations, dict, remote).taken == {first, third}
