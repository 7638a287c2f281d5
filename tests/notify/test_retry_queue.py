"""Messages for a target that may be away: in order, patiently, and not for ever."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.notify.digest import Message
from snoopsync.notify.retry_queue import (
    LONGEST_WAIT_SECONDS,
    MOST_ATTEMPTS,
    MOST_WAITING,
    PAUSES_SECONDS,
    Outbox,
)


def message(number: int) -> Message:
    return Message(f"{number}", "", logging.WARNING, 0.0)


def filled(count: int) -> Outbox:
    outbox = Outbox()
    for number in range(count):
        outbox.put(message(number), 0.0)
    return outbox


def test_they_are_sent_in_their_order() -> None:
    outbox, sent = filled(3), []
    while (each := outbox.take(0.0)) is not None:
        sent.append(each.title)
        outbox.sent(each)
    assert sent == ["0", "1", "2"]
    assert outbox.next_due is None


def test_after_failures_they_wait_for_longer_and_longer_and_stay_in_their_order() -> None:
    outbox, now = filled(2), 0.0
    for pause in PAUSES_SECONDS:
        first = outbox.take(now)
        assert first == message(0)
        outbox.failed(first, now)
        assert outbox.next_due == now + pause
        assert outbox.take(now + pause - 0.1) is None
        now += pause
    first = outbox.take(now)
    assert first is not None
    outbox.sent(first)
    assert outbox.take(now) == message(1), "what works again does so at once"


def test_one_that_is_never_taken_is_given_up_and_the_next_one_has_its_turn() -> None:
    outbox, now = filled(2), 0.0
    for _ in range(MOST_ATTEMPTS):
        first = outbox.take(now)
        assert first == message(0)
        outbox.failed(first, now)
        now = outbox.next_due or 0.0
    assert outbox.dropped == 1
    assert outbox.take(now) == message(1)


def test_nothing_waits_for_more_than_a_day() -> None:
    outbox = filled(1)
    assert outbox.take(LONGEST_WAIT_SECONDS + 1) is None
    assert (len(outbox), outbox.dropped) == (0, 1)


def test_the_oldest_make_room_for_the_newest() -> None:
    outbox = filled(MOST_WAITING + 5)
    assert (len(outbox), outbox.dropped) == (MOST_WAITING, 5)
    assert outbox.take(0.0) == message(5)


def test_one_that_had_to_make_room_while_it_was_sent_takes_no_other_with_it() -> None:
    outbox = filled(MOST_WAITING)
    first = outbox.take(0.0)
    assert first is not None
    outbox.put(message(MOST_WAITING), 0.0)
    outbox.sent(first)
    assert (len(outbox), outbox.dropped) == (MOST_WAITING, 1)


@given(st.lists(st.sampled_from(["put", "sent", "failed", "later"]), max_size=200))
def test_whatever_happens_each_is_sent_once_or_given_up(story: list[str]) -> None:
    outbox, now, put, sent = Outbox(), 0.0, 0, []
    for step in story:
        if step == "put":
            outbox.put(message(put), now)
            put += 1
        elif step == "later":
            now += 1000.0
        elif (first := outbox.take(now)) is not None:
            if step == "sent":
                outbox.sent(first)
                sent.append(int(first.title))
            else:
                outbox.failed(first, now)
    assert sent == sorted(set(sent))
    assert len(sent) + outbox.dropped + len(outbox) == put
