"""One service a state file, by whatever name the file is given and whatever was left behind."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from tests.pictures import encode, photo
from tests.process import QUICK_SYNC, Done, Installation, Service, until


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    (home.pictures / "0.jpg").write_bytes(encode(photo(0)))
    home.configure()
    return home


def lock_of(home: Installation) -> Path:
    return home.state.with_name(home.state.name + ".lock")


def is_turned_down(done: Done, by: Service) -> bool:
    """Was a command told which process has the state file?"""
    return done.code == 7 and f"process {by.pid}" in done.err and "Traceback" not in done.err


def test_a_link_to_the_state_file_is_the_state_file(home: Installation) -> None:
    (home.home / "link.sqlite3").symlink_to(home.state)
    other = home.home / "other.yaml"
    keys = f"{QUICK_SYNC}state: link.sqlite3\nfolders: [{{path: {home.pictures}}}]\n"
    other.write_text(keys)
    with home.running() as service:
        assert is_turned_down(home.run("--config", other, "run"), by=service)
        [summary] = home.json("--config", other, "resync", "--json")
        assert summary["unchanged"] == 1
        [status] = home.json("--config", other, "status", "--json")
        assert (status["in_sync"], status["service"]["pid"]) == (True, service.pid)


def test_a_service_that_was_killed_leaves_no_lock_behind(home: Installation) -> None:
    with home.running() as killed:
        killed.send(signal.SIGKILL)
        killed.wait()
    assert lock_of(home).read_text() == f"{killed.pid}\n"
    with home.running() as service:
        assert home.status()["service"]["pid"] == service.pid


def test_a_lock_whose_file_was_removed_is_taken_again(home: Installation) -> None:
    with home.running() as service:
        lock_of(home).unlink()
        until(lock_of(home).exists)
        service.line_with("was deleted or replaced while it was in use")
        until(home.is_in_sync)
        assert is_turned_down(home.run("run"), by=service)


def test_of_two_services_that_got_a_lock_each_one_goes_on(home: Installation) -> None:
    """Somebody took the first one's lock for left over, and removed it."""
    with home.running() as first:
        first.send(signal.SIGSTOP)
        lock_of(home).unlink()
        with home.running() as second:
            first.send(signal.SIGCONT)
            assert first.wait() == 7
            assert f"process {second.pid}" in first.lines[-1]
            (home.pictures / "1.jpg").write_bytes(encode(photo(1)))
            second.line_with("added pictures/1.jpg")
            until(home.is_in_sync)
