"""No path leads out of a folder, on systems with openat2 and without."""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Callable
from pathlib import Path

import pytest

from snoopsync.folders import open_folder
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder


@pytest.mark.parametrize("way", [b"link", b"x/link", b"x/link/y"])
def test_a_symbolic_link_on_the_way_is_not_a_directory(
    opened: OpenFolder, tmp_path: Path, way: bytes
) -> None:
    """Also one that leads to a place in the folder."""
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    (tmp_path / "y" / "a.jpg").touch()
    (tmp_path / "link").symlink_to("y")
    (tmp_path / "x" / "link").symlink_to(tmp_path)
    disk = Disk()
    calls: list[Callable[[], object]] = [
        lambda: disk.stat(opened, way),
        lambda: disk.lstat(opened, way + b"/a.jpg"),
        lambda: disk.open(opened, way + b"/a.jpg"),
        lambda: disk.facts(opened, way),
        lambda: disk.file_system(opened, way),
        lambda: disk.entries(opened, way).__enter__(),
    ]
    for call in calls:
        with pytest.raises(NotADirectoryError):
            call()


@pytest.mark.parametrize("path", [b"..", b"../x", b"y/../..", b"y/../../x"])
def test_no_path_leads_out_of_the_folder(opened: OpenFolder, tmp_path: Path, path: bytes) -> None:
    (tmp_path / "y").mkdir()
    disk = Disk()
    calls: list[Callable[[], object]] = [
        lambda: disk.stat(opened, path),
        lambda: disk.lstat(opened, path),
        lambda: disk.open(opened, path),
        lambda: disk.entries(opened, path).__enter__(),
    ]
    for call in calls:
        with pytest.raises(OSError, match="cross-device"):
            call()


def test_a_refused_openat2_is_replaced_by_openat(monkeypatch: pytest.MonkeyPatch) -> None:
    """By an old directory_facts, and by a seccomp filter that knows no better."""
    for code in (errno.ENOSYS, errno.EPERM):

        def refuse(*_arguments: object, code: int = code) -> int:
            ctypes.set_errno(code)
            return -1

        monkeypatch.setattr(open_folder, "_syscall", lambda refuse=refuse: refuse)
        assert not open_folder._has_openat2.__wrapped__()
