"""What the service reports about itself, also to a command of another version."""

from __future__ import annotations

import json
import threading
from typing import Any

import pytest

from snoopsync.control.report import LatestReport, ServiceReport
from snoopsync.runtime.liveness import SendProgress

REPORT = ServiceReport(
    pid=7,
    version="1.0",
    reconciled=True,
    looking=True,
    unsettled=1,
    in_flight=2,
    reachable=False,
    unauthorized=True,
    last_error="host: refused",
    unproven=("photos",),
    missing=("scans",),
    stalled=("planner",),
    scan_ages={"photos": 1.5, "scans": None},
    to_renew=3,
    progress=SendProgress(1, 2, 3.0),
    age_seconds=0.5,
)


def sent(report: ServiceReport) -> dict[str, Any]:
    """The report as it arrives at the other end of the socket."""
    message: dict[str, Any] = json.loads(json.dumps(report.as_message()))
    return message


def test_a_report_arrives_as_it_was_sent() -> None:
    received = ServiceReport.from_message(sent(REPORT))
    assert received.scan_age_seconds("scans") is REPORT.scan_age_seconds("scans") is None
    assert received.scan_age_seconds("photos") == 2.0
    assert sent(received) | {"scan_ages": None} == sent(REPORT) | {"scan_ages": None}


def test_unknown_keys_of_a_newer_service_are_ignored() -> None:
    message = sent(REPORT) | {"mood": "fine", "progress": {"done": 1, "speed": 2}}
    received = ServiceReport.from_message(message)
    assert (received.reconciled, received.progress) == (True, None)


@pytest.mark.parametrize("key", ["reconciled", "looking", "unsettled", "unproven", "stalled"])
@pytest.mark.parametrize("value", [None, "text", {}])
def test_a_report_that_lacks_a_proof_proves_nothing(key: str, value: object) -> None:
    message = sent(REPORT)
    for changed in (message | {key: value}, {k: v for k, v in message.items() if k != key}):
        received = ServiceReport.from_message(changed)
        assert not received.reconciled


@pytest.mark.parametrize("message", [None, [], "text", 7, {}])
def test_an_invalid_report_proves_nothing(message: object) -> None:
    received = ServiceReport.from_message(message)
    assert not received.reconciled
    assert received.last_error is not None


def test_there_is_no_report_before_the_first_turn() -> None:
    latest = LatestReport()
    assert latest.get() is None
    latest.publish(REPORT)
    report = latest.get()
    assert report is not None and report.pid == REPORT.pid


def test_a_fresh_report_is_from_a_complete_later_turn() -> None:
    """The turn that ends first may have begun before."""
    latest = LatestReport()
    turns: list[threading.Thread] = []

    def turn() -> None:
        number = len(turns)
        report = ServiceReport(unsettled=number)
        turns.append(threading.Thread(target=latest.publish, args=(report,)))
        turns[-1].start()

    assert latest.fresh(turn).unsettled == 1
    for thread in turns:
        thread.join()
