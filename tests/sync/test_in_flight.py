"""What is remembered of images that were being sent when the process died."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.core.model import File, Fingerprint, RelPath
from snoopsync.core.planner import Add
from snoopsync.embedded import ADDING_THREADS, open_embedded
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.intents import Sent
from snoopsync.sync.components import embedded_path
from snoopsync.sync.in_flight import InFlight, path_of
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import Lost, Reply, answers
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until
from tests.support.world import InlineWorkers, Live, Shelf, World, fake_picture

IDS = [f"tester.{number}" for number in range(4)]

#: So many workers send, and twice as many images are given to them.
WORKERS = 4
GIVEN = 2 * WORKERS

#: The embedded collection has its own number of workers. Of 30 pictures, so many are given to them.
GIVEN_TO_DECODERS = min(30, 2 * ADDING_THREADS)

CONFIGURATION = f"sync: {{settle: 50ms, delete_after: 0s, workers: {WORKERS}}}\n"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    """A state file in which ``IDS`` are planned for, and not confirmed."""
    with closing(Database(tmp_path / "state.sqlite3")) as database:
        state = State(database)
        file = File(Fingerprint(1, 2, 3, 4))
        rel_paths = [RelPath("photos", image_id.encode()) for image_id in IDS]
        adds = [
            Add(rel_path, image_id, file) for rel_path, image_id in zip(rel_paths, IDS, strict=True)
        ]
        state.intents.apply(adds, 0.0)
        yield state


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return path_of(tmp_path / "state.sqlite3")


def left(state: State, path: Path) -> set[str]:
    """What the next process takes for interrupted."""
    return InFlight(state, path).interrupted


class TestTheFile:
    def test_the_file_names_the_images_that_are_being_sent(self, state: State, path: Path) -> None:
        sending = InFlight(state, path)
        sending.remember(IDS[:3])
        assert left(state, path) == set(IDS[:3])
        sending.remember(IDS[1:2])
        assert left(state, path) == {IDS[1]}

    def test_the_file_is_removed_when_nothing_is_being_sent(self, state: State, path: Path) -> None:
        sending = InFlight(state, path)
        sending.remember(IDS)
        sending.remember(())
        assert not path.exists()

    def test_an_interrupted_image_stays_until_the_collection_responds(
        self, state: State, path: Path
    ) -> None:
        InFlight(state, path).remember(IDS[:2])
        sending = InFlight(state, path)
        sending.remember(IDS[2:3])
        assert left(state, path) == set(IDS[:3])
        sending.interrupted.discard(IDS[0])
        sending.remember(())
        assert left(state, path) == {IDS[1]}

    def test_an_image_that_was_confirmed_since_is_not_interrupted(
        self, state: State, path: Path
    ) -> None:
        InFlight(state, path).remember(IDS[:2])
        state.intents.confirm(Sent(IDS[0], 1, b"x", None), 0.0)
        assert left(state, path) == {IDS[1]}

    def test_images_that_the_state_file_does_not_know_are_not_interrupted(
        self, state: State, path: Path
    ) -> None:
        InFlight(state, path).remember(["another.image"])
        assert left(state, path) == set()

    def test_a_torn_file_is_ignored_wherever_it_is_torn(self, state: State, path: Path) -> None:
        InFlight(state, path).remember(IDS)
        whole = path.read_bytes()
        for length in range(len(whole)):
            for torn in (whole[:length], whole[:length] + bytes(len(whole) - length)):
                path.write_bytes(torn)
                assert left(state, path) == set(), torn
        path.write_bytes(whole)
        assert left(state, path) == set(IDS)

    def test_the_end_of_an_older_content_makes_it_a_torn_file(
        self, state: State, path: Path
    ) -> None:
        sending = InFlight(state, path)
        sending.remember(IDS)
        longer = path.read_bytes()
        sending.remember(IDS[:1])
        shorter = path.read_bytes()
        path.write_bytes(shorter + longer[len(shorter) :])
        assert left(state, path) == set()

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"\n",
            b"\xff\xfe\0binary",
            "\n".join(IDS).encode(),
            b"snoopsync in flight 2 00000000\n",
            b"snoopsync in flight 1 00000000\ntester.0\n",
            bytes(1 << 20),
        ],
    )
    def test_a_foreign_file_is_ignored_and_overwritten(
        self, state: State, path: Path, content: bytes
    ) -> None:
        path.write_bytes(content)
        sending = InFlight(state, path)
        assert sending.interrupted == set()
        sending.remember(IDS[:1])
        assert left(state, path) == {IDS[0]}

    def test_only_a_regular_file_is_read_or_written(
        self, state: State, path: Path, tmp_path: Path
    ) -> None:
        target = tmp_path / "target"
        target.write_text("precious")
        makers: list[Callable[[], None]] = [
            path.mkdir,
            lambda: path.symlink_to(target),
            lambda: os.mkfifo(path),
        ]
        for make in makers:
            make()
            sending = InFlight(state, path)
            assert sending.interrupted == set()
            sending.remember(IDS)
            path.rmdir() if path.is_dir() else path.unlink()
        assert target.read_text() == "precious"

    def test_the_file_is_bounded(self, state: State, path: Path) -> None:
        InFlight(state, path).remember(f"tester.{number:093d}" for number in range(10_000))
        assert path.stat().st_size < 32 << 10

    def test_only_the_owner_can_read_the_file(self, state: State, path: Path) -> None:
        InFlight(state, path).remember(IDS)
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_dry_run_remembers_nothing_and_forgets_nothing(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    world.state_path.parent.mkdir()
    path = path_of(world.state_path)
    path.write_bytes(b"something")
    world.rehearse()
    assert path.read_bytes() == b"something"


class Senders:
    """Makes the workers of a world, and keeps back how the requests ended."""

    def __init__(self) -> None:
        self.senders: list[InlineWorkers] = []

    def __call__(self, count: int, name: str) -> Workers:
        workers = InlineWorkers(count, name)
        if name == "send":
            workers.keeps_back = True
            self.senders.append(workers)
        return workers


def steps(live: Live, count: int = 20) -> None:
    for _ in range(count):
        live.step()


@pytest.fixture
def interrupted(world: World) -> Senders:
    """The process of this world, which has ten pictures, died while it was sending four of them.
    Nothing of them has arrived."""
    world.make_workers = senders = Senders()
    for number in range(10):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    world.remote.server.fault_for = lambda seen: (
        answers(400, b'{"message": "no"}') if seen.method in ("POST", "PUT") else None
    )
    with world.running_until_it_crashes() as live:
        live.scan()
        live.until(lambda: live.components.engine.in_flight == 4)
    world.remote.server.fault_for = lambda _seen: None
    world.remote.server.requests.clear()
    return senders


def sent(world: World) -> list[str | None]:
    """The images that were sent, in order."""
    return [seen.image_id for seen in world.remote.server.sent("POST")]


def test_interrupted_images_are_sent_first_and_one_at_a_time(
    world: World, interrupted: Senders
) -> None:
    with closing(Database(world.state_path)) as database:
        left = InFlight(State(database), path_of(world.state_path)).interrupted
    assert len(left) == 4
    with world.running_until_it_crashes() as live:
        live.scan()
        senders = interrupted.senders[-1]
        for count in range(1, 5):
            steps(live)
            # One more, and nothing beside it.
            assert len(sent(world)) == count
            assert live.components.engine.in_flight == 1
            senders.release()
        assert set(sent(world)) == left
        steps(live)
        assert live.components.engine.in_flight == 4
        senders.keeps_back = False
        senders.release()
        live.rest()
    world.check_mirrored()


def test_a_second_crash_forgets_no_interrupted_image(world: World, interrupted: Senders) -> None:
    with world.running_until_it_crashes() as live:
        live.scan()
        steps(live)
    first = sent(world)
    with closing(Database(world.state_path)) as database:
        left = InFlight(State(database), path_of(world.state_path)).interrupted
    assert len(left) == 4
    assert set(first) <= left


def test_an_interrupted_image_whose_file_has_gone_stops_no_other(
    world: World, interrupted: Senders
) -> None:
    with closing(Database(world.state_path)) as database:
        sending = InFlight(State(database), path_of(world.state_path))
        rel_paths = {each: name for name, each in world.ids().items()}
    for image_id in sending.interrupted:
        (world.base / rel_paths[image_id]).unlink()
    with world.running_until_it_crashes() as live:
        live.until(lambda: live.components.engine.in_flight == 4)
        assert sending.interrupted.isdisjoint(sent(world))


class Turns:
    """Counts the requests that send images. ``most`` is how many of the first ``count`` were there
    at once: each of them gives another one time to come."""

    def __init__(self, server: CollectionServer, count: int) -> None:
        self.most = self._now = 0
        self._left = count
        self._condition = threading.Condition()
        server.fault_for = lambda seen: self._counted if seen.method == "POST" else None

    def _counted(self, do: Callable[[], Reply]) -> Reply:
        with self._condition:
            self._now += 1
            self._condition.notify_all()
            if self._left > 0:
                self._left -= 1
                self._condition.wait_for(lambda: self._now > 1, 0.1)
                self.most = max(self.most, self._now)
        try:
            return do()
        finally:
            with self._condition:
                self._now -= 1


class Hangs:
    """Requests that send images hang until the server stops, and then are lost."""

    def __init__(self, server: CollectionServer) -> None:
        self.count = 0
        self._lock = threading.Lock()
        self._server = server
        server.fault_for = lambda seen: self._hang if seen.method == "POST" else None

    def _hang(self, _do: Callable[[], Reply]) -> Reply:
        with self._lock:
            self.count += 1
        self._server.stopping.wait()
        raise Lost


def remembered(home: Installation) -> set[str]:
    """The images in the file beside the state file."""
    with closing(Database(home.state, readonly=True)) as database:
        return InFlight(State(database), path_of(home.state)).interrupted


@pytest.mark.integration
def test_after_kill_9_interrupted_images_are_sent_first_and_one_at_a_time(tmp_path: Path) -> None:
    home, shelf = Installation(tmp_path), Shelf()
    for number in range(60):
        (home.pictures / f"{number}.jpg").write_bytes(fake_picture(number))
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    with CollectionServer(shelf) as server:
        hangs, port = Hangs(server), server.port
        home.configure_service(server.endpoint, PUBLIC_KEY, CONFIGURATION)
        with home.service() as service:
            until(lambda: hangs.count == WORKERS)
            service.kill()
    left = remembered(home)
    assert len(left) == GIVEN
    with CollectionServer(shelf, port=port) as server:
        turns = Turns(server, GIVEN)
        with home.service() as service:
            assert f"sending {GIVEN} images" in service.line_with("ended unexpectedly")
            until(lambda: len(server.contents) == 60)
            until(home.is_in_sync)
            assert service.end() == 0
        first = [seen.image_id for seen in server.sent("POST")[:GIVEN]]
        assert set(first) == left
        assert turns.most == 1
    assert not path_of(home.state).exists()


@pytest.mark.integration
def test_after_kill_9_pictures_that_were_being_decoded_are_decoded_first_and_accepted(
    tmp_path: Path,
) -> None:
    home = Installation(tmp_path)
    home.configure(CONFIGURATION)
    for number in range(30):
        (home.pictures / f"{number}.jpg").write_bytes(encode(photo(number)))
    for _ in range(3):
        with home.service() as service:
            # They wait for the decoders, which take a moment to start.
            until(path_of(home.state).exists)
            service.kill()
        left = remembered(home)
        assert len(left) == GIVEN_TO_DECODERS
    with home.service() as service:
        service.line_with("ended unexpectedly")
        service.line_with("sync complete: 30 scanned, 30 added")
        assert home.is_in_sync()
        assert service.end() == 0
    with closing(open_embedded(embedded_path(home.state))) as collection:
        added = [image["id"] for image in collection.images()][::-1]
    assert set(added[:GIVEN_TO_DECODERS]) == left
