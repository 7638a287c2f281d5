"""A resync ends when everything is sent or reported, and its counts add up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.core.exits import Exit
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from tests.support.collection_server import Seen
from tests.support.faults import Fault, answers
from tests.support.world import World, fake_picture
from tests.sync.helpers import adds_up


class Growing(Disk):
    """A file of this name grows whenever it is looked at, and may be slow to be read to its end."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        if root.absolute(path).endswith(b"/" + self._name):
            with Path(os.fsdecode(root.absolute(path))).open("ab") as file:
                file.write(b"more")
        return super().lstat(root, path)


@pytest.mark.parametrize("is_known", [False, True])
def test_a_file_that_grows_all_the_time_is_counted_and_named(world: World, is_known: bool) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    if is_known:
        world.disk.write("growing.jpg", fake_picture(2))
        assert of_resync(world.resync()) == Exit.OK
    world.disk.write("growing.jpg", fake_picture(2) + b"more")
    world.disk_edge = Growing(b"growing.jpg")
    report = world.resync()
    assert of_resync(report) == Exit.IMAGES_FAILED
    assert (report.summary.scanned, report.summary.failed, report.waiting) == (2, 1, 1)
    assert report.unsent == ("waiting: photos/growing.jpg: the file is being written to",)
    assert adds_up(report.summary)


class ChangesAtOpen(Disk):
    """A file of this name is another one whenever it is opened to be sent."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def open(self, root: OpenFolder, path: bytes):  # type: ignore[no-untyped-def]
        if root.absolute(path).endswith(b"/" + self._name):
            with Path(os.fsdecode(root.absolute(path))).open("ab") as file:
                file.write(b"more")
        return super().open(root, path)


def test_a_file_that_changes_whenever_it_is_sent_is_counted_and_named(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("restless.jpg", fake_picture(2))
    world.disk_edge = ChangesAtOpen(b"restless.jpg")
    report = world.resync()
    assert of_resync(report) == Exit.IMAGES_FAILED
    [unsent] = report.unsent
    assert unsent.startswith("waiting: photos/restless.jpg: ")
    assert (report.summary.added, report.summary.failed) == (1, 1)
    assert adds_up(report.summary)


class VanishesOnce(Disk):
    """The first time that a file is opened it is not there, for a moment."""

    has_vanished = False

    def open(self, root: OpenFolder, path: bytes):  # type: ignore[no-untyped-def]
        if not self.has_vanished:
            self.has_vanished = True
            raise FileNotFoundError(errno.ENOENT, "no such file")
        return super().open(root, path)


def test_a_resync_ends_after_postponed_files_are_sent(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk_edge = VanishesOnce()
    assert of_resync(world.resync()) == Exit.OK
    world.check_mirrored()


class FailsLater(Disk):
    """A file of this name can be listed, and not be looked at after that."""

    def __init__(self, name: bytes) -> None:
        self._name = name

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        if root.absolute(path).endswith(b"/" + self._name):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().lstat(root, path)


def test_a_file_that_becomes_unreadable_is_named(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("bad.jpg", fake_picture(2))
    world.disk_edge = FailsLater(b"bad.jpg")
    report = world.resync()
    assert of_resync(report) == Exit.IMAGES_FAILED
    [unreadable] = report.unreadable
    assert unreadable.endswith("/photos/bad.jpg: Input/output error")


def test_only_the_file_whose_deletion_was_refused_is_named(world: World) -> None:
    def refuse(seen: Seen) -> Fault | None:
        return answers(400) if seen.method == "DELETE" else None

    for number in range(3):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.resync()
    world.disk.remove("0.jpg")
    world.remote.server.fault_for = refuse
    report = world.resync()
    assert of_resync(report) == Exit.IMAGES_FAILED
    assert (report.summary.scanned, report.summary.unchanged) == (2, 2)
    [failed] = report.unsent
    assert failed.startswith("failed: photos/0.jpg: 400")


def test_a_resync_does_not_wait_for_excluded_files(world: World) -> None:
    """Once it is wanted again, it is sent."""
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("b.jpg", fake_picture(2))
    world.resync()
    world.disk.write("b.jpg", fake_picture(3))
    world.remote.server.fault_for = lambda seen: answers(415) if seen.length else None
    assert of_resync(world.resync()) == Exit.IMAGES_FAILED
    world.remote.server.fault_for = lambda _seen: None
    world.configure("photos", exclude=("b.jpg",))
    report = world.resync()
    assert (of_resync(report), report.unsent) == (Exit.OK, ())
    assert not world.remote.holds(fake_picture(3))
    world.configure("photos", exclude=())
    assert world.resync().summary.updated == 1
    world.check_mirrored()
