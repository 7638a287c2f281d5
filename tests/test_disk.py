"""The disk is read whatever the names are: longer than a call takes, and no text at all."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from snoopsync import disk, kernel
from snoopsync.disk import Disk
from tests.deep import deep_below, write_in
from tests.mounting import make_disk, mounted, needs_root
from tests.support.disks import Drives, require

ODD_NAMES = [
    b"\xff\xfe.jpg",
    b"a\nb.jpg",
    "\u00e9.jpg".encode(),
    "e\u0301.jpg".encode(),
    b"x" * 255,
]


@pytest.fixture
def root(tmp_path: Path) -> bytes:
    return os.fsencode(tmp_path)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[bytes]:
    """A directory whose path is longer than the 4,096 bytes that a call takes."""
    with deep_below(tmp_path) as (path, descriptor):
        write_in(descriptor, b"a.jpg", b"deep down")
        yield os.fsencode(tmp_path) + b"/" + path


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_a_path_that_is_too_long_for_a_call_is_looked_at(deep: bytes) -> None:
    with pytest.raises(OSError, match="name too long"):
        os.lstat(deep)
    disk = Disk()
    assert disk.lstat(deep + b"/a.jpg").st_size == len(b"deep down")
    with pytest.raises(FileNotFoundError):
        disk.lstat(deep + b"/b.jpg")


def test_a_directory_that_is_too_deep_for_a_call_is_listed(deep: bytes) -> None:
    with Disk().entries(deep) as entries:
        sizes = {os.fsencode(entry.name): entry.stat().st_size for entry in entries}
    assert sizes == {b"a.jpg": len(b"deep down")}


def test_a_file_that_is_too_deep_for_a_call_is_read(deep: bytes) -> None:
    with Disk().open(deep + b"/a.jpg") as file:
        assert file.read() == b"deep down"


def test_deep_paths_leave_no_descriptor_open(deep: bytes) -> None:
    disk = Disk()
    before = open_descriptors()
    disk.lstat(deep + b"/a.jpg")
    with disk.entries(deep):
        pass
    disk.open(deep + b"/a.jpg").close()
    for missing in (deep + b"/b.jpg", deep + b"/" + b"e" * 250 + b"/b.jpg"):
        with pytest.raises(FileNotFoundError):
            disk.open(missing)
    assert open_descriptors() == before


def test_a_name_that_is_too_long_for_the_file_system_is_an_error_like_any(root: bytes) -> None:
    with pytest.raises(OSError, match="name too long"):
        Disk().lstat(root + b"/" + b"x" * 256)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_found_looked_at_and_opened(root: bytes, name: bytes) -> None:
    path = root + b"/" + name
    Path(os.fsdecode(path)).write_bytes(b"picture")
    disk = Disk()
    with disk.entries(root) as entries:
        assert [entry.name for entry in entries] == [name]
    assert disk.lstat(path).st_size == 7
    with disk.open(path) as file:
        assert file.read() == b"picture"


def test_a_symbolic_link_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not in the folder")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        Disk().open(os.fsencode(tmp_path / "a.jpg"))


def test_a_fifo_is_opened_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with Disk().open(os.fsencode(tmp_path / "a.jpg")) as file:
        assert file.read() == b""


def test_a_directory_in_a_files_place_leaves_no_descriptor_open(tmp_path: Path) -> None:
    before = open_descriptors()
    with pytest.raises(IsADirectoryError):
        Disk().open(os.fsencode(tmp_path))
    assert open_descriptors() == before


# Which disk it is.


@needs_root
def test_a_disk_has_a_number_that_no_other_has_and_keeps_it(tmp_path: Path) -> None:
    first, second = (make_disk(tmp_path / f"{name}.img") for name in ("first", "second"))
    place, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    place.mkdir()
    elsewhere.mkdir()
    with mounted(place, "-o", "loop", first):
        number = Disk().file_system(bytes(place))
    with mounted(place, "-o", "loop", second), mounted(elsewhere, "-o", "loop", first):
        assert Disk().file_system(bytes(elsewhere)) == number
        assert Disk().file_system(bytes(place)) not in (0, number)


@needs_root
def test_xfs_has_a_number_also_on_a_kernel_that_tells_no_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("xfs")
    with Drives(tmp_path) as drives, drives.make("xfs").mounted(tmp_path) as point:
        number = Disk().file_system(bytes(point))
        assert number
        monkeypatch.setattr(disk, "_GET_UUID", 0)
        assert Disk().file_system(bytes(point)) == number


# Which mount it is.


def old_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that has no mount IDs that are given only once, before Linux 6.8."""
    monkeypatch.setattr(kernel, "_STATX_MNT_ID_UNIQUE", 0)


@pytest.mark.parametrize("is_old", [False, True])
@needs_root
def test_a_directory_that_is_mounted_again_is_on_another_mount(
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
                mounts.append(Disk().facts(bytes(point)).mount)
                assert Disk().facts(bytes(point)).mount == mounts[-1]
    assert len(set(mounts)) == 3
    assert 0 not in mounts


@linux_only
@pytest.mark.parametrize("is_old", [False, True])
def test_directories_of_one_mount_are_on_the_same_one(
    deep: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_old: bool
) -> None:
    if is_old:
        old_kernel(monkeypatch)
    mount = Disk().facts(os.fsencode(tmp_path)).mount
    assert Disk().facts(deep).mount == mount != 0
    with pytest.raises(FileNotFoundError):
        Disk().facts(os.fsencode(tmp_path / "nothing"))


@pytest.mark.parametrize("how", ["unique IDs", "IDs that are reused", "no IDs by statx"])
@needs_root
def test_two_directories_of_one_file_system_are_on_different_mounts_if_one_is_mounted_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    if how != "unique IDs":
        old_kernel(monkeypatch)
    if how == "no IDs by statx":
        monkeypatch.setattr(kernel, "_STATX_MNT_ID", 0)
    for name in ("point", "other", "mounted/deep"):
        (tmp_path / name).mkdir(parents=True)
    own, deep = bytes(tmp_path), bytes(tmp_path / "point" / "deep")
    with mounted(tmp_path / "point", "--bind", tmp_path / "mounted"):
        assert Disk().lstat(deep).st_dev == Disk().lstat(own).st_dev
        assert Disk().mount_id(bytes(tmp_path / "other")) == Disk().mount_id(own) != 0
        assert Disk().mount_id(deep) not in (0, Disk().mount_id(own))
        assert Disk().mount_id(deep) == Disk().mount_id(bytes(tmp_path / "point"))


@linux_only
def test_a_directory_that_is_made_again_has_another_birth_time(tmp_path: Path) -> None:
    births = []
    for _ in range(2):
        (tmp_path / "x").mkdir()
        births.append(Disk().facts(os.fsencode(tmp_path / "x")).birth_ns)
        (tmp_path / "x").rmdir()
    if not births[0]:
        pytest.skip("this file system has no birth times")
    assert births[0] != births[1]


@linux_only
def test_the_number_of_its_device_is_none_of_the_file_systems_own() -> None:
    assert Disk().file_system(b"/proc") == 0


@linux_only
def test_where_statfs_tells_nothing_the_uuid_is_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number, where both tell it: a newer kernel does not make it another disk."""
    number = Disk().file_system(b"/dev/shm")
    silent = SimpleNamespace(f_fsid=0)
    monkeypatch.setattr(os, "statvfs", lambda _path: silent)
    told = Disk().file_system(b"/dev/shm")
    if told == 0:
        pytest.skip("this kernel does not tell the UUID of a file system, or this has none")
    assert told == number


def test_a_path_that_is_too_long_has_no_number_and_one_that_is_not_there_is_an_error(
    deep: bytes, root: bytes
) -> None:
    assert Disk().file_system(deep) == 0
    with pytest.raises(FileNotFoundError):
        Disk().file_system(root + b"/nothing")
