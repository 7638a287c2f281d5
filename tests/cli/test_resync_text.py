"""What a resync did, as text."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.cli.resync_text import print_report, unpruned_reasons
from snoopsync.core.planner import Cause, Delete
from snoopsync.sync.pruning import Pruning
from snoopsync.sync.resync_report import ResyncReport
from tests.cli.helpers import report

PLAN = tuple(Delete(None, image_id, Cause.UNKNOWN) for image_id in ("t.1", "t.2"))


@pytest.mark.parametrize(
    ("report", "text"),
    [
        (report({"scanned": 1}), "1 image scanned, nothing to do (0.0 s)"),
        (report({"scanned": 3, "added": 2}), "3 images scanned, 2 added (0.0 s)"),
        (
            report({"scanned": 9, "added": 1, "failed": 6, "held": 2}, refused=3, waiting=2),
            "9 images scanned, 1 added, 3 failed, 2 waiting, 1 not compared, 2 held (0.0 s)",
        ),
        (
            report({"scanned": 3, "updated": 1}, trouble="no\nconnection"),
            "incomplete, because the collection failed: no\\nconnection; 3 images scanned,"
            " 1 updated (0.0 s)",
        ),
    ],
)
def test_the_first_line_counts_what_was_done(
    report: ResyncReport, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    print_report(report, ())
    assert capsys.readouterr().out.splitlines()[0] == text


def test_a_dry_run_reports_the_plan(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(report({"scanned": 3, "renamed": 1}), (), dry_run=True)
    assert capsys.readouterr().out == "3 images scanned, would be: 1 renamed (0.0 s)\n"


def test_what_was_not_mirrored_is_named_and_the_rest_counted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    unsent = tuple(f"failed: photos/{number}.jpg: why" for number in range(2))
    print_report(
        report(
            {"scanned": 5, "failed": 5},
            refused=4,
            waiting=1,
            unsent=unsent,
            unreadable=("/srv/a\nb: Permission denied",),
            missing=("folder x is missing",),
            left_out={"symlink": {"": 2}},
        ),
        (),
    )
    assert capsys.readouterr().out.splitlines()[1:] == [
        "left out: 2 symbolic links",
        "missing: folder x is missing",
        *unsent,
        "and 3 more (snoopsync list --state failed, --state pending)",
        "can't be read: /srv/a\\nb: Permission denied",
    ]


def test_held_deletions_and_orphans_have_the_command_that_deletes_them(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_report(report({"held": 1}, orphans=1), ())
    assert capsys.readouterr().out.splitlines()[1:] == [
        "to send the held deletions: snoopsync approve",
        "1 image in the collection has no file here; to delete them: snoopsync resync --prune",
    ]


def test_a_prune_that_waits_has_the_command_that_confirms_it(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """``approve`` does not release the deletions of a prune."""
    waits = report({"held": 2}, orphans=2, pruning=Pruning(PLAN, waits=True))
    print_report(waits, (Path("/srv/my photos"),))
    [line] = capsys.readouterr().out.splitlines()[1:]
    assert line == (
        "2 images to prune, but none was deleted: more than sync.hold_deletes_over allows; to"
        " print the plan again and follow it:"
        " snoopsync resync '/srv/my photos' --prune --yes"
    )


def test_a_prune_names_the_kept_images_and_the_reason() -> None:
    pruning = Pruning(PLAN, waits=True, kept=("kept",), failed=1, doubts=("a", "b"))
    kept, waits, failed = unpruned_reasons(report(pruning=pruning), ())
    assert kept == "kept"
    assert "none was deleted: a; b; to print" in waits
    assert failed == "1 image could not be pruned: see the log"
    assert list(unpruned_reasons(report(), ())) == []
