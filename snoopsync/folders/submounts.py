"""Which file system is mounted below a folder?

Each file's record has a number of the mounted directory that the file was below
(``Record.submount``); 0 is the mount that the folder itself is on. The number is made of the file
system's own ID and the inode of the directory that is mounted: bind mounts of two directories of
one file system are different. That may be the folder's own file system, whose device number says
nothing then, so mount IDs are compared. A file system without an ID of its own (exFAT, NTFS,
squashfs, many FUSE and network mounts) gets a random number when it is first seen, and is
recognised by a sample of the files that were last seen on it. The number is looked up once for each
mount.
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

from snoopsync.core.identity import Sample, Verdict, decide_by_content
from snoopsync.core.model import UNNUMBERED, Unclear, int64, printable
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.folders.sample import SAMPLE_FILES, in_thread, take_sample
from snoopsync.folders.stable_file import StableFile
from snoopsync.state.images import State
from snoopsync.watching.mounts import MOUNTINFO, parse_mounts

#: How long to wait for a disk that is to be recognised. It goes on after that, and its result is
#: taken the next time that somebody asks.
_WAIT_SECONDS = 10.0

#: A mount of this process: the device, and the mount's ID.
_Mount = tuple[int, int]


class Submounts:
    """The disks below one folder. Any thread may ask. ``by_content``: the numbers of the disks that
    were recognised by their content alone, since it was last cleared."""

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
        self._asked: dict[_Mount, Future[dict[int, Sample]]] = {}

    def look_around(self, device: int, enters: Callable[[bytes], bool]) -> None:
        """Look up everything that is mounted below the folder, which is on this ``device``, in the
        directories that it ``enters``. A disk that is recognised by its content before its
        directories are scanned is not taken for such a one later, when a file was deleted."""
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
                # A file, too, can be a mount point: it has no stat as a directory.
                with suppress(OSError):
                    on = self._disk.stat(opened, directory).st_dev
                    if not enters(directory):
                        continue
                    if on != device or is_submount(self._disk, opened, directory):
                        self.number(opened, directory, on)

    def number(self, root: OpenFolder, directory: bytes, device: int) -> int | Unclear:
        """The number of what is mounted at or above this directory, which is on this ``device`` and
        below the folder: not on the folder's own mount. Raises ``OSError``."""
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
            return Unclear(f"the disk at {where} does not answer in time")
        # Looked up afresh: an open directory stays on the mount that it was opened on.
        with self._disk.open_folder(self._root) as fresh:
            now = self._disk.facts(fresh, directory).mount
        if mount[1] != now:
            return Unclear(f"{where} was mounted or unmounted while it was looked at")
        verdicts = {
            number: decide_by_content(sample) for number, sample in samples.items() if sample.known
        }
        same = [number for number, verdict in verdicts.items() if verdict is Verdict.SAME]
        if not same and Verdict.CANNOT_TELL in verdicts.values():
            return Unclear(f"the disk at {where} can't be recognised")
        new = own or random.getrandbits(61) + UNNUMBERED + 1
        if not same:
            return new
        best = max(same, key=lambda number: (samples[number].found, number))
        if own or best == UNNUMBERED:
            self._state.intents.renumber(self._folder, point, best, new)
            best = new
        # They may be made up with every mount.
        self._state.intents.forget_inodes(self._folder, best, point)
        self.by_content.add(best)
        return best

    def _candidates(self, root: OpenFolder, mount: _Mount, point: bytes, own: int) -> set[int]:
        """The numbers that files below this mount point may have been given when they were last
        seen there."""
        numbers = self._state.submounts_below(self._folder, point)
        if not own:
            return numbers
        # Its number may not have been known then. Older versions took the file system's own ID, and
        # 0 for the folder's own file system.
        before = {UNNUMBERED, self._disk.file_system(root, point)}
        if mount[0] == self._disk.stat(root, b"").st_dev:
            before.add(0)
            numbers.add(0)
        return numbers & before

    def _samples(self, mount: _Mount, point: bytes, numbers: set[int]) -> dict[int, Sample] | None:
        """What is found there of each of these disks' files; ``None``: that takes longer."""
        asked = self._asked.get(mount)
        if asked is None:
            records = {
                number: self._state.sample(self._folder, SAMPLE_FILES, number, point)
                for number in numbers
            }
            if not any(records.values()):
                return {}
            asked = self._asked[mount] = in_thread(
                lambda: {
                    number: take_sample(known, self._open, self._disk, self._root)
                    for number, known in records.items()
                },
                "recognise",
            )
        try:
            samples = asked.result(_WAIT_SECONDS)
        except FutureTimeout:
            return None
        self._asked.clear()
        return samples


def is_submount(disk: Disk, root: OpenFolder, directory: bytes) -> bool:
    """Is this directory below the folder on another mount than the folder? Raises ``OSError``."""
    return bool(directory) and disk.mount_id(root, directory) != disk.mount_id(root, b"")


def own_number(disk: Disk, root: OpenFolder, directory: bytes) -> int:
    """A number of what is mounted at or above this directory below the folder, which stays the same
    wherever and whenever it is mounted; 0 if its file system has no ID of its own. Raises
    ``OSError``."""
    point = _mount_point(disk, root, directory)
    file_system = disk.file_system(root, point)
    if not file_system:
        return 0
    text = f"{file_system} {int64(disk.stat(root, point).st_ino)}"
    digest = hashlib.sha256(text.encode()).digest()
    return UNNUMBERED + 1 + int.from_bytes(digest[:7])


def _mount_point(disk: Disk, root: OpenFolder, directory: bytes) -> bytes:
    """The topmost directory above this one, or itself, that is on the same file system and mount.
    It is below the folder."""

    def mount(path: bytes) -> _Mount:
        return disk.stat(root, path).st_dev, disk.mount_id(root, path)

    here = mount(directory)
    while b"/" in directory:
        above = directory.rpartition(b"/")[0]
        if mount(above) != here:
            break
        directory = above
    return directory
