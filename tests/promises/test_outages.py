"""An outage costs little: one probe at a time with growing pauses, no change is lost, and all
changes are sent afterwards. Refused keys stop all requests until they are accepted again."""

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

from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.collection import Collection
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import CollectionError, Stopped, Unreachable
from snoopsync.core.exits import Exit
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.workers import Workers
from snoopsync.state.database import Database
from snoopsync.state.searches import Searches
from snoopsync.status.reading import read_status
from snoopsync.sync.components import Dependencies, open_components, open_state, opened_collection
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer, Seen
from tests.support.faults import Fault, Hang, Lost, Reply, answers, reset_before
from tests.support.process import until
from tests.support.serving import serving, the_service_says
from tests.support.world import DEADLINE_SECONDS, Live, Shelf, ToldWatcher, World, fake_picture

pytestmark = pytest.mark.integration

#: How much faster than real time the time of an outage passes here.
SPEED = 200.0

WORKERS = 4


class FastClock(Clock):
    """Time that passes ``SPEED`` times as fast."""

    def boottime(self) -> float:
        return SPEED * super().boottime()

    def wait_until(self, event: threading.Event, boottime: float) -> None:
        event.wait(max(0.0, boottime - self.boottime()) / SPEED)


@dataclass
class Down:
    """A service that is down as long as ``reply`` is set. ``times`` are those of the requests, by
    the fast clock. ``overlaps`` counts the requests that arrived during another one."""

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
                self.times.append(FastClock().boottime())
                self._here += 1
                self.overlaps += self._here > 1
            try:
                threading.Event().wait(0.002)  # long enough for a second request to arrive
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
    """The engine with the daemon's retry policy and real threads, after a resync."""
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
        components.engine.close(DEADLINE_SECONDS)


def step_for(live: Live, seconds: float) -> None:
    """Run the engine for ``seconds`` of the fast clock."""
    end = FastClock().boottime() + seconds
    while FastClock().boottime() < end:
        live.step()


@contextmanager
def searching(live: Live) -> Iterator[None]:
    """Run the thread that searches for duplicates."""

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


# The whole daemon.

#: How many requests a sender, or the search, needs to recognise an outage, if more than one. After
#: an answer from elsewhere the client opens a session, and a 500 may concern only one picture until
#: another request fails too.
REQUESTS_TO_KNOW = {"a login page": 2, "nothing": 2, "404": 2, "500": RetryPolicy().attempts + 1}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        *[("reset", 200), ("502", 200), ("503", 2000)],
        *[("a login page", 200), ("nothing", 200), ("404", 200), ("500", 200)],
    ],
)
def test_a_long_outage_with_many_waiting_files_costs_little(
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
        until(lambda: live.components.engine.collection.outage is not None)
        # Only the requests in progress at its beginning may overlap, including those of the search,
        # which recognises the outage itself, and first asks for the present moment.
        step_for(live, 60.0)
        overlaps_at_first = down.overlaps
        assert overlaps_at_first <= (WORKERS + 2) * REQUESTS_TO_KNOW.get(kind, 1)

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
        # From 0.5 s, doubled up to a minute, with full jitter: some 20 probes in five minutes.
        assert 5 <= len(down.times) <= 80
        assert after - before < 1_000_000
        assert live.components.engine.in_flight <= 2 * WORKERS

        down.reply = None
        live.until(lambda: live.components.state.intents.count_dirty() == 0)
        live.rest()
        assert live.components.engine.collection.outage is None
    world.check_mirrored()


# Searches that fail.


@pytest.mark.parametrize(
    "fault",
    [answers(503, Retry_After="600"), answers(429, Retry_After="600"), reset_before(), None],
    ids=["later", "too many", "reset", "hangs"],
)
def test_a_failing_search_delays_no_image_and_is_repeated(
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
            until(lambda: live.components.search_collection.outage is not None)
        for number in range(1, 10):
            world.disk.write(f"{number}.jpg", fake_picture(number))
            live.settle()
        world.check_mirrored()
        assert not any("the collection is down" in message for message in caplog.messages)
        world.remote.server.fault_for = lambda seen: None
        hang.release()
        until(lambda: not searches_due(world))


def test_a_search_sends_nothing_while_the_collection_is_down(world: World) -> None:
    down = Down()
    world.remote.server.fault_for = down.fault_for
    with as_service(world) as live:
        world.disk.write("a.jpg", fake_picture(1))
        live.settle()
        down.reply = OUTAGES["503"]
        world.disk.write("b.jpg", fake_picture(2))
        live.scan()
        live.until(lambda: live.components.engine.collection.outage is not None)
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
def test_no_request_is_sent_before_retry_after(retry_after: Callable[[], str], status: int) -> None:
    times: list[float] = []

    def fault_for(_seen: Seen) -> Fault | None:
        times.append(FastClock().boottime())
        return None if len(times) > 1 else answers(status, Retry_After=retry_after())

    with CollectionServer(Shelf()) as server:
        server.fault_for = fault_for
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        breaker = CircuitBreaker(RetryPolicy(max_outage_seconds=None), clock=FastClock())
        with RetryingCollection(client, breaker) as collection:
            first = threading.Thread(target=collection.get_images)
            first.start()
            until(lambda: collection.outage is not None)
            # Another call has to wait too.
            collection.get_images()
            first.join()
    assert 118.0 < times[1] - times[0] < 250.0


def test_a_request_that_always_fails_leaves_no_outage() -> None:
    """Otherwise no further call would be sent, not even a probe."""
    with CollectionServer(Shelf()) as server:
        server.fault_for = lambda seen: reset_before() if seen.query.get("count") == "7" else None
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        breaker = CircuitBreaker(
            RetryPolicy(attempts=3, max_outage_seconds=None), clock=FastClock()
        )
        with RetryingCollection(client, breaker) as collection:
            with pytest.raises(Unreachable) as raised:
                collection.get_images(count=7)
            assert collection.outage is None
            assert not raised.value.concerns_all
    counts = [seen.query["count"] for seen in server.requests]
    assert counts == ["7", "7", "1", "7"]


def test_a_request_that_always_fails_causes_no_outage() -> None:
    """Other requests have ended the outage meanwhile, so the last attempt is no probe."""

    class Releasing(FastClock):
        """The first wait for the end of the outage lets an earlier request be answered."""

        def wait_until(self, event: threading.Event, boottime: float) -> None:
            hang.release()
            super().wait_until(event, boottime)

    with CollectionServer(Shelf()) as server:
        hang = server.hang_next()
        server.fault_for = lambda seen: reset_before() if seen.query.get("count") == "7" else None
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        policy = RetryPolicy(attempts=2, base_seconds=1000.0, cap_seconds=1000.0)
        breaker = CircuitBreaker(policy, clock=Releasing(), random=lambda: 1.0)
        with RetryingCollection(client, breaker) as collection:
            before = threading.Thread(target=collection.get_images)
            before.start()
            assert hang.reached.wait(DEADLINE_SECONDS)
            with pytest.raises(Unreachable):
                collection.get_images(count=7)
            before.join()
            assert collection.outage is None


def test_a_call_that_gives_up_in_an_outage_marks_its_error_as_an_outage() -> None:
    with CollectionServer(Shelf()) as server:
        server.fault_for = lambda _seen: reset_before()
        client = Collection(PUBLIC_KEY, SECRET_KEY, server.endpoint)
        breaker = CircuitBreaker(
            RetryPolicy(max_outage_seconds=20.0, attempts=100), clock=FastClock()
        )
        with RetryingCollection(client, breaker) as collection:
            with pytest.raises(Unreachable) as raised:
                collection.get_images()
            assert collection.outage is not None
    assert raised.value.concerns_all


# Keys that are refused.


def searches_due(world: World) -> int:
    """Return the number of images that are still to be searched for."""
    with closing(Database(world.state_path, readonly=True)) as database:
        return len(Searches(database).due(100))


def test_alternating_search_failures_are_logged_a_few_times_and_counted(
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


def test_a_search_that_is_always_refused_is_retried_less_often_and_delays_no_new_image(
    world: World,
) -> None:
    refused: str | None = None
    searched: list[str] = []

    def refuses(seen: Seen) -> Fault | None:
        if "/search/" not in seen.path:
            return None
        searched.append(seen.path)
        return answers(400) if seen.path == refused else None

    def wrote(name: str) -> Callable[[], bool]:
        world.disk.write(name, fake_picture(len(searched)))
        watcher.told["photos"].tell(name)
        before = len(searched)
        return lambda: len(searched) > before

    watcher = ToldWatcher()
    with serving(world, watcher, search_backoff=Backoff(1e6, 1e6)):
        until(lambda: the_service_says(world, Exit.OK))
        world.remote.server.fault_for = refuses
        until(wrote("a.jpg"))
        until(lambda: not searches_due(world))
        refused = searched[-1]
        until(wrote("a.jpg"))
        for name in ("b.jpg", "c.jpg"):
            until(wrote(name))
            until(lambda: searches_due(world) == 1)
        assert searched.count(refused) == 2
        status = read_status(world.config)
        assert status.to_compare == 1
        assert "search for duplicates" in (status.collection.last_error or "")


def test_images_that_are_due_are_searched_for_after_a_restart(world: World) -> None:
    """Also if nothing is sent that would begin a search."""
    server = world.remote.server
    server.fault_for = lambda seen: answers(400) if "/search/" in seen.path else None
    world.disk.write("a.jpg", fake_picture(0))
    with serving(world, ToldWatcher()):
        until(
            lambda: (
                the_service_says(world, Exit.OK)
                and any("/search/" in s.path for s in server.requests)
            )
        )
    assert searches_due(world) == 1
    server.fault_for = lambda _seen: None
    with serving(world, ToldWatcher()):
        until(lambda: not searches_due(world))


def refused_and_taken_again(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """Check the time from the refusal of the keys until everything is mirrored again."""
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
    assert [seen.path for seen in asked if seen.query.get("count") != "1"] == []

    said = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert len([record for record in said if "401" in record.getMessage()]) == 1
    server.keys[PUBLIC_KEY] = SECRET_KEY
    until(lambda: the_service_says(world, Exit.OK))


def test_an_outage_after_refused_keys_does_not_block_the_service(world: World) -> None:
    server = world.remote.server
    world.disk.write("a.jpg", fake_picture(0))
    server.keys.clear()
    with serving(world, ToldWatcher()):
        until(lambda: the_service_says(world, Exit.UNAUTHORIZED))
        server.requests.clear()
        server.fault_for = lambda _seen: reset_before()
        until(lambda: server.requests)
        for _ in range(3):
            report = read_status(world.config).service.report
            # A blocked engine publishes no report, and a command gets an old one after 2 s.
            assert report is not None and report.age_seconds < 1.9


@pytest.mark.parametrize("when", ["at the start", "while files are sent", "while it searches"])
def test_refused_keys_stop_all_requests_until_they_are_accepted_again(
    world: World, caplog: pytest.LogCaptureFixture, when: str
) -> None:
    caplog.set_level(logging.INFO, "snoopsync")
    server = world.remote.server
    for number in range(30):
        world.disk.write(f"{number}.jpg", fake_picture(number))

    def revoke_at(call: str, after: int) -> None:
        """Refuse the keys from the first such call on that follows ``after`` requests."""

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
