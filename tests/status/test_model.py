"""``status``: it says that all is in sync only when that is proven."""

from __future__ import annotations

import signal
import sqlite3
import time
from contextlib import closing
from typing import Any

import pytest

from snoopsync.cli.status_view import status_lines
from snoopsync.control.report import ServiceReport
from snoopsync.core.model import FolderState
from snoopsync.state.folders import FolderRow
from snoopsync.state.images import Counts
from snoopsync.status.model import CollectionStatus, FolderStatus, ServiceStatus, Status
from tests.support.pictures import encode, photo
from tests.support.process import Installation, until

ANSWER_SECONDS = 8.0


def test_json_has_the_keys_of_the_contract(home: Installation) -> None:
    home.ok("resync")
    [status] = home.json("status", "--json")
    assert list(status) == [
        *("in_sync", "reasons", "service", "collection", "folders"),
        *("to_compare", "duplicates_open", "duplicate_groups_open", "progress"),
    ]
    assert (status["reasons"], status["to_compare"], status["progress"]) == ([], 0, None)
    assert status["service"] == {"running": False, "pid": None, "version": None}
    assert list(status["collection"]) == ["endpoint", "id", "reachable", "last_error"]
    [folder] = status["folders"]
    assert list(folder) == [
        *("name", "path", "state", "reason", "watch", "images"),
        *("pending", "failed", "held_deletes", "left_out", "last_scan"),
    ]
    assert (folder["name"], folder["path"]) == ("pictures", str(home.pictures))
    assert (folder["state"], folder["images"]) == ("ok", 3)
    assert status["in_sync"] is True


def test_nothing_is_in_sync_before_the_first_run(home: Installation) -> None:
    status = home.status()
    assert status["in_sync"] is False
    assert status["folders"][0]["pending"] == 3
    assert status["collection"]["reachable"] is True


def test_in_sync_under_a_quiet_service_and_not_after_it_is_killed_and_a_file_changed(
    home: Installation,
) -> None:
    with home.running() as service:
        [status] = home.json("status", "--json")
        assert status["in_sync"] is True
        assert status["service"]["running"] is True
        assert status["service"]["pid"] == service.pid
        assert status["service"]["version"]
        assert status["folders"][0]["watch"] in ("events", "poll")
        service.kill()
    (home.pictures / "new.jpg").write_bytes(encode(photo(7)))
    status = home.status()
    assert status["in_sync"] is False
    assert status["service"] == {"running": False, "pid": None, "version": None}
    assert status["folders"][0]["pending"] == 1


def test_a_service_that_hangs_proves_nothing(home: Installation) -> None:
    with home.running() as service:
        service.send(signal.SIGSTOP)
        begun = time.monotonic()
        done = home.run("status")
        assert time.monotonic() - begun < ANSWER_SECONDS
        assert "not in sync" in done.out
        assert f"the service (process {service.pid}) does not respond" in done.out
        service.send(signal.SIGCONT)
        until(home.is_in_sync)


@pytest.mark.parametrize("change", ["write", "touch twice", "delete", "rename"])
def test_an_unwatched_change_is_found_by_status(home: Installation, change: str) -> None:
    home.ok("resync")
    picture = home.pictures / "0.jpg"
    match change:
        case "write":
            picture.write_bytes(encode(photo(8)))
        case "touch twice":
            picture.touch()
        case "delete":
            picture.unlink()
        case "rename":
            picture.rename(home.pictures / "moved.jpg")
    assert home.status()["in_sync"] is False
    home.run("resync")
    assert home.is_in_sync()


def test_a_missing_folder_is_not_in_sync(home: Installation) -> None:
    home.ok("resync")
    home.pictures.rename(home.home / "elsewhere")
    done = home.run("status")
    assert done.code == 4
    assert "missing" in done.out
    status = home.status()
    assert status["in_sync"] is False
    assert status["folders"][0]["state"] == "missing"


def test_json_has_the_same_reasons_as_the_text(home: Installation) -> None:
    home.ok("resync")
    home.pictures.rename(home.home / "elsewhere")
    [status] = home.json("status", "--json", code=4)
    assert [f"- {reason}" for reason in status["reasons"]] == [
        line for line in home.run("status").out.splitlines() if line.startswith("- ")
    ]
    assert "No such file" in status["folders"][0]["reason"]


def test_images_to_compare_are_counted(home: Installation) -> None:
    home.ok("resync")
    with closing(sqlite3.connect(home.state)) as database, database:
        database.execute("UPDATE image SET search_due = 1 WHERE name <> CAST('0.jpg' AS BLOB)")
    [status] = home.json("status", "--json")
    assert (status["in_sync"], status["to_compare"]) == (True, 2)
    assert "2 images not yet searched for duplicates" in home.ok("status")
    home.ok("resync")
    assert home.status()["to_compare"] == 0
    assert "searched" not in home.ok("status")


def test_failed_images_are_not_in_sync(home: Installation) -> None:
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.run("resync")
    [status] = home.json("status", "--json", code=3)
    assert status["in_sync"] is False
    assert status["folders"][0]["failed"] == 1


def test_held_deletions_are_not_in_sync(home: Installation) -> None:
    home.configure("sync: {delete_after: 0s, hold_deletes_over: {count: 0, percent: 0}}\n")
    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    home.json("resync", "--json", code=4)
    [status] = home.json("status", "--json", code=4)
    assert status["in_sync"] is False
    assert (status["folders"][0]["state"], status["folders"][0]["held_deletes"]) == ("held", 1)


def test_another_collection_is_not_in_sync(home: Installation) -> None:
    home.ok("resync")
    collection = home.state.parent / "collection"
    collection.rename(home.home / "taken away")
    [status] = home.json("status", "--json", code=5)
    assert status["in_sync"] is False
    other = Installation(home.pictures)
    other.ok("resync", other.pictures)
    (other.state.parent / "collection").rename(collection)
    status = home.status()
    assert (status["in_sync"], status["collection"]["reachable"]) == (False, True)


def test_folders_are_in_the_order_of_the_configuration_with_and_without_a_service(
    home: Installation,
) -> None:
    names = ["zebra", "my pictures", "ant"]
    for name in names:
        (home.home / name).mkdir()
    folders = ", ".join(f"{{path: {home.home / name}}}" for name in names)
    home.configure(folders=f"folders: [{folders}]\n")
    assert [folder["name"] for folder in home.status()["folders"]] == names
    with home.running():
        assert [folder["name"] for folder in home.status()["folders"]] == names


def test_commands_are_quoted_for_a_shell(home: Installation) -> None:
    folder = home.pictures.rename(home.home / "my pictures")
    home.configure(
        "sync: {delete_after: 0s, hold_deletes_over: {count: 0, percent: 0}}\n",
        f"folders: [{{path: {folder}}}]\n",
    )
    home.ok("resync")
    (folder / "0.jpg").unlink()
    home.run("resync")
    assert "snoopsync approve 'my pictures')" in home.run("status").out


def seen_by(
    changes: dict[str, Any], reachable: bool = True, error: str | None = None, pending: int = 0
) -> Status:
    """A status in which all is well but for this."""
    well: dict[str, Any] = {"age_seconds": 0.0, "reconciled": True, "looking": False}
    well |= {"reachable": True, "unauthorized": False}
    well |= {"unsettled": 0, "in_flight": 0, "stalled": [], "unproven": [], "progress": None}
    row = FolderRow("photos", b"/photos", 1, 1, state=FolderState.OK, last_scan=0.0)
    return Status(
        ServiceStatus(7, ServiceReport.from_message(well | changes)),
        CollectionStatus("embedded", "c", reachable, error),
        (FolderStatus(row, Counts(images=3, pending=pending), FolderState.OK, 60.0),),
        duplicates_open=0,
        now=1.0,
    )


def test_an_error_that_prevents_nothing_is_shown() -> None:
    *_, remark = status_lines(seen_by({}, error="search for duplicates: 500"))
    assert remark == "- last error: search for duplicates: 500"
    told = list(status_lines(seen_by({}, reachable=False, error="refused")))
    assert told[-1] == "- the collection: refused"


@pytest.mark.parametrize(
    ("progress", "words"),
    [
        ({"done": 0, "left": 7, "seconds": 5.0}, "0 of 7 images"),
        ({"done": 3, "left": 0, "seconds": 0.0}, "3 of 3 images"),
        ({"done": 2, "left": 3, "seconds": 4.0}, "2 of 5 images, 0.5/s, 6 s left"),
        ({"done": 600, "left": 36_000, "seconds": 10.0}, "600 of 36600 images, 60/s, 10 min left"),
        (
            {"done": 10, "left": 90_000, "seconds": 10.0},
            "10 of 90010 images, 1.0/s, 25 h 0 min left",
        ),
    ],
)
def test_the_progress_of_sending_is_shown(progress: dict[str, Any], words: str) -> None:
    assert seen_by({"progress": progress}, pending=2).doing == f"mirroring: {words}"
    first = seen_by({"progress": progress, "reconciled": False}, pending=2)
    assert first.doing == f"comparing folders and collection: {words}"
    # While nothing can be sent there is something else to be told.
    assert seen_by({"progress": progress}, reachable=False, pending=2).doing is None


@pytest.mark.parametrize(
    ("done", "left", "seconds", "told"),
    [
        (0, 7, 5.0, {"done": 0, "total": 7, "per_second": 0.0, "seconds_left": None}),
        (2, 3, 4.0, {"done": 2, "total": 5, "per_second": 0.5, "seconds_left": 6.0}),
        (2, 3, 0.0, {"done": 2, "total": 5, "per_second": 0.0, "seconds_left": None}),
    ],
)
def test_json_has_the_progress_of_sending(
    done: int, left: int, seconds: float, told: dict[str, Any]
) -> None:
    progress = {"done": done, "left": left, "seconds": seconds}
    assert seen_by({"progress": progress}, pending=2).as_message()["progress"] == told
    assert seen_by({"progress": progress}).as_message()["progress"] is None


def test_finished_sending_shows_no_progress() -> None:
    progress = {"done": 0, "left": 3, "seconds": 0.1}
    told = seen_by({"progress": progress})
    assert told.doing is None and "in sync" in next(status_lines(told))
