"""Delays, attempts, and the circuit breaker that holds back calls while the service is down."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from snoopsync.client.circuit_breaker import CircuitBreaker, Outage, RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.core.errors import (
    BadAnswer,
    CollectionError,
    Conflict,
    FileChanged,
    NotConnected,
    NotFound,
    Refused,
    Stopped,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from snoopsync.core.protocol import ImageAnswer, ImageCollection, ListAnswer
from snoopsync.runtime.clock import Clock
from tests.support.process import until

FOUND = cast(ImageAnswer, {"status": 200})
PAGE = cast(ListAnswer, {"status": 200})
LATER = Unavailable("later", status=500)
DOWN = Unavailable("down", status=503)
AWAY = Unreachable("away")


class FakeClock(Clock):
    """Time that passes only in a wait. ``waited`` has the seconds of every wait."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waited: list[float] = []
        self.before_wait: Callable[[], None] = lambda: None

    def now(self) -> float:
        return 1_000_000 + self.time

    def boottime(self) -> float:
        return self.time

    def wait_until(self, event: threading.Event, boottime: float) -> None:
        self.before_wait()
        self.waited.append(boottime - self.time)
        self.time = boottime


class Script:
    """A collection whose calls raise these errors, one after the other, and then succeed. ``sent``
    has the times of ``get_image``, ``asked`` those of the small request."""

    def __init__(
        self,
        clock: FakeClock,
        *errors: Exception,
        down_until: float = 0.0,
        down: CollectionError = AWAY,
    ) -> None:
        self.clock = clock
        self.down = down
        self.errors = list(errors)
        self.down_until = down_until
        self.sent: list[float] = []
        self.asked: list[float] = []

    def get_image(self, image_id: str) -> ImageAnswer:
        self.sent.append(self.clock.time)
        if self.errors:
            raise self.errors.pop(0)
        self._check_up()
        return FOUND

    def get_images(self, start: str | None = None, count: int | None = None) -> ListAnswer:
        self.asked.append(self.clock.time)
        self._check_up()
        return PAGE

    def _check_up(self) -> None:
        if self.clock.time < self.down_until:
            raise self.down


def retrying(
    script: Script, *, stop: threading.Event | None = None, **policy: float | None
) -> RetryingCollection:
    """A script with retries, with the longest delays that are possible."""
    breaker = CircuitBreaker(
        RetryPolicy(**policy),  # type: ignore[arg-type]  # attempts is an int
        clock=script.clock,
        random=lambda: 1.0,
        stop=stop,
    )
    return RetryingCollection(cast(ImageCollection, script), breaker)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestErrors:
    def test_are_retried_with_doubled_delays(self, clock: FakeClock) -> None:
        script = Script(clock, LATER, LATER, LATER)
        assert retrying(script).get_image("a") == FOUND
        assert clock.waited == [0.5, 1.0, 2.0]

    def test_are_raised_after_the_last_attempt(self, clock: FakeClock) -> None:
        last = Unavailable("the last one", status=500)
        script = Script(clock, LATER, LATER, last)
        with pytest.raises(Unavailable) as caught:
            retrying(script, attempts=3).get_image("a")
        assert caught.value is last
        assert len(script.sent) == 3

    def test_are_an_outage_when_a_small_request_fails_too(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=1000, down=LATER)
        assert retrying(script, max_outage_seconds=None, attempts=3).get_image("a") == FOUND
        assert script.sent[:2] == [0.0, 0.5]
        assert len(script.sent) == 3
        assert script.asked[-1] == script.sent[-1] >= 1000

    def test_are_not_retried_if_they_are_permanent(self, clock: FakeClock) -> None:
        for error in (NotFound("no"), Conflict("no"), Refused("no"), Unauthorized("no")):
            script = Script(clock, error)
            with pytest.raises(type(error)):
                retrying(script).get_image("a")
            assert len(script.sent) == 1
        assert clock.waited == []

    def test_are_retried_after_a_random_part_of_a_capped_delay(self) -> None:
        policy = RetryPolicy(base_seconds=0.5, cap_seconds=60)
        assert [policy.delay(failures, 1.0) for failures in (1, 2, 3, 8, 5000)] == [
            *(0.5, 1, 2),
            *(60, 60),
        ]
        assert policy.delay(3, 0.25) == 0.5

    def test_of_another_kind_are_raised_at_once(self, clock: FakeClock) -> None:
        script = Script(clock, FileChanged("it changed"))
        with pytest.raises(FileChanged):
            retrying(script).get_image("a")
        assert len(script.sent) == 1


class TestAnOutage:
    def test_is_waited_for_without_a_limit_if_the_policy_has_none(self, clock: FakeClock) -> None:
        script = Script(clock, AWAY, AWAY, down_until=86_400)
        assert retrying(script, max_outage_seconds=None).get_image("a") == FOUND
        assert 86_400 <= clock.time < 86_400 + 61
        assert len(script.sent) + len(script.asked) < 1_500 + 10

    def test_is_probed_with_a_small_request_before_a_last_attempt(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=1000)
        retrying(script, max_outage_seconds=None, attempts=3).get_image("a")
        assert script.sent[:2] == [0.0, 0.5]
        assert len(script.sent) == 3
        assert script.asked[-1] == script.sent[-1] >= 1000

    @pytest.mark.parametrize("down", [AWAY, BadAnswer("a login page")])
    def test_that_one_call_causes_ends_with_its_attempts(
        self, clock: FakeClock, down: CollectionError
    ) -> None:
        script = Script(clock, *[down] * 100)
        collection = retrying(script, max_outage_seconds=None, attempts=4)
        with pytest.raises(type(down)):
            collection.get_image("a")
        assert len(script.sent) == 4
        assert len(script.asked) == 1
        assert collection.outage is None

    def test_does_not_begin_with_the_failure_of_a_last_attempt(self, clock: FakeClock) -> None:
        collection = retrying(Script(clock, LATER, LATER, AWAY), attempts=3)
        with pytest.raises(Unreachable):
            collection.get_image("a")
        assert collection.outage is None

    def test_begins_when_something_else_answers(self, clock: FakeClock) -> None:
        collection = retrying(Script(clock, BadAnswer("a login page")))
        outages: list[Outage | None] = []
        clock.before_wait = lambda: outages.append(collection.outage)
        collection.get_image("a")
        assert outages == [Outage(since=1_000_000, attempts=1, last_error="a login page")]
        assert collection.outage is None

    def test_is_measured_without_the_wall_clock(self) -> None:
        class Stepped(FakeClock):
            def now(self) -> float:
                return super().now() + (86_400.0 if self.waited else 0.0)

        clock = Stepped()
        collection = retrying(Script(clock, down_until=30.0))
        lasted: list[tuple[float, float]] = []
        clock.before_wait = lambda: lasted.append(
            (collection.outage.seconds if collection.outage else 0.0, clock.time)
        )
        collection.get_image("a")
        assert len(lasted) > 1
        assert all(seconds == waited for seconds, waited in lasted)

    @pytest.mark.parametrize("status", [429, 502, 503, 504, 511, 522])
    def test_begins_when_the_service_is_busy_or_its_gateway_answers(
        self, clock: FakeClock, status: int
    ) -> None:
        collection = retrying(Script(clock, Unavailable("busy", status=status)))
        outages: list[Outage | None] = []
        clock.before_wait = lambda: outages.append(collection.outage)
        collection.get_image("a")
        assert outages == [Outage(since=1_000_000, attempts=1, last_error=f"{status} busy")]
        assert collection.outage is None

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_lasts_at_least_as_long_as_the_service_asks(
        self, clock: FakeClock, status: int
    ) -> None:
        script = Script(clock, Unavailable("down", status=status, retry_after=7.0))
        retrying(script).get_image("a")
        assert script.sent == [0.0, 7.0]

    def test_makes_a_call_give_up_after_a_last_probe(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=1000)
        with pytest.raises(Unreachable, match="away"):
            retrying(script, max_outage_seconds=60.0, attempts=100).get_image("a")
        assert clock.time == 60
        assert script.sent[-1] == 60

    def test_that_will_last_too_long_is_not_waited_for(self, clock: FakeClock) -> None:
        script = Script(clock, Unavailable("down", status=503, retry_after=600.0))
        collection = retrying(script, max_outage_seconds=60.0)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                collection.get_image("a")
            assert (caught.value.status, caught.value.retry_after) == (503, 600.0)
        assert (script.sent, clock.time) == ([0.0], 0.0)

    def test_can_end_after_calls_have_given_up(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=100)
        collection = retrying(script, max_outage_seconds=10.0, attempts=100)
        with pytest.raises(Unreachable):
            collection.get_image("a")
        clock.time = 200
        assert collection.get_image("a") == FOUND
        assert collection.outage is None

    @pytest.mark.parametrize("answer", [None, NotFound("no"), Unauthorized("no"), LATER])
    def test_ends_with_any_answer(self, clock: FakeClock, answer: Exception | None) -> None:
        collection = retrying(Script(clock, AWAY, *([answer] if answer else [])), attempts=2)
        if answer is None:
            collection.get_image("a")
        else:
            with pytest.raises(type(answer)):
                collection.get_image("a")
        assert collection.outage is None

    def test_is_logged_when_it_begins_and_when_it_ends(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "snoopsync")
        retrying(Script(clock, *[DOWN] * 8), max_outage_seconds=None, attempts=20).get_image("a")
        assert caplog.record_tuples == [
            (
                "snoopsync.collection",
                logging.WARNING,
                "the collection is down, calls wait: 503 down",
            ),
            ("snoopsync.collection", logging.INFO, "the collection answers again after 124 s"),
        ]


class TestStopping:
    def test_refuses_new_calls(self, clock: FakeClock) -> None:
        stop = threading.Event()
        stop.set()
        script = Script(clock)
        with pytest.raises(Stopped):
            retrying(script, stop=stop).get_image("a")
        assert script.sent == []

    @pytest.mark.parametrize("error", [AWAY, LATER])
    def test_ends_a_wait_without_another_attempt(self, clock: FakeClock, error: Exception) -> None:
        stop = threading.Event()
        clock.before_wait = stop.set
        script = Script(clock, error)
        with pytest.raises(Stopped):
            retrying(script, stop=stop, max_outage_seconds=None).get_image("a")
        assert len(script.sent) == 1

    def test_ends_the_waits_of_all_threads_in_real_time(self) -> None:
        failed = threading.Semaphore(0)

        class Down(Script):
            def get_image(self, image_id: str) -> ImageAnswer:
                failed.release()
                raise Unavailable("down", status=503, retry_after=3000.0)

        stop = threading.Event()
        breaker = CircuitBreaker(RetryPolicy(max_outage_seconds=None), stop=stop)
        collection = RetryingCollection(cast(ImageCollection, Down(FakeClock())), breaker)
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(collection.get_image, "a") for _ in range(4)]
            assert failed.acquire(timeout=10)
            stop.set()
            for call in calls:
                assert isinstance(call.exception(10), Stopped)


class TestTheBreaker:
    """Threads share the breaker, in real time, with delays of a few milliseconds."""

    POLICY = RetryPolicy(attempts=50, base_seconds=0.001, cap_seconds=0.01, max_outage_seconds=None)

    def test_permits_one_probe_at_a_time_and_takes_turns(self) -> None:
        under_way = threading.Semaphore(1)
        overlaps: list[str] = []
        askers: set[str] = set()

        class Service(Script):
            def get_image(self, image_id: str) -> ImageAnswer:
                if len(askers) == 8:
                    return FOUND
                if not under_way.acquire(blocking=False):
                    overlaps.append(image_id)
                threading.Event().wait(0.002)  # long enough for a second request to arrive
                askers.add(image_id)
                under_way.release()
                raise AWAY

        script = cast(ImageCollection, Service(FakeClock()))
        collection = RetryingCollection(script, CircuitBreaker(self.POLICY))
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(collection.get_image, "0")]
            until(lambda: collection.outage is not None)
            calls += [pool.submit(collection.get_image, f"{number}") for number in range(1, 8)]
            assert [call.result(60) for call in calls] == [FOUND] * 8
        assert overlaps == []
        assert len(askers) == 8

    def test_ignores_a_failure_from_an_outage_that_has_ended(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.INFO, "snoopsync")
        caught, late = threading.Event(), threading.Event()
        failures = {"late": 1, "early": 1}

        class Service(Script):
            def get_image(self, image_id: str) -> ImageAnswer:
                if not failures[image_id]:
                    return FOUND
                failures[image_id] -= 1
                if image_id == "late":
                    caught.set()
                    late.wait()
                raise AWAY

        script = cast(ImageCollection, Service(FakeClock()))
        collection = RetryingCollection(script, CircuitBreaker(self.POLICY))
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(collection.get_image, "late")
            assert caught.wait(10)
            collection.get_image("early")
            late.set()
            assert call.result(10) == FOUND
        assert len(caplog.records) == 2

    def test_ignores_an_answer_to_a_request_from_before_the_outage(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Otherwise a service that fails every second request fills the log with outages."""
        caplog.set_level(logging.INFO, "snoopsync")
        breaker = CircuitBreaker(clock=FakeClock(), random=lambda: 1.0)
        with breaker.permit() as first, breaker.permit() as second:
            breaker.record_failure(DOWN, first)
            breaker.record_answer(second)
            assert breaker.outage is not None
        with breaker.permit() as probe:
            breaker.record_answer(probe)
        assert breaker.outage is None
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_conflict_after_a_failed_connection_is_raised(clock: FakeClock) -> None:
    class Taken(Script):
        def add_image(self, *_arguments: object, **_options: object) -> ImageAnswer:
            return self.get_image("a")

    script = Taken(clock, NotConnected("refused"), Conflict("taken"))
    with pytest.raises(Conflict):
        retrying(script).add_image(io.BytesIO(b"picture"), "a")
