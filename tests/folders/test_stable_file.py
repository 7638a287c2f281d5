"""No one gets the whole of a file that was not the same before and after it was read."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from snoopsync.core.errors import FileChanged
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.stable_file import StableFile

CONTENT = bytes(range(256)) * 400  # more than one buffer of any kind
OTHER = bytes(reversed(CONTENT))
BLOCK = 10_000
BLOCKS = [BLOCK, len(CONTENT) // 10]  # the last one short, and not


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.jpg"
    path.write_bytes(CONTENT)
    os.utime(path, ns=(10**18, 10**18))
    return path


def steady(path: Path, disk: Disk | None = None) -> StableFile:
    return StableFile(disk or Disk(), bytes(path.parent), os.fsencode(path.name))


def read_in_blocks(file: StableFile, size: int = BLOCK) -> tuple[bytes, bool]:
    """What was given out, and whether it was all of it."""
    data = b""
    try:
        while block := file.read(size):
            data += block
    except FileChanged:
        return data, False
    return data, True


def test_an_unchanged_file_is_read_completely_with_its_hash(path: Path) -> None:
    with steady(path) as file:
        assert file.size == len(CONTENT)
        assert file.sha256 is None
        assert read_in_blocks(file) == (CONTENT, True)
        assert file.sha256 == hashlib.sha256(CONTENT).digest()


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def truncate(path: Path) -> None:
    os.truncate(path, len(CONTENT) // 2)


def truncate_to_nothing(path: Path) -> None:
    os.truncate(path, 0)


def replace(path: Path) -> None:
    other = path.with_suffix(".tmp")
    other.write_bytes(OTHER)
    os.utime(other, ns=(10**18, 10**18))
    other.replace(path)


def replace_by_its_like(path: Path) -> None:
    other = path.with_suffix(".tmp")
    other.write_bytes(CONTENT)
    os.utime(other, ns=(10**18, 10**18))
    other.replace(path)


def rewrite(path: Path) -> None:
    """The same inode, size and mtime: only the ctime tells."""
    with path.open("r+b") as file:
        file.write(OTHER)
    os.utime(path, ns=(10**18, 10**18))


def rewrite_and_rename_away(path: Path) -> None:
    rewrite(path)
    path.rename(path.with_suffix(".old"))


def touch(path: Path) -> None:
    path.touch()


def remove(path: Path) -> None:
    path.unlink()


def become_a_link(path: Path) -> None:
    target = path.with_suffix(".target")
    path.rename(target)
    path.symlink_to(target)


CHANGES = [
    grow,
    truncate,
    truncate_to_nothing,
    replace,
    replace_by_its_like,
    rewrite,
    rewrite_and_rename_away,
    touch,
    remove,
    become_a_link,
]


@pytest.mark.parametrize("size", BLOCKS)
@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changes_while_it_is_read_never_returns_its_last_bytes(
    path: Path, change: Callable[[Path], None], size: int
) -> None:
    with steady(path) as file:
        begun = file.read(size)
        change(path)
        rest, whole = read_in_blocks(file, size)
        assert not whole
        assert len(begun + rest) < len(CONTENT)
        assert file.sha256 is None


@pytest.mark.parametrize("change", CHANGES)
def test_a_file_that_changed_before_it_was_read_is_not_returned(
    path: Path, change: Callable[[Path], None]
) -> None:
    with steady(path) as file:
        change(path)
        with pytest.raises(FileChanged, match=r"a\.jpg"):
            file.read()
        with pytest.raises(FileChanged):
            file.hash_all()


def test_a_file_that_is_read_again_is_read_completely_with_its_hash(path: Path) -> None:
    with steady(path) as file:
        file.read(BLOCK)
        file.seek(0)
        assert file.read() == CONTENT
        assert file.sha256 == hashlib.sha256(CONTENT).digest()
        file.seek(0)
        assert file.sha256 is None
        assert read_in_blocks(file) == (CONTENT, True)
        assert file.sha256 == hashlib.sha256(CONTENT).digest()


def test_a_file_that_changed_between_two_readings_is_not_returned_again(path: Path) -> None:
    with steady(path) as file:
        file.read()
        file.seek(0)
        rewrite(path)
        with pytest.raises(FileChanged):
            file.read()
        assert file.sha256 is None


def test_only_a_complete_read_has_a_hash(path: Path) -> None:
    with steady(path) as file:
        file.seek(1)
        assert file.read() == CONTENT[1:]
        assert file.sha256 is None
        assert file.hash_all() == hashlib.sha256(CONTENT).digest()


def test_an_empty_file_has_the_hash_of_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    with steady(tmp_path / "a.jpg") as file:
        assert file.hash_all() == hashlib.sha256().digest()


def test_a_read_of_no_bytes_is_not_the_end(path: Path) -> None:
    with steady(path) as file:
        path.touch()
        assert file.read(0) == b""


def test_only_a_regular_file_is_read_and_nothing_blocks(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jpg")
    with pytest.raises(FileChanged, match="no longer a regular file"):
        steady(tmp_path / "a.jpg")


class ForgetfulDisk(Disk):
    """A server's disk whose ``lstat`` answers from a cache, or of what has the name now."""

    def __init__(self, answer: os.stat_result) -> None:
        self.answer = answer

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        return self.answer


def test_an_unchanged_name_does_not_prove_an_unchanged_file(path: Path) -> None:
    disk = ForgetfulDisk(path.lstat())
    with steady(path, disk) as file:
        rewrite(path)
        with pytest.raises(FileChanged):
            file.read()


def test_an_unchanged_open_file_does_not_prove_an_unchanged_name(path: Path) -> None:
    other = path.with_suffix(".other")
    other.write_bytes(OTHER)
    disk = ForgetfulDisk(other.lstat())
    with (
        steady(path, disk) as file,
        pytest.raises(FileChanged),
    ):
        file.read()


def test_a_failing_disk_is_a_changed_file(path: Path) -> None:
    class Failing(Disk):
        def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
            raise OSError(5, "Input/output error", root.absolute(path))

    with (
        steady(path, Failing()) as file,
        pytest.raises(FileChanged, match="Input/output error"),
    ):
        file.read()
