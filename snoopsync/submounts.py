"""Which disk is mounted below a folder?

Each file's record has the number of the file system that the file was on (``Record.submount``). A
file system with an ID of its own has that as its number. One without (exFAT, NTFS, squashfs, many
FUSE and network mounts) gets a random number when it is first seen, and is recognised by a sample
of the files that were last seen on it. The number is looked up once for each mount.
"""

from __future__ import annotations

import os
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from contextlib import suppress
from pathlib import Path

from snoopsync.beneath import Root
from snoopsync.disk import Disk
from snoopsync.identity import Sample, Verdict, decide_by_content
from snoopsync.model import UNNUMBERED, Unclear, printable
from snoopsync.sample import SAMPLE_FILES, in_thread, take_sample
from snoopsync.state.images import State
from snoopsync.steady import SteadyFile
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
        open_file: Callable[[bytes], SteadyFile],
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
        """Look up all disks that are mounted below the folder, which is on this ``device``, in the
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
        with suppress(OSError), self._disk.root(self._root) as opened:
            for directory in (point[len(root) :] for point in below):
                with suppress(OSError):
                    on = self._disk.stat(opened, directory).st_dev
                    if on != device and enters(directory):
                        self.number(opened, directory, on)

    def number(self, root: Root, directory: bytes, device: int) -> int | Unclear:
        """The number of the file system that this directory below the folder is on: not the
        folder's own ``device``. Raises ``OSError``."""
        own = self._disk.file_system(root, directory)
        mount = device, self._disk.facts(root, directory).mount
        with self._lock:
            known = self._numbers.get(mount)
            if known is None:
                point = self._mount_point(root, directory, mount)
                found = self._recognise(mount, point, own)
                if isinstance(found, Unclear):
                    return found
                known = self._numbers[mount] = found
        return known

    def _absolute(self, directory: bytes) -> bytes:
        return self._root.rstrip(b"/") + b"/" + directory

    def _mount_point(self, root: Root, directory: bytes, mount: _Mount) -> bytes:
        while b"/" in directory:
            above = directory.rpartition(b"/")[0]
            device = self._disk.stat(root, above).st_dev
            if mount != (device, self._disk.facts(root, above).mount):
                break
            directory = above
        return directory

    def _recognise(self, mount: _Mount, point: bytes, own: int) -> int | Unclear:
        numbers = self._state.submounts_below(self._folder, point)
        if own:
            # Its number may not have been known when its files were last seen.
            numbers &= {UNNUMBERED}
        samples = self._samples(mount, point, numbers)
        if samples is None:
            return Unclear(
                f"the disk at {printable(self._absolute(point))} does not answer in time"
            )
        verdicts = {
            number: decide_by_content(sample) for number, sample in samples.items() if sample.known
        }
        same = [number for number, verdict in verdicts.items() if verdict is Verdict.SAME]
        if not same and Verdict.CANNOT_TELL in verdicts.values():
            return Unclear(f"the disk at {printable(self._absolute(point))} can't be recognised")
        new = own or random.getrandbits(61) + UNNUMBERED + 1
        if not same:
            return new
        best = max(same, key=lambda number: (samples[number].found, number))
        if own or best == UNNUMBERED:
            self._state.intents.renumber(self._folder, point, best, new)
            best = new
        # Such a file system makes up its inode numbers with every mount.
        self._state.intents.forget_inodes(self._folder, best, point)
        self.by_content.add(best)
        return best

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
