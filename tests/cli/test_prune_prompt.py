"""The command ``resync --prune``: it prints the plan and asks for confirmation."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.support.pictures import encode, photo
from tests.support.process import Installation
from tests.support.terminal import Terminal

HOLD = "sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: {count: 1, percent: 10}}\n"


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    """Five images, three of which are excluded."""
    home = Installation(tmp_path)
    home.add_pictures(5)
    home.configure(HOLD)
    home.ok("resync")
    leave_out(home, 3)
    return home


def leave_out(home: Installation, count: int) -> None:
    names = ", ".join(f"{number}.jpg" for number in range(count))
    home.configure(HOLD, f"folders: [{{path: {home.pictures}, exclude: [{names}]}}]\n")


@contextmanager
def possibly_running(home: Installation, is_running: bool) -> Iterator[None]:
    with home.running() if is_running else nullcontext():
        yield


beside_a_service = pytest.mark.parametrize("is_service_running", [False, True])


@beside_a_service
def test_a_prune_beyond_the_limit_is_printed_and_not_done(
    home: Installation, is_service_running: bool
) -> None:
    with possibly_running(home, is_service_running):
        done = home.run("resync", "--prune")
        assert done.code == 4
        for part in ("0.jpg", "2.jpg", "3 images to prune", "snoopsync resync --prune --yes"):
            assert part in done.out
        assert len(home.json("list", "--json")) == 5

        *plan, summary = home.json("resync", "--prune", "--json", code=4)
        assert [list(action) for action in plan] == [["action", "folder", "path", "image_id"]] * 3
        assert (summary["deleted"], summary["held"]) == (0, 3)


def test_a_prune_of_one_folder_says_how_to_confirm_it(home: Installation) -> None:
    done = home.run("resync", "pictures", "--prune")
    assert done.code == 4
    assert "snoopsync resync pictures --prune --yes" in done.out


@beside_a_service
def test_yes_deletes_exactly_the_printed_images(
    home: Installation, is_service_running: bool
) -> None:
    with possibly_running(home, is_service_running):
        *plan, summary = home.json("resync", "--prune", "--yes", "--json")
        assert [(action["action"], action["path"]) for action in plan] == [
            ("delete", f"{number}.jpg") for number in range(3)
        ]
        assert (summary["deleted"], summary["held"], summary["unchanged"]) == (3, 0, 2)
        assert len(home.json("list", "--json")) == 2


@beside_a_service
def test_a_small_prune_needs_no_confirmation(home: Installation, is_service_running: bool) -> None:
    leave_out(home, 1)
    with possibly_running(home, is_service_running):
        assert home.json("resync", "--prune", "--json")[-1]["deleted"] == 1


@beside_a_service
@pytest.mark.parametrize(("given", "left"), [("y", 2), ("n", 5)])
def test_a_terminal_is_asked_for_confirmation(
    home: Installation, is_service_running: bool, given: str, left: int
) -> None:
    with possibly_running(home, is_service_running):
        with Terminal(home, "resync", "--prune") as terminal:
            terminal.expect("3 left out of folder pictures")
            terminal.answer("Delete these 3 images?", given)
            terminal.end()
        assert len(home.json("list", "--json")) == left


def test_a_dry_run_prints_the_plan_and_says_whether_it_needs_yes(home: Installation) -> None:
    *plan, summary = home.json("resync", "--prune", "--dry-run", "--json", code=4)
    assert (len(plan), summary["deleted"], summary["held"]) == (3, 0, 3)
    *again, summary = home.json("resync", "--prune", "--dry-run", "--yes", "--json")
    assert again == plan
    assert summary["deleted"] == 3
    assert len(home.json("list", "--json")) == 5


def test_a_service_with_other_folders_than_the_configuration_prunes_nothing(
    home: Installation,
) -> None:
    """It would delete the images of folders that it does not know."""
    other = home.home / "other"
    other.mkdir()
    (other / "9.jpg").write_bytes(encode(photo(9)))
    home.configure(HOLD)
    with home.running():
        home.configure(HOLD, f"folders: [{{path: {home.pictures}}}, {{path: {other}}}]\n")
        done = home.run("resync", "--prune", "--yes")
        assert done.code == 4
        assert "does not mirror other" in done.err
        assert len(home.json("list", "--json")) == 5


def test_images_that_a_prune_keeps_are_reported(home: Installation) -> None:
    home.pictures.rename(home.home / "away")
    done = home.run("resync", "--prune", "--yes")
    assert done.code == 4
    assert "nothing is pruned: folder pictures is missing" in done.out


def test_yes_without_prune_is_wrong_usage(home: Installation) -> None:
    assert home.run("resync", "--yes").code == 2
