"""The mount and the birth time of a directory."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest

from snoopsync.folders import directory_facts
from snoopsync.folders.directory_facts import DirectoryFacts
from snoopsync.folders.disk import Disk
from tests.folders.helpers import linux_only
from tests.support.disks import Drives, require
from tests.support.mounting import mounted, needs_root


def facts(folder: Path, directory: bytes = b"") -> DirectoryFacts:
    disk = Disk()
    with disk.open_folder(bytes(folder)) as root:
        return disk.facts(root, directory)


def old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has no mount IDs that are given only once, before Linux 6.8."""
    monkeypatch.setattr(directory_facts, "_STATX_MNT_ID_UNIQUE", 0)
    # One that was opened before a test got mounts of its own shows the changes of the others.
    monkeypatch.setattr(directory_facts, "_mount_table", cache(directory_facts._MountTable))


@pytest.mark.parametrize("is_old", [False, True])
@needs_root
def test_a_directory_that_is_mounted_again_has_another_mount(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    """Though the kernel gives the device's number, and the mount's, to the next one."""
    require("exfat")
    if is_old:
        old_kernel(monkeypatch)
    point, mounts = tmp_path / "point", []
    point.mkdir()
    with Drives(tmp_path) as drives:
        card = drives.make("exfat", {"a.jpg": b"a"})
        for _ in range(3):
            with card.mounted(point):
                mounts.append(facts(point).mount)
                assert facts(point).mount == mounts[-1]
    assert len(set(mounts)) == 3
    assert 0 not in mounts


@linux_only
@pytest.mark.parametrize("is_old", [False, True])
def test_directories_of_one_mount_are_on_the_same_one(
    deep: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    if is_old:
        old_kernel(monkeypatch)
    mount = facts(tmp_path).mount
    assert facts(tmp_path, deep).mount == mount != 0
    with pytest.raises(FileNotFoundError):
        facts(tmp_path, b"nothing")


@pytest.mark.parametrize("how", ["unique IDs", "IDs that are reused", "no IDs by statx"])
@needs_root
def test_two_directories_of_one_file_system_are_on_different_mounts_if_one_is_mounted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how != "unique IDs":
        old_kernel(monkeypatch)
    if how == "no IDs by statx":
        monkeypatch.setattr(directory_facts, "_STATX_MNT_ID", 0)
    for name in ("point", "other", "mounted/deep"):
        (tmp_path / name).mkdir(parents=True)
    disk = Disk()
    with (
        mounted(tmp_path / "point", "--bind", tmp_path / "mounted"),
        disk.open_folder(bytes(tmp_path)) as root,
    ):
        own = disk.mount_id(root, b"")
        assert disk.stat(root, b"point/deep").st_dev == disk.stat(root, b"").st_dev
        assert disk.mount_id(root, b"other") == own != 0
        assert disk.mount_id(root, b"point/deep") not in (0, own)
        assert disk.mount_id(root, b"point/deep") == disk.mount_id(root, b"point")


@linux_only
def test_a_directory_that_is_made_again_has_another_birth_time(tmp_path: Path) -> None:
    births = set()
    for _ in range(100_000):
        (tmp_path / "x").mkdir()
        births.add(facts(tmp_path / "x").birth_ns)
        (tmp_path / "x").rmdir()
        if 0 in births:
            pytest.skip("this file system has no birth times")
        # The clock of a file system goes in steps of some milliseconds.
        if len(births) > 1:
            break
    assert len(births) == 2
