"""Only whole files stay in the collection, whatever happens to a file while it is read."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Callable
from typing import BinaryIO

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from tests.support.world import World, fake_picture

#: More than any reader takes at once.
SIZE = 3 << 20

OLD, NEW = fake_picture(1, SIZE), fake_picture(2, SIZE + 1000)


class Meddled(io.BufferedReader):
    """An open file that is changed after a part of it was read."""

    def __init__(self, descriptor: int, meddle: Callable[[], None]) -> None:
        super().__init__(io.FileIO(descriptor))
        self._meddle = meddle

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(4096 if size is None or size < 0 else min(size, SIZE // 2))
        self._meddle()
        return data


class MeddledDisk(Disk):
    """The first ``times`` reads of its files are disturbed."""

    def __init__(self, meddle: Callable[[], None], times: int = 1) -> None:
        self._meddle = meddle
        self._left = times

    def open(self, root: OpenFolder, path: bytes) -> BinaryIO:
        with super().open(root, path) as file:
            return Meddled(os.dup(file.fileno()), self._once)

    def _once(self) -> None:
        if self._left:
            self._left -= 1
            self._meddle()


def grow(world: World) -> None:
    with (world.disk.root / "a.jpg").open("ab") as file:
        file.write(b"more")


def truncate(world: World) -> None:
    os.truncate(world.disk.root / "a.jpg", SIZE // 3)


def replace(world: World) -> None:
    world.disk.replace("a.jpg", NEW)


def rewrite(world: World) -> None:
    world.disk.write("a.jpg", NEW[: len(OLD)])


def rewrite_and_set_the_time_back(world: World) -> None:
    stat = (world.disk.root / "a.jpg").stat()
    world.disk.write("a.jpg", NEW[: len(OLD)])
    os.utime(world.disk.root / "a.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))


def remove(world: World) -> None:
    world.disk.remove("a.jpg")


EVERYTHING = [grow, truncate, replace, rewrite, rewrite_and_set_the_time_back, remove]


@pytest.mark.parametrize("keeps_halves", [False, True])
@pytest.mark.parametrize("meddle", EVERYTHING)
@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_that_changes_while_it_is_read_is_sent_as_it_ends_up(
    world: World, meddle: Callable[[World], None], is_known: bool, keeps_halves: bool
) -> None:
    """Also with a service that stores the part of an interrupted body that it got."""
    world.remote.server.keeps_halves = keeps_halves
    if is_known:
        world.disk.write("a.jpg", fake_picture(3))
        world.resync()
    world.disk.write("a.jpg", OLD)
    versions = {hashlib.sha256(OLD).hexdigest(), hashlib.sha256(fake_picture(3)).hexdigest()}
    world.disk_edge = MeddledDisk(lambda: meddle(world))
    assert of_resync(world.resync()) == 0
    world.check_mirrored()
    versions |= set(world.on_disk().values())
    kept = {seen.sha256 for seen in world.remote.uploads() if seen.status in (200, 201)}
    assert kept <= versions


@pytest.mark.integration
def test_a_file_that_changes_at_every_read_is_never_sent_half(world: World) -> None:
    world.disk.write("a.jpg", OLD)
    world.disk_edge = MeddledDisk(lambda: grow(world), times=10**9)
    with world.running() as live:
        for _ in range(50):
            live.step()
    assert world.remote.ids() == set()
    world.disk_edge = Disk()
    world.resync()
    world.check_mirrored()
