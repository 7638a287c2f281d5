"""What many tests start from."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from snoopsync.watching.watcher import Watcher
from tests.documentation import broken_promises
from tests.losing import Playground
from tests.watching import Alarm, Follower
from tests.world import ServedWorld, World


@pytest.fixture(autouse=True)
def documented_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every line that snoopsync logs in any test is as the README's table of events says."""
    broken: list[str] = []
    handle = logging.Logger.handle

    def checked(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.name.startswith("snoopsync") and record.name != "snoopsync.test":
            broken.extend(broken_promises(record))
        handle(logger, record)

    monkeypatch.setattr(logging.Logger, "handle", checked)
    yield
    assert not broken


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Folders, a state file and a collection behind HTTP; one folder, ``photos``, is configured."""
    with ServedWorld(tmp_path) as world:
        yield world


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
