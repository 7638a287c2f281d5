"""The command ``resync``: its output and exit codes."""

from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.pictures import encode, photo
from tests.support.process import QUICK_SYNC, Installation

SUMMARY = [
    *("scanned", "added", "updated", "deleted", "renamed", "adopted"),
    *("unchanged", "failed", "held", "seconds"),
]


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(3)
    return home


@pytest.mark.parametrize("is_service_running", [False, True])
def test_resync_is_the_same_with_and_without_a_service(
    home: Installation, is_service_running: bool
) -> None:
    home.configure("sync: {settle: 50ms, delete_after: 0s, hold_deletes_over: never}\n")
    home.ok("resync")
    if is_service_running:
        with home.running() as service:
            [summary] = home.json("resync", "--json")
            assert home.run("resync", "pictures").out.startswith("3 images scanned, nothing")
            (home.pictures / "0.jpg").unlink()
            service.line_with("deleted")
    else:
        [summary] = home.json("resync", "--json")
        assert home.ok("resync", "pictures").startswith("3 images scanned, nothing to do")
    assert list(summary) == SUMMARY
    assert (summary["scanned"], summary["unchanged"]) == (3, 3)


def test_a_dry_run_prints_the_plan_and_changes_nothing(home: Installation) -> None:
    home.configure()
    *plan, summary = home.json("resync", "--dry-run", "--json")
    assert [list(action) for action in plan] == [["action", "folder", "path", "image_id"]] * 3
    assert {(action["action"], action["path"]) for action in plan} == {
        ("add", f"{seed}.jpg") for seed in range(3)
    }
    assert list(summary) == SUMMARY
    assert not home.state.exists()
    home.ok("resync")
    assert {row["image_id"] for row in home.json("list", "--json")} == {
        action["image_id"] for action in plan
    }
    assert "would be:" not in home.ok("resync", "--dry-run")


def everything_below(directory: Path) -> dict[str, tuple[int, int, int, bytes]]:
    """Every file with its inode, times and bytes, and every directory."""
    found = {}
    for path in directory.rglob("*"):
        stat, is_file = path.lstat(), path.is_file()
        # Opening a file of SQLite's may touch the directory that it is in.
        times = (stat.st_mtime_ns, stat.st_ctime_ns) if is_file else (0, 0)
        found[str(path)] = (stat.st_ino, *times, path.read_bytes() if is_file else b"")
    return found


@pytest.mark.parametrize("options", [[], ["--prune"], ["--json"]])
def test_a_dry_run_leaves_no_trace(home: Installation, options: list[str]) -> None:
    home.configure()
    before = everything_below(home.home)
    home.ok("resync", "--dry-run", *options)
    assert everything_below(home.home) == before

    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    (home.pictures / "1.jpg").rename(home.pictures / "renamed.jpg")
    (home.pictures / "2.jpg").write_bytes(encode(photo(7)))
    (home.pictures / "copy.jpg").write_bytes(encode(photo(7), quality=40))
    home.configure(QUICK_SYNC, f"folders: [{{path: {home.pictures}, exclude: [copy.jpg]}}]\n")
    before = everything_below(home.home)
    home.ok("resync", "--dry-run", *options)
    assert everything_below(home.home) == before


def test_a_dry_run_sends_only_reading_requests(
    home: Installation, server: CollectionServer
) -> None:
    home.configure_service(server.endpoint, PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    home.ok("resync", "--dry-run")
    home.ok("resync")
    (home.pictures / "0.jpg").unlink()
    (home.pictures / "1.jpg").write_bytes(encode(photo(7)))
    home.state.unlink()
    server.requests.clear()
    *plan, _ = home.json("resync", "--dry-run", "--prune", "--json")
    assert sorted(action["action"] for action in plan) == ["adopt", "delete", "update"]
    asked = {(seen.method, seen.path.split("/")[3]) for seen in server.requests}
    assert asked == {("GET", "images"), ("GET", "collection"), ("POST", "search")}


def test_a_dry_run_names_a_new_picture_at_a_renamed_ones_place_once(home: Installation) -> None:
    home.configure()
    home.ok("resync")
    (home.pictures / "0.jpg").rename(home.pictures / "renamed.jpg")
    (home.pictures / "0.jpg").write_bytes(encode(photo(7)))
    *plan, summary = home.json("resync", "--dry-run", "--json")
    assert sorted((action["action"], action["path"]) for action in plan) == [
        ("add", "0.jpg"),
        ("rename", "renamed.jpg"),
    ]
    done = home.json("resync", "--json")[-1]
    assert {**summary, "seconds": 0} == {**done, "seconds": 0}


def test_a_prune_deletes_the_images_of_its_dry_run(
    home: Installation,
) -> None:
    home.configure()
    home.ok("resync")
    home.configure(QUICK_SYNC, f"folders: [{{path: {home.pictures}, exclude: [0.jpg]}}]\n")
    assert home.json("resync", "--json")[-1]["deleted"] == 0
    *plan, summary = home.json("resync", "--prune", "--dry-run", "--json")
    assert [(action["action"], action["path"]) for action in plan] == [("delete", "0.jpg")]
    assert summary["deleted"] == 1
    assert home.json("resync", "--prune", "--json")[-1]["deleted"] == 1
    assert home.json("resync", "--prune", "--dry-run", "--json")[-1]["deleted"] == 0


def test_failed_images_are_listed_and_the_others_mirrored(home: Installation) -> None:
    (home.pictures / "notes.jpg").write_bytes(b"not a picture")
    (home.pictures / "empty.jpg").write_bytes(b"")
    home.configure()
    done = home.run("resync")
    assert done.code == 3
    assert "failed: pictures/empty.jpg: the file is empty" in done.out
    assert "failed: pictures/notes.jpg: " in done.out
    [summary] = home.json("resync", "--json", code=3)
    assert (summary["failed"], summary["unchanged"]) == (2, 3)
    assert [row["path"] for row in home.json("list", "--json", "--state", "failed")] == [
        "empty.jpg",
        "notes.jpg",
    ]


def test_a_missing_folder_has_its_own_exit_code(home: Installation) -> None:
    home.configure()
    home.ok("resync")
    home.pictures.rename(home.home / "elsewhere")
    done = home.run("resync")
    assert done.code == 4
    assert "missing: " in done.out
    assert len(home.json("list", "--json", "--state", "synced")) == 3


def test_wait_limits_the_wait_for_the_collection(home: Installation) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    home.configure_service(f"http://127.0.0.1:{port}/api/v1", PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
    done = home.run("resync", "--json", "--wait", "300ms")
    assert done.code == 5
    assert "refused" in done.err
    assert "Traceback" not in done.err
    assert json.loads(done.out)["unchanged"] == 0, "nothing was compared to the end"


def test_refused_keys_have_their_own_exit_code(
    home: Installation, server: CollectionServer
) -> None:
    home.configure_service(server.endpoint, PUBLIC_KEY)
    home.environment["SNOOPSYNC_SECRET_KEY"] = "the-wrong-one"
    for arguments in (
        ["resync"],
        ["resync", "--dry-run"],
        ["status"],
        ["search", "pictures/0.jpg"],
    ):
        done = home.run(*arguments)
        assert done.code == 6, done
        assert "401" in done.out + done.err
    assert not server.contents


def test_without_a_configuration_a_path_is_enough(home: Installation) -> None:
    other = home.home / "other"
    other.mkdir()
    (other / "9.jpg").write_bytes(encode(photo(9)))
    assert home.json("resync", "--json", home.pictures)[-1]["added"] == 3
    assert home.json("resync", "--json", other)[-1]["added"] == 1
    assert home.json("resync", "--json")[-1]["unchanged"] == 4


def test_two_folders_never_get_one_name(home: Installation) -> None:
    home.ok("resync", home.pictures)
    other = home.home / "other" / "pictures"
    other.mkdir(parents=True)
    done = home.run("resync", other)
    assert done.code == 2
    assert "is already named pictures" in done.err
    assert len(home.json("list", "--json", "--state", "synced")) == 3


def test_all_configuration_problems_are_printed_at_once(home: Installation) -> None:
    home.configure("sync: {settle: soon, workers: 0}\nduplicates: {alerts: true}\n")
    done = home.run("resync")
    assert done.code == 78
    for key in ("sync.settle", "sync.workers", "duplicates.alerts"):
        assert key in done.err
    assert "Traceback" not in done.err


def test_an_unwritable_log_file_is_a_configuration_error(
    home: Installation,
) -> None:
    home.configure(f"log: {{file: {home.pictures}/0.jpg/x.log}}\n")
    done = home.run("resync")
    assert done.code == 78
    assert "log.file" in done.err


@pytest.mark.parametrize(
    "arguments", [["resync", "--nonsense"], ["nonsense"], ["list", "--state", "odd"], ["run"]]
)
def test_wrong_usage_has_its_own_exit_code(home: Installation, arguments: list[str]) -> None:
    done = home.run(*arguments)
    assert done.code == 2
    assert "Traceback" not in done.err


def test_a_silent_service_times_out(home: Installation) -> None:
    """It holds the state file, so no other process can do the resync."""
    home.configure()
    with home.running() as service:
        socket_file = home.state.with_name("state.sqlite3.sock")
        socket_file.unlink()
        done = home.run("resync")
        assert done.code == 7
        assert str(service.pid) in done.err
