"""Durations: ``500ms``, ``5s``, ``15m``, ``2h``, ``1d``."""

from __future__ import annotations

import re

_DURATION = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,9})?)(ms|s|m|h|d)?")
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def parse_duration(text: str) -> float:
    """The duration in seconds; a number without a unit is seconds. Raises ``ValueError``."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise ValueError("must be a duration: 500ms, 5s, 15m, 2h, 1d or a number of seconds")
    # Multiplying by 0.001 would turn 9 ms into 0.009000000000000001 s.
    return float(match[1]) * _MILLISECONDS[match[2] or "s"] / 1000


def describe_duration(seconds: float) -> str:
    """The duration in words: ``40 s``, ``13 min``, ``5 h 2 min``."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min" if minutes else f"{seconds} s"
