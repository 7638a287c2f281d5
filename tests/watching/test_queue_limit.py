"""No test is under way while another one has a short queue of events."""

from __future__ import annotations

import fcntl

import pytest

from tests.support.losing import needs_root
from tests.support.queue_limit import LIMIT, queue_limit, short_queue


def can_have(lock: int) -> bool:
    """Could another test, in whatever process, have this lock now?"""
    with LIMIT.open() as other:
        try:
            fcntl.flock(other, lock | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def test_a_test_keeps_others_from_shortening_the_queue_and_nothing_else() -> None:
    assert can_have(fcntl.LOCK_SH)
    assert not can_have(fcntl.LOCK_EX)


@needs_root
@pytest.mark.timeout(600)
def test_a_short_queue_keeps_all_others_out_and_is_as_before_in_the_end() -> None:
    before = queue_limit()
    with short_queue(64):
        assert queue_limit() == 64
        assert not can_have(fcntl.LOCK_SH)
    assert queue_limit() == before
    assert can_have(fcntl.LOCK_SH)
