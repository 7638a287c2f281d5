"""Notifications to a real target, which may refuse, hang or be unreachable."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial

import pytest

from snoopsync.config.secrets import Secret
from snoopsync.config.settings import Config, NotifyConfig
from snoopsync.core.events import Event
from snoopsync.notify.apprise_target import targets_of
from snoopsync.notify.digest import Notification
from snoopsync.notify.notifier import ATTEMPT_TIMEOUT_SECONDS, Notifier
from snoopsync.notify.retry_queue import MAX_ATTEMPTS
from snoopsync.runtime.clock import Clock
from snoopsync.runtime.counters import Counters, Delivery
from tests.notify.helpers import config
from tests.support.postbox import Postbox
from tests.support.process import DEADLINE_SECONDS, until

log = logging.getLogger("snoopsync.test")

MISSING = {"event": Event.FOLDER_MISSING.value, "folder": "photos", "path": "/p", "reason": "why"}


class TestClock(Clock):
    """Time that passes only in ``pass_by``, which wakes the waiting thread."""

    __test__ = False

    def __init__(self) -> None:
        self._seconds = time.time()  # log records have this time
        self._waiting: threading.Event | None = None

    def now(self) -> float:
        return self._seconds

    def monotonic(self) -> float:
        return self._seconds

    def wait(self, event: threading.Event, seconds: float) -> None:
        self._waiting = event
        event.wait()

    def pass_by(self, seconds: float) -> None:
        self._seconds += seconds
        if self._waiting is not None:
            self._waiting.set()


@pytest.fixture
def clock() -> TestClock:
    return TestClock()


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def notifier(clock: TestClock, counters: Counters) -> Iterator[Notifier]:
    notifier = Notifier(counters, clock)
    yield notifier
    clock.pass_by(0.0)
    notifier.close(DEADLINE_SECONDS)


def configure(notifier: Notifier, given: NotifyConfig) -> None:
    notifier.configure(given, "nas", targets_of(Config(notify=given)))


def happen(text: str = "folder photos is missing: why", **keys: object) -> None:
    log.warning("%s", text, extra={"fields": MISSING | keys})


def passing(clock: TestClock, condition: Callable[[], object], seconds: float = 1.0) -> None:
    """Let time pass until the condition holds."""

    def is_so() -> bool:
        clock.pass_by(seconds)
        return bool(condition())

    until(is_so)


def test_a_logged_event_is_sent_to_a_real_target(
    postbox: Postbox, notifier: Notifier, clock: TestClock
) -> None:
    configure(notifier, config(postbox.url))
    happen()
    passing(clock, lambda: postbox.letters)
    [letter] = postbox.letters
    assert letter["title"] == "snoopsync (nas): folder missing"
    assert letter["message"] == "folder photos is missing: why"
    assert letter["type"] == "warning"


def test_every_target_is_notified_and_recoveries_are_marked(
    postbox: Postbox, notifier: Notifier, clock: TestClock
) -> None:
    with Postbox() as other:
        configure(notifier, config(postbox.url, other.url))
        happen()
        passing(clock, lambda: postbox.letters and other.letters)
        happen("folder photos is back", event=Event.FOLDER_BACK.value)
        passing(clock, lambda: len(postbox.letters) == len(other.letters) == 2)
        assert [letter["type"] for letter in other.letters] == ["warning", "success"]


@pytest.mark.integration
def test_an_unreachable_target_is_logged_once_and_notified_later(
    postbox: Postbox,
    notifier: Notifier,
    clock: TestClock,
    counters: Counters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure(notifier, config(postbox.url))
    postbox.status = 503
    happen()
    begun = clock.monotonic()
    passing(clock, lambda: postbox.tries > 4)
    assert clock.monotonic() - begun > 600
    postbox.status = 200
    passing(clock, lambda: postbox.letters, seconds=60.0)
    assert "(at " in postbox.letters[0]["message"], "it is late, so it has the event's time"
    passing(clock, lambda: counters.figures().messages.get(Delivery.SENT))
    until(lambda: "are sent again" in caplog.text)
    failed = postbox.tries - 1
    assert counters.figures().messages[Delivery.FAILED] == failed
    said = [each.getMessage() for each in caplog.records if each.name == "snoopsync.notify"]
    assert len(said) == 2
    assert "notify.urls[0] (JSON) fail and will be retried" in said[0]
    assert "error=503" in said[0]
    assert f"(failures: {failed})" in said[1]


def has_more(count: Callable[[], int], before: int) -> bool:
    return count() > before


@pytest.mark.integration
def test_a_target_that_keeps_failing_and_recovering_is_counted(
    postbox: Postbox, notifier: Notifier, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    configure(notifier, config(postbox.url))
    for number in range(20):
        postbox.status = 503
        happen(folder=str(number))
        tries = postbox.tries
        passing(clock, partial(has_more, lambda: postbox.tries, tries))
        postbox.status = 200
        letters = len(postbox.letters)
        passing(clock, partial(has_more, lambda: len(postbox.letters), letters))
    said = [each.getMessage() for each in caplog.records if each.name == "snoopsync.notify"]
    assert len([line for line in said if "will be retried" in line]) < 10
    assert any("keep failing and recovering (" in line for line in said)


def test_a_refused_notification_is_dropped_and_counted(
    postbox: Postbox,
    notifier: Notifier,
    clock: TestClock,
    counters: Counters,
    caplog: pytest.LogCaptureFixture,
) -> None:
    configure(notifier, config(postbox.url))
    postbox.status = 400
    happen()
    passing(clock, lambda: counters.figures().messages.get(Delivery.DROPPED), seconds=60.0)
    assert postbox.tries == MAX_ATTEMPTS
    until(lambda: "was dropped" in caplog.text)


def test_a_target_that_hangs_delays_nothing_else(
    postbox: Postbox, notifier: Notifier, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    with Postbox() as other:
        configure(notifier, config(postbox.url + "?rto=300", other.url))
        postbox.is_open.clear()
        happen()
        passing(clock, lambda: postbox.tries and other.letters)
        begun = time.monotonic()
        for number in range(5000):
            happen(folder=str(number))
        assert time.monotonic() - begun < 5.0
        passing(clock, lambda: len(other.letters) > 1)
        passing(clock, lambda: "no answer within 30 s" in caplog.text, ATTEMPT_TIMEOUT_SECONDS)
        assert postbox.tries == 1
        said = [each.getMessage() for each in caplog.records if each.name == "snoopsync.notify"]
        assert sum("fail and will be retried" in line for line in said) == 1
        postbox.is_open.set()
        passing(clock, lambda: len(postbox.letters) == len(other.letters))


class Stuck:
    """A target that does not answer before the test ends."""

    label = "stuck"
    url = Secret("stuck")

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.end = threading.Event()

    def send(self, notification: Notification, now: float) -> str | None:
        self.reached.set()
        self.end.wait()
        return None


def test_close_waits_briefly_and_logs_what_was_not_sent(
    clock: TestClock, counters: Counters, caplog: pytest.LogCaptureFixture
) -> None:
    stuck, notifier = Stuck(), Notifier(counters, clock)
    notifier.configure(config("json://host"), "nas", [stuck])
    happen()
    passing(clock, stuck.reached.is_set)
    happen("second", folder="other")
    begun = time.monotonic()
    notifier.close(0.3)
    assert time.monotonic() - begun < 5.0
    assert "2 notifications were not sent before the service stopped" in caplog.text
    stuck.end.set()


def test_close_sends_what_is_queued(postbox: Postbox, clock: TestClock, counters: Counters) -> None:
    notifier = Notifier(counters, clock)
    configure(notifier, config(postbox.url))
    before = len(logging.getLogger("snoopsync").handlers)
    happen()
    notifier.close(DEADLINE_SECONDS)
    assert postbox.titles == ["snoopsync (nas): folder missing"]
    assert len(logging.getLogger("snoopsync").handlers) == before - 1


def test_events_beyond_the_queue_are_dropped_and_counted(
    postbox: Postbox, notifier: Notifier, clock: TestClock, caplog: pytest.LogCaptureFixture
) -> None:
    configure(notifier, config(postbox.url))
    with notifier._lock:  # so that its thread can't empty the queue
        for number in range(1500):
            happen(folder=str(number))
    until(lambda: "500 events were dropped: the notification queue is full" in caplog.text)
    passing(clock, lambda: "snoopsync (nas): folder missing (1000)" in postbox.titles)


def test_a_new_configuration_keeps_queues_and_open_problems(
    postbox: Postbox, notifier: Notifier, clock: TestClock
) -> None:
    with Postbox() as other:
        postbox.status = 503
        configure(notifier, config(postbox.url))
        happen()
        passing(clock, lambda: postbox.tries)
        configure(notifier, config(postbox.url, other.url, events=(Event.OUTAGE,)))
        postbox.status = 200
        passing(clock, lambda: postbox.letters)
        happen("folder photos is back", event=Event.FOLDER_BACK.value)
        happen("not wanted any more", folder="other")
        passing(clock, lambda: len(postbox.letters) == 2)
        assert other.titles == ["snoopsync (nas): folder back"]
        configure(notifier, config(other.url, events=(Event.OUTAGE,)))
        happen("the collection is down", event=Event.OUTAGE.value)
        passing(clock, lambda: len(other.letters) == 2)
        assert len(postbox.letters) == 2


def test_log_lines_about_notifications_are_not_notified(
    postbox: Postbox, notifier: Notifier, clock: TestClock
) -> None:
    configure(notifier, config(postbox.url))
    logging.getLogger("snoopsync.notify").warning("x", extra={"fields": MISSING})
    logging.getLogger("snoopsync.test").warning("without fields")
    record = log.makeRecord(log.name, logging.WARNING, "", 0, "%d", ("none",), None, None)
    record.fields = MISSING
    notifier._handler.handle(record)
    happen("the one", folder="other")
    passing(clock, lambda: postbox.letters)
    assert postbox.letters[0]["message"] == "the one"
