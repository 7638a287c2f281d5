"""Why a file cannot be written."""

from __future__ import annotations

import errno
import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from snoopsync.runtime.writability import DISK_FULL, READ_ONLY, cause, why_unwritable


def test_a_file_that_can_be_written_has_no_reason(tmp_path: Path) -> None:
    for trying in (False, True):
        assert why_unwritable(tmp_path / "file", trying=trying) is None
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"f_flag": os.ST_RDONLY}, READ_ONLY),
        ({"f_bavail": 10, "f_bfree": 10}, DISK_FULL),
        ({"f_favail": 0}, DISK_FULL),
        ({"f_files": 0, "f_favail": 0}, None),  # a file system without a table of inodes
    ],
)
def test_the_file_system_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, int], reason: str | None
) -> None:
    usual = {"f_flag": 0, "f_bavail": 10**6, "f_bfree": 10**6, "f_frsize": 4096}
    usual |= {"f_files": 10**6, "f_favail": 10**6}
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(**usual | changes))
    assert why_unwritable(tmp_path / "file") == reason


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.ENOSPC, DISK_FULL),
        (errno.EDQUOT, DISK_FULL),
        (errno.EROFS, READ_ONLY),
        (errno.EIO, None),
    ],
)
def test_the_number_of_an_error_names_the_reason(
    tmp_path: Path, number: int, reason: str | None
) -> None:
    assert cause(OSError(number, os.strerror(number)), tmp_path / "file") == reason


def test_only_errors_of_writing_have_a_reason(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "a.sqlite3")) as connection:
        with pytest.raises(sqlite3.Error) as wrong:
            connection.execute("nonsense")
        connection.execute("PRAGMA max_page_count = 1")
        with pytest.raises(sqlite3.Error) as full:
            connection.execute("CREATE TABLE a AS SELECT zeroblob(100000)")
    assert cause(wrong.value, tmp_path / "a.sqlite3") is None
    assert cause(full.value, tmp_path / "a.sqlite3") == DISK_FULL


def test_a_missing_directory_is_not_a_reason(tmp_path: Path) -> None:
    assert why_unwritable(tmp_path / "missing" / "file", trying=True) is None
