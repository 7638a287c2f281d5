"""Durations as the configuration has them, and as messages name them."""

from __future__ import annotations

import pytest

from snoopsync.core.durations import describe_duration, parse_duration


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0, "0 s"),
        (0.4, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min"),
        (61.0, "1 min"),
        (3599.0, "59 min"),
        (3600.0, "1 h 0 min"),
        (18_120.0, "5 h 2 min"),
        (90_000.0, "25 h 0 min"),
    ],
)
def test_a_duration_is_described_by_its_two_largest_units(seconds: float, words: str) -> None:
    assert describe_duration(seconds) == words


@pytest.mark.parametrize(
    ("written", "seconds"),
    [("500ms", 0.5), ("9ms", 0.009), ("5s", 5), ("15m", 900), ("2h", 7200), ("1d", 86400),
     ("30", 30), ("0.25", 0.25), ("1.5h", 5400)],
)  # fmt: skip
def test_a_duration_is_a_number_and_a_unit(written: str, seconds: float) -> None:
    assert parse_duration(written) == seconds


@pytest.mark.parametrize(
    "written", ["", "s", "5 minutes", "-1s", "1:30", ".inf", "1e3", "٣s", "5S"]
)
def test_anything_else_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        parse_duration(written)


@pytest.mark.parametrize(
    ("text", "seconds"), [("1000ms", 1.0), ("60s", 60.0), ("60m", 3600.0), ("24h", 86_400.0)]
)
def test_each_unit_has_its_value(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


def test_a_number_without_a_unit_is_seconds() -> None:
    assert parse_duration("1.5") == parse_duration("1500ms") == 1.5
