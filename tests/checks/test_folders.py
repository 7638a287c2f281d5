"""What is found out about each folder."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from snoopsync.checks.finding import Severity
from snoopsync.checks.folders import FolderSurvey, folder_finding, survey
from snoopsync.config.settings import FolderConfig, Watch
from snoopsync.core.errors import FolderMissing
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from tests.support.findings import ERROR, OK, WARNING

SKIPPED = {"excluded": {"": 1}}


def test_a_survey_ends_in_time_and_is_marked_incomplete(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}" / "deeper").mkdir(parents=True)
        (tmp_path / f"{number}" / "a.jpg").touch()
    (tmp_path / "skipped").mkdir()
    folder = Folder("photos", os.fsencode(tmp_path), Selection(None, ["skipped/"]))
    ticks = iter(range(100))
    found = survey(folder, 4.0, lambda: float(next(ticks)))
    assert found == FolderSurvey(
        images=3,
        directories=4,
        unreadable=0,
        first_unreadable=None,
        is_complete=False,
        left_out=SKIPPED,
    )
    assert str(found) == "at least 3 images in 4 directories"
    whole = survey(folder, 100.0, lambda: 0.0)
    assert whole == FolderSurvey(
        images=5,
        directories=11,
        unreadable=0,
        first_unreadable=None,
        is_complete=True,
        left_out=SKIPPED,
    )


def test_a_path_too_long_for_system_calls_can_be_surveyed(deep: bytes, tmp_path: Path) -> None:
    folder = Folder("photos", os.fsencode(tmp_path), Selection(None, []))
    found = survey(folder, 100.0, lambda: 0.0)
    assert (found.images, found.unreadable, found.is_complete) == (1, 0, True)


ALL = FolderSurvey(images=2, directories=1, unreadable=0, first_unreadable=None, is_complete=True)
ROOT = b"20 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"


@pytest.mark.parametrize(
    ("kind", "watch", "state", "said"),
    [
        ("ext4", Watch.AUTO, OK, "by events (ext4: changes raise events)"),
        ("ext4", Watch.POLL, OK, "on ext4, by poll (as configured)"),
        ("nfs4", Watch.AUTO, OK, "by poll (nfs4: changes made elsewhere raise no events here)"),
        ("nfs4", Watch.EVENTS, WARNING, "on nfs4, by events (as configured), but nfs4: changes"),
    ],
)
def test_a_folder_names_its_file_system_and_watch_mode(
    tmp_path: Path, kind: str, watch: Watch, state: Severity, said: str
) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(ROOT + b"21 20 0:40 / /srv rw - %s source rw\n" % kind.encode())
    finding = folder_finding(FolderConfig("photos", Path("/srv/photos"), watch=watch), ALL, table)
    assert finding.check == "folder photos"
    assert finding.severity is state
    assert f"/srv/photos: 2 images in 1 directory, {said}" in finding.message


def test_unreadable_paths_are_counted_on_one_line() -> None:
    found = FolderSurvey(
        9,
        3,
        unreadable=3,
        first_unreadable=(b"/srv/a\n\xff", "Input/output error"),
        is_complete=True,
    )
    finding = folder_finding(FolderConfig("a\nb", Path("/srv")), found)
    assert (finding.severity, finding.cause) == (ERROR, FolderMissing)
    assert finding.message == "/srv/a\\n\\udcff: Input/output error, and 2 more: not mirrored"
    assert finding.fix is not None
    assert finding.fix.startswith("check its disk")
    assert finding.check == "folder a\\nb"
