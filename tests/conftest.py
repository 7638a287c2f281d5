"""What many tests start from."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from snoopsync.watching.watcher import Watcher
from tests.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.losing import Playground
from tests.process import Installation
from tests.watching import Alarm, Follower
from tests.world import ServedWorld, Shelf, World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Folders, a state file and a collection behind HTTP; one folder, ``photos``, is configured."""
    with ServedWorld(tmp_path) as world:
        yield world


@pytest.fixture
def server() -> Iterator[CollectionServer]:
    """A collection behind HTTP that takes anything for a picture."""
    with CollectionServer(Shelf()) as server:
        yield server


@pytest.fixture
def home(tmp_path: Path, server: CollectionServer) -> Installation:
    """An empty folder, and a configuration with the server."""
    home = Installation(tmp_path)
    home.configure_service(server.endpoint, PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    return home


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    """A folder, and what it takes to have it mirrored by a service that is a process."""
    with ExitStack() as undo:
        yield Playground(tmp_path, undo)


# A folder that is only watched.


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder."""
    root = tmp_path / "photos"
    root.mkdir()
    return root


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that is not in it, on the same file system."""
    outside = tmp_path / "outside"
    outside.mkdir()
    return outside


@pytest.fixture
def alarm() -> Iterator[Alarm]:
    """What the watcher wakes. A reader that is held up by it goes on in the end."""
    alarm = Alarm()
    yield alarm
    alarm.open.set()


@pytest.fixture
def watcher(alarm: Alarm) -> Iterator[Watcher]:
    """The real watcher."""
    watcher = Watcher(alarm)
    yield watcher
    watcher.stop()


@pytest.fixture
def follower(watcher: Watcher, root: Path) -> Follower:
    """It knows the folder by the watcher's hints."""
    return Follower(watcher.watch("photos", os.fsencode(root)), root)
