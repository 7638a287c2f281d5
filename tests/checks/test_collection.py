"""What is found out about the collection."""

from __future__ import annotations

import pytest

from snoopsync.checks.collection import (
    Reply,
    address_finding,
    library_findings,
    service_findings,
)
from snoopsync.checks.finding import Severity
from snoopsync.core.errors import Unreachable
from tests.support.findings import ERROR, OK, WARNING


@pytest.mark.parametrize(
    ("endpoint", "state"),
    [
        ("https://host/api/v1", OK),
        ("http://127.0.0.1:8000/api/v1", OK),
        ("http://[::1]/api/v1", OK),
        ("http://localhost/api/v1", OK),
        ("http://host/api/v1", WARNING),
        ("http://192.168.0.1/api/v1", WARNING),
    ],
)
def test_an_unencrypted_endpoint_is_a_warning_unless_it_is_local(
    endpoint: str, state: Severity
) -> None:
    finding = address_finding(endpoint)
    assert finding.severity is state
    assert (finding.fix == "use https://") is (state is WARNING)


def test_without_a_date_the_clock_is_not_checked() -> None:
    [finding] = service_findings(Reply(None, Unreachable("host: no answer"), None))
    assert (finding.check, finding.cause) == ("collection", Unreachable)


def test_each_missing_library_is_a_finding() -> None:
    findings = list(library_findings({"pillow": "no PIL", "pillow-heif": "no heif"}))
    assert [finding.severity for finding in findings] == [ERROR, WARNING]
    assert "no picture can be added" in findings[0].message
    assert "HEIC" in findings[1].message
    [finding] = library_findings({})
    assert (finding.severity, finding.message) == (OK, "numpy, pillow, pillow-heif")
