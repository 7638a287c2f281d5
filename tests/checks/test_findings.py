"""Findings that a real installation can't produce on demand."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from inotify_simple import INotify, flags

from snoopsync.checks.collection import (
    Reply,
    address_finding,
    decoder_findings,
    library_findings,
    service_findings,
)
from snoopsync.checks.finding import Finding, Severity
from snoopsync.checks.folders import FolderSurvey, folder_finding, survey
from snoopsync.checks.inotify import inotify_findings
from snoopsync.checks.service import Unit, read_units, service_finding, unit_findings
from snoopsync.checks.state import state_directory_finding
from snoopsync.config.settings import FolderConfig, Watch
from snoopsync.control.report import ServiceReport
from snoopsync.core.errors import FolderMissing, ServiceUnavailable, SnoopsyncError, Unreachable
from snoopsync.core.selection import Selection
from snoopsync.decoding.sandbox import NAMES, Outcome, Restriction
from snoopsync.folders.folder import Folder
from snoopsync.status.model import ServiceStatus
from snoopsync.version import __version__
from snoopsync.watching.limits import Limit, Limits, Use, read_limits, read_use
from tests.support.losing import needs_root

OK, WARNING, ERROR = Severity.OK, Severity.WARNING, Severity.ERROR


def states(findings: Sequence[Finding]) -> dict[str, Severity]:
    return {finding.check.rpartition(" ")[2]: finding.severity for finding in findings}


# The limits for watching.

NOBODY = Use(0, 0)


def limits(watches: int = 65_536, instances: int = 128, queued_events: int = 16_384) -> Limits:
    return Limits(
        Limit("fs.inotify.max_user_watches", watches),
        Limit("fs.inotify.max_user_instances", instances),
        Limit("fs.inotify.max_queued_events", queued_events),
    )


def of(
    found: Limits, others: Use = NOBODY, folders: int = 1, directories: int = 99
) -> list[Finding]:
    return list(inotify_findings(found, others, folders, directories))


@pytest.mark.parametrize(
    ("found", "others", "expected"),
    [
        (limits(watches=134), NOBODY, {"watches": OK, "instances": OK, "queue": OK}),
        (limits(watches=133), NOBODY, {"watches": WARNING, "instances": OK, "queue": OK}),
        (limits(watches=100), NOBODY, {"watches": WARNING, "instances": OK, "queue": OK}),
        (limits(watches=99), NOBODY, {"watches": ERROR, "instances": OK, "queue": OK}),
        (limits(watches=200), Use(101, 0), {"watches": ERROR, "instances": OK, "queue": OK}),
        (limits(), Use(0, 95), {"watches": OK, "instances": OK, "queue": OK}),
        (limits(), Use(0, 96), {"watches": OK, "instances": WARNING, "queue": OK}),
        (limits(), Use(0, 127), {"watches": OK, "instances": WARNING, "queue": OK}),
        (limits(), Use(0, 128), {"watches": OK, "instances": ERROR, "queue": OK}),
        (limits(queued_events=16_383), NOBODY, {"watches": OK, "instances": OK, "queue": WARNING}),
    ],
)
def test_a_near_limit_is_a_warning_and_an_exceeded_one_an_error(
    found: Limits, others: Use, expected: dict[str, Severity]
) -> None:
    assert states(of(found, others)) == expected


@pytest.mark.parametrize("directories", [10, 65_536, 400_000, 3_000_000])
def test_the_recommended_limit_leaves_room(directories: int) -> None:
    finding = of(limits(watches=9), directories=directories)[0]
    assert finding.cause is SnoopsyncError
    assert finding.fix is not None
    now, keep = finding.fix.splitlines()
    setting = now.removeprefix("sudo sysctl ")
    name, _, value = setting.partition("=")
    assert name == "fs.inotify.max_user_watches"
    assert keep == f"and permanently: echo {setting} | sudo tee -a /etc/sysctl.d/60-snoopsync.conf"
    assert of(limits(watches=int(value)), directories=directories)[0].severity is OK


def test_without_watched_folders_no_limit_matters() -> None:
    [finding] = of(limits(watches=0), folders=0, directories=0)
    assert finding.severity is OK


def test_an_incomplete_count_of_directories_says_at_least() -> None:
    finding = next(inotify_findings(limits(), NOBODY, 1, 5, at_least=True))
    assert finding.message.startswith("at least 5 directories to watch")


def test_the_lower_limit_of_a_container_counts(tmp_path: Path) -> None:
    for name, value in {
        "fs/inotify/max_user_watches": 1000,
        "fs/inotify/max_user_instances": 128,
        "fs/inotify/max_queued_events": 16_384,
        "user/max_inotify_watches": 10,
        "user/max_inotify_instances": 2**31 - 1,
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n")
    found = read_limits(tmp_path)
    assert found is not None
    assert found.watches == Limit("user.max_inotify_watches", 10)
    assert found.instances == Limit("fs.inotify.max_user_instances", 128)
    for name in ("watches", "instances"):
        (tmp_path / "user" / f"max_inotify_{name}").unlink()
    found = read_limits(tmp_path)
    assert found is not None
    assert found.watches == Limit("fs.inotify.max_user_watches", 1000)


def test_a_system_without_inotify_has_no_limits(tmp_path: Path) -> None:
    assert read_limits(tmp_path) is None


def test_watches_of_other_programs_are_counted(tmp_path: Path) -> None:
    """Counts only this process, because others come and go."""
    (tmp_path / "1").symlink_to(f"/proc/{os.getpid()}")
    before = read_use(os.getuid(), processes=tmp_path)
    with closing(INotify()) as inotify:
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            inotify.add_watch(tmp_path / name, flags.CREATE)
        now = read_use(os.getuid(), processes=tmp_path)
        assert (now.watches - before.watches, now.instances - before.instances) == (3, 1)
        assert read_use(os.getuid(), besides=1, processes=tmp_path) == Use(0, 0)
        assert read_use(os.getuid() + 1, processes=tmp_path) == Use(0, 0)


# Folders.


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


# The state file's disk.


@needs_root
@pytest.mark.parametrize(
    ("options", "state", "said"),
    [
        ("size=8m", WARNING, "8.4 MB free"),
        ("size=512k", ERROR, "its disk is full"),
        ("size=8m,ro", ERROR, "its file system is read-only"),
    ],
)
def test_a_disk_without_space_for_the_state_file_is_reported(
    tmp_path: Path, options: str, state: Severity, said: str
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", os.fspath(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        finding = state_directory_finding(tmp_path / "new" / "newer" / "state.sqlite3")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert finding.severity is state
    assert said in finding.message
    assert finding.fix is not None


# The collection.


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


# The service.


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
def test_findings_about_the_service(
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
        (Outcome(EVERY, NONE), ["Landlock"], ["its unit refuses it"]),
        (
            Outcome(EVERY & ~LANDLOCK, NONE),
            ["Landlock", "seccomp"],
            ["this kernel does not offer it", "without seccomp: its unit refuses it"],
        ),
    ],
)
def test_a_missing_restriction_of_decoders_is_reported_with_who_withholds_it(
    tried: Outcome, service_lacks: list[str] | None, texts: list[str]
) -> None:
    found = [each for each in decoder_findings(tried, service_lacks) if each.severity != OK]
    assert [each.severity for each in found] == [WARNING] * len(texts)
    for finding, words in zip(found, texts, strict=True):
        assert words in finding.message
        assert finding.fix
