"""The companions of pictures on disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.core.companions import CompanionRole
from snoopsync.core.model import RelPath
from snoopsync.folders import companions
from snoopsync.folders.companions import CompanionFinder
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder


def write(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"x")


def finder(folder: Path, disk: Disk | None = None) -> CompanionFinder:
    return CompanionFinder({"photos": os.fsencode(folder)}, disk)


def found(folder: Path, name: str | bytes) -> dict[str, CompanionRole]:
    rel_path = RelPath("photos", os.fsencode(name))
    return {each.rel_path.text: each.role for each in finder(folder).companions(rel_path)}


def test_the_companions_are_in_the_directory_and_in_siblings_named_after_a_format(
    tmp_path: Path,
) -> None:
    write(tmp_path, "JPG/a.jpg", "JPG/a.xmp", "JPG/b.xmp", "RAW/a.cr2", "RAW/b.cr2", "a.nef")
    assert found(tmp_path, "JPG/a.jpg") == {
        "JPG/a.xmp": CompanionRole.SIDECAR,
        "RAW/a.cr2": CompanionRole.RAW,
    }


def test_a_raw_file_of_another_day_is_no_companion(tmp_path: Path) -> None:
    write(tmp_path, "2024-05-01/IMG_1.JPG", "2024-05-02/IMG_1.CR2")
    assert found(tmp_path, "2024-05-01/IMG_1.JPG") == {}


def test_a_name_may_be_any_bytes(tmp_path: Path) -> None:
    write(tmp_path, "two\nlines.jpg", "two\nlines.xmp", os.fsdecode(b"\xff.jpg"))
    write(tmp_path, os.fsdecode(b"\xff.CR2"))
    assert found(tmp_path, "two\nlines.jpg") == {"two\nlines.xmp": CompanionRole.SIDECAR}
    assert found(tmp_path, b"\xff.jpg") == {os.fsdecode(b"\xff.CR2"): CompanionRole.RAW}


def test_a_link_and_a_directory_are_no_companions(tmp_path: Path) -> None:
    write(tmp_path, "photos/JPG/a.jpg", "elsewhere/a.cr2", "secret")
    folder = tmp_path / "photos"
    (folder / "JPG" / "a.xmp").symlink_to(tmp_path / "secret")
    (folder / "JPG" / "a.cr2").mkdir()
    (folder / "RAW").symlink_to(tmp_path / "elsewhere")
    assert found(folder, "JPG/a.jpg") == {}


def test_the_owners_of_a_file_are_all_pictures_that_it_belongs_to(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "a.cr2", "a.xmp", "a.jpg.xmp", "RAW/a.dng")
    owners = {
        name: [each.text for each in finder(tmp_path).owners(RelPath("photos", name.encode()))]
        for name in ("a.xmp", "a.jpg.xmp", "a.cr2")
    }
    assert owners == {"a.xmp": ["a.cr2", "a.jpg"], "a.jpg.xmp": ["a.jpg"], "a.cr2": ["a.jpg"]}


def test_a_file_that_was_moved_away_owns_nothing_any_more(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "a.cr2", "a.xmp")
    finds = finder(tmp_path)
    sidecar = RelPath("photos", b"a.xmp")
    assert len(finds.owners(sidecar)) == 2
    for name in (b"a.cr2", b"unknown.cr2"):
        finds.note_moved(RelPath("photos", name))
    assert [each.path for each in finds.owners(sidecar)] == [b"a.jpg"]


class CountingDisk(Disk):
    """Counts how often a directory is listed."""

    def __init__(self) -> None:
        self.listed: list[bytes] = []

    @contextmanager
    def entries(self, root: OpenFolder, directory: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        self.listed.append(directory)
        with super().entries(root, directory) as entries:
            yield entries


def test_each_directory_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, *(f"2024/{number}.jpg" for number in range(20)))
    disk = CountingDisk()
    finds = finder(tmp_path, disk)
    for number in range(20):
        finds.companions(RelPath("photos", b"2024/%d.jpg" % number))
    assert sorted(disk.listed) == [b"", b"2024"]


class BrokenDisk(Disk):
    """Fails in the middle of each directory."""

    @contextmanager
    def entries(self, root: OpenFolder, directory: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        with super().entries(root, directory) as entries:

            def failing() -> Iterator[os.DirEntry[str]]:
                yield next(entries)
                yield next(entries)
                raise OSError(5, "Input/output error")

            yield failing()


def test_a_directory_that_cannot_be_read_has_no_companions(tmp_path: Path) -> None:
    write(tmp_path, "a.jpg", "a.xmp", "a.cr2", "a.jpg.xmp")
    finds = finder(tmp_path, BrokenDisk())
    assert finds.companions(RelPath("photos", b"a.jpg")) == []
    assert finds.owners(RelPath("photos", b"a.xmp")) == []
    assert found(tmp_path / "missing", "a.jpg") == {}
    assert finds.companions(RelPath("unknown", b"a.jpg")) == []


def test_a_directory_that_is_too_large_has_no_companions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "a.jpg", "a.xmp", "a.cr2")
    monkeypatch.setattr(companions, "_MOST_ENTRIES", 2)
    assert found(tmp_path, "a.jpg") == {}


def test_what_is_kept_of_the_directories_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "one/a.jpg", "one/a.xmp", "two/a.jpg", "two/a.xmp")
    monkeypatch.setattr(companions, "_MOST_KEPT", 3)
    disk = CountingDisk()
    finds = finder(tmp_path, disk)
    for directory in ("one", "two", "one"):
        assert len(finds.companions(RelPath("photos", f"{directory}/a.jpg".encode()))) == 1
    assert len(disk.listed) > 3
