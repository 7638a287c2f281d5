"""One snoopsync a state file: the lock is the kernel's, and ends with its process."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from snoopsync.core.errors import StateError, StateLocked, StateReplaced
from snoopsync.state.lock import holder, lock_path, locked
from tests.support.locking import lock_held
from tests.support.process import until


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state.sqlite3"


def test_the_error_names_the_process_that_holds_the_lock(state: Path) -> None:
    with lock_held(state) as other:
        assert holder(state) == other.pid
        with pytest.raises(StateLocked, match=rf"process {other.pid}"), locked(state):
            pass
        # Not taken, and not broken by the attempt.
        assert holder(state) == other.pid


def test_the_lock_dies_with_its_process(state: Path) -> None:
    with lock_held(state) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert holder(state) is None
        with locked(state):
            assert holder(state) == os.getpid()


@pytest.mark.parametrize("what", ["removed", "replaced"])
def test_the_holder_notices_that_the_lock_file_was_removed(state: Path, what: str) -> None:
    """The next one to ask has a lock of its own."""
    with locked(state) as require:
        require()
        lock_path(state).unlink()
        if what == "replaced":
            lock_path(state).write_text(f"{os.getpid()}\n")
        with pytest.raises(StateReplaced, match=lock_path(state).name):
            require()


def test_a_process_id_left_in_the_file_is_not_a_lock(state: Path) -> None:
    """Not even that of a process that is there."""
    lock_path(state).write_text(f"{os.getppid()}\n")
    assert holder(state) is None
    with locked(state):
        assert holder(state) == os.getpid()


def test_a_released_lock_can_be_taken_again(state: Path) -> None:
    with locked(state):
        pass
    assert holder(state) is None
    with locked(state):
        pass
    with pytest.raises(KeyError), locked(state):
        raise KeyError
    assert holder(state) is None


def test_asking_for_the_holder_creates_no_file(state: Path) -> None:
    assert holder(state) is None
    assert not lock_path(state).exists()


def test_each_state_file_has_a_lock_of_its_own(state: Path) -> None:
    with locked(state), locked(state.with_name("other.sqlite3")):
        assert holder(state) == os.getpid()


def test_the_lock_file_is_private(tmp_path: Path) -> None:
    state = tmp_path / "new" / "state.sqlite3"
    with locked(state):
        assert stat.S_IMODE(lock_path(state).stat().st_mode) == 0o600
        assert stat.S_IMODE(state.parent.stat().st_mode) == 0o700


def test_a_path_that_cannot_be_used_is_a_state_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateError, match="file"), locked(tmp_path / "file" / "state.sqlite3"):
        pass


def test_a_child_that_outlives_its_parent_does_not_keep_the_lock(state: Path) -> None:
    with locked(state):
        child = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    try:
        # The kernel lets the parent go on a moment before it closes what the child is not to have.
        until(lambda: holder(state) is None)
    finally:
        child.communicate(b"\n")
