"""How a folder is watched: chosen by its file system, each time that it returns."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.watching.folder_watch import FolderWatch
from snoopsync.watching.watcher import Watcher

LOCAL = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
NETWORK = "22 1 0:50 / / rw - nfs server:/ rw\n"


@pytest.fixture
def mountinfo(tmp_path: Path) -> Path:
    path = tmp_path / "mountinfo"
    path.write_text(LOCAL)
    return path


def watch_of(
    root: Path, watcher: Watcher | None, mountinfo: Path, wanted: str = "auto"
) -> FolderWatch:
    return FolderWatch("photos", os.fsencode(root), wanted, watcher, mountinfo)


def test_without_a_watcher_nothing_is_watched(root: Path, mountinfo: Path) -> None:
    watch = watch_of(root, None, mountinfo)
    assert watch.mode == ""
    assert not watch.is_alive


def test_a_local_disk_is_watched_by_events(root: Path, watcher: Watcher, mountinfo: Path) -> None:
    watch = watch_of(root, watcher, mountinfo)
    assert (watch.mode, watch.is_alive) == ("events", True)
    assert watch.cover(b"")


def test_events_count_only_once_a_test_event_has_proven_them(
    root: Path, watcher: Watcher, mountinfo: Path
) -> None:
    assert not watch_of(root, watcher, mountinfo).proven


@pytest.mark.parametrize(("table", "wanted"), [(NETWORK, "auto"), (LOCAL, "poll")])
def test_polling_needs_no_proof(
    root: Path, watcher: Watcher, mountinfo: Path, table: str, wanted: str
) -> None:
    mountinfo.write_text(table)
    watch = watch_of(root, watcher, mountinfo, wanted)
    assert (watch.mode, watch.is_alive, watch.proven) == ("poll", False, True)


def test_a_network_disk_that_is_mounted_later_is_polled_from_then_on(
    root: Path, watcher: Watcher, mountinfo: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "snoopsync")
    watch = watch_of(root, watcher, mountinfo)
    mountinfo.write_text(NETWORK)
    for _ in range(2):
        watch.choose()
    assert watch.mode == "poll"
    said = [record.getMessage() for record in caplog.records if "by poll" in record.getMessage()]
    assert len(said) == 1
