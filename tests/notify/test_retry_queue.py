"""The queue of a target: in order, with growing pauses, and bounded."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.notify.digest import Notification
from snoopsync.notify.retry_queue import (
    LONGEST_WAIT_SECONDS,
    MAX_ATTEMPTS,
    MAX_WAITING,
    PAUSES_SECONDS,
    RetryQueue,
)


def notification(number: int) -> Notification:
    return Notification(f"{number}", "", logging.WARNING, 0.0)


def filled(count: int) -> RetryQueue:
    queue = RetryQueue()
    for number in range(count):
        queue.put(notification(number), 0.0)
    return queue


def test_notifications_are_sent_in_order() -> None:
    queue, sent = filled(3), []
    while (each := queue.next_attempt(0.0)) is not None:
        sent.append(each.title)
        queue.succeeded(each)
    assert sent == ["0", "1", "2"]
    assert queue.next_due is None


def test_pauses_grow_after_each_failure_and_the_order_stays() -> None:
    queue, now = filled(2), 0.0
    for pause in PAUSES_SECONDS:
        first = queue.next_attempt(now)
        assert first == notification(0)
        queue.failed(first, now)
        assert queue.next_due == now + pause
        assert queue.next_attempt(now + pause - 0.1) is None
        now += pause
    first = queue.next_attempt(now)
    assert first is not None
    queue.succeeded(first)
    assert queue.next_attempt(now) == notification(1), "a success ends the pauses"


def test_after_the_last_attempt_a_notification_is_dropped() -> None:
    queue, now = filled(2), 0.0
    for _ in range(MAX_ATTEMPTS):
        first = queue.next_attempt(now)
        assert first == notification(0)
        queue.failed(first, now)
        now = queue.next_due or 0.0
    assert queue.dropped == 1
    assert queue.next_attempt(now) == notification(1)


def test_a_notification_older_than_a_day_is_dropped() -> None:
    queue = filled(1)
    assert queue.next_attempt(LONGEST_WAIT_SECONDS + 1) is None
    assert (len(queue), queue.dropped) == (0, 1)


def test_a_full_queue_drops_the_oldest() -> None:
    queue = filled(MAX_WAITING + 5)
    assert (len(queue), queue.dropped) == (MAX_WAITING, 5)
    assert queue.next_attempt(0.0) == notification(5)


def test_success_of_a_dropped_notification_removes_no_other() -> None:
    queue = filled(MAX_WAITING)
    first = queue.next_attempt(0.0)
    assert first is not None
    queue.put(notification(MAX_WAITING), 0.0)
    queue.succeeded(first)
    assert (len(queue), queue.dropped) == (MAX_WAITING, 1)


@given(st.lists(st.sampled_from(["put", "sent", "failed", "later"]), max_size=200))
def test_each_notification_is_sent_once_or_dropped(story: list[str]) -> None:
    queue, now, put, sent = RetryQueue(), 0.0, 0, []
    for step in story:
        if step == "put":
            queue.put(notification(put), now)
            put += 1
        elif step == "later":
            now += 1000.0
        elif (first := queue.next_attempt(now)) is not None:
            if step == "sent":
                queue.succeeded(first)
                sent.append(int(first.title))
            else:
                queue.failed(first, now)
    assert sent == sorted(set(sent))
    assert len(sent) + queue.dropped + len(queue) == put
