"""The status as text."""

from __future__ import annotations

from dataclasses import replace

import pytest

from snoopsync.cli.status_view import status_lines
from snoopsync.core.model import FolderState
from snoopsync.state.images import Counts
from snoopsync.status.model import ServiceStatus
from tests.cli.helpers import folder, status
from tests.support.process import Installation
from tests.support.terminal import Terminal, seen


def test_the_first_line_answers_whether_everything_is_mirrored() -> None:
    assert list(status_lines(status())) == [
        "in sync · service not running · embedded collection",
        "photos: ok, 10 images, 0 waiting, 0 failed, 0 held, scanned 60 s ago, /srv/photos",
    ]
    first, *_ = status_lines(replace(status(folder(failed=1)), service=ServiceStatus(pid=7)))
    assert first == "not in sync · service running (process 7) · embedded collection"


def test_each_reason_is_a_line_below_the_folders() -> None:
    lines = list(status_lines(status(folder(pending=2), folder(FolderState.HELD, held=1))))
    assert lines[3:] == [
        "- folder photos: 2 images not mirrored yet",
        "- folder photos: 1 deletion held (snoopsync list --state held, snoopsync approve photos)",
    ]


def test_the_last_error_is_shown_once() -> None:
    down = status(reachable=False, last_error="no connection")
    assert [line for line in status_lines(down) if "no connection" in line] == [
        "- the collection: no connection"
    ]
    up = status(last_error="too slow")
    assert "- last error: too slow" in list(status_lines(up))


def test_one_image_is_an_image() -> None:
    one = replace(folder(), counts=Counts(images=1))
    _, line = status_lines(status(one))
    assert line.startswith("photos: ok, 1 image, 0 waiting")


def test_the_groups_of_duplicates_are_counted_as_the_command_lists_them() -> None:
    for groups, words in ((1, "1 group"), (6, "6 groups")):
        shown = replace(status(), duplicates_open=8, duplicate_groups_open=groups)
        *_, line = status_lines(shown)
        assert line == f"{words} of duplicates (snoopsync duplicates)"


def test_odd_names_stay_on_one_line() -> None:
    odd = folder()
    odd = replace(
        odd, row=replace(odd.row, name="a\nb", path=b"/srv/a\nb", left_out={"symlink": {"": 1}})
    )
    _, line, left_out = status_lines(status(odd))
    assert line.startswith("a\\nb: ok")
    assert line.endswith("/srv/a\\nb")
    assert left_out == "a\\nb: left out: 1 symbolic link"


@pytest.mark.integration
def test_a_status_in_sync_has_no_blank_line(home: Installation) -> None:
    home.ok("resync")
    with home.running():
        shown = seen(Terminal(home, "status", columns=300).end())
    answer, titles, folder = shown.splitlines()
    assert answer.startswith("in sync")
    assert titles.startswith("folder")
    assert folder.startswith("pictures")


@pytest.mark.integration
def test_the_status_fits_into_80_columns(home: Installation) -> None:
    """A path that does not fit is on a line of its own, and no word is cut."""
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.run("resync")
    lines = seen(Terminal(home, "status", columns=80).end()).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[0] == "not in sync · service not running · embedded collection"
    titles, row = lines[1:3]
    assert titles.split() == [
        *("folder", "state", "images", "waiting", "failed", "held", "scanned"),
    ]
    assert row.split()[:6] == ["pictures", "ok", "4", "0", "1", "0"]
    shown = "".join(line.strip() for line in lines[3:-1])
    assert shown.replace(" ", "") == f"pictures:{home.pictures}"
    assert lines[-1] == "- folder pictures: 1 image failed (snoopsync list --state failed)"
