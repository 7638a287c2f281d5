"""The trash of a file system: which one is used, and how a name in it is reserved."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.core.errors import PictureRefused
from snoopsync.review import trash_directory
from snoopsync.review.trash_directory import TrashDirectory, home_trash, trash_at, trash_for

DELETED_AT = 1_700_000_000.0


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home/Trash"


@contextmanager
def opened(directory: Path, home: Path) -> Iterator[TrashDirectory]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with trash_for(descriptor, home) as trash:
            yield trash
    finally:
        os.close(descriptor)


def test_a_trash_is_created_for_its_user_alone(tmp_path: Path, home: Path) -> None:
    with opened(tmp_path, home) as trash:
        assert trash.path == os.fsencode(home)
    assert {path.name: path.stat().st_mode & 0o777 for path in home.iterdir()} == {
        "files": 0o700,
        "info": 0o700,
    }


def test_a_reserved_name_has_the_path_and_the_time(tmp_path: Path, home: Path) -> None:
    with opened(tmp_path, home) as trash:
        assert trash.reserve(b"/srv/caf\xe9 1.jpg", DELETED_AT) == b"caf\xe9 1.jpg"
    [information] = (home / "info").iterdir()
    text = information.read_text().splitlines()
    assert text[:2] == ["[Trash Info]", "Path=/srv/caf%E9%201.jpg"]
    assert text[2].startswith("DeletionDate=2023-11-1")


def test_a_name_that_is_taken_is_not_reserved_again(tmp_path: Path, home: Path) -> None:
    with opened(tmp_path, home) as trash:
        first = trash.reserve(b"/srv/a.jpg", DELETED_AT)
        assert trash.reserve(b"/srv/a.jpg", DELETED_AT) != first
        trash.release(first)
        (home / "files" / os.fsdecode(first)).write_bytes(b"a file without information")
        assert trash.reserve(b"/srv/a.jpg", DELETED_AT) != first


def test_too_many_files_of_one_name_are_refused(
    tmp_path: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trash_directory, "_MOST_NAMES", 2)
    refused = pytest.raises(PictureRefused, match="too many files of this name")
    with refused, opened(tmp_path, home) as trash:
        for _ in range(3):
            trash.reserve(b"/srv/a.jpg", DELETED_AT)
    assert len(list((home / "info").iterdir())) == 2


def test_a_trash_that_others_can_write_to_is_refused(tmp_path: Path, home: Path) -> None:
    home.mkdir(parents=True)
    home.chmod(0o777)
    with pytest.raises(PictureRefused, match="the trash cannot be used"), opened(tmp_path, home):
        pass
    assert list(home.iterdir()) == []


def test_a_trash_that_is_gone_cannot_be_opened(home: Path) -> None:
    with (
        pytest.raises(PictureRefused, match="the trash cannot be opened"),
        trash_at(os.fsencode(home)),
    ):
        pass


def test_the_trash_of_the_home_directory_is_where_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("HOME", "/home/ann")
    for value, expected in (
        ("/data/ann", "/data/ann/Trash"),
        ("", "/home/ann/.local/share/Trash"),
        ("relative", "/home/ann/.local/share/Trash"),
    ):
        monkeypatch.setenv("XDG_DATA_HOME", value)
        assert home_trash() == Path(expected)
    monkeypatch.delenv("HOME")
    monkeypatch.delenv("XDG_DATA_HOME")
    assert home_trash() is None
