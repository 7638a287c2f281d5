"""What a resync reports is so: what was not sent is counted and named, and the counts add up."""

from __future__ import annotations

import errno
import json
import os
import socket
from pathlib import Path

import pytest

from snoopsync.cli.exit_codes import of_resync
from snoopsync.core.exits import Exit
from snoopsync.core.model import RelPath
from snoopsync.core.tally import ImageOutcome, Tally
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.sync.resync_report import Summary
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, Seen
from tests.support.faults import Fault, answers
from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.world import World, fake_picture


def adds_up(summary: Summary) -> bool:
    """Is each file that was found counted once?"""
    done = summary.added + summary.updated + summary.renamed + summary.adopted
    return summary.scanned == done + summary.unchanged + summary.failed


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


def test_a_resync_does_not_end_before_what_it_has_to_look_at_again_is_sent(world: World) -> None:
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


def test_a_file_that_can_not_be_looked_at_any_more_is_named(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.disk.write("bad.jpg", fake_picture(2))
    world.disk_edge = FailsLater(b"bad.jpg")
    report = world.resync()
    assert of_resync(report) == Exit.IMAGES_FAILED
    [unreadable] = report.unreadable
    assert unreadable.endswith("/photos/bad.jpg: Input/output error")


def test_each_file_is_counted_once_whatever_was_done_about_it(world: World) -> None:
    for number in range(6):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    assert adds_up(world.resync().summary)
    world.disk.rename("0.jpg", "renamed.jpg")
    world.disk.write("2.jpg", fake_picture(12))
    world.disk.write("3.jpg", b"no picture")
    world.disk.remove("4.jpg")
    world.disk.write("new.jpg", fake_picture(13))
    summary = world.resync().summary
    assert adds_up(summary)
    assert (summary.scanned, summary.added, summary.updated) == (6, 1, 1)
    assert (summary.renamed, summary.unchanged) == (1, 2)
    assert (summary.failed, summary.deleted) == (1, 1)


def test_an_image_counts_for_the_first_of_what_was_done_about_it() -> None:
    tally, rel_path = Tally({"photos"}), RelPath("photos", b"a.jpg")
    tally.note(rel_path, "renamed", ImageOutcome.RENAMED)
    for image_id in ("sent twice", "renamed and sent", "changed since"):
        tally.note(rel_path, image_id, ImageOutcome.RENAMED)
        tally.note(rel_path, image_id, ImageOutcome.UPDATED)
    tally.note(rel_path, "sent twice", ImageOutcome.ADDED)
    tally.note(RelPath("scans", b"a.jpg"), "another folder's", ImageOutcome.ADDED)
    assert tally.done == 4
    counts = tally.end({"changed since"})
    assert counts == {ImageOutcome.ADDED: 1, ImageOutcome.UPDATED: 1, ImageOutcome.RENAMED: 1}
    tally.note(rel_path, "too late", ImageOutcome.ADDED)
    assert tally.done == 0


def test_the_counts_of_one_folder_are_its_own(world: World) -> None:
    scans = world.add_folder("scans")
    world.disk.write("a.jpg", fake_picture(1))
    scans.write("b.jpg", fake_picture(2))
    for number in range(3, 6):
        scans.write(f"{number}.jpg", b"no picture %d" % number)
    world.resync()
    summary = world.resync("photos").summary
    assert (summary.scanned, summary.unchanged, summary.failed) == (1, 1, 0)


def test_a_deletion_that_was_refused_is_named_and_no_other_file_for_it(world: World) -> None:
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


def test_what_was_excluded_before_it_was_sent_is_not_waited_for(world: World) -> None:
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


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def away(home: Installation) -> None:
    """The collection is a service that does not run."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    home.configure_service(f"http://127.0.0.1:{port}/api/v1", PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY


def test_in_an_outage_one_sentence_says_how_many_wait_and_why(home: Installation) -> None:
    for seed in range(4):
        (home.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    away(home)
    done = home.run("resync", "--wait", "100ms")
    assert done.code == Exit.UNREACHABLE
    assert "nothing to do" not in done.out
    sentence, *named = done.out.splitlines()
    assert sentence.startswith("incomplete, because the collection failed: ")
    assert "; 4 images scanned, 4 waiting (" in sentence
    assert named == [f"waiting: pictures/{seed}.jpg: not sent yet" for seed in range(4)]


def test_in_an_outage_the_counts_add_up(home: Installation) -> None:
    for seed in range(2):
        (home.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))
    away(home)
    done = home.run("resync", "--json", "--wait", "100ms")
    summary = Summary(**json.loads(done.out))
    assert adds_up(summary)
    assert (summary.scanned, summary.failed) == (2, 2)


def test_what_was_not_sent_is_named_on_standard_error_beside_json(home: Installation) -> None:
    home.configure()
    (home.pictures / "empty.jpg").write_bytes(b"")
    done = home.run("-qq", "resync", "--json")
    assert done.code == Exit.IMAGES_FAILED
    assert "failed: pictures/empty.jpg: the file is empty" in done.err
