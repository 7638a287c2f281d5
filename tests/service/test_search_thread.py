"""The thread that searches for duplicates."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from snoopsync.core.backoff import Backoff
from snoopsync.core.errors import Unauthorized
from snoopsync.service.search_thread import SearchThread
from snoopsync.sync.engine import SyncEngine
from tests.support.collection_server import Seen
from tests.support.faults import Fault, answers
from tests.support.process import until
from tests.support.world import Live, World, fake_picture

HOUR = Backoff(base_seconds=3600.0, cap_seconds=3600.0)
SOON = Backoff(base_seconds=0.01, cap_seconds=0.01)


def searches_fail(status: int) -> Callable[[Seen], Fault | None]:
    def fault_for(seen: Seen) -> Fault | None:
        return answers(status) if "/search" in seen.path else None

    return fault_for


@contextmanager
def searching(
    live: Live, backoff: Backoff = HOUR, stop: threading.Event | None = None
) -> Iterator[SearchThread]:
    components, stop = live.components, stop or threading.Event()
    search = SearchThread(components.duplicate_search, components.engine, stop, backoff)
    thread = threading.Thread(target=search.run)
    thread.start()
    try:
        yield search
    finally:
        stop.set()
        search.end()
        thread.join(20.0)
    assert not thread.is_alive()


def left(live: Live) -> int:
    """How many images were not yet searched for."""
    return live.components.searches.count_due()


def test_images_that_are_due_at_the_start_are_searched_for(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running() as live:
        live.rest()
        assert left(live) == 1
        with searching(live):
            until(lambda: left(live) == 0)


def test_new_images_are_searched_for_when_the_thread_is_notified(world: World) -> None:
    with world.running() as live, searching(live) as search:
        world.disk.write("a.jpg", fake_picture(1))
        live.settle()
        search.search_soon()
        until(lambda: left(live) == 0)


class Stop(threading.Event):
    """Notes for how long the thread rests."""

    def __init__(self) -> None:
        super().__init__()
        self.rests: list[float | None] = []

    def wait(self, timeout: float | None = None) -> bool:
        self.rests.append(timeout)
        return super().wait(timeout)


@pytest.mark.parametrize(("in_flight", "count"), [(0, 0), (1, 2)])
def test_the_thread_rests_after_each_search_only_while_pictures_are_sent(
    world: World, monkeypatch: pytest.MonkeyPatch, in_flight: int, count: int
) -> None:
    for number in range(2):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    with world.running() as live:
        live.rest()
        assert left(live) == 2
        monkeypatch.setattr(SyncEngine, "in_flight", property(lambda engine: in_flight))
        stop = Stop()
        with searching(live, stop=stop):
            until(lambda: left(live) == 0)
        monkeypatch.undo()
    assert len(stop.rests) == count
    assert all(seconds is not None and seconds > 0 for seconds in stop.rests)


def test_the_images_that_remained_when_no_request_succeeded_are_searched_for_afterwards(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trouble may end before the thread looks again."""
    for number in range(3):
        world.disk.write(f"{number}.jpg", fake_picture(number))
    with world.running() as live:
        live.rest()
        troubles: list[Unauthorized] = []
        given: list[Unauthorized] = []

        def fault_for(seen: Seen) -> None:
            if "/search" in seen.path and not given:
                error = Unauthorized("who?")
                given.append(error)
                troubles.append(error)

        def trouble(_engine: SyncEngine) -> Unauthorized | None:
            return troubles.pop() if troubles else None

        world.remote.server.fault_for = fault_for
        monkeypatch.setattr(SyncEngine, "trouble", property(trouble))
        with searching(live, SOON):
            until(lambda: bool(given) and not troubles and left(live) == 0)
        monkeypatch.undo()


def test_a_failed_search_is_repeated_at_once_when_the_thread_is_notified(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running() as live:
        live.rest()
        world.remote.server.fault_for = searches_fail(400)
        with searching(live) as search:
            until(lambda: search.error is not None)
            assert left(live) == 1
            world.remote.server.fault_for = lambda seen: None
            search.retry_now()
            until(lambda: left(live) == 0 and search.error is None)


def test_refused_keys_are_reported_once(world: World) -> None:
    world.disk.write("a.jpg", fake_picture(1))
    with world.running() as live:
        live.rest()
        world.remote.server.fault_for = searches_fail(401)
        with searching(live) as search:
            refusals: list[Unauthorized] = []

            def is_refused() -> bool:
                refusal = search.take_refusal()
                if refusal is not None:
                    refusals.append(refusal)
                return bool(refusals)

            until(is_refused)
            assert search.error is None
            assert search.take_refusal() is None
