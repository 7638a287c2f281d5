"""What many tests start from."""

from __future__ import annotations

import compileall
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from hypothesis import settings

from snoopsync.embedded import open_embedded
from snoopsync.watching.watcher import Watcher
from tests.support.authority import Authority
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.deep import deep_below, write_in
from tests.support.documentation import undocumented
from tests.support.losing import Playground
from tests.support.postbox import Postbox
from tests.support.postgres import FAST, Cluster, running_cluster, why_not
from tests.support.process import Installation
from tests.support.queue_limit import usual_queue
from tests.support.watching import Alarm, Follower
from tests.support.world import ServedWorld, Shelf, World

#: Each worker takes some 300 MB.
MOST_WORKERS = 16


def pytest_configure() -> None:
    """Before the first test."""
    # A shell has its background jobs ignore these, and ``nohup`` its command: what the tests start
    # would ignore them too, and is interrupted by them.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    # Thousands of processes are started, and none of them may write what it compiles.
    here = Path(__file__).parent
    for package in (here.parent / "snoopsync", here):
        compileall.compile_dir(package, quiet=1)
    # How long an example takes says more of the machine than of the code.
    settings.register_profile("snoopsync", deadline=None)
    settings.load_profile("snoopsync")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """``-n auto`` starts two workers for each processor: tests mostly wait."""
    if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ:
        return None  # xdist uses this number
    return min(2 * len(os.sched_getaffinity(0)), MOST_WORKERS)


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for all tests of this process. Each takes a database of its own."""
    if (reason := why_not()) is not None:
        pytest.skip(reason)
    with running_cluster(**FAST) as cluster:
        yield cluster


@pytest.fixture(autouse=True)
def documented_log(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every line that snoopsync logs in any test is as the table in docs/alerts.md says."""
    broken: list[str] = []
    handle = logging.Logger.handle

    def checked(logger: logging.Logger, record: logging.LogRecord) -> None:
        if record.name.startswith("snoopsync") and record.name != "snoopsync.test":
            broken.extend(undocumented(record))
        handle(logger, record)

    monkeypatch.setattr(logging.Logger, "handle", checked)
    yield
    assert not broken


@pytest.fixture(autouse=True)
def queue_of_the_usual_length() -> Iterator[None]:
    """Tests may run side by side: none of them meets the short queue of another one."""
    with usual_queue():
        yield


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """Folders, a state file and a collection behind HTTP; one folder, ``photos``, is configured."""
    with ServedWorld(tmp_path) as world:
        yield world


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """A home directory with three pictures, and a configuration that mirrors them."""
    home = Installation(tmp_path)
    home.add_pictures(3)
    home.configure()
    return home


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """The data directory of ``serve``."""
    return tmp_path / "data"


@pytest.fixture
def postbox() -> Iterator[Postbox]:
    """A place that notifications are sent to."""
    with Postbox() as postbox:
        yield postbox


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """A certificate authority. Skips the test where there is no openssl."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def shelf_server() -> Iterator[CollectionServer]:
    """A collection behind HTTP that takes anything for a picture."""
    with CollectionServer(Shelf()) as server:
        yield server


@pytest.fixture
def shelf_home(tmp_path: Path, shelf_server: CollectionServer) -> Installation:
    """An empty folder, and a configuration with the server."""
    home = Installation(tmp_path)
    home.configure_service(shelf_server.endpoint, PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    return home


@pytest.fixture
def playground(tmp_path: Path) -> Iterator[Playground]:
    """A folder, and what it takes to have it mirrored by a service that is a process."""
    with ExitStack() as undo:
        yield Playground(tmp_path, undo)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[CollectionServer]:
    """A collection that is a service."""
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        yield server


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[bytes]:
    """A directory whose path is longer than the 4,096 bytes that a call takes."""
    with deep_below(tmp_path) as (path, descriptor):
        write_in(descriptor, b"a.jpg", b"deep down")
        yield path


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
