"""Requests to the service: their results, and its errors."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.control.channel import ControlServer
from snoopsync.control.client import ask_service, result_from_service
from snoopsync.core.errors import ServiceFailed, ServiceUnavailable
from snoopsync.core.exits import Exit


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def test_the_result_is_returned_and_the_progress_before_it_is_not(state: Path) -> None:
    messages = {"progress": 1}, {"result": {"images": 2}}
    with ControlServer(state, lambda _request: iter(messages)):
        assert list(ask_service(state, {})) == list(messages)
        assert result_from_service(state, {}) == {"images": 2}


@pytest.mark.parametrize(
    ("given", "code"), [(7, Exit.LOCKED), (99, Exit.BUG), ("7", Exit.BUG), (None, Exit.BUG)]
)
def test_an_error_of_the_service_has_its_exit_code_and_a_printable_message(
    state: Path, given: object, code: Exit
) -> None:
    message = {"error": "no\x1b[31m", "exit_code": given}
    with (
        ControlServer(state, lambda _request: iter([message])),
        pytest.raises(ServiceFailed) as caught,
    ):
        result_from_service(state, {})
    assert caught.value.exit_code == code
    assert str(caught.value) == r"no\x1b[31m"


def test_a_service_that_stops_before_it_answers_has_failed(state: Path) -> None:
    with (
        ControlServer(state, lambda _request: iter([{"progress": 1}])),
        pytest.raises(ServiceFailed, match="stopped before it responded"),
    ):
        result_from_service(state, {})


def test_without_a_service_the_client_reports_that_none_runs(state: Path) -> None:
    with pytest.raises(ServiceUnavailable):
        result_from_service(state, {})
