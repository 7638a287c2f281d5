"""A user who can write in a folder cannot have files outside it mirrored, or images deleted.

A directory of the folder is swapped for a symbolic link to a directory elsewhere, at every moment
in turn. In that one are a file of the same name, and another.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from snoopsync.core.errors import FileChanged
from snoopsync.core.model import File, Gone
from snoopsync.core.selection import Selection
from snoopsync.folders import disk, folder
from snoopsync.folders import stable_file as steady
from snoopsync.folders.disk import Disk
from snoopsync.folders.folder import Folder
from tests.support.unstamped import UnstampedDisk
from tests.support.world import World, fake_picture

PICTURE, SECRET = fake_picture(1), fake_picture(2)

#: The code between whose calls the swap happens.
CODE = {
    Path(str(disk.__file__)).with_name("open_folder.py"),
    *(Path(str(module.__file__)) for module in (disk, folder, steady)),
}
FILES = {str(path) for path in CODE}

#: For how many calls the link exists: for one, for a few, and for all that follow.
WIDTHS = [1, 4, 10**9]


class Swapped:
    """A directory that becomes a link to another one, and back again."""

    def __init__(self, directory: Path, elsewhere: Path) -> None:
        self._directory = directory
        self._elsewhere = elsewhere
        self._aside = elsewhere.with_name("aside")

    @property
    def is_link(self) -> bool:
        return self._aside.exists()

    def swap(self) -> None:
        if self.is_link:
            return
        self._directory.rename(self._aside)
        self._directory.symlink_to(self._elsewhere)

    def back(self) -> None:
        if self.is_link:
            self._directory.unlink()
            self._aside.rename(self._directory)


@contextmanager
def between_calls(nth: int, width: int, swapped: Swapped) -> Iterator[Callable[[], int]]:
    """Swap before the nth call of any function by snoopsync's code for the disk, for ``width``
    calls. Yields a function that returns the number of calls so far."""
    calls = 0

    def count(frame: FrameType, event: str, _argument: object) -> None:
        nonlocal calls
        if event not in ("call", "c_call") or frame.f_code.co_filename not in FILES:
            return
        calls += 1
        if calls == nth:
            swapped.swap()
        elif calls == nth + width:
            swapped.back()

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        yield lambda: calls
    finally:
        sys.setprofile(before)
        swapped.back()


@pytest.fixture
def scene(tmp_path: Path) -> tuple[Folder, Swapped]:
    root, elsewhere = tmp_path / "photos", tmp_path / "elsewhere"
    for directory, content in ((root / "d", PICTURE), (elsewhere, SECRET)):
        (directory / "e").mkdir(parents=True)
        (directory / "a.jpg").write_bytes(content)
        (directory / "e" / "a.jpg").write_bytes(content)
    (root / "d" / "only_here.jpg").write_bytes(PICTURE)
    (elsewhere / "secret.jpg").write_bytes(SECRET)
    photos = Folder("photos", bytes(root), Selection(None, ()))
    photos.identity = photos.identify()
    return photos, Swapped(root / "d", elsewhere)


def inodes_below(directory: Path) -> set[int]:
    return {path.lstat().st_ino for path in (directory, *directory.rglob("*"))}


def lists(photos: Folder, path: bytes, elsewhere: set[int]) -> None:
    directory = path.rpartition(b"/")[0]
    with suppress(OSError):
        listing = photos.list_directory(directory)
        assert listing.files.keys() <= {b"a.jpg", b"only_here.jpg"}
        assert not {key[0] for key in listing.files.values()} & elsewhere


def looks(photos: Folder, path: bytes, elsewhere: set[int]) -> None:
    observation = photos.look(path)
    assert not (isinstance(observation, File) and observation.fingerprint.inode in elsewhere)


def reads(photos: Folder, path: bytes, _elsewhere: set[int]) -> None:
    with suppress(OSError, FileChanged), photos.open(path) as file:
        assert file.read() == PICTURE


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("path", [b"d/a.jpg", b"d/e/a.jpg"])
@pytest.mark.parametrize("what", [lists, looks, reads])
def test_no_file_outside_of_the_folder_is_read_when_a_directory_becomes_a_link(
    scene: tuple[Folder, Swapped],
    tmp_path: Path,
    what: Callable[[Folder, bytes, set[int]], None],
    path: bytes,
    width: int,
) -> None:
    photos, swapped = scene
    elsewhere = inodes_below(tmp_path / "elsewhere")
    nth = 0
    while True:
        nth += 1
        with between_calls(nth, width, swapped) as calls:
            what(photos, path, elsewhere)
        if calls() < nth:
            break
    assert nth > 10


def test_a_link_that_replaces_a_directory_for_a_moment_does_not_prove_a_file_gone(
    scene: tuple[Folder, Swapped],
) -> None:
    """There is no file of that name where the link leads to."""
    photos, swapped = scene
    nth = 0
    while True:
        nth += 1
        with between_calls(nth, 4, swapped) as calls:
            observation = photos.prove_gone(b"d/only_here.jpg", submount=0)
        assert not isinstance(observation, Gone), f"swapped before call {nth}"
        if calls() < nth:
            break
    assert nth > 50


class SwappingDisk(UnstampedDisk):
    """A directory ``d`` is itself whenever it is looked at, and a link whenever a file in it is
    looked at or opened. ``lists``: also when it is listed."""

    def __init__(self, swapped: Swapped, *, lists: bool) -> None:
        self._swapped = swapped
        self._lists = lists

    def _call(self, path: bytes, *, is_listed: bool = False) -> None:
        is_below = path.endswith((b"d/a.jpg", b"d/secret.jpg"))
        if is_below or (self._lists and is_listed and path.endswith(b"d")):
            self._swapped.swap()
        else:
            self._swapped.back()

    def lstat(self, *where: Any) -> os.stat_result:
        self._call(where[-1])
        return super().lstat(*where)

    def stat(self, *where: Any) -> os.stat_result:
        self._call(where[-1])
        return super().stat(*where)

    def entries(self, *where: Any) -> Any:
        self._call(where[-1], is_listed=True)
        return super().entries(*where)

    def open(self, *where: Any) -> Any:
        self._call(where[-1])
        return super().open(*where)


@pytest.mark.parametrize("lists", [False, True])
@pytest.mark.parametrize("is_known", [False, True])
def test_no_file_outside_of_the_folder_is_mirrored_at_any_timing_of_a_swap(
    world: World, is_known: bool, lists: bool
) -> None:
    elsewhere = world.base / "elsewhere"
    elsewhere.mkdir()
    for name in ("a.jpg", "secret.jpg"):
        (elsewhere / name).write_bytes(SECRET)
    world.disk.write("d/a.jpg", PICTURE)
    world.disk.write("b.jpg", fake_picture(3))
    if is_known:
        world.resync()
        world.disk.touch("d/a.jpg")
    swapped = Swapped(world.disk.root / "d", elsewhere)
    world.disk_edge = SwappingDisk(swapped, lists=lists)
    world.resync()
    swapped.back()
    assert not world.remote.holds(SECRET)
    assert not world.remote.deletes()
    assert world.remote.holds(fake_picture(3))
    world.disk_edge = Disk()
    world.resync()
    world.check_mirrored()
