"""An outage costs little: one probe at a time, ever less often, nothing lost, and all of it caught
up afterwards. Keys that are refused end all sending until they are taken again."""

from __future__ import annotations

import logging
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate

import pytest

from snoopsync.client.circuit_breaker import Clock, RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import CollectionError, Stopped, Unreachable
from snoopsync.core.exits import Exit
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.pairs import Pairs
from snoopsync.status.reading import read_status
from snoopsync.sync.components import Dependencies, open_components, open_state, opened_collection
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, Hang, Lost, Reply, answers, reset_before
from tests.support.process import until
from tests.support.serving import serving, the_service_says
from tests.support.world import DEADLINE_SECONDS, Live, Shelf, ToldWatcher, World, fake_picture

#: So much faster than real time the time of an outage goes by here.
SPEED = 200.0

WORKERS = 4


class FastClock(Clock):
    """The coat's time, in a hurry."""

    def monotonic(self) -> float:
        return SPEED * super().monotonic()

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        condition.wait(min(seconds / SPEED, 0.05))


@dataclass
class Down:
    """A service that is down as long as ``reply`` has something to say. ``times`` are those of the
    requests (on the fast clock); ``overlaps`` counts those that came while another was there."""

    reply: Callable[[], Reply] | None = None
    times: list[float] = field(default_factory=list)
    overlaps: int = 0
    _here: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def fault_for(self, seen: Seen) -> Fault | None:
        reply = self.reply
        if reply is None:
            return None

        def fault(_do: Callable[[], Reply]) -> Reply:
            with self._lock:
                self.times.append(FastClock().monotonic())
                self._here += 1
                self.overlaps += self._here > 1
            try:
                threading.Event().wait(0.002)  # long enough for another to come in, if it could
                return reply()
            finally:
                with self._lock:
                    self._here -= 1

        return fault


def lost() -> Reply:
    raise Lost


OUTAGES: dict[str, Callable[[], Reply]] = {
    "reset": lost,
    "503": lambda: Reply(503, b"<html>back soon</html>"),
    "502": lambda: Reply(502),
    "a login page": lambda: Reply(200, b"<html>Log in first</html>"),
    "nothing": lambda: Reply(200),
    "404": lambda: Reply(404, b"<html>404 page not found</html>"),
    "500": lambda: Reply(500),
}


@contextmanager
def as_service(world: World) -> Iterator[Live]:
    """A mirror that is as patient as the service is, with real threads, reconciled."""
    world.sync = type(world.sync)(settle_seconds=0.5, delete_after_seconds=5.0, workers=WORKERS)
    stop = threading.Event()
    dependencies = Dependencies(world.clock, make_workers=Workers, outage_clock=FastClock())
    with (
        closing(open_state(world.state_path)) as database,
        opened_collection(world.config) as collection,
        open_components(
            world.config,
            database,
            collection,
            stop=stop,
            patience_seconds=None,
            watcher=ToldWatcher(),
            dependencies=dependencies,
        ) as components,
    ):
        live = Live(components, stop)
        live.reconcile()
        yield live
        stop.set()
        components.mirror.close(DEADLINE_SECONDS)


def step_for(live: Live, seconds: float) -> None:
    """Let the mirror work while so much of the outage's time goes by."""
    end = FastClock().monotonic() + seconds
    while FastClock().monotonic() < end:
        live.step()


@contextmanager
def searching(live: Live) -> Iterator[None]:
    """The thread that looks for duplicates is at work too."""

    def search() -> None:
        while not live.stop.is_set():
            with suppress(CollectionError, Stopped):
                live.components.duplicate_search.work_off(live.stop.is_set)
            live.stop.wait(0.01)

    thread = threading.Thread(target=search)
    thread.start()
    try:
        yield
    finally:
        live.stop.set()
        thread.join()


# The whole.

#: So many requests it takes a sender, or the search, to know that it is not its own request alone
#: that fails, if more than one: what is no word of the collection's is followed by the question who
#: is there, and a 500 may be one picture's trouble until another question is answered so.
REQUESTS_TO_KNOW = {"a login page": 2, "nothing": 2, "404": 2, "500": RetryPolicy().attempts + 1}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        *[("reset", 200), ("502", 200), ("503", 2000)],
        *[("a login page", 200), ("nothing", 200), ("404", 200), ("500", 200)],
    ],
)
def test_an_outage_of_minutes_with_thousands_of_files_waiting_costs_little(
    world: World, kind: str, files: int
) -> None:
    down = Down()
    world.remote.server.fault_for = down.fault_for
    for number in range(20):
        world.disk.write(f"old/{number}.jpg", fake_picture(number))
    with as_service(world) as live, searching(live):
        down.reply = OUTAGES[kind]
        for number in range(files):
            world.disk.write(f"{number % 20}/{number}.jpg", fake_picture(1000 + number))
        live.scan()
        live.until(lambda: live.components.state.intents.count_dirty() == files)
        until(lambda: live.components.collection.outage is not None)
        # The requests that were under way when it began may have come together, those of the
        # search too, which finds out for itself.
        step_for(live, 60.0)
        overlaps_at_first = down.overlaps
        assert overlaps_at_first <= (WORKERS + 1) * REQUESTS_TO_KNOW.get(kind, 1)

        tracemalloc.start()
        before, _ = tracemalloc.get_traced_memory()
        step_for(live, 150.0)
        world.disk.remove("0/0.jpg")
        world.disk.write("1/1.jpg", fake_picture(9999))
        live.scan()
        step_for(live, 150.0)
        after, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()

        assert down.overlaps == overlaps_at_first
        # 0.5 s doubled up to a minute, by full jitter: some 20 probes in five minutes.
        assert 5 <= len(down.times) <= 80
        assert after - before < 1_000_000
        assert live.components.mirror.in_flight <= 2 * WORKERS

        down.reply = None
        live.until(lambda: live.components.state.intents.count_dirty() == 0)
        live.rest()
        assert live.components.collection.outage is None
    world.check_mirrored()


# Searches that fail.


@pytest.mark.parametrize(
    "fault",
    [answers(503, Retry_After="600"), answers(429, Retry_After="600"), reset_before(), None],
    ids=["later", "too many", "reset", "hangs"],
)
def test_a_search_that_fails_delays_no_image_and_is_made_up_for(
    world: World, caplog: pytest.LogCaptureFixture, fault: Fault | None
) -> None:
    caplog.set_level(logging.INFO, "snoopsync")
    hang = Hang()
    begun = threading.Event()

    def fails(seen: Seen) -> Fault | None:
        if "/search/" not in seen.path:
            return None
        begun.set()
        return fault or hang

    world.remote.server.fault_for = fails
    with as_service(world) as live, searching(live):
        world.disk.write("0.jpg", fake_picture(0))
        live.settle()
        assert begun.wait(DEADLINE_SECONDS)
        if fault is not None:
            until(lambda: live.components.searched.outage is not None)
        for number in range(1, 10):
            world.disk.write(f"{number}.jpg", fake_picture(number))
            live.settle()
        world.check_mirrored()
        assert not any("the collection is down" in message for message in caplog.messages)
        world.remote.server.fault_for = lambda seen: None
        hang.release()
        until(lambda: not searches_due(world))


def test_a_search_waits_while_the_collection_is_down_and_asks_nothing(world: World) -> None:
    down = Down()
    world.remote.server.fault_for = down.fault_for
    with as_service(world) as live:
        world.disk.write("a.jpg", fake_picture(1))
        live.settle()
        down.reply = OUTAGES["503"]
        world.disk.write("b.jpg", fake_picture(2))
        live.scan()
        live.until(lambda: live.components.collection.outage is not None)
        world.remote.forget_requests()
        with searching(live):
            step_for(live, 60.0)
            assert not [seen for seen in world.remote.server.requests if "/search/" in seen.path]
            down.reply = None
            live.rest()
            until(lambda: not searches_due(world))


# Retry-After.


def in_seconds() -> str:
    return "120"


def at_a_date() -> str:
    return formatdate(time.time() + 120.5, usegmt=True)


@pytest.mark.parametrize("retry_after", [in_seconds, at_a_date])
@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_service_that_says_when_to_come_back_is_left_alone_until_then(
    retry_after: Callable[[], str], status: int
) -> None:
    times: list[float] = []

    def fault_for(_seen: Seen) -> Fault | None:
        times.append(FastClock().monotonic())
        return None if len(times) > 1 else answers(status, Retry_After=retry_after())

    with CollectionServer(Shelf()) as server:
        server.fault_for = fault_for
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        policy = RetryPolicy(patience_seconds=None)
        with RetryingCollection(client, policy=policy, clock=FastClock()) as collection:
            first = threading.Thread(target=collection.get_images)
            first.start()
            until(lambda: collection.outage is not None)
            # Whoever else comes has to wait as well.
            collection.get_images()
            first.join()
    assert 118.0 < times[1] - times[0] < 250.0


def test_a_request_that_fails_for_itself_alone_leaves_no_outage_behind() -> None:
    """Else nobody would send any more, and nobody would probe."""
    with CollectionServer(Shelf()) as server:
        server.fault_for = lambda seen: reset_before() if seen.query.get("count") == "7" else None
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        policy = RetryPolicy(attempts=3, patience_seconds=None)
        with RetryingCollection(client, policy=policy, clock=FastClock()) as collection:
            with pytest.raises(Unreachable) as raised:
                collection.get_images(count=7)
            assert collection.outage is None
            assert not raised.value.concerns_all
    counts = [seen.query["count"] for seen in server.requests]
    assert counts == ["7", "7", "1", "7"]


def test_a_request_that_fails_for_itself_beside_others_leaves_no_outage_behind() -> None:
    """The others have opened the gate in between, so that its last attempt is no probe."""

    class Releasing(FastClock):
        """Once somebody waits for the outage to end, a request from before it is answered."""

        def wait(self, condition: threading.Condition, seconds: float) -> None:
            hang.release()
            super().wait(condition, seconds)

    with CollectionServer(Shelf()) as server:
        hang = server.hang_next()
        server.fault_for = lambda seen: reset_before() if seen.query.get("count") == "7" else None
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        policy = RetryPolicy(attempts=2, base_seconds=1000.0, cap_seconds=1000.0)
        with RetryingCollection(
            client, policy=policy, clock=Releasing(), random=lambda: 1.0
        ) as collection:
            before = threading.Thread(target=collection.get_images)
            before.start()
            assert hang.reached.wait(DEADLINE_SECONDS)
            with pytest.raises(Unreachable):
                collection.get_images(count=7)
            before.join()
            assert collection.outage is None


def test_a_call_that_lost_its_patience_knows_that_all_others_fail_too() -> None:
    with CollectionServer(Shelf()) as server:
        server.fault_for = lambda _seen: reset_before()
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        policy = RetryPolicy(patience_seconds=20.0, attempts=100)
        with RetryingCollection(client, policy=policy, clock=FastClock()) as collection:
            with pytest.raises(Unreachable) as raised:
                collection.get_images()
            assert collection.outage is not None
    assert raised.value.concerns_all


# Keys that are refused.


def searches_due(world: World) -> int:
    """How many images are still to be searched for."""
    with closing(Database(world.state_path, readonly=True)) as database:
        return len(Pairs(database).due(1))


def test_searches_that_fail_and_work_in_turns_are_said_a_few_times_and_counted(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    asked = 0

    def in_turns(seen: Seen) -> Fault | None:
        nonlocal asked
        asked += "/search/" in seen.path
        return answers(400) if "/search/" in seen.path and asked % 2 else None

    watcher = ToldWatcher()
    with serving(world, watcher):
        until(lambda: the_service_says(world, Exit.OK))
        world.remote.server.fault_for = in_turns
        for number in range(20):
            world.disk.write(f"{number}.jpg", fake_picture(number))
            watcher.told["photos"].tell(f"{number}.jpg")
            wanted = 2 * (number + 1)
            until(lambda: asked == wanted and not searches_due(world))  # noqa: B023 - at once
    said = [message for message in caplog.messages if "search for duplicates" in message]
    assert [message for message in said if "failed" in message] == said[:-1]
    assert len(said) - 1 + int(said[-1].rpartition("(")[2].split()[0]) == 20
    assert len(said) < 10


def refused_and_taken_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """From the moment that the keys are refused until all is in order again."""
    server = world.remote.server
    until(lambda: the_service_says(world, Exit.UNAUTHORIZED))
    status = read_status(world.config)
    assert "401" in (status.collection.last_error or "")
    assert not status.as_message()["in_sync"]

    server.requests.clear()
    begun = world.clock.monotonic()
    until(lambda: world.clock.monotonic() > begun + 600.0)
    asked = list(server.requests)
    seconds = world.clock.monotonic() - begun
    assert 1 <= len(asked) <= seconds / 60.0 + 2
    assert {seen.query.get("count") for seen in asked} == {"1"}

    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([record for record in said if "401" in record.getMessage()]) == 1
    server.keys[PUBLIC_KEY] = SECRET_KEY
    until(lambda: the_service_says(world, Exit.OK))


@pytest.mark.parametrize("when", ["at the start", "while files are sent", "while it searches"])
def test_refused_keys_stop_all_sending_are_said_once_and_taken_again_by_themselves(
    world: World, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    caplog.set_level(logging.INFO, "snoopsync")
    server = world.remote.server
    for number in range(30):
        world.disk.write(f"{number}.jpg", fake_picture(number))

    def revoke_at(call: str, after: int) -> None:
        """The keys are refused from the next such call on, after so many requests."""

        def revoke(seen: Seen) -> None:
            if call in seen.path and len(server.requests) > after:
                server.fault_for = lambda _seen: None
                server.keys.clear()

        server.fault_for = revoke

    if when == "at the start":
        server.keys.clear()
    elif when == "while files are sent":
        revoke_at("/image/", after=10)
    watcher = ToldWatcher()
    with serving(world, watcher):
        if when == "while it searches":
            until(lambda: the_service_says(world, Exit.OK) and not searches_due(world))
            revoke_at("/search/", after=0)
            world.disk.write("0.jpg", fake_picture(100))
            watcher.told["photos"].tell("0.jpg")
        refused_and_taken_again(world, caplog)
    world.check_mirrored()
