"""Recognises the file systems that are mounted below a folder.

Each file's record has a number for the mount that the file was on (``Record.submount``); 0 is the
mount of the folder itself. The number is derived from the file system's ID and the inode of the
mounted directory, so that bind mounts of two directories of one file system have different numbers.
A bind mount of the folder's own file system has the same device number as the folder, so mount IDs
are compared. A file system without an ID (exFAT, NTFS, squashfs, many FUSE and network mounts) gets
a random number when it is first seen, and is recognised by a sample of the files that were last
seen on it. The number is looked up once for each mount.
"""

from __future__ import annotations

import hashlib
import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path

from snoopsync.core.identity import IdentityVerdict, Sample, decide_by_content
from snoopsync.core.model import UNNUMBERED, Unclear, int64, printable
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.sample import SAMPLE_FILES, in_thread, take_sample
from snoopsync.folders.stable_file import StableFile
from snoopsync.state.images import State
from snoopsync.watching.mounts import MOUNTINFO, parse_mounts

#: How long to wait until a disk is recognised. After that the comparison continues, and the next
#: call takes its result.
_WAIT_SECONDS = 10.0

#: A mount of this process: the device, and the mount's ID.
_Mount = tuple[int, int]


class Submounts:
    """The disks below one folder. Thread-safe. ``by_content`` has the numbers of the disks that
    were recognised by their content alone since the set was last cleared."""

    def __init__(
        self,
        folder: str,
        root: bytes,
        disk: Disk,
        state: State,
        open_file: Callable[[bytes], StableFile],
        mountinfo: Path = MOUNTINFO,
    ) -> None:
        self.by_content: set[int] = set()
        self._folder = folder
        self._root = root
        self._disk = disk
        self._state = state
        self._open = open_file
        self._mountinfo = mountinfo
        self._lock = threading.Lock()
        self._numbers: dict[_Mount, int] = {}
        self._comparisons: dict[_Mount, Future[dict[int, Sample]]] = {}

    def look_around(self, device: int, enters: Callable[[bytes], bool]) -> None:
        """Look up every mount below the folder, in the directories that it ``enters``. The folder
        itself is on ``device``. Call this before a scan: if a disk is first seen after one of its
        files was deleted, that deletion needs approval."""
        try:
            mounts = parse_mounts(self._mountinfo.read_bytes())
            root = os.path.realpath(self._root).rstrip(b"/") + b"/"
        except OSError:
            return
        below = {mount.point for mount in mounts if mount.point.startswith(root)}
        if not below:
            return
        with suppress(OSError), self._disk.open_folder(self._root) as opened:
            for directory in (point[len(root) :] for point in below):
                # The mount point may be a file.
                with suppress(OSError):
                    on = self._disk.stat(opened, directory).st_dev
                    if not enters(directory):
                        continue
                    if on != device or is_submount(self._disk, opened, directory):
                        self.number(opened, directory, on)

    def number(self, root: OpenFolder, directory: bytes, device: int) -> int | Unclear:
        """The number of the mount that this directory is on. The directory is below the folder, on
        ``device``, and not on the folder's own mount. Raises ``OSError``."""
        mount = device, self._disk.facts(root, directory).mount
        with self._lock:
            known = self._numbers.get(mount)
            if known is None:
                found = self._recognise(root, mount, directory)
                if isinstance(found, Unclear):
                    return found
                known = self._numbers[mount] = found
        return known

    def _recognise(self, root: OpenFolder, mount: _Mount, directory: bytes) -> int | Unclear:
        point = _mount_point(self._disk, root, directory)
        where = printable(root.absolute(point))
        own = own_number(self._disk, root, directory)
        samples = self._samples(mount, point, self._candidates(root, mount, point, own))
        if samples is None:
            return Unclear(f"the disk at {where} does not respond in time")
        # Open the folder again, because an open directory stays on its mount.
        with self._disk.open_folder(self._root) as fresh:
            now = self._disk.facts(fresh, directory).mount
        if mount[1] != now:
            return Unclear(f"{where} was mounted or unmounted while it was looked at")
        verdicts = {
            number: decide_by_content(sample) for number, sample in samples.items() if sample.known
        }
        same = [number for number, verdict in verdicts.items() if verdict is IdentityVerdict.SAME]
        if not same and IdentityVerdict.CANNOT_TELL in verdicts.values():
            return Unclear(f"the disk at {where} can't be recognised")
        new = own or random.getrandbits(61) + UNNUMBERED + 1
        if not same:
            return new
        best = max(same, key=lambda number: (samples[number].found, number))
        if own or best == UNNUMBERED:
            self._state.intents.renumber(self._folder, point, best, new)
            best = new
        # The file system may assign new inodes at every mount.
        self._state.intents.forget_inodes(self._folder, best, point)
        self.by_content.add(best)
        return best

    def _candidates(self, root: OpenFolder, mount: _Mount, point: bytes, own: int) -> set[int]:
        """The numbers that files below this mount point may have in their records."""
        numbers = self._state.submounts_below(self._folder, point)
        if not own:
            return numbers
        # When these files were recorded, the number may have been unknown. Older versions used the
        # file system's ID, and 0 for the folder's own file system.
        before = {UNNUMBERED, self._disk.file_system(root, point)}
        if mount[0] == self._disk.stat(root, b"").st_dev:
            before.add(0)
            numbers.add(0)
        return numbers & before

    def _samples(self, mount: _Mount, point: bytes, numbers: set[int]) -> dict[int, Sample] | None:
        """For each of these disks, a sample of its files compared with the mount. ``None`` until
        the comparison is done."""
        comparison = self._comparisons.get(mount)
        if comparison is None:
            records = {
                number: self._state.sample(self._folder, SAMPLE_FILES, number, point)
                for number in numbers
            }
            if not any(records.values()):
                return {}
            comparison = self._comparisons[mount] = in_thread(
                lambda: {
                    number: take_sample(known, self._open, self._disk, self._root)
                    for number, known in records.items()
                },
                "recognise",
            )
        try:
            samples = comparison.result(_WAIT_SECONDS)
        except FutureTimeout:
            return None
        self._comparisons.clear()
        return samples


def is_submount(disk: Disk, root: OpenFolder, directory: bytes) -> bool:
    """Whether this directory below the folder is on another mount than the folder. Raises
    ``OSError``."""
    return bool(directory) and disk.mount_id(root, directory) != disk.mount_id(root, b"")


def own_number(disk: Disk, root: OpenFolder, directory: bytes) -> int:
    """A number for the mount that this directory below the folder is on. It does not depend on
    where or when the same directory is mounted. 0 if the file system has no ID. Raises
    ``OSError``."""
    point = _mount_point(disk, root, directory)
    file_system = disk.file_system(root, point)
    if not file_system:
        return 0
    text = f"{file_system} {int64(disk.stat(root, point).st_ino)}"
    digest = hashlib.sha256(text.encode()).digest()
    return UNNUMBERED + 1 + int.from_bytes(digest[:7])


def _mount_point(disk: Disk, root: OpenFolder, directory: bytes) -> bytes:
    """The topmost directory below the folder that is on the same mount as this directory."""

    def mount(path: bytes) -> _Mount:
        return disk.stat(root, path).st_dev, disk.mount_id(root, path)

    here = mount(directory)
    while b"/" in directory:
        above = directory.rpartition(b"/")[0]
        if mount(above) != here:
            break
        directory = above
    return directory
