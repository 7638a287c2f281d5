"""What is found out about the service and its units."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from snoopsync.checks.collection import (
    decoder_findings,
)
from snoopsync.checks.finding import Severity
from snoopsync.checks.service import Unit, read_units, service_finding, unit_findings
from snoopsync.control.report import ServiceReport
from snoopsync.core.errors import ServiceUnavailable, SnoopsyncError
from snoopsync.decoding.sandbox import NAMES, Outcome, Restriction
from snoopsync.status.model import ServiceStatus
from snoopsync.version import __version__
from tests.support.findings import ERROR, OK, WARNING

REPORT = ServiceReport(age_seconds=0.1, version=__version__)


@pytest.mark.parametrize(
    ("service", "state", "cause", "said"),
    [
        (ServiceStatus(), WARNING, None, "not running"),
        (ServiceStatus(command_pid=7), OK, None, "a resync is running (process 7)"),
        (ServiceStatus(7, REPORT), OK, None, "running (process 7)"),
        (ServiceStatus(7), ERROR, ServiceUnavailable, "does not respond"),
        (
            ServiceStatus(7, replace(REPORT, age_seconds=16.0)),
            ERROR,
            ServiceUnavailable,
            "does not respond",
        ),
        (ServiceStatus(7, trouble="its disk is full"), ERROR, SnoopsyncError, "its disk is full"),
        (ServiceStatus(7, replace(REPORT, version="0.0.1")), WARNING, None, "version 0.0.1"),
    ],
)
def test_a_finding_about_the_service_has_its_severity_and_fix(
    service: ServiceStatus, state: Severity, cause: type[SnoopsyncError] | None, said: str
) -> None:
    finding = service_finding(service)
    assert (finding.severity, finding.cause) == (state, cause)
    assert said in finding.message
    assert (finding.fix is None) is (state is OK)


SYSTEMCTL = """#!/bin/sh
case "$*" in
  "is-enabled snoopsync") echo enabled;;
  "is-active snoopsync") echo active;;
  "--user is-enabled snoopsync") echo disabled; exit 1;;
  "--user is-active snoopsync") echo inactive; exit 3;;
esac
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ``systemctl`` that reports both units. This machine may have no systemd."""
    path = tmp_path / "bin" / "systemctl"
    path.parent.mkdir()
    path.write_text(SYSTEMCTL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_the_systems_and_the_users_unit_are_read(systemctl: Path, tmp_path: Path) -> None:
    assert read_units(tmp_path) == [
        Unit(is_users=False, enabled="enabled", active="active"),
        Unit(is_users=True, enabled="disabled", active="inactive"),
    ]


def test_without_systemd_there_are_no_units(systemctl: Path, tmp_path: Path) -> None:
    assert read_units(tmp_path / "none") == []


@pytest.mark.parametrize(
    "says", ["exit 1", "echo not-found; exit 4", "echo 'Failed to connect to bus' >&2; exit 1"]
)
def test_a_unit_that_does_not_exist_is_skipped(systemctl: Path, tmp_path: Path, says: str) -> None:
    systemctl.write_text(f"#!/bin/sh\n{says}\n")
    assert read_units(tmp_path) == []


JOURNAL = "see the reason: journalctl {}-u snoopsync -n 50"


@pytest.mark.parametrize(
    ("unit", "state", "fix"),
    [
        (Unit(False, "enabled", "active"), OK, None),
        (Unit(True, "static", "active"), OK, None),
        (Unit(False, "enabled", "inactive"), WARNING, "sudo systemctl start snoopsync"),
        (Unit(True, "enabled", "inactive"), WARNING, "systemctl --user start snoopsync"),
        (Unit(False, "disabled", "active"), WARNING, "sudo systemctl enable --now snoopsync"),
        (Unit(True, "disabled", "inactive"), WARNING, "systemctl --user enable --now snoopsync"),
        (Unit(False, "enabled", "failed"), ERROR, JOURNAL.format("")),
        (
            Unit(True, "disabled", "failed"),
            ERROR,
            JOURNAL.format("--user "),
        ),
    ],
)
def test_a_unit_that_does_not_run_has_a_fix(unit: Unit, state: Severity, fix: str | None) -> None:
    [finding] = unit_findings([unit])
    assert (finding.severity, finding.fix) == (state, fix)
    assert finding.cause is (SnoopsyncError if state is ERROR else None)


EVERY = Restriction(sum(NAMES))
NONE = Restriction(0)
LANDLOCK = Restriction.LANDLOCK


@pytest.mark.parametrize(
    ("tried", "service_lacks", "texts"),
    [
        (Outcome(EVERY, NONE), None, []),
        (Outcome(EVERY, NONE), [], []),
        (Outcome(EVERY & ~LANDLOCK, NONE), None, ["this kernel does not offer it"]),
        # The service has the same kernel: that is its reason too.
        (Outcome(EVERY & ~LANDLOCK, NONE), ["Landlock"], ["this kernel does not offer it"]),
        (Outcome(EVERY & ~LANDLOCK, LANDLOCK), ["Landlock"], ["a system call filter of"]),
        (Outcome(EVERY, NONE), ["Landlock"], ["but the service's unit forbids it"]),
        (
            Outcome(EVERY & ~LANDLOCK, NONE),
            ["Landlock", "seccomp"],
            ["this kernel does not offer it", "without seccomp: the kernel supports"],
        ),
    ],
)
def test_a_missing_restriction_of_decoders_is_reported_with_its_cause(
    tried: Outcome, service_lacks: list[str] | None, texts: list[str]
) -> None:
    found = [each for each in decoder_findings(tried, service_lacks) if each.severity != OK]
    assert [each.severity for each in found] == [WARNING] * len(texts)
    for finding, words in zip(found, texts, strict=True):
        assert words in finding.message
        assert finding.fix
