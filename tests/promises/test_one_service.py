"""One service per state file, whatever name the file has and whatever an earlier one left."""

from __future__ import annotations

import fcntl
import os
import signal
from pathlib import Path

import pytest

from tests.support.process import QUICK_SYNC, Done, Installation, Service, until

pytestmark = pytest.mark.integration


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    home = Installation(tmp_path)
    home.add_pictures(1)
    home.configure()
    return home


def lock_of(home: Installation) -> Path:
    return home.state.with_name(home.state.name + ".lock")


def is_turned_down(done: Done, by: Service) -> bool:
    """Did the command refuse, and name the process that uses the state file?"""
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


def test_a_lock_whose_file_was_removed_can_be_taken_again(home: Installation) -> None:
    with home.running() as service:
        lock_of(home).unlink()
        until(lock_of(home).exists)
        service.line_with("was deleted or replaced while it was in use")
        until(home.is_in_sync)
        assert is_turned_down(home.run("run"), by=service)


def test_a_service_that_lost_its_lock_ends(home: Installation) -> None:
    """A person removed the lock file as a leftover. Two services at once would be worse."""
    with home.running() as service, (home.home / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.write(f"{os.getpid()}\n")
        file.flush()
        Path(file.name).rename(lock_of(home))
        assert service.wait() == 7
        assert f"process {os.getpid()}" in service.lines[-1]
