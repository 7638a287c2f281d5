"""What makes the service unwell, and what it only works on."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from snoopsync.control.report import ServiceReport, ServiceView
from snoopsync.core.model import FolderState
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import Counts
from snoopsync.status.health import Snapshot, StoredStatus, activity, is_mirrored, problems
from snoopsync.status.model import CollectionStatus, FolderStatus, ServiceStatus, Status

NOW = 1_000_000.0

REPORT: dict[str, Any] = {
    "reconciled": True,
    "looking": False,
    "unsettled": 0,
    "in_flight": 0,
    "reachable": True,
    "unauthorized": False,
    "last_error": None,
    "unproven": [],
    "missing": [],
    "stalled": [],
    "progress": None,
    "age_seconds": 0.1,
}

ROW = FolderRow("photos", b"/photos", 1, 2, state=FolderState.OK, last_scan=NOW - 60.0)
FOLDER = FolderStatus(ROW, Counts(images=10), FolderState.OK, 1000.0)


def snapshot(folder: FolderStatus = FOLDER, **changes: Any) -> Snapshot:
    """All is well, but for this folder, and for these keys of the report."""
    return Snapshot(
        ServiceView(ServiceReport.from_message(REPORT | changes)), StoredStatus((folder,)), NOW
    )


def with_counts(**counts: int) -> FolderStatus:
    state = FolderState.HELD if counts.get("held") else FolderState.OK
    return replace(FOLDER, counts=Counts(images=10, **counts), state=state)


def in_state(state: FolderState, last_scan: float | None = NOW - 60.0) -> FolderStatus:
    row = replace(ROW, state=state, last_scan=last_scan, reason="why")
    return replace(FOLDER, row=row, state=state)


def test_a_healthy_service_has_no_problems() -> None:
    assert problems(snapshot()) == []
    assert activity(snapshot()) == "watching, everything is sent"


WELL = ServiceReport.from_message(REPORT)
STALLED = ServiceView(WELL, None, ("uploaders",))

WORK: list[Snapshot] = [
    snapshot(reconciled=False),
    snapshot(looking=True),
    snapshot(unsettled=7, in_flight=3, progress={"done": 1, "left": 9, "seconds": 1.0}),
    snapshot(reachable=False, last_error="host: Connection refused"),
    snapshot(with_counts(pending=5)),
    snapshot(with_counts(failed=1)),
    snapshot(in_state(FolderState.SCANNING, None), reconciled=False),
    snapshot(in_state(FolderState.SCANNING, NOW - 1e6)),
]


@pytest.mark.parametrize("at_work", WORK)
def test_work_and_waiting_are_not_problems(at_work: Snapshot) -> None:
    assert problems(at_work) == []
    assert activity(at_work)


AILING: list[tuple[str, Snapshot]] = [
    ("starting", Snapshot(ServiceView(), StoredStatus((FOLDER,)), NOW)),
    ("is blocked: full", Snapshot(ServiceView(trouble="full"), StoredStatus(error="full"), NOW)),
    ("no progress: uploaders", Snapshot(STALLED, StoredStatus((FOLDER,)), NOW)),
    ("no progress: planner", snapshot(age_seconds=61.0)),
    ("the collection: 401 no", snapshot(unauthorized=True, last_error="401 no")),
    ("photos is missing: why", snapshot(in_state(FolderState.MISSING), missing=["photos"])),
    ("changes are not watched", snapshot(unproven=["photos"])),
    ("3 deletions held", snapshot(with_counts(held=3))),
    ("is unwatched: why", snapshot(in_state(FolderState.UNWATCHED))),
    ("scan is too old", snapshot(in_state(FolderState.OK, NOW - 1001.0))),
    ("can't be read: why", Snapshot(ServiceView(WELL), StoredStatus(error="why"), NOW)),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "unwell"), AILING)
def test_stalls_and_waiting_for_a_person_are_problems(reason: str, unwell: Snapshot) -> None:
    [said] = problems(unwell)
    assert reason in said


def test_a_folder_that_just_disappeared_is_a_problem() -> None:
    """The state file is not read every second."""
    assert problems(snapshot(missing=["photos"])) == ["folder photos is missing"]


def reasons(of: Snapshot) -> list[str]:
    """What ``status`` says of the same."""
    report = of.service.report and replace(of.service.report, stalled=of.service.stalled)
    service = ServiceStatus(1, report, trouble=of.service.trouble)
    said = report or ServiceReport()
    collection = CollectionStatus(
        *("https://host", "c", said.reachable, said.last_error), unauthorized=said.unauthorized
    )
    return Status(service, collection, of.stored.folders, 0, of.now).reasons()


@pytest.mark.parametrize("unwell", [each for _, each in AILING])
def test_status_is_never_in_sync_while_there_are_problems(unwell: Snapshot) -> None:
    assert reasons(unwell)


def test_a_folder_is_mirrored_when_nothing_is_left_to_do() -> None:
    assert is_mirrored(FOLDER, NOW)
    for other in (
        with_counts(pending=1),
        with_counts(failed=1),
        with_counts(held=1),
        in_state(FolderState.MISSING),
        in_state(FolderState.UNWATCHED),
        in_state(FolderState.OK, None),
        in_state(FolderState.OK, NOW - 1001.0),
    ):
        assert not is_mirrored(other, NOW)
