"""Whether the directory at the path of a folder is the folder."""

from __future__ import annotations

import os
import threading
from dataclasses import replace

from snoopsync.folders.identity_check import REFUSED_SECONDS, STALLED_SECONDS
from snoopsync.folders.monitor import GUARD_SECONDS
from tests.folders.helpers import FOREVER, Scene, names


def test_another_directory_at_the_path_is_not_the_folder(scene: Scene) -> None:
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


def test_a_disk_with_another_number_is_recognised_by_its_content(scene: Scene) -> None:
    """The kernel assigns new device numbers at every boot."""
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


def test_a_folder_without_a_stored_disk_is_recognised_by_its_content(scene: Scene) -> None:
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


def test_a_folder_without_known_files_accepts_any_directory_at_first(scene: Scene) -> None:
    scene.look()
    scene.disk.root.rename(scene.disk.root.with_name("away"))
    scene.disk.root.mkdir()
    scene.disk.write("a.jpg", b"a")
    scene.begin()
    assert scene.look() == {"a.jpg": True}
