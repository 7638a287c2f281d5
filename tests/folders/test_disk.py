"""The disk is read whatever the names are: longer than a call takes, and no text at all."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from types import SimpleNamespace

import pytest

from snoopsync.folders import directory_facts, disk, open_folder
from snoopsync.folders.directory_facts import DirectoryFacts
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from tests.support.deep import deep_below, write_in
from tests.support.disks import Drives, number_of, require
from tests.support.mounting import make_disk, mounted, needs_root

ODD_NAMES = [
    b"\xff\xfe.jpg",
    b"a\nb.jpg",
    "\u00e9.jpg".encode(),
    "e\u0301.jpg".encode(),
    b"x" * 255,
]


@pytest.fixture(params=["openat2", "a directory at a time"])
def root(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenFolder]:
    """A folder, on a system with openat2 and on one without."""
    if request.param != "openat2":
        monkeypatch.setattr(open_folder, "_has_openat2", lambda: False)
    elif not open_folder._has_openat2():
        pytest.skip("this system has no openat2")
    with Disk().open_folder(bytes(tmp_path)) as root:
        yield root


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[bytes]:
    """A directory whose path is longer than the 4,096 bytes that a call takes."""
    with deep_below(tmp_path) as (path, descriptor):
        write_in(descriptor, b"a.jpg", b"deep down")
        yield path


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_a_path_that_is_too_long_for_a_call_is_looked_at(root: OpenFolder, deep: bytes) -> None:
    with pytest.raises(OSError, match="name too long"):
        os.lstat(root.absolute(deep))
    disk = Disk()
    assert disk.lstat(root, deep + b"/a.jpg").st_size == len(b"deep down")
    with pytest.raises(FileNotFoundError):
        disk.lstat(root, deep + b"/b.jpg")


def test_a_directory_that_is_too_deep_for_a_call_is_listed(root: OpenFolder, deep: bytes) -> None:
    with Disk().entries(root, deep) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    assert sizes == {"a.jpg": len(b"deep down")}


def test_a_file_that_is_too_deep_for_a_call_is_read(root: OpenFolder, deep: bytes) -> None:
    with Disk().open(root, deep + b"/a.jpg") as file:
        assert file.read() == b"deep down"


def test_no_call_leaves_a_descriptor_open(deep: bytes, tmp_path: Path) -> None:
    disk = Disk()
    before = open_descriptors()
    with disk.open_folder(bytes(tmp_path)) as root:
        disk.lstat(root, deep + b"/a.jpg")
        disk.stat(root, deep)
        with disk.entries(root, deep):
            pass
        disk.open(root, deep + b"/a.jpg").close()
        assert disk.may_read(root, deep + b"/a.jpg")
        for missing in (deep + b"/b.jpg", deep + b"/" + b"e" * 250 + b"/b.jpg"):
            with pytest.raises(FileNotFoundError):
                disk.open(root, missing)
    assert open_descriptors() == before


def test_a_name_that_is_too_long_for_the_file_system_is_an_error_like_any(root: OpenFolder) -> None:
    for path in (b"x" * 256, b"x" * 256 + b"/a.jpg", b"x" * 5000 + b"/a.jpg"):
        with pytest.raises(OSError, match="name too long"):
            Disk().lstat(root, path)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_found_looked_at_and_opened(root: OpenFolder, name: bytes) -> None:
    Path(os.fsdecode(root.absolute(name))).write_bytes(b"picture")
    disk = Disk()
    with disk.entries(root, b"") as entries:
        assert [os.fsencode(entry.name) for entry in entries] == [name]
    assert disk.lstat(root, name).st_size == 7
    with disk.open(root, name) as file:
        assert file.read() == b"picture"


def test_a_symbolic_link_is_not_opened(root: OpenFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not in the folder")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        Disk().open(root, b"a.jpg")


@pytest.mark.parametrize("way", [b"link", b"x/link", b"x/link/y"])
def test_a_symbolic_link_on_the_way_is_no_directory(
    root: OpenFolder, tmp_path: Path, way: bytes
) -> None:
    """Also one that leads to a place in the folder."""
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "a.jpg").touch()
    (tmp_path / "link").symlink_to("y")
    (tmp_path / "x" / "link").symlink_to(tmp_path)
    disk = Disk()
    calls: list[Callable[[], object]] = [
        lambda: disk.stat(root, way),
        lambda: disk.lstat(root, way + b"/a.jpg"),
        lambda: disk.open(root, way + b"/a.jpg"),
        lambda: disk.facts(root, way),
        lambda: disk.file_system(root, way),
        lambda: disk.entries(root, way).__enter__(),
    ]
    for call in calls:
        with pytest.raises(NotADirectoryError):
            call()


@pytest.mark.parametrize("path", [b"..", b"../x", b"y/../..", b"y/../../x"])
def test_no_path_leads_out_of_the_folder(root: OpenFolder, tmp_path: Path, path: bytes) -> None:
    (tmp_path / "y").mkdir()
    disk = Disk()
    calls: list[Callable[[], object]] = [
        lambda: disk.stat(root, path),
        lambda: disk.lstat(root, path),
        lambda: disk.open(root, path),
        lambda: disk.entries(root, path).__enter__(),
    ]
    for call in calls:
        with pytest.raises(OSError, match="cross-device"):
            call()


def test_a_fifo_is_opened_without_waiting_for_a_writer(root: OpenFolder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with Disk().open(root, b"a.jpg") as file:
        assert file.read() == b""


def test_a_directory_in_a_files_place_leaves_no_descriptor_open(
    root: OpenFolder, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").mkdir()
    before = open_descriptors()
    with pytest.raises(IsADirectoryError):
        Disk().open(root, b"a.jpg")
    assert open_descriptors() == before


def test_a_refused_openat2_is_done_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an old directory_facts, and by a seccomp filter that knows no better."""
    for code in (errno.ENOSYS, errno.EPERM):

        def refuse(*_arguments: object, code: int = code) -> int:
            ctypes.set_errno(code)
            return -1

        monkeypatch.setattr(open_folder, "_syscall", lambda refuse=refuse: refuse)
        assert not open_folder._has_openat2.__wrapped__()


# Which disk it is.


@needs_root
def test_a_disk_has_a_number_that_no_other_has_and_keeps_it(tmp_path: Path) -> None:
    first, second = (make_disk(tmp_path / f"{name}.img") for name in ("first", "second"))
    rel_path, elsewhere = tmp_path / "place", tmp_path / "elsewhere"
    rel_path.mkdir()
    elsewhere.mkdir()
    with mounted(rel_path, "-o", "loop", first):
        number = number_of(rel_path)
    with mounted(rel_path, "-o", "loop", second), mounted(elsewhere, "-o", "loop", first):
        assert number_of(elsewhere) == number
        assert number_of(rel_path) not in (0, number)


@needs_root
def test_xfs_has_a_number_also_on_a_kernel_that_tells_no_uuid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("xfs")
    with Drives(tmp_path) as drives, drives.make("xfs").mounted(tmp_path) as point:
        number = number_of(point)
        assert number
        monkeypatch.setattr(disk, "_GET_UUID", 0)
        assert number_of(point) == number


# Which mount it is.


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


@linux_only
def test_the_number_of_its_device_is_none_of_the_file_systems_own() -> None:
    assert number_of(Path("/proc")) == 0


@linux_only
def test_where_statfs_tells_nothing_the_uuid_is_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number, where both tell it: a newer kernel does not make it another disk."""
    number = number_of(Path("/dev/shm"))
    silent = SimpleNamespace(f_fsid=0)
    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: silent)
    told = number_of(Path("/dev/shm"))
    if told == 0:
        pytest.skip("this kernel does not tell the UUID of a file system, or this has none")
    assert told == number


def test_a_path_that_is_too_long_has_a_number_and_one_that_is_not_there_is_an_error(
    deep: bytes, root: OpenFolder
) -> None:
    disk = Disk()
    assert disk.file_system(root, deep) == disk.file_system(root, b"")
    with pytest.raises(FileNotFoundError):
        disk.file_system(root, b"nothing")
