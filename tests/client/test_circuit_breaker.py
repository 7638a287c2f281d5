"""The coat's patience: pauses, attempts, the gate that closes when the service is down."""

from __future__ import annotations

import io
import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest

from snoopsync.client.circuit_breaker import Clock, Gate, Outage, RetryPolicy
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
from tests.support.process import until

FOUND = cast(ImageAnswer, {"status": 200})
PAGE = cast(ListAnswer, {"status": 200})
LATER = Unavailable("later", status=500)
DOWN = Unavailable("down", status=503)
AWAY = Unreachable("away")


class FakeClock(Clock):
    """Time that passes only while somebody waits; ``waited`` are the seconds of every wait."""

    def __init__(self) -> None:
        self.time = 0.0
        self.waited: list[float] = []
        self.before_wait: Callable[[], None] = lambda: None

    def now(self) -> float:
        return 1_000_000 + self.time

    def monotonic(self) -> float:
        return self.time

    def wait(self, condition: threading.Condition, seconds: float) -> None:
        self.before_wait()
        self.waited.append(seconds)
        self.time += seconds


class Script:
    """A collection that does what it is told: what its calls raise, one after the other, and then
    nothing. ``sent`` and ``asked`` are the times of ``get_image`` and of the light question."""

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


def coat(
    script: Script, *, stop: threading.Event | None = None, **policy: float | None
) -> RetryingCollection:
    """The coat around a script, with the longest pauses that the dice can throw."""
    return RetryingCollection(
        cast(ImageCollection, script),
        policy=RetryPolicy(**policy),  # type: ignore[arg-type]  # attempts is an int
        clock=script.clock,
        random=lambda: 1.0,
        stop=stop,
    )


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestAnswersThatAreErrors:
    def test_are_asked_for_again_with_doubled_pauses(self, clock: FakeClock) -> None:
        script = Script(clock, LATER, LATER, LATER)
        assert coat(script).get_image("a") == FOUND
        assert clock.waited == [0.5, 1.0, 2.0]

    def test_are_raised_after_so_many_attempts(self, clock: FakeClock) -> None:
        last = Unavailable("the last one", status=500)
        script = Script(clock, LATER, LATER, last)
        with pytest.raises(Unavailable) as caught:
            coat(script, attempts=3).get_image("a")
        assert caught.value is last
        assert len(script.sent) == 3

    def test_are_an_outage_when_something_light_fails_too(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=1000, down=LATER)
        assert coat(script, patience_seconds=None, attempts=3).get_image("a") == FOUND
        assert script.sent[:2] == [0.0, 0.5]
        assert len(script.sent) == 3
        assert script.asked[-1] == script.sent[-1] >= 1000

    def test_are_not_asked_for_again_if_that_is_no_use(self, clock: FakeClock) -> None:
        for error in (NotFound("no"), Conflict("no"), Refused("no"), Unauthorized("no")):
            script = Script(clock, error)
            with pytest.raises(type(error)):
                coat(script).get_image("a")
            assert len(script.sent) == 1
        assert clock.waited == []

    def test_pause_for_a_random_part_of_a_time_that_is_capped(self) -> None:
        policy = RetryPolicy(base_seconds=0.5, cap_seconds=60)
        assert [policy.pause(failures, 1.0) for failures in (1, 2, 3, 8, 5000)] == [
            *(0.5, 1, 2),
            *(60, 60),
        ]
        assert policy.pause(3, 0.25) == 0.5

    def test_what_is_no_error_of_the_collection_passes_through(self, clock: FakeClock) -> None:
        script = Script(clock, FileChanged("it changed"))
        with pytest.raises(FileChanged):
            coat(script).get_image("a")
        assert len(script.sent) == 1


class TestAnOutage:
    def test_is_waited_for_without_an_end_by_the_patient(self, clock: FakeClock) -> None:
        script = Script(clock, AWAY, AWAY, down_until=86_400)
        assert coat(script, patience_seconds=None).get_image("a") == FOUND
        assert 86_400 <= clock.time < 86_400 + 61
        assert len(script.sent) + len(script.asked) < 1_500 + 10

    def test_is_probed_with_a_light_question_once_a_call_has_one_attempt_left(
        self, clock: FakeClock
    ) -> None:
        script = Script(clock, down_until=1000)
        coat(script, patience_seconds=None, attempts=3).get_image("a")
        assert script.sent[:2] == [0.0, 0.5]
        assert len(script.sent) == 3
        assert script.asked[-1] == script.sent[-1] >= 1000

    @pytest.mark.parametrize("down", [AWAY, BadAnswer("a login page")])
    def test_that_a_call_makes_itself_ends_with_its_attempts(
        self, clock: FakeClock, down: CollectionError
    ) -> None:
        script = Script(clock, *[down] * 100)
        wearer = coat(script, patience_seconds=None, attempts=4)
        with pytest.raises(type(down)):
            wearer.get_image("a")
        assert len(script.sent) == 4
        assert len(script.asked) == 1
        assert wearer.outage is None

    def test_that_only_the_last_attempt_meets_is_no_outage(self, clock: FakeClock) -> None:
        wearer = coat(Script(clock, LATER, LATER, AWAY), attempts=3)
        with pytest.raises(Unreachable):
            wearer.get_image("a")
        assert wearer.outage is None

    def test_is_what_something_else_than_the_collection_answers(self, clock: FakeClock) -> None:
        wearer = coat(Script(clock, BadAnswer("a login page")))
        outages: list[Outage | None] = []
        clock.before_wait = lambda: outages.append(wearer.outage)
        wearer.get_image("a")
        assert outages == [Outage(since=1_000_000, attempts=1, last_error="a login page")]
        assert wearer.outage is None

    def test_has_lasted_for_as_long_as_was_waited_whatever_the_wall_clock_does(self) -> None:
        class Stepped(FakeClock):
            def now(self) -> float:
                return super().now() + (86_400.0 if self.waited else 0.0)

        clock = Stepped()
        wearer = coat(Script(clock, down_until=30.0))
        lasted: list[tuple[float, float]] = []
        clock.before_wait = lambda: lasted.append(
            (wearer.outage.seconds if wearer.outage else 0.0, clock.time)
        )
        wearer.get_image("a")
        assert len(lasted) > 1
        assert all(seconds == waited for seconds, waited in lasted)

    @pytest.mark.parametrize("status", [429, 502, 503, 504, 511, 522])
    def test_is_also_what_a_busy_service_or_its_gateway_says(
        self, clock: FakeClock, status: int
    ) -> None:
        wearer = coat(Script(clock, Unavailable("busy", status=status)))
        outages: list[Outage | None] = []
        clock.before_wait = lambda: outages.append(wearer.outage)
        wearer.get_image("a")
        assert outages == [Outage(since=1_000_000, attempts=1, last_error=f"{status} busy")]
        assert wearer.outage is None

    @pytest.mark.parametrize("status", [429, 500, 503])
    def test_lasts_for_at_least_as_long_as_the_service_says(
        self, clock: FakeClock, status: int
    ) -> None:
        script = Script(clock, Unavailable("down", status=status, retry_after=7.0))
        coat(script).get_image("a")
        assert script.sent == [0.0, 7.0]

    def test_ends_the_patience_of_a_call_after_a_last_try(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=1000)
        with pytest.raises(Unreachable, match="away"):
            coat(script, patience_seconds=60.0, attempts=100).get_image("a")
        assert clock.time == 60
        assert script.sent[-1] == 60

    def test_that_is_announced_to_be_too_long_is_not_waited_for(self, clock: FakeClock) -> None:
        script = Script(clock, Unavailable("down", status=503, retry_after=600.0))
        wearer = coat(script, patience_seconds=60.0)
        for _ in range(3):
            with pytest.raises(Unavailable) as caught:
                wearer.get_image("a")
            assert (caught.value.status, caught.value.retry_after) == (503, 600.0)
        assert (script.sent, clock.time) == ([0.0], 0.0)

    def test_can_end_when_all_patience_was_lost(self, clock: FakeClock) -> None:
        script = Script(clock, down_until=100)
        wearer = coat(script, patience_seconds=10.0, attempts=100)
        with pytest.raises(Unreachable):
            wearer.get_image("a")
        clock.time = 200
        assert wearer.get_image("a") == FOUND
        assert wearer.outage is None

    @pytest.mark.parametrize("answer", [None, NotFound("no"), Unauthorized("no"), LATER])
    def test_ends_with_any_answer(self, clock: FakeClock, answer: Exception | None) -> None:
        wearer = coat(Script(clock, AWAY, *([answer] if answer else [])), attempts=2)
        if answer is None:
            wearer.get_image("a")
        else:
            with pytest.raises(type(answer)):
                wearer.get_image("a")
        assert wearer.outage is None

    def test_is_logged_when_it_begins_and_when_it_ends(
        self, clock: FakeClock, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level(logging.DEBUG, "snoopsync")
        coat(Script(clock, *[DOWN] * 8), patience_seconds=None, attempts=20).get_image("a")
        assert caplog.record_tuples == [
            (
                "snoopsync.collection",
                logging.WARNING,
                "the collection is down, calls wait: 503 down",
            ),
            ("snoopsync.collection", logging.INFO, "the collection answers again after 124 s"),
        ]


class TestStopping:
    def test_lets_no_new_call_through(self, clock: FakeClock) -> None:
        stop = threading.Event()
        stop.set()
        script = Script(clock)
        with pytest.raises(Stopped):
            coat(script, stop=stop).get_image("a")
        assert script.sent == []

    @pytest.mark.parametrize("error", [AWAY, LATER])
    def test_ends_a_wait_without_another_attempt(self, clock: FakeClock, error: Exception) -> None:
        stop = threading.Event()
        clock.before_wait = stop.set
        script = Script(clock, error)
        with pytest.raises(Stopped):
            coat(script, stop=stop, patience_seconds=None).get_image("a")
        assert len(script.sent) == 1

    def test_ends_the_waits_of_all_threads_in_real_time(self) -> None:
        failed = threading.Semaphore(0)

        class Down(Script):
            def get_image(self, image_id: str) -> ImageAnswer:
                failed.release()
                raise Unavailable("down", status=503, retry_after=3000.0)

        stop = threading.Event()
        wearer = RetryingCollection(
            cast(ImageCollection, Down(FakeClock())),
            stop=stop,
            policy=RetryPolicy(patience_seconds=None),
        )
        with ThreadPoolExecutor(4) as pool:
            calls = [pool.submit(wearer.get_image, "a") for _ in range(4)]
            assert failed.acquire(timeout=10)
            stop.set()
            for call in calls:
                assert isinstance(call.exception(10), Stopped)


class TestTheGate:
    """Shared by threads, in real time, with pauses of a few milliseconds."""

    POLICY = RetryPolicy(attempts=50, base_seconds=0.001, cap_seconds=0.01, patience_seconds=None)

    def test_lets_one_caller_at_a_time_through_while_it_is_closed_and_all_in_turn(self) -> None:
        under_way = threading.Semaphore(1)
        overlaps: list[str] = []
        askers: set[str] = set()

        class Service(Script):
            def get_image(self, image_id: str) -> ImageAnswer:
                if len(askers) == 8:
                    return FOUND
                if not under_way.acquire(blocking=False):
                    overlaps.append(image_id)
                threading.Event().wait(0.002)  # long enough for another to come in, if it could
                askers.add(image_id)
                under_way.release()
                raise AWAY

        script = cast(ImageCollection, Service(FakeClock()))
        wearer = RetryingCollection(script, policy=self.POLICY)
        with ThreadPoolExecutor(8) as pool:
            calls = [pool.submit(wearer.get_image, "0")]
            until(lambda: wearer.outage is not None)
            calls += [pool.submit(wearer.get_image, f"{number}") for number in range(1, 8)]
            assert [call.result(60) for call in calls] == [FOUND] * 8
        assert overlaps == []
        assert len(askers) == 8

    def test_stays_open_for_a_failure_that_belongs_to_an_outage_that_is_over(
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
        wearer = RetryingCollection(script, policy=self.POLICY)
        with ThreadPoolExecutor(1) as pool:
            call = pool.submit(wearer.get_image, "late")
            assert caught.wait(10)
            wearer.get_image("early")
            late.set()
            assert call.result(10) == FOUND
        assert len(caplog.records) == 2

    def test_stays_closed_for_an_answer_to_what_was_sent_before(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Or a service that fails every other request comes and goes in the log all the time."""
        caplog.set_level(logging.INFO, "snoopsync")
        gate = Gate(RetryPolicy(), threading.Event(), FakeClock(), lambda: 1.0)
        with gate.passage() as first, gate.passage() as second:
            gate.failed(DOWN, first)
            gate.answered(second)
            assert gate.outage is not None
        with gate.passage() as probe:
            gate.answered(probe)
        assert gate.outage is None
        assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


def test_a_conflict_after_a_failed_connect_is_with_somebody_else(clock: FakeClock) -> None:
    class Taken(Script):
        def add_image(self, *_arguments: object, **_options: object) -> ImageAnswer:
            return self.get_image("a")

    script = Taken(clock, NotConnected("refused"), Conflict("taken"))
    with pytest.raises(Conflict):
        coat(script).add_image(io.BytesIO(b"picture"), "a")
