"""The stamp of a directory proves that its entries are those of an earlier listing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.folders.directory_stamp import stamp_of

MILLISECOND_NS = 1_000_000
HOUR_NS = 3_600_000 * MILLISECOND_NS


@contextmanager
def opened(directory: Path) -> Iterator[tuple[int, int]]:
    """A descriptor of the directory, and its ctime."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        yield descriptor, os.fstat(descriptor).st_ctime_ns
    finally:
        os.close(descriptor)


def require_stamps(directory: Path) -> None:
    with opened(directory) as (descriptor, ctime_ns):
        if stamp_of(descriptor, ctime_ns + HOUR_NS) is None:
            pytest.skip("the file system of the temporary directory has no stamps")


def test_a_ctime_counts_once_it_is_older_than_the_clock_is_coarse(tmp_path: Path) -> None:
    require_stamps(tmp_path)
    with opened(tmp_path) as (descriptor, ctime_ns):
        assert stamp_of(descriptor, ctime_ns + 19 * MILLISECOND_NS) is None
        assert stamp_of(descriptor, ctime_ns - HOUR_NS) is None
        assert stamp_of(descriptor, ctime_ns + 20 * MILLISECOND_NS) is not None


def test_another_directory_has_another_stamp(tmp_path: Path) -> None:
    require_stamps(tmp_path)
    stamps = []
    for name in ("one", "other"):
        (tmp_path / name).mkdir()
        with opened(tmp_path / name) as (descriptor, ctime_ns):
            stamps += [stamp_of(descriptor, ctime_ns + HOUR_NS) for _ in range(2)]
    assert stamps[0] == stamps[1] != stamps[2] == stamps[3]


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="there is no /proc")
def test_an_unsupported_file_system_has_no_stamps() -> None:
    with opened(Path("/proc/self")) as (descriptor, ctime_ns):
        assert stamp_of(descriptor, ctime_ns + HOUR_NS) is None
