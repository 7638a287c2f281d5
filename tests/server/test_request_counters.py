"""Requests are counted by call and status."""

from __future__ import annotations

import pytest

from snoopsync.runtime.counters import BOUNDS_SECONDS
from snoopsync.server.operations import BASE, find_operation
from snoopsync.server.request_counters import RequestCounters, call_of


@pytest.mark.parametrize(
    ("method", "path", "call"),
    [
        ("GET", "collection", "session"),
        ("POST", "image", "add"),
        ("POST", "image/a", "add"),
        ("PUT", "image/a", "update"),
        ("GET", "image/a", "get"),
        ("HEAD", "image/a", "get"),
        ("DELETE", "image/a", "delete"),
        ("GET", "images", "list"),
        ("GET", "outdated", "outdated"),
        ("GET", "search/a", "search_by_id"),
        ("POST", "search", "search_by_picture"),
        ("GET", "openapi.json", "openapi"),
    ],
)
def test_a_call_is_named_by_what_it_does(method: str, path: str, call: str) -> None:
    assert call_of(find_operation(method, f"{BASE}/{path}", "")) == call


def test_the_health_check_has_a_name_of_its_own() -> None:
    assert call_of(find_operation("GET", "/healthz", "")) == "healthz"


def test_counts_are_kept_by_call_and_status() -> None:
    counters = RequestCounters()
    with counters.in_progress():
        assert counters.figures().in_progress == 1
        counters.answered("get", 200, 0.001)
        counters.answered("get", 404, BOUNDS_SECONDS[-1] + 1)
    figures = counters.figures()
    assert figures.in_progress == 0
    assert figures.requests == {("get", 200): 1, ("get", 404): 1}
    assert figures.durations["get"].counts[0] == figures.durations["get"].counts[-1] == 1
    counters.answered("get", 200, 0.001)
    assert figures.requests["get", 200] == 1, "it is a copy"
