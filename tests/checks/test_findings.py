"""What a check makes of what it finds, where it can't be had from a real installation."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import pytest
from inotify_simple import INotify, flags

from snoopsync.checks.collection import Reply, address_finding, library_findings, service_findings
from snoopsync.checks.finding import Finding, Health
from snoopsync.checks.folders import Look, folder_finding, look_through
from snoopsync.checks.inotify import inotify_findings
from snoopsync.checks.service import Unit, read_units, service_finding, unit_findings
from snoopsync.checks.state import state_place_finding
from snoopsync.config.settings import FolderConfig, Watch
from snoopsync.core.errors import Unreachable
from snoopsync.core.exits import Exit
from snoopsync.core.selection import Selection
from snoopsync.folders.folder import Folder
from snoopsync.status.status import ServiceStatus
from snoopsync.version import __version__
from snoopsync.watching.limits import Limit, Limits, Use, read_limits, read_use
from tests.support.losing import needs_root

OK, WARNING, ERROR = Health.OK, Health.WARNING, Health.ERROR


def states(findings: Sequence[Finding]) -> dict[str, Health]:
    return {finding.check.rpartition(" ")[2]: finding.state for finding in findings}


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
def test_a_limit_that_is_near_is_a_warning_and_one_that_is_reached_an_error(
    found: Limits, others: Use, expected: dict[str, Health]
) -> None:
    assert states(of(found, others)) == expected


@pytest.mark.parametrize("directories", [10, 65_536, 400_000, 3_000_000])
def test_what_mends_a_limit_leaves_room(directories: int) -> None:
    finding = of(limits(watches=9), directories=directories)[0]
    assert finding.exit_code == Exit.BUG
    assert finding.fix is not None
    now, keep = finding.fix.splitlines()
    setting = now.removeprefix("sudo sysctl ")
    name, _, value = setting.partition("=")
    assert name == "fs.inotify.max_user_watches"
    assert keep == f"and to keep it: echo {setting} | sudo tee -a /etc/sysctl.d/60-snoopsync.conf"
    assert of(limits(watches=int(value)), directories=directories)[0].state is OK


def test_where_no_folder_is_watched_by_events_no_limit_matters() -> None:
    [finding] = of(limits(watches=0), folders=0, directories=0)
    assert finding.state is OK


def test_directories_that_were_not_all_counted_are_at_least_so_many() -> None:
    finding = next(inotify_findings(limits(), NOBODY, 1, 5, at_least=True))
    assert finding.message.startswith("at least 5 directories to watch")


def test_the_lower_limit_of_a_container_is_the_one_that_counts(tmp_path: Path) -> None:
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


def test_what_other_programs_have_is_counted(tmp_path: Path) -> None:
    """This process alone is looked at: others come and go."""
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


def test_a_look_ends_in_time_and_says_that_there_is_more(tmp_path: Path) -> None:
    for number in range(5):
        (tmp_path / f"{number}" / "deeper").mkdir(parents=True)
        (tmp_path / f"{number}" / "a.jpg").touch()
    (tmp_path / "skipped").mkdir()
    folder = Folder("photos", os.fsencode(tmp_path), Selection(None, ["skipped/"]))
    ticks = iter(range(100))
    look = look_through(folder, 4.0, lambda: float(next(ticks)))
    assert look == Look(
        images=3, directories=4, unreadable=0, first_unreadable=None, whole=False, left_out=SKIPPED
    )
    assert str(look) == "at least 3 images in 4 directories"
    whole = look_through(folder, 100.0, lambda: 0.0)
    assert whole == Look(
        images=5, directories=11, unreadable=0, first_unreadable=None, whole=True, left_out=SKIPPED
    )


def test_a_path_that_is_too_long_for_a_call_can_be_looked_at(deep: bytes, tmp_path: Path) -> None:
    folder = Folder("photos", os.fsencode(tmp_path), Selection(None, []))
    look = look_through(folder, 100.0, lambda: 0.0)
    assert (look.images, look.unreadable, look.whole) == (1, 0, True)


ALL = Look(images=2, directories=1, unreadable=0, first_unreadable=None, whole=True)
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
def test_it_is_said_what_a_folder_is_on_and_how_it_is_watched(
    tmp_path: Path, kind: str, watch: Watch, state: Health, said: str
) -> None:
    table = tmp_path / "mountinfo"
    table.write_bytes(ROOT + b"21 20 0:40 / /srv rw - %s source rw\n" % kind.encode())
    finding = folder_finding(FolderConfig("photos", Path("/srv/photos"), watch=watch), ALL, table)
    assert finding.check == "folder photos"
    assert finding.state is state
    assert f"/srv/photos: 2 images in 1 directory, {said}" in finding.message


def test_what_can_not_be_read_is_counted_and_named_on_one_line() -> None:
    look = Look(
        9, 3, unreadable=3, first_unreadable=(b"/srv/a\n\xff", "Input/output error"), whole=True
    )
    finding = folder_finding(FolderConfig("a\nb", Path("/srv")), look)
    assert (finding.state, finding.exit_code) == (ERROR, Exit.HELD_OR_MISSING)
    assert finding.message == "/srv/a\\n\\udcff: Input/output error, and 2 more: not mirrored"
    assert finding.fix is not None
    assert finding.fix.startswith("look after its disk")
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
def test_a_disk_without_room_for_the_state_file_is_said(
    tmp_path: Path, options: str, state: Health, said: str
) -> None:
    mount = ["mount", "-t", "tmpfs", "-o", options, "none", os.fspath(tmp_path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("no file system can be mounted")
    try:
        finding = state_place_finding(tmp_path / "new" / "newer" / "state.sqlite3")
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert finding.state is state
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
def test_an_address_that_is_not_encrypted_is_a_warning_unless_it_is_this_machine(
    endpoint: str, state: Health
) -> None:
    finding = address_finding(endpoint)
    assert finding.state is state
    assert (finding.fix == "use https://") is (state is WARNING)


def test_a_service_that_does_not_tell_its_time_says_nothing_of_the_clock() -> None:
    [finding] = service_findings(Reply(None, Unreachable("host: no answer"), None))
    assert (finding.check, finding.exit_code) == ("collection", Exit.UNREACHABLE)


def test_what_is_missing_of_the_libraries_is_said_one_by_one() -> None:
    findings = list(library_findings({"pillow": "no PIL", "pillow-heif": "no heif"}))
    assert [finding.state for finding in findings] == [ERROR, WARNING]
    assert "no picture can be added" in findings[0].message
    assert "HEIC" in findings[1].message
    [finding] = library_findings({})
    assert (finding.state, finding.message) == (OK, "numpy, pillow, pillow-heif")


# The service.


ACCOUNT = {"age_seconds": 0.1, "version": __version__}


@pytest.mark.parametrize(
    ("service", "state", "code", "said"),
    [
        (ServiceStatus(), WARNING, 0, "not running"),
        (ServiceStatus(command_pid=7), OK, 0, "a resync is under way (process 7)"),
        (ServiceStatus(7, ACCOUNT), OK, 0, "running (process 7)"),
        (ServiceStatus(7), ERROR, 7, "does not answer"),
        (ServiceStatus(7, ACCOUNT | {"age_seconds": 16.0}), ERROR, 7, "does not answer"),
        (ServiceStatus(7, trouble="its disk is full"), ERROR, 1, "its disk is full"),
        (ServiceStatus(7, ACCOUNT | {"version": "0.0.1"}), WARNING, 0, "of version 0.0.1"),
    ],
)
def test_what_a_service_says_of_itself(
    service: ServiceStatus, state: Health, code: int, said: str
) -> None:
    finding = service_finding(service)
    assert (finding.state, finding.exit_code) == (state, code)
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
    """The command of a system with both units: this one may have no systemd."""
    path = tmp_path / "bin" / "systemctl"
    path.parent.mkdir()
    path.write_text(SYSTEMCTL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{path.parent}:{os.environ['PATH']}")
    return path


def test_both_units_are_asked_for(systemctl: Path, tmp_path: Path) -> None:
    assert read_units(tmp_path) == [
        Unit(is_users=False, enabled="enabled", active="active"),
        Unit(is_users=True, enabled="disabled", active="inactive"),
    ]


def test_without_systemd_nothing_is_asked(systemctl: Path, tmp_path: Path) -> None:
    assert read_units(tmp_path / "none") == []


@pytest.mark.parametrize(
    "says", ["exit 1", "echo not-found; exit 4", "echo 'Failed to connect to bus' >&2; exit 1"]
)
def test_a_unit_that_is_not_there_is_passed_over(
    systemctl: Path, tmp_path: Path, says: str
) -> None:
    systemctl.write_text(f"#!/bin/sh\n{says}\n")
    assert read_units(tmp_path) == []


@pytest.mark.parametrize(
    ("unit", "state", "fix"),
    [
        (Unit(False, "enabled", "active"), OK, None),
        (Unit(True, "static", "active"), OK, None),
        (Unit(False, "enabled", "inactive"), WARNING, "sudo systemctl start snoopsync"),
        (Unit(True, "enabled", "inactive"), WARNING, "systemctl --user start snoopsync"),
        (Unit(False, "disabled", "active"), WARNING, "sudo systemctl enable --now snoopsync"),
        (Unit(True, "disabled", "inactive"), WARNING, "systemctl --user enable --now snoopsync"),
        (Unit(False, "enabled", "failed"), ERROR, "journalctl -u snoopsync -n 50 says why"),
        (Unit(True, "disabled", "failed"), ERROR, "journalctl --user -u snoopsync -n 50 says why"),
    ],
)
def test_a_unit_that_does_not_run_the_service_says_what_would(
    unit: Unit, state: Health, fix: str | None
) -> None:
    [finding] = unit_findings([unit])
    assert (finding.state, finding.fix) == (state, fix)
    assert finding.exit_code == (Exit.BUG if state is ERROR else Exit.OK)
