"""A recurring problem is logged a few times, and then counted."""

from __future__ import annotations

import logging

import pytest

from snoopsync.core.events import Event, fields_of
from snoopsync.log.throttle import (
    MOST_TOPICS,
    OTHER_TOPICS,
    LogThrottle,
    RepeatFilter,
    SuppressedCount,
)

REFUSED = Event.REFUSED


def test_the_first_events_of_a_topic_are_logged_and_the_others_counted() -> None:
    repeats = RepeatFilter(3)
    logged = [repeats.should_log("a", float(now), REFUSED) for now in range(10)]
    assert logged == [True] * 3 + [False] * 7
    assert list(repeats.counts(59.0)) == []
    assert list(repeats.counts(60.0)) == [SuppressedCount("a", 7, REFUSED)]


def test_topics_are_counted_independently() -> None:
    repeats = RepeatFilter(1)
    assert repeats.should_log("a", 0.0, REFUSED)
    assert repeats.should_log("b", 0.0, REFUSED)
    assert not repeats.should_log("a", 0.0, REFUSED)


def test_the_longer_a_topic_lasts_the_less_often_its_count_is_logged() -> None:
    repeats = RepeatFilter(1)
    counts = []
    for second in range(24 * 3600):
        repeats.should_log("a", float(second), REFUSED)
        counts += [(second, count) for _, count, *_ in repeats.counts(float(second))]
    assert [second for second, _ in counts[:4]] == [60, 180, 420, 900]
    assert 25 < len(counts) < 32
    assert sum(count for _, count in counts) > 80_000


def test_a_topic_that_was_quiet_for_a_window_is_logged_again() -> None:
    repeats = RepeatFilter(1)
    for now in (0.0, 1.0):
        repeats.should_log("a", now, REFUSED)
    assert list(repeats.counts(60.0)) == [SuppressedCount("a", 1, REFUSED)]
    assert not repeats.should_log("a", 100.0, REFUSED)
    assert list(repeats.counts(181.0)) == [SuppressedCount("a", 1, REFUSED)]
    assert list(repeats.counts(1000.0)) == []
    assert repeats.should_log("a", 1000.0, REFUSED)


def test_an_event_a_minute_is_not_logged_forever() -> None:
    repeats = RepeatFilter(5)
    logged = 0
    for minute in range(1000):
        logged += repeats.should_log("a", 60.0 * minute, REFUSED)
        list(repeats.counts(60.0 * minute))
    assert logged < 20


def test_thousands_of_topics_become_one() -> None:
    repeats = RepeatFilter(2)
    logged = [repeats.should_log(f"{number} refused", 0.0, REFUSED) for number in range(5000)]
    assert sum(logged) == MOST_TOPICS + 2
    count = SuppressedCount(OTHER_TOPICS, 5000 - MOST_TOPICS - 2, REFUSED)
    assert list(repeats.counts(60.0)) == [count]


def test_a_count_has_the_event_and_the_folder_of_the_last_occurrence() -> None:
    repeats = RepeatFilter(0)
    for event in (Event.FOLDER_MISSING, Event.FOLDER_BACK):
        repeats.should_log("comes and goes", 0.0, event, "photos")
    [count] = repeats.counts(60.0)
    assert count == SuppressedCount("comes and goes", 2, Event.FOLDER_BACK, "photos")


def test_the_counts_that_are_left_are_given_once() -> None:
    repeats = RepeatFilter(1)
    for topic in "aab":
        repeats.should_log(topic, 0.0, REFUSED)
    assert list(repeats.all_counts()) == [SuppressedCount("a", 1, REFUSED)]
    assert list(repeats.all_counts()) == []


def test_a_throttle_logs_its_counts_with_the_event_and_the_folder(
    caplog: pytest.LogCaptureFixture,
) -> None:
    throttle = LogThrottle(logging.getLogger("snoopsync.test"), 1)
    for _ in range(3):
        arguments = ("missing", logging.WARNING, Event.FOLDER_MISSING, "folder %s is missing", "a")
        throttle.log(0.0, *arguments, folder="a")
    throttle.close()
    assert caplog.messages == ["folder a is missing", "missing (2 more)"]
    keys = {"event": "folder-missing", "folder": "a", "count": 2}
    assert fields_of(caplog.records[-1]) == keys
