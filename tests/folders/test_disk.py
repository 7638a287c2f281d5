"""Names may have any bytes, and paths may be longer than a system call takes."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest

from snoopsync.folders import disk
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from tests.folders.helpers import linux_only
from tests.support.disks import Drives, number_of, require
from tests.support.mounting import make_disk, mounted, needs_root

ODD_NAMES = [
    b"\xff\xfe.jpg",
    b"a\nb.jpg",
    "\u00e9.jpg".encode(),
    "e\u0301.jpg".encode(),
    b"x" * 255,
]


def open_descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count


def test_a_path_that_is_too_long_for_a_call_is_examined(opened: OpenFolder, deep: bytes) -> None:
    with pytest.raises(OSError, match="name too long"):
        os.lstat(opened.absolute(deep))
    disk = Disk()
    assert disk.lstat(opened, deep + b"/a.jpg").st_size == len(b"deep down")
    with pytest.raises(FileNotFoundError):
        disk.lstat(opened, deep + b"/b.jpg")


def test_a_directory_that_is_too_deep_for_a_call_is_listed(opened: OpenFolder, deep: bytes) -> None:
    with Disk().entries(opened, deep) as entries:
        sizes = {entry.name: entry.stat().st_size for entry in entries}
    assert sizes == {"a.jpg": len(b"deep down")}


def test_a_file_that_is_too_deep_for_a_call_is_read(opened: OpenFolder, deep: bytes) -> None:
    with Disk().open(opened, deep + b"/a.jpg") as file:
        assert file.read() == b"deep down"


def test_no_call_leaves_a_descriptor_open(deep: bytes, tmp_path: Path) -> None:
    disk = Disk()
    before = open_descriptors()
    with disk.open_folder(bytes(tmp_path)) as opened:
        disk.lstat(opened, deep + b"/a.jpg")
        disk.stat(opened, deep)
        with disk.entries(opened, deep):
            pass
        disk.open(opened, deep + b"/a.jpg").close()
        assert disk.may_read(opened, deep + b"/a.jpg")
        for missing in (deep + b"/b.jpg", deep + b"/" + b"e" * 250 + b"/b.jpg"):
            with pytest.raises(FileNotFoundError):
                disk.open(opened, missing)
    assert open_descriptors() == before


def test_a_name_that_is_too_long_for_the_file_system_is_an_error_like_any(
    opened: OpenFolder,
) -> None:
    for path in (b"x" * 256, b"x" * 256 + b"/a.jpg", b"x" * 5000 + b"/a.jpg"):
        with pytest.raises(OSError, match="name too long"):
            Disk().lstat(opened, path)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_any_name_is_found_examined_and_opened(opened: OpenFolder, name: bytes) -> None:
    Path(os.fsdecode(opened.absolute(name))).write_bytes(b"picture")
    disk = Disk()
    with disk.entries(opened, b"") as entries:
        assert [os.fsencode(entry.name) for entry in entries] == [name]
    assert disk.lstat(opened, name).st_size == 7
    with disk.open(opened, name) as file:
        assert file.read() == b"picture"


def test_a_symbolic_link_is_not_opened(opened: OpenFolder, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(b"not in the folder")
    (tmp_path / "a.jpg").symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        Disk().open(opened, b"a.jpg")


def test_a_fifo_is_opened_without_waiting_for_a_writer(opened: OpenFolder, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with Disk().open(opened, b"a.jpg") as file:
        assert file.read() == b""


def test_a_directory_in_a_files_place_leaves_no_descriptor_open(
    opened: OpenFolder, tmp_path: Path
) -> None:
    (tmp_path / "a.jpg").mkdir()
    before = open_descriptors()
    with pytest.raises(IsADirectoryError):
        Disk().open(opened, b"a.jpg")
    assert open_descriptors() == before


@needs_root
def test_a_disk_has_a_unique_number_and_keeps_it(tmp_path: Path) -> None:
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
def test_xfs_has_a_number_on_a_kernel_without_uuids(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("xfs")
    with Drives(tmp_path) as drives, drives.make("xfs").mounted(tmp_path) as point:
        number = number_of(point)
        assert number
        monkeypatch.setattr(disk, "_GET_UUID", 0)
        assert number_of(point) == number


@linux_only
def test_a_device_number_is_not_the_id_of_a_file_system() -> None:
    assert number_of(Path("/proc")) == 0


@linux_only
def test_without_an_id_in_statfs_the_uuid_is_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number, where both tell it: a newer kernel does not make it another disk."""
    number = number_of(Path("/dev/shm"))
    silent = SimpleNamespace(f_fsid=0)
    monkeypatch.setattr(os, "fstatvfs", lambda _descriptor: silent)
    told = number_of(Path("/dev/shm"))
    if told == 0:
        pytest.skip("this kernel does not tell the UUID of a file system, or this has none")
    assert told == number


def test_a_path_that_is_too_long_has_a_number_and_one_that_is_not_there_is_an_error(
    deep: bytes, opened: OpenFolder
) -> None:
    disk = Disk()
    assert disk.file_system(opened, deep) == disk.file_system(opened, b"")
    with pytest.raises(FileNotFoundError):
        disk.file_system(opened, b"nothing")
