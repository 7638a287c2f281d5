"""The exit code of each command: the most serious problem decides."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snoopsync.checks import Finding
from snoopsync.checks.finding import error, ok, warning
from snoopsync.cli.exit_codes import of_duplicates, of_finding, of_resync, of_status
from snoopsync.core.errors import ConfigError, FolderMissing, Unauthorized
from snoopsync.core.exits import Exit
from snoopsync.core.model import FolderState
from snoopsync.status.model import ServiceStatus, Status
from snoopsync.sync.pruning import Pruning
from snoopsync.sync.resync_report import ResyncReport
from tests.cli.helpers import folder, report, status


@pytest.mark.parametrize(
    ("report", "code"),
    [
        (report({"scanned": 5, "added": 5}), Exit.OK),
        (report({"failed": 1}), Exit.IMAGES_FAILED),
        (report(unreadable=("/a: Permission denied",)), Exit.IMAGES_FAILED),
        (report(pruning=Pruning(failed=1)), Exit.IMAGES_FAILED),
        (report({"failed": 1, "held": 1}), Exit.HELD_OR_MISSING),
        (report(missing=("folder a is missing",)), Exit.HELD_OR_MISSING),
        (report({"held": 1}, trouble="no connection"), Exit.UNREACHABLE),
        (report(trouble="401", is_unauthorized=True), Exit.UNAUTHORIZED),
    ],
)
def test_the_most_serious_problem_of_a_resync_decides(report: ResyncReport, code: Exit) -> None:
    assert of_resync(report) is code


BLOCKED = ServiceStatus(pid=1, trouble="the state file is damaged")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (status(), Exit.OK),
        (status(folder(failed=1)), Exit.IMAGES_FAILED),
        (status(folder(pending=1)), Exit.IMAGES_FAILED),
        (status(folder(FolderState.UNWATCHED)), Exit.IMAGES_FAILED),
        (status(folder(FolderState.HELD, held=1, failed=1)), Exit.HELD_OR_MISSING),
        (status(folder(), folder(FolderState.MISSING)), Exit.HELD_OR_MISSING),
        (status(folder(FolderState.MISSING), reachable=False), Exit.UNREACHABLE),
        (status(reachable=False, unauthorized=True), Exit.UNAUTHORIZED),
        (replace(status(reachable=False), service=BLOCKED), Exit.BUG),
    ],
)
def test_the_most_serious_problem_of_a_status_decides(status: Status, code: Exit) -> None:
    assert of_status(status) is code


@pytest.mark.parametrize(
    ("finding", "code"),
    [
        (ok("clock", "right"), Exit.OK),
        (warning("service", "not running", "start it"), Exit.OK),
        (error("configuration", "invalid", "edit it", ConfigError), Exit.CONFIG),
        (error("folder", "missing", "mount it", FolderMissing), Exit.HELD_OR_MISSING),
        (error("keys", "refused", "check them", Unauthorized), Exit.UNAUTHORIZED),
    ],
)
def test_a_finding_has_the_code_of_the_error_that_it_causes(finding: Finding, code: Exit) -> None:
    assert of_finding(finding) is code


@pytest.mark.parametrize(
    ("is_open", "to_compare", "code"),
    [
        (True, 5, Exit.DUPLICATES_OPEN),
        (False, 5, Exit.IMAGES_FAILED),
        (False, 0, Exit.OK),
    ],
)
def test_open_duplicates_come_before_images_that_are_still_to_be_compared(
    is_open: bool, to_compare: int, code: Exit
) -> None:
    assert of_duplicates(is_open=is_open, to_compare=to_compare) is code
