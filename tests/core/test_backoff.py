"""The pauses between attempts."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from snoopsync.core.backoff import Backoff

SECONDS = st.floats(0.001, 1e6)


def test_the_limit_doubles_with_every_failure_up_to_the_cap() -> None:
    backoff = Backoff(base_seconds=0.5, cap_seconds=60.0)
    assert [backoff.pause(failures, 1.0) for failures in range(1, 10)] == [
        *(0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0)
    ]


def test_the_pause_is_a_random_share_of_the_limit() -> None:
    backoff = Backoff(base_seconds=8.0, cap_seconds=60.0)
    assert [backoff.pause(1, fraction) for fraction in (0.0, 0.25, 1.0)] == [0.0, 2.0, 8.0]


@given(SECONDS, SECONDS, st.integers(1, 10**9), st.floats(0.0, 1.0))
def test_no_number_of_failures_exceeds_the_cap(
    base: float, cap: float, failures: int, fraction: float
) -> None:
    assert 0.0 <= Backoff(base, cap).pause(failures, fraction) <= cap


@given(SECONDS, SECONDS)
def test_more_failures_never_shorten_the_limit(base: float, cap: float) -> None:
    limits = [Backoff(base, cap).pause(failures, 1.0) for failures in range(1, 100)]
    assert all(earlier <= later for earlier, later in pairwise(limits))
