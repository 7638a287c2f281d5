"""The service as a process: it mirrors, alerts, and stops when it is told to."""

from __future__ import annotations

import json
import signal
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from PIL import Image, ImageOps

from snoopsync.control.channel import ask
from snoopsync.embedded import open_embedded
from tests.support.collection_server import PUBLIC_KEY, SECRET_KEY, CollectionServer
from tests.support.faults import Hang
from tests.support.pictures import encode, photo
from tests.support.process import DEADLINE_SECONDS, Installation, until

pytestmark = pytest.mark.integration

ALERT_SECONDS = 3.0


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def fill(home: Installation, count: int = 3) -> None:
    for seed in range(count):
        (home.pictures / f"{seed}.jpg").write_bytes(encode(photo(seed)))


def test_without_a_configuration_a_folder_is_mirrored_and_copies_raise_alerts(
    home: Installation,
) -> None:
    fill(home)
    variants = {
        "again.jpg": encode(photo(0), quality=40),
        "small.png": encode(photo(1).resize((160, 120), Image.Resampling.LANCZOS), "PNG"),
        "mirrored.webp": encode(ImageOps.mirror(photo(2)), "WEBP"),
    }
    with home.service("--log-format", "json", "run", home.pictures) as service:
        service.line_with("sync complete")
        until(lambda: home.status()["to_compare"] == 0)  # the search of a new picture comes alone
        for name, data in variants.items():
            begun = len(service.lines)
            (home.pictures / name).write_bytes(data)
            alert = json.loads(service.line_with('"duplicate"', ALERT_SECONDS, after=begun))
            assert alert.keys() == {
                *("time", "level", "logger", "event", "message", "folder", "path", "image_id"),
                *("match_folder", "match_path", "match_id", "match_label", "rank", "kind"),
                *("keep", "reason", "others", "group"),
            }
            original = list(variants).index(name)
            assert (alert["path"], alert["match_path"]) == (name, f"{original}.jpg")
            assert (alert["level"], alert["logger"]) == ("WARNING", "snoopsync.duplicates")
            assert alert["folder"] == alert["match_folder"] == "pictures"
        (home.pictures / "unlike.jpg").write_bytes(encode(photo(77)))
        until(home.is_in_sync)
        assert service.end() == 0
    assert sum('"duplicate"' in line for line in service.lines) == len(variants)
    assert [row["path"] for row in home.json("list", "--json")] == sorted(
        ["0.jpg", "1.jpg", "2.jpg", "unlike.jpg", *variants]
    )


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_the_service(home: Installation, number: signal.Signals) -> None:
    fill(home)
    home.configure()
    with home.running() as service:
        assert service.end(number) == 0
    assert service.lines[-1].endswith("stopped")
    assert not home.state.with_name("state.sqlite3.sock").exists()
    assert home.is_in_sync()


@pytest.mark.parametrize("turn", range(6))
def test_a_signal_right_after_the_process_was_suspended_stops_it(
    home: Installation, turn: int
) -> None:
    """The kernel then gives it to any of the threads."""
    fill(home)
    home.configure()
    with home.running() as service:
        service.send(signal.SIGSTOP)
        service.send(signal.SIGCONT)
        assert service.end() == 0


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_request_that_hangs_does_not_delay_the_exit(
    home: Installation, tmp_path: Path, method: str
) -> None:
    """During the first look at the collection, and during an upload."""
    fill(home)
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        home.configure_service(server.endpoint, PUBLIC_KEY)
        hang = Hang()
        server.fault_for = lambda seen: hang if seen.method == method else None
        with home.service(environment={"SNOOPSYNC_SECRET_KEY": SECRET_KEY}) as service:
            assert hang.reached.wait(DEADLINE_SECONDS)
            assert service.end(seconds=10.0) == 0
        hang.release()


def test_a_resync_that_the_exit_interrupts_has_no_result(
    home: Installation, tmp_path: Path
) -> None:
    fill(home)
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
        ThreadPoolExecutor() as asker,
    ):
        home.configure_service(server.endpoint, PUBLIC_KEY)
        hang = Hang()
        with home.service(environment={"SNOOPSYNC_SECRET_KEY": SECRET_KEY}) as service:
            service.line_with("sync complete")
            server.fault_for = lambda seen: hang if seen.path.endswith("/images") else None
            answers = asker.submit(lambda: list(ask(home.state, {"command": "resync"})))
            assert hang.reached.wait(DEADLINE_SECONDS)
            assert service.end(seconds=10.0) == 0
            *_, last = answers.result(DEADLINE_SECONDS)
        hang.release()
    assert last == {"error": "the service is stopping", "exit_code": 7}


def test_the_service_can_be_stopped_while_it_starts(home: Installation) -> None:
    fill(home, 30)
    home.configure("log: {level: debug}\n")
    for text in ("snoopsync", "add "):
        with home.service() as service:
            service.line_with(text)
            assert service.end() == 0


def test_the_next_start_completes_an_interrupted_upload(home: Installation) -> None:
    fill(home, 30)
    home.configure()
    with home.service("-v", "run") as service:
        service.line_with("added")
        service.send(signal.SIGKILL)
        service.kill()
    with home.running():
        until(home.is_in_sync)
        rows = home.json("list", "--json")
    assert len({row["image_id"] for row in rows}) == len(rows) == 30
    with closing(open_embedded(home.state.parent / "collection/collection.sqlite3")) as there:
        assert {image["id"] for image in there.images()} == {row["image_id"] for row in rows}


def test_a_refused_file_is_not_tried_at_every_start(home: Installation, tmp_path: Path) -> None:
    (home.pictures / "bad.jpg").write_bytes(b"no picture")
    with (
        closing(open_embedded(tmp_path / "remote.sqlite3")) as inner,
        CollectionServer(inner) as server,
    ):
        home.configure_service(server.endpoint, PUBLIC_KEY)
        home.environment["SNOOPSYNC_SECRET_KEY"] = SECRET_KEY
        for starts in range(1, 4):
            with home.running() as service:
                until(lambda: home.json("list", "--json", "--state", "failed"))
                assert service.end() == 0
            assert len(server.sent("POST")) == 1, starts
        assert home.run("resync").code == 3
        assert len(server.sent("POST")) == 2, "a person has asked for it"


def test_a_second_service_on_the_same_state_names_the_first(home: Installation) -> None:
    home.configure()
    with home.running() as service:
        second = home.run("run")
        assert second.code == 7
        assert f"process {service.pid}" in second.err
        assert "Traceback" not in second.err


def test_a_service_that_lost_its_state_file_exits_with_an_error(home: Installation) -> None:
    """Not a silent one, that mirrors nothing any more."""
    fill(home)
    home.configure()
    with home.running() as service:
        with closing(sqlite3.connect(home.state)) as database:
            database.execute("DROP TABLE image")
        (home.pictures / "new.jpg").write_bytes(encode(photo(9)))
        service.line_with("no such table")
        assert service.wait() == 1


def test_the_service_works_without_a_socket(home: Installation) -> None:
    fill(home)
    home.configure()
    (home.state.with_name("state.sqlite3.sock") / "in the way").mkdir(parents=True)
    with home.running() as service:
        service.line_with("its socket can't be created")
        (home.pictures / "new.jpg").write_bytes(encode(photo(9)))
        service.line_with("added pictures/new.jpg")


def test_single_images_are_logged_only_after_the_first_resync(home: Installation) -> None:
    fill(home)
    home.configure()
    with home.running() as service:
        assert not any("added pictures" in line for line in service.lines)
        (home.pictures / "0.jpg").rename(home.pictures / "moved.jpg")
        service.line_with("renamed pictures/0.jpg to pictures/moved.jpg")


def test_a_folder_that_does_not_exist_is_not_remembered(home: Installation) -> None:
    wrong = home.run("run", home.home / "pictrues")
    assert wrong.code == 4
    assert "folder not found" in wrong.err
    assert home.status()["folders"] == []


def test_the_error_of_run_without_a_folder_has_the_command(home: Installation) -> None:
    done = home.run("run")
    assert done.code == 2
    assert "snoopsync run ~/Pictures" in done.err
    assert "snoopsync init" in done.err
