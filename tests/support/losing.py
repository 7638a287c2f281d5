"""A folder with changes that make an observer lose events, and a service that mirrors it.

The service is a real process with the embedded collection. Its safety scan is a day away, so only
what its watcher tells, and what is made of that, brings the collection up to date. In the place of
its watcher it can have watchdog's own observer, to show that what happens is worth a test.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import Installation, Service, until
from tests.support.queue_limit import short_queue
from tests.support.world import DiskFolder

CONFIGURATION = """
sync: {settle: 50ms, delete_after: 0s, rescan_interval: 24h, hold_deletes_over: never}
duplicates: {alert: false}
"""

#: How long something that must happen may take.
DEADLINE_SECONDS = 40.0

#: How long the stock observer is waited for. Ours takes a tenth of it.
STOCK_SECONDS = 2.5

#: snoopsync as it is.
OURS = "from snoopsync.cli import main; main()"

#: snoopsync on watchdog's own observer, with the rest of it as it is: only the place of an event is
#: believed, the folder itself is looked at every two seconds, and dead threads are replaced.
STOCK = """
import warnings
from functools import partial
from watchdog.observers.inotify import InotifyObserver
from snoopsync.service import daemon
from snoopsync.watching.generic import GenericEngine
warnings.simplefilter("ignore")
engine = partial(GenericEngine, make_observer=InotifyObserver)
daemon.Watcher = partial(daemon.Watcher, make_engine=engine)
from snoopsync.cli import main; main()
"""

#: How the log reports an overflow.
QUEUE_WAS_FULL = "folder pictures: the system's queue of events was full"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root may do this to the system")


def picture(number: int) -> bytes:
    """A small picture that is unlike every other number's."""
    return encode(photo(number, (24, 16)))


class Playground:
    """The folder (``root``), a place ``outside`` of it, and the service that runs, if one does.
    ``undo`` is for what has to be put back in the end."""

    def __init__(self, base: Path, undo: ExitStack) -> None:
        self.home = Installation(base)
        self.root = base / "disk" / "pictures"
        self.outside = base / "outside"
        self.root.mkdir(parents=True)
        self.outside.mkdir()
        self.disk = DiskFolder(self.root)
        self.undo = undo
        self.running: Service | None = None
        self.configure(CONFIGURATION)
        self._number = 0

    def configure(self, text: str) -> None:
        """Write the configuration: these keys, and the folder."""
        self.home.configure(text, f"folders: [{{path: {self.root}}}]\n")

    def move_to(self, base: Path) -> None:
        """Have the folder there."""
        self.root = base / "pictures"
        self.root.mkdir()
        self.disk = DiskFolder(self.root)
        self.configure(CONFIGURATION)

    # What people do.

    def picture(self) -> bytes:
        """A different picture at each call."""
        self._number += 1
        return picture(self._number)

    def write(self, *paths: str) -> None:
        """Write a new picture to each of these paths."""
        for path in paths:
            self.disk.write(path, self.picture())

    def approve(self) -> None:
        """Accept the directory that is now at the folder's path."""
        until(lambda: self.folder_state() == "missing", DEADLINE_SECONDS)
        self.home.ok("approve", "pictures")

    def mount(self, path: Path, *options: str | Path) -> None:
        """Mount there, until ``unmount`` or the end. Skips the test if that isn't allowed."""
        command = ["mount", *options, path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")
        undo = ["umount", "-l", str(path)]
        self.undo.callback(lambda: subprocess.run(undo, capture_output=True, check=False))

    @contextmanager
    def unseen(self) -> Iterator[None]:
        """The service sees all changes that are made inside at once, never a part of them."""
        assert self.running is not None
        self.running.send(signal.SIGSTOP)
        yield
        self.running.send(signal.SIGCONT)

    def unmount(self, path: Path) -> None:
        """Unmount it as soon as no process uses it."""
        command = ["umount", str(path)]
        until(lambda: not subprocess.run(command, capture_output=True, check=False).returncode)

    # The service.

    @contextmanager
    def service(self, program: str = OURS, under: Sequence[str] = ()) -> Iterator[Service]:
        """The service of this program, started ``under`` another command, after its first
        comparison."""
        command = [*under, sys.executable, "-c", program, "run"]
        service = Service(list(command), self.home.environment, self.home.home)
        try:
            service.line_with("sync complete", DEADLINE_SECONDS)
            self.running = service
            yield service
        finally:
            service.kill()

    @contextmanager
    def played(self, story: Story, program: str = OURS, *, patience: float = DEADLINE_SECONDS
    ) -> Iterator[Service]:  # fmt: skip
        """The service of this program, after the whole story was played."""
        chapters = story.tell(self)
        next(chapters)
        with ExitStack() as stack:
            with nullcontext() if story.queue is None else short_queue(story.queue):
                service = stack.enter_context(self.service(program))
            for _ in chapters:
                self.comes_right(patience)
            yield service

    def folder_state(self) -> str:
        """What ``status`` says of the folder."""
        state: str = self.home.status()["folders"][0]["state"]
        return state

    # The result.

    def on_disk(self) -> dict[str, str]:
        """The SHA-256 of every file in the folder."""
        return {path: _digest(self.disk.read(path)) for path in self.disk.paths()}

    def in_collection(self) -> dict[str, str]:
        """The SHA-256 of every image in the collection, by its path, or by its ID if it has no
        path."""
        images = self._images()
        paths = {row["image_id"]: row["path"] for row in self.home.json("list", "--json")}
        return {paths.get(name, name): digest for name, digest in images.items()}

    def _images(self) -> dict[str, str]:
        path = self.home.state.parent / "collection" / "collection.sqlite3"
        with closing(sqlite3.connect(path)) as database:
            return dict(database.execute("SELECT id, lower(hex(sha256)) FROM image").fetchall())

    def holds(self, data: bytes) -> bool:
        """Are these bytes an image of the collection?"""
        return _digest(data) in self._images().values()

    def is_right(self) -> bool:
        """Does the collection hold what is on the disk, byte for byte?"""
        files, images = self.on_disk(), self._images()
        return sorted(files.values()) == sorted(images.values()) and files == self.in_collection()

    def comes_right(self, seconds: float) -> bool:
        """Does the collection become right within ``seconds``?"""
        try:
            until(self.is_right, seconds)
        except AssertionError:
            return False
        return True

    def check(self) -> None:
        """In the end ``status`` says that everything is in sync, and when it first does, it is."""
        until(self.home.is_in_sync, DEADLINE_SECONDS)
        assert self.on_disk() == self.in_collection()


@dataclass(frozen=True)
class Story:
    """A sequence of changes. ``tell`` makes them: those before its first ``yield`` are made before
    the service starts, and at each further ``yield`` the caller waits until everything is mirrored.
    ``says`` has a part of each warning that snoopsync logs about it. ``queue`` is the size of the
    kernel's event queue, if it is not the usual one."""

    tell: Callable[[Playground], Iterator[None]]
    says: tuple[str, ...] = ()
    queue: int | None = None

    def __str__(self) -> str:
        return self.tell.__name__


def complaints(service: Service) -> list[str]:
    """The lines that it has logged above the level ``info``."""
    return [line for line in service.lines if " info " not in line]


def check_story(playground: Playground, story: Story) -> None:
    """Check that nothing is lost, and that the log has one line for each problem."""
    with playground.played(story) as service:
        playground.check()
        for text in story.says:
            service.line_with(text)
        said = complaints(service)
        told = [text for line in said for text in story.says if text in line]
        assert len(told) == len(said), said
        # In any order: the guard and the watcher each look at times of their own.
        assert sorted(told) == sorted(story.says), said


def is_lost_by_stock(playground: Playground, story: Story) -> bool:
    """Does snoopsync with the stock observer fail to mirror everything?"""
    with playground.played(story, STOCK, patience=STOCK_SECONDS):
        return not playground.comes_right(STOCK_SECONDS)


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
