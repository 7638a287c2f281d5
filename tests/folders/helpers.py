"""A folder with a monitor, a watch that gives scripted hints, and a disk that fails in places."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from snoopsync.folders.monitor import FolderMonitor, Pace
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.watching.folder_watch import FolderWatch
from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.hints import Hints
from snoopsync.watching.mounts import MOUNTINFO
from snoopsync.watching.watcher import Watcher
from tests.support.unstamped import UnstampedDisk
from tests.support.world import DiskFolder

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc")


FOREVER = float("inf")


class ScriptedWatch:
    """Gives the hints that it was given, and remembers what was asked of it."""

    alive = True
    behind = False
    last_proof: float | None = None
    restarts = 0

    def __init__(self) -> None:
        self.unwatched: Mapping[bytes, str] = {}
        self.hints = Hints()
        self.covered: list[bytes] = []
        self.forgotten: list[bytes] = []

    def cover(self, directory: bytes) -> bool:
        self.covered.append(directory)
        return True

    def forget(self, directory: bytes) -> None:
        self.forgotten.append(directory)

    def take(self) -> Hints:
        hints, self.hints = self.hints, Hints()
        return hints


class ScriptedWatcher(Watcher):
    """Gives the folder this watch."""

    def __init__(self, scripted: ScriptedWatch) -> None:
        super().__init__(lambda: None)
        self.scripted = scripted

    def watch(self, name: str, root: bytes) -> HintSource:
        return self.scripted


class PartlyDeadDisk(UnstampedDisk):
    """Some directories can't be listed."""

    def __init__(self) -> None:
        self.dead: set[bytes] = set()
        self.code = errno.EACCES
        self.before_lstat: Callable[[], object] = lambda: None

    def lstat(self, root: OpenFolder, path: bytes) -> os.stat_result:
        self.before_lstat()
        return super().lstat(root, path)

    @contextmanager
    def entries(self, root: OpenFolder, path: bytes) -> Iterator[Iterator[os.DirEntry[str]]]:
        if root.absolute(path) in self.dead:
            raise OSError(self.code, os.strerror(self.code))
        with super().entries(root, path) as entries:
            yield entries


class Scene:
    """A folder, what is known of it, and somebody who looks at it."""

    def __init__(self, base: Path, database: Database) -> None:
        self.disk = DiskFolder(base / "photos")
        self.disk.root.mkdir()
        self.edge = PartlyDeadDisk()
        self.state = State(database)
        self.state.folders.save(FolderRow("photos", os.fsencode(self.disk.root), None, None))
        self.watch = ScriptedWatch()
        self.now = 1000.0
        self.monitor = self.begin()

    def begin(
        self,
        *,
        exclude: tuple[str, ...] = (),
        wanted: str = "events",
        mountinfo: Path = MOUNTINFO,
        dormant: bool = False,
    ) -> FolderMonitor:
        """A new start."""
        path = os.fsencode(self.disk.root)
        folder = Folder("photos", path, Selection(None, exclude), self.edge)
        lookout = FolderWatch("photos", path, wanted, ScriptedWatcher(self.watch), mountinfo)
        [row] = self.state.folders.rows()
        pace = Pace(900.0, 30.0)
        self.monitor = FolderMonitor(folder, lookout, self.state, row, pace, dormant=dormant)
        return self.monitor

    def know(self, *paths: str) -> None:
        """The state file knows these files as they are."""
        for path in paths:
            fingerprint = Fingerprint.of((self.disk.root / path).lstat())
            rel_path = RelPath("photos", os.fsencode(path))
            self.state.intents.apply([Add(rel_path, f"tester.{path}", File(fingerprint))], 0.0)

    def look(self) -> dict[str, bool]:
        """Look at everything there is to look at: the paths that are not as they are known, and
        whether there is a file."""
        self.monitor.update(self.now)
        while self.monitor.is_being_recognised:
            list(self.monitor.differences(FOREVER, self.now))
        differences = list(self.monitor.differences(FOREVER, self.now))
        return {difference.rel_path.text: difference.seen is not None for difference in differences}

    def wait(self, seconds: float) -> None:
        self.now += seconds


def names(directory: str, *names: str) -> Hints:
    return Hints({os.fsencode(directory): frozenset(map(os.fsencode, names))})
