"""A sample of the known files says which disk it is, and reads no more than it has to."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.core.identity import IdentityVerdict, Sample, decide_by_content
from snoopsync.core.model import Fingerprint, Record, RelPath
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.sample import take_sample
from snoopsync.folders.stable_file import StableFile

HOUR_NS = 3_600_000_000_000


class Known:
    """A directory with files, and what is known of them."""

    def __init__(self, root: Path, count: int) -> None:
        self.root = root
        self.disk = Disk()
        self.opened: list[bytes] = []
        self.paths = [root / f"{number % 3}" / f"{number}.jpg" for number in range(count)]
        self.records = []
        for number, path in enumerate(self.paths):
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"%05d" % number)
            self.records.append(self.record(path))

    def record(self, path: Path, sha256: bytes | None = None, *, dirty: bool = False) -> Record:
        rel_path = RelPath("photos", os.fsencode(path.relative_to(self.root)))
        digest = hashlib.sha256(path.read_bytes()).digest() if sha256 is None else sha256
        fingerprint = Fingerprint.of(path.lstat())
        return Record(f"tester.{path.name}", rel_path, fingerprint, sha256=digest, dirty=dirty)

    def open(self, path: bytes) -> StableFile:
        self.opened.append(path)
        return StableFile(self.disk, os.fsencode(self.root), path)

    def sample(self) -> Sample:
        return take_sample(self.records, self.open, self.disk, os.fsencode(self.root))

    def mark_for_deletion(self, first: int, end: int) -> None:
        for number in range(first, end):
            self.records[number] = replace(self.records[number], marked_for_deletion=True)

    def shift_times(self) -> None:
        for path in self.paths:
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + HOUR_NS))


def replace_with_same_times(path: Path) -> None:
    stat = path.stat()
    path.write_bytes(b"other"[: stat.st_size])
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


@pytest.fixture
def known(tmp_path: Path) -> Known:
    return Known(tmp_path, 32)


def test_files_of_known_size_and_time_are_found_and_only_three_are_read(known: Known) -> None:
    assert known.sample() == Sample(32, 32, 0)
    assert len(known.opened) == 3


def test_inodes_are_not_compared(known: Known) -> None:
    for path in known.paths:
        stat = path.stat()
        data = path.read_bytes()
        path.rename(path.with_suffix(".before"))
        path.write_bytes(data)
        os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert known.sample() == Sample(32, 32, 0)


def test_files_of_another_time_are_read_until_the_rest_can_change_nothing(known: Known) -> None:
    """FAT has the times in steps of 2 s, and in the zone of who wrote them."""
    known.shift_times()
    assert known.sample() == Sample(32, 16, 0)
    assert len(known.opened) == 16


def test_files_of_another_time_and_other_bytes_are_different(known: Known) -> None:
    for path in known.paths:
        path.write_bytes(b"other")
    known.shift_times()
    assert known.sample() == Sample(32, 0, 17)


def test_other_files_of_the_same_size_and_time_are_different(known: Known) -> None:
    """On FAT, files that were written within 2 s have one time."""
    for path in known.paths:
        replace_with_same_times(path)
    assert known.sample().different == 17


@pytest.mark.parametrize(
    "change", [Path.unlink, lambda path: path.write_bytes(b"longer than before")]
)
def test_a_file_that_is_gone_or_of_another_size_is_different_and_not_read(
    known: Known, change: Callable[[Path], object]
) -> None:
    for path in known.paths:
        change(path)
    assert known.sample() == Sample(32, 0, 32)
    assert known.opened == []


def test_a_link_or_a_directory_is_not_a_file(known: Known) -> None:
    known.paths[0].unlink()
    known.paths[0].symlink_to(known.paths[1])
    known.paths[2].unlink()
    known.paths[2].mkdir()
    assert known.sample() == Sample(32, 30, 2)


def test_a_file_that_cannot_be_examined_is_not_compared(known: Known) -> None:
    class DeadDisk(Disk):
        def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
            raise OSError(errno.EIO, os.strerror(errno.EIO), root.absolute(path))

    known.disk = DeadDisk()
    assert known.sample() == Sample(32, 0, 0)


def test_an_unreadable_file_is_not_compared(known: Known, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(path: bytes) -> StableFile:
        raise OSError(errno.EIO, os.strerror(errno.EIO), path)

    known.shift_times()
    monkeypatch.setattr(known, "open", fail)
    assert known.sample() == Sample(32, 0, 0)


@pytest.mark.parametrize(("sha256", "dirty"), [(b"", False), (None, True)])
def test_a_file_of_another_time_and_unknown_bytes_is_not_compared(
    known: Known, sha256: bytes | None, dirty: bool
) -> None:
    known.records = [known.record(path, sha256, dirty=dirty) for path in known.paths]
    assert known.sample() == Sample(32, 32, 0)
    known.shift_times()
    assert known.sample() == Sample(32, 0, 0)


# Files whose deletion is held or was approved.


@pytest.mark.parametrize("change", [Path.unlink, lambda path: path.write_bytes(b"other")])
def test_a_file_marked_for_deletion_does_not_count_if_it_is_gone_or_changed(
    known: Known, change: Callable[[Path], object]
) -> None:
    known.mark_for_deletion(2, 32)
    known.shift_times()
    for path in known.paths[2:]:
        change(path)
    sample = known.sample()
    assert decide_by_content(sample) is IdentityVerdict.SAME
    assert sample.different == 0


def test_a_file_marked_for_deletion_does_not_count_if_it_is_unreadable(
    known: Known, monkeypatch: pytest.MonkeyPatch
) -> None:
    known.mark_for_deletion(0, 30)
    known.shift_times()
    fine = known.open

    def fail(path: bytes) -> StableFile:
        if int(Path(os.fsdecode(path)).stem) < 30:
            raise OSError(errno.EIO, os.strerror(errno.EIO), path)
        return fine(path)

    monkeypatch.setattr(known, "open", fail)
    assert decide_by_content(known.sample()) is IdentityVerdict.SAME


def test_a_file_marked_for_deletion_counts_if_it_exists(known: Known) -> None:
    """A disk with half of the pictures was taken for the folder, and then the folder's own disk is
    back."""
    known.mark_for_deletion(0, 16)
    for path in known.paths[16:]:
        path.unlink()
    assert known.sample() == Sample(32, 16, 16)


def test_if_every_file_is_marked_for_deletion_missing_ones_count_too(known: Known) -> None:
    known.mark_for_deletion(0, 32)
    for path in known.paths[1:]:
        path.unlink()
    assert known.sample() == Sample(32, 1, 31)
    known.paths[0].unlink()
    assert known.sample() == Sample(32, 0, 32)
