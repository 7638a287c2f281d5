"""The findings of ``snoopsync check`` in tests."""

from __future__ import annotations

from collections.abc import Sequence

from snoopsync.checks.finding import Finding, Severity

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR


def states(findings: Sequence[Finding]) -> dict[str, Severity]:
    return {finding.check.rpartition(" ")[2]: finding.severity for finding in findings}
