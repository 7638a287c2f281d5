"""One generation of the service reports to systemd while all of its parts make progress."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import stat_result
from pathlib import Path

import pytest

from snoopsync.config.settings import Watch
from snoopsync.core.protocol import ImageAnswer, ImageSource
from snoopsync.folders.disk import Disk
from snoopsync.folders.open_folder import OpenFolder
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.sync.components import Dependencies
from tests.runtime.test_systemd import Manager, manager
from tests.support.faults import answers
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.serving import serving
from tests.support.world import ServedWorld, Shelf, ToldWatcher, World, fake_picture

BEAT = "WATCHDOG=1"

#: How long a part of the service may hang in these tests: longer than an idle planner rests.
PATIENCE_SECONDS = 2.0


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Manager]:
    with manager(str(tmp_path / "notify")) as listening:
        yield listening


def environment(tmp_path: Path, watchdog_usec: int = 150_000) -> dict[str, str]:
    return {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": str(watchdog_usec)}


def beats(systemd: Manager) -> int:
    return systemd.heard.count(BEAT)


def test_the_service_reports_everything_to_systemd(tmp_path: Path, systemd: Manager) -> None:
    home = Installation(tmp_path)
    (home.pictures / "a.jpg").write_bytes(encode(photo(0)))
    home.configure()
    home.environment |= environment(tmp_path)
    with home.running() as service:
        until(lambda: "STATUS=watching, everything is sent" in systemd.heard)
        heard = [message for message in systemd.heard if message != BEAT]
        assert heard.index("READY=1") < heard.index("STATUS=watching, everything is sent")
        until(lambda: beats(systemd) > 3)
        begun = len(systemd.heard)
        service.send(signal.SIGHUP)
        service.line_with("the configuration has not changed")
        until(lambda: "READY=1" in systemd.heard[begun:])
        assert any(message.startswith("RELOADING=1") for message in systemd.heard[begun:])
        assert service.end() == 0
    until(lambda: "STOPPING=1" in systemd.heard)


@contextmanager
def polled_world(tmp_path: Path) -> Iterator[World]:
    """A world without a watcher, which could stall too."""
    with ServedWorld(tmp_path) as world:
        world.configure("photos", watch=Watch.POLL, poll_interval_seconds=0.1)
        world.timeout_seconds = PATIENCE_SECONDS
        yield world


class Hanging:
    """Something that hangs, once it is told to, until the test is over."""

    def __init__(self) -> None:
        self.begin = threading.Event()
        self.reached = threading.Event()
        self.end = threading.Event()

    def pass_by(self) -> None:
        if self.begin.is_set():
            self.reached.set()
            self.end.wait()


class HangingDisk(Disk):
    def __init__(self, hanging: Hanging) -> None:
        self._hanging = hanging

    def lstat(self, root: OpenFolder, path: bytes) -> stat_result:
        self._hanging.pass_by()
        return super().lstat(root, path)


class HangingShelf(Shelf):
    def __init__(self, hanging: Hanging) -> None:
        super().__init__()
        self._hanging = hanging

    def add_image(
        self,
        image: ImageSource,
        image_id: str | None = None,
        update_existing: bool = False,
        label: str | None = None,
    ) -> ImageAnswer:
        self._hanging.pass_by()
        return super().add_image(image, image_id, update_existing, label)


@pytest.mark.parametrize("part", ["planner", "uploaders"])
def test_a_part_that_hangs_stops_the_heartbeat(tmp_path: Path, systemd: Manager, part: str) -> None:
    hanging = Hanging()
    disk = HangingDisk(hanging) if part == "planner" else Disk()
    notifier = SystemdNotifier(environment(tmp_path))
    with ExitStack() as stack:
        world = stack.enter_context(polled_world(tmp_path))
        stack.enter_context(
            serving(
                world,
                ToldWatcher(),
                dependencies=Dependencies(disk=disk),
                collection=HangingShelf(hanging if part == "uploaders" else Hanging()),
                systemd=notifier,
                patience_seconds=PATIENCE_SECONDS,
            )
        )
        stack.callback(hanging.end.set)
        until(lambda: beats(systemd) > 5)
        hanging.begin.set()
        world.disk.write("new.jpg", fake_picture(1))
        assert hanging.reached.wait(20.0)
        until(lambda: f"STATUS=no progress: {part}" in systemd.heard)
        silent_since = beats(systemd)
        hanging.end.set()
        until(lambda: beats(systemd) > silent_since + 5)


def test_a_watcher_that_gets_no_events_stops_the_heartbeat(
    tmp_path: Path, systemd: Manager
) -> None:
    """One that is alive, and whose last proof gets older and older: a ``ToldWatch``."""
    with ServedWorld(tmp_path) as world:
        world.configure("photos", watch=Watch.EVENTS)
        notifier = SystemdNotifier(environment(tmp_path))
        with serving(world, ToldWatcher(), systemd=notifier, patience_seconds=0.1):
            until(lambda: beats(systemd) > 0)
            until(lambda: "STATUS=no progress: watcher of photos" in systemd.heard)


def test_an_outage_of_the_collection_does_not_stop_the_heartbeat(
    tmp_path: Path, systemd: Manager
) -> None:
    with ExitStack() as stack:
        world = stack.enter_context(polled_world(tmp_path))
        world.disk.write("a.jpg", fake_picture(1))
        world.remote.server.fault_for = lambda _seen: answers(503)
        notifier = SystemdNotifier(environment(tmp_path, 60_000))
        stack.enter_context(
            serving(
                world,
                ToldWatcher(),
                dependencies=Dependencies(),
                systemd=notifier,
                patience_seconds=PATIENCE_SECONDS,
            )
        )
        until(lambda: beats(systemd) > 2 * PATIENCE_SECONDS / 0.02)
        assert not any("no progress" in message for message in systemd.heard)
