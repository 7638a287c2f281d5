"""Hints, waited for."""

from __future__ import annotations

from collections.abc import Callable

from snoopsync.watching.hint_source import HintSource
from snoopsync.watching.hints import Hints
from tests.support.watching import Alarm


def hints_of(alarm: Alarm, watch: HintSource, wanted: Callable[[Hints], bool]) -> Hints:
    """Take hints until they are like this."""
    seen: list[Hints] = []

    def came() -> bool:
        seen.append(watch.take())
        return wanted(seen[-1])

    alarm.until(came)
    return seen[-1]
