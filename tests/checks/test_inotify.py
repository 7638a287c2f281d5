"""What the limits of inotify mean for the folders."""

from __future__ import annotations

import pytest

from snoopsync.checks.finding import Finding, Severity
from snoopsync.checks.inotify import inotify_findings
from snoopsync.core.errors import SnoopsyncError
from snoopsync.watching.limits import Limit, Limits, Use
from tests.support.findings import ERROR, OK, WARNING, states

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
