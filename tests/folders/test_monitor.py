"""One folder over time: when it is scanned, and when it is missing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from snoopsync.folders.monitor import GUARD_SECONDS
from snoopsync.watching.hints import Hints
from tests.folders.helpers import Scene, names


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


def test_a_dormant_folder_is_never_scanned(scene: Scene) -> None:
    scene.disk.write("a.jpg", b"a")
    scene.begin(dormant=True)
    assert scene.look() == {}
    scene.wait(10_000.0)
    assert scene.look() == {}
    assert scene.monitor.folder.identity is not None


def test_lost_events_cause_a_scan(scene: Scene) -> None:
    scene.look()
    scene.disk.write("x/a.jpg", b"a")
    scene.watch.hints = Hints(everything=True)
    assert scene.look() == {"x/a.jpg": True}


def test_a_missing_folder_returns_by_itself(scene: Scene) -> None:
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
def test_a_missing_folder_reports_only_its_identity(
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
def test_a_folder_without_its_disk_reports_only_its_identity(
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


def test_a_folder_that_returns_is_watched_again(scene: Scene) -> None:
    """A file system gives the number of a directory that was deleted to the next one."""
    scene.disk.write("x/a.jpg", b"a")
    scene.look()
    scene.watch.covered.clear()
    scene.watch.hints = Hints(root_gone=True)
    scene.look()
    assert scene.watch.covered == [b"", b"x"]
