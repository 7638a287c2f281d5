"""Compares a sample of the recorded files with the files on a disk, to recognise the disk."""

from __future__ import annotations

import errno
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from enum import Enum
from stat import S_ISREG
from threading import Thread
from typing import TypeVar

from snoopsync.core.errors import FileChanged
from snoopsync.core.identity import Sample
from snoopsync.core.model import Record
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.stable_file import StableFile

#: How many recorded files are compared.
SAMPLE_FILES = 32

#: How many of the files that match by size and mtime are also read.
_PROOFS = 3

Result = TypeVar("Result")


class _Match(Enum):
    FOUND = "found"
    DIFFERENT = "different"
    UNREADABLE = "unreadable"
    MAYBE = "maybe, by its content"


def take_sample(
    records: Sequence[Record], open_file: Callable[[bytes], StableFile], disk: Disk, path: bytes
) -> Sample:
    """Compare the files of these records, in the folder at ``path``, by size and mtime. If only the
    mtime differs, compare by the SHA-256 that the collection confirmed. Inodes prove nothing: exFAT
    and other file systems assign new inodes at every mount. Small files are read first, and reading
    ends when the remaining files can't change the verdict.

    A file whose deletion is pending counts only if it exists, because it is already known to be
    missing. But if the deletion of every file is pending, all of them count, because an empty
    sample would match any disk.
    """
    pending_count = all(record.marked_for_deletion for record in records)

    def counts(record: Record, match: _Match) -> bool:
        if not record.marked_for_deletion or pending_count:
            return True
        return match in (_Match.FOUND, _Match.MAYBE)

    by_match: dict[_Match, list[Record]] = {match: [] for match in _Match}
    try:
        with disk.open_folder(path) as root:
            for record in sorted(records, key=lambda record: record.seen.size):
                match = _compare_stat(record, disk, root)
                if counts(record, match):
                    by_match[match].append(record)
    except OSError:
        return Sample(len(records))
    to_read = by_match[_Match.MAYBE]
    found = by_match[_Match.FOUND]
    proofs = list(filter(_has_digest, found))[:_PROOFS]
    if any(_compare_content(record, open_file) is _Match.DIFFERENT for record in proofs):
        # On FAT, files of the same size that were written within 2 s have the same mtime.
        to_read, found = sorted(to_read + found, key=lambda record: record.seen.size), []
    known = len(to_read) + len(found)
    known += len(by_match[_Match.DIFFERENT]) + len(by_match[_Match.UNREADABLE])
    sample = Sample(known, len(found), len(by_match[_Match.DIFFERENT]))
    for record in to_read:
        if sample.is_decided:
            break
        match = _compare_content(record, open_file)
        sample = Sample(
            sample.known - (not counts(record, match)),
            sample.found + (match is _Match.FOUND),
            sample.different + (match is _Match.DIFFERENT and counts(record, match)),
        )
    return sample


def _has_digest(record: Record) -> bool:
    """Whether the SHA-256 of the file is known. While the record is dirty, the confirmed value may
    be old."""
    return bool(record.sha256) and not record.dirty


def _compare_stat(record: Record, disk: Disk, root: OpenFolder) -> _Match:
    try:
        stat = disk.lstat(root, record.rel_path.path)
    except OSError as error:
        return (
            _Match.DIFFERENT if error.errno in (errno.ENOENT, errno.ENOTDIR) else _Match.UNREADABLE
        )
    if not S_ISREG(stat.st_mode) or stat.st_size != record.seen.size:
        return _Match.DIFFERENT
    if stat.st_mtime_ns == record.seen.mtime_ns:
        return _Match.FOUND
    return _Match.MAYBE if _has_digest(record) else _Match.UNREADABLE


def _compare_content(record: Record, open_file: Callable[[bytes], StableFile]) -> _Match:
    if not _has_digest(record):
        return _Match.UNREADABLE
    try:
        with open_file(record.rel_path.path) as file:
            return _Match.FOUND if file.hash_all() == record.sha256 else _Match.DIFFERENT
    except FileChanged:
        return _Match.DIFFERENT
    except OSError:
        return _Match.UNREADABLE


def in_thread(job: Callable[[], Result], name: str) -> Future[Result]:
    """Run the job on a separate thread, because a disk may never respond."""
    future: Future[Result] = Future()

    def work() -> None:
        try:
            future.set_result(job())
        except BaseException as error:  # raised again by ``result()``
            future.set_exception(error)

    Thread(target=work, name=name, daemon=True).start()
    return future
