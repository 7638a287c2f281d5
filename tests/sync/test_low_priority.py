"""When work that can wait is repeated."""

from __future__ import annotations

import threading

import pytest

from snoopsync.core.errors import CollectionError, NotFound, Unauthorized, Unavailable
from snoopsync.sync.engine import SyncEngine
from snoopsync.sync.low_priority import LowPriorityTask, Rest
from tests.support.world import World

INTERVAL_SECONDS = 100.0


class Stop(threading.Event):
    """Notes the pauses instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.pauses.append(timeout)
        return self.is_set()


class Work:
    """Has these results, one after another, and then stops the task."""

    def __init__(self, stop: threading.Event, *results: bool | CollectionError) -> None:
        self._stop = stop
        self._results = list(results)

    def work_off(self, rest: Rest) -> bool:
        result = self._results.pop(0)
        if not self._results:
            self._stop.set()
        if isinstance(result, CollectionError):
            raise result
        return result


def run(engine: SyncEngine, stop: Stop, *results: bool | CollectionError) -> list[str]:
    """Run the task until the work has had these results. Returns what it reported."""
    events: list[str] = []
    LowPriorityTask(
        Work(stop, *results),
        INTERVAL_SECONDS,
        engine,
        stop,
        is_reconciled=lambda: True,
        on_news=lambda: events.append("news"),
        on_refused=lambda _error: events.append("refused"),
    ).run()
    return events


def events_and_pauses(
    world: World, *results: bool | CollectionError
) -> tuple[list[str], list[float]]:
    stop = Stop()
    with world.running() as live:
        return run(live.components.engine, stop, *results), stop.pauses


def test_the_work_is_repeated_after_about_the_interval(world: World) -> None:
    events, pauses = events_and_pauses(world, False, True)
    assert events == ["news"]
    assert [0.75 <= pause / INTERVAL_SECONDS <= 1.25 for pause in pauses] == [True, True]


def test_the_work_is_not_repeated_before_retry_after(world: World) -> None:
    error = Unavailable("later", status=503, retry_after=5000.0)
    assert events_and_pauses(world, error, error) == ([], [5000.0, 5000.0])


def test_refused_keys_are_reported(world: World) -> None:
    events, [pause] = events_and_pauses(world, Unauthorized("who?"))
    assert events == ["refused"]
    assert pause <= 30.0


def test_work_that_the_collection_does_not_support_is_tried_again_a_day_later(
    world: World,
) -> None:
    assert events_and_pauses(world, NotFound("what?")) == ([], [86_400.0])


@pytest.mark.parametrize("trouble", [Unauthorized("who?"), Unavailable("down")])
def test_nothing_is_done_while_no_request_succeeds(world: World, trouble: CollectionError) -> None:
    with world.running() as live:
        engine = live.components.engine

        class Ended(Stop):
            """The trouble ends after three pauses."""

            def wait(self, timeout: float | None = None) -> bool:
                if len(self.pauses) == 3:
                    engine.sender.trouble = None
                return super().wait(timeout)

        stop = Ended()
        engine.sender.trouble = trouble
        run(engine, stop, False)
    *while_in_trouble, _interval = stop.pauses
    assert len(while_in_trouble) == 4
