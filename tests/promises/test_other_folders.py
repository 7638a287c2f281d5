"""Without a configuration the folders of the last run are remembered, and no longer than that."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from snoopsync.state.database import Database
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import State
from snoopsync.state.schema import STEPS
from tests.support.pictures import encode, photo
from tests.support.process import Installation, Service, until


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    for name in ("a", "b"):
        (home.home / name).mkdir()
        (home.home / name / "1.jpg").write_bytes(encode(photo(ord(name))))
        (home.home / name / "2.jpg").write_bytes(encode(photo(ord(name)), quality=60))
    return home


def started(service: Service) -> str:
    """The log, up to the end of the first comparison."""
    service.line_with("sync complete")
    return "\n".join(service.lines)


@pytest.mark.integration
def test_folders_that_are_no_longer_mirrored_are_logged_with_how_to_keep_them(
    home: Installation,
) -> None:
    a, b = home.home / "a", home.home / "b"
    with home.service("run", a) as service:
        assert "no longer mirrored" not in started(service)
        until(lambda: home.status()["duplicates_open"] == 1)
    with home.service("run", b) as service:
        log = started(service)
        assert f"no longer mirrored: {a}; the images stay in the collection" in log
        assert f"snoopsync run {a} {b}" in log
        assert len(home.json("list", "--json")) == 4
        until(lambda: home.status()["to_compare"] == 0)
        [pair] = home.json("duplicates", "--pairs", "--json")
        assert pair["a"]["folder"] == "b", (
            "pairs of folders that are no longer mirrored are not listed"
        )
        assert home.status()["duplicates_open"] == 1
        states = {pair["a"]["folder"]: pair["state"] for pair in home.json(*ALL)}
        assert states == {"a": "gone", "b": "open"}
    with home.service("run", a, b) as service:
        assert "no longer mirrored" not in started(service)
        until(lambda: home.status()["duplicates_open"] == 2)


@pytest.mark.integration
def test_a_run_that_names_no_folder_mirrors_the_same_ones_as_before_and_says_which(
    home: Installation,
) -> None:
    done = home.run("run")
    assert (done.code, "name a folder (snoopsync run ~/Pictures)" in done.err) == (2, True)
    a, b = home.home / "a", home.home / "b"
    home.ok("resync", a, b)
    (a / "3.jpg").write_bytes(encode(photo(3)))
    with home.service("run") as service:
        log = started(service)
        assert f"no configuration: mirroring the same folders as before: {a}, {b}" in log
        assert "5 scanned, 1 added" in log


ALL = ("duplicates", "--pairs", "--all", "--json")


@pytest.mark.parametrize("damage", ["header", "everything", "page"])
def test_a_damaged_state_file_is_moved_aside_by_a_resync_that_names_its_folders(
    home: Installation, damage: str
) -> None:
    folder = home.home / "a"
    home.ok("resync", folder)
    data = bytearray(home.state.read_bytes())
    match damage:
        case "header":
            data[:16] = bytes(16)
        case "everything":
            data[:] = b"no database" * 1000
        case "page":
            data[4096:8192] = b"x" * 4096
    home.state.write_bytes(data)
    home.state.with_name(f"{home.state.name}.checked").unlink(missing_ok=True)
    done = home.run("resync", folder)
    assert done.code == 0, done
    assert "is damaged" in done.err
    assert len(list(home.state.parent.glob("*.damaged-*"))) == 1
    assert len(home.json("list", "--json", "--state", "synced")) == 2


def test_a_damaged_state_file_that_remembers_the_folders_asks_for_them(home: Installation) -> None:
    home.ok("resync", home.home / "a")
    home.state.write_bytes(b"no database" * 1000)
    for command in ("run", "resync", "status"):
        done = home.run(command)
        assert done.code == 1
        assert "with the folders as arguments" in done.err


def test_a_state_file_of_an_older_format_is_upgraded_and_its_folders_are_mirrored(
    home: Installation,
) -> None:
    folder = FolderRow("a", bytes(home.home / "a"), None, None)
    home.state.parent.mkdir(parents=True, mode=0o700)
    with closing(Database(home.state, steps=STEPS[:-1])) as database:
        State(database).folders.save(folder)
    for arguments in (["status"], ["resync", "--dry-run"]):
        assert "snoopsync resync` upgrades it" in home.run(*arguments).err
    done = home.run("resync")
    assert (done.code, "a copy of the old file is" in done.err) == (0, True), done
    assert len(home.json("list", "--json", "--state", "synced")) == 2


@pytest.mark.integration
def test_a_service_that_is_given_its_folders_moves_a_damaged_state_file_aside(
    home: Installation,
) -> None:
    home.ok("resync", home.home / "a")
    home.state.write_bytes(b"no database" * 1000)
    with home.service("run", home.home / "a") as service:
        assert "is damaged" in started(service)
