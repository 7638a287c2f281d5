"""A scan finds what differs from the records, and a hint says where to look."""

from __future__ import annotations

import errno
import os

import pytest

from snoopsync.core.model import FolderState
from snoopsync.folders.monitor import RETRY_SECONDS
from snoopsync.watching.hints import Hints
from tests.folders.helpers import Scene, ScriptedWatch, names


def test_the_first_update_scans_everything(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.disk.write("x/y/b.jpg", b"b")
    scene.disk.write("x/readme.txt", b"no picture")
    assert scene.look() == {"a.jpg": True, "x/y/b.jpg": True}
    assert scene.monitor.row.state is FolderState.OK
    assert scene.monitor.scanned == 2


def test_an_unchanged_file_is_not_a_difference(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.disk.write("x/b.jpg", b"b")
    scene.know("a.jpg", "x/b.jpg")
    assert scene.look() == {}


def test_changed_and_missing_files_are_differences(scene: Scene) -> None:
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


def test_a_file_that_is_now_excluded_is_not_a_difference(scene: Scene) -> None:
    for path in ("a.jpg", "x/b.jpg", "x/c.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("a.jpg", "x/b.jpg", "x/c.jpg")
    scene.begin(exclude=("a.jpg", "x/"))
    assert scene.look() == {}
    scene.disk.remove("x")
    scene.disk.remove("a.jpg")
    scene.monitor.scan()
    assert scene.look() == {}


def test_a_hint_about_a_name_examines_the_file(scene: Scene) -> None:
    for path in ("x/gone.jpg", "x/same.jpg"):
        scene.disk.write(path, b"bytes")
    scene.know("x/gone.jpg", "x/same.jpg")
    scene.look()
    scene.disk.write("x/new.jpg", b"new")
    scene.disk.remove("x/gone.jpg")
    scene.watch.hints = names("x", "new.jpg", "gone.jpg", "same.jpg", "never.jpg")
    assert scene.look() == {"x/new.jpg": True, "x/gone.jpg": False}


def test_a_hint_about_a_new_directory_examines_everything_below(scene: Scene) -> None:
    scene.look()
    scene.disk.write("x/y/a.jpg", b"a")
    scene.watch.hints = names("", "x")
    assert scene.look() == {"x/y/a.jpg": True}
    assert b"x/y" in scene.watch.covered


@pytest.mark.parametrize(
    "hints", [names("", "x"), Hints(trees=frozenset([b"x"])), Hints({b"": None})]
)
def test_a_hint_about_a_removed_directory_reports_everything_below(
    scene: Scene, hints: Hints
) -> None:
    scene.disk.write("x/y/a.jpg", b"a")
    scene.disk.write("x/b.jpg", b"b")
    scene.disk.write("xx/c.jpg", b"c")
    scene.know("x/y/a.jpg", "x/b.jpg", "xx/c.jpg")
    scene.look()
    scene.disk.remove("x")
    scene.watch.hints = hints
    assert scene.look() == {"x/y/a.jpg": False, "x/b.jpg": False}
    assert scene.watch.forgotten == [b"x"]


def test_hints_below_an_excluded_directory_are_not_followed(scene: Scene) -> None:
    scene.begin(exclude=("x/",))
    scene.look()
    scene.disk.write("x/y/a.jpg", b"a")
    scene.watch.hints = Hints({b"x": None, b"": frozenset([b"x"])}, trees=frozenset([b"x/y"]))
    assert scene.look() == {}
    assert b"x" not in scene.watch.covered


def test_a_held_image_whose_file_is_back_is_a_difference(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.know("a.jpg")
    scene.state.deletions.hold(["tester.a.jpg"])
    scene.look()
    scene.watch.hints = names("", "a.jpg")
    assert scene.look() == {"a.jpg": True}


@pytest.mark.parametrize("code", [errno.EACCES, errno.EIO])
def test_files_in_an_unreadable_directory_are_not_differences(scene: Scene, code: int) -> None:
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
