"""Root does nothing in a directory that another user owns: it refuses, and prints the command that
this user runs. It asks a running service, and reads copies."""

from __future__ import annotations

import os
import pwd
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support import pictures
from tests.support.locking import lock_held
from tests.support.paths import ROOT
from tests.support.process import Done, Installation
from tests.support.users import OTHER

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can write in others' files"),
]

#: It may look into all directories, since root's Python, which it runs, is often in one of root's;
#: and change nothing that is not its own.
_MAY_LOOK = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
AS_OTHER = ("setpriv", f"--reuid={OTHER}", f"--regid={OTHER}", "--clear-groups", *_MAY_LOOK)


@pytest.fixture(scope="module")
def _other_can_run() -> None:
    """The other user can run this Python, and has what snoopsync needs."""
    if shutil.which("setpriv") is None:
        pytest.skip("there is no setpriv command")
    tried = subprocess.run(
        [*AS_OTHER, sys.executable, "-c", "import snoopsync.service.generation, PIL"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if tried.returncode:
        pytest.skip("other users can't run root's Python")


@pytest.fixture
def home(_other_can_run: None) -> Iterator[Installation]:
    """Root's home directory, in one that others may enter."""
    # Not tmp_path: pytest closes that to others whenever another run begins.
    with TemporaryDirectory() as directory:
        path = Path(directory, "home")
        path.mkdir()
        path.parent.chmod(0o755)
        yield Installation(path)


def given_away(directory: Path) -> Path:
    """Give the directory and everything in it to the other user."""
    directory.mkdir(parents=True, exist_ok=True)
    for path in (directory, *directory.rglob("*")):
        os.chown(path, OTHER, OTHER, follow_symlinks=False)
    return directory


def configure(home: Installation) -> Path:
    """A configuration that both read; the state directory, which is the other user's."""
    directory = given_away(home.home.parent / "theirs")
    path = home.configure(f"state: {directory}/state.sqlite3\n")
    path.chmod(0o644)
    return directory


def picture(home: Installation) -> None:
    (home.pictures / "a.jpg").write_bytes(pictures.encode(pictures.photo(1)))


def snapshot(directory: Path) -> dict[str, tuple[int, int, int, bytes | str]]:
    """Everything in the directory: owner, mode, time of the last change, content."""
    found: dict[str, tuple[int, int, int, bytes | str]] = {}
    for path in (directory, *sorted(directory.rglob("*"))):
        status = path.lstat()
        content: bytes | str = ""
        if path.is_symlink():
            content = str(path.readlink())
        elif path.is_file():
            content = path.read_bytes()
        found[str(path)] = (status.st_uid, status.st_mode, status.st_mtime_ns, content)
    return found


def is_refused(done: Done, *arguments: str) -> bool:
    """Was the command refused, with the command that the owner can run?"""
    wanted = f"sudo -u '#{OTHER}' "
    line = done.err.splitlines()[-1]
    assert done.code == 1, done
    assert wanted in line, done
    words = shlex.split(line.partition(wanted)[2].partition(" (in a container")[0])
    assert words[-len(arguments) :] == list(arguments), done
    assert "Traceback" not in done.err
    return True


def test_root_changes_nothing_behind_a_link_in_the_directory_of_another_user(
    home: Installation,
) -> None:
    """Root once gave all files of the link's target to the directory's owner."""
    directory = configure(home)
    picture(home)
    elsewhere = home.home / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "shadow").write_text("root's")
    (directory / "collection").symlink_to(elsewhere)
    before = snapshot(elsewhere)
    resync, approve = home.run("resync"), home.run("approve")
    assert snapshot(elsewhere) == before
    assert is_refused(resync, "resync")
    assert is_refused(approve, "approve")


def test_a_link_in_the_place_of_the_lock_is_not_written_through(home: Installation) -> None:
    directory = configure(home)
    picture(home)
    target = home.home / "shadow"
    target.write_text("root's")
    (directory / "state.sqlite3.lock").symlink_to(target)
    done = home.run("resync", "--wait", "0s")
    assert target.read_text() == "root's"
    assert is_refused(done, "resync", "--wait", "0s")


WRITERS: tuple[tuple[str, ...], ...] = (
    ("run",),
    ("resync",),
    ("resync", "--dry-run"),
    ("approve",),
    ("approve", "--discard"),
    ("status",),
    ("search", "a file.jpg"),
    ("serve", "--listen", "127.0.0.1:0"),
    ("serve", "backup", "a backup"),
    ("keys", "add", "family & friends"),
    ("keys", "list"),
    ("keys", "revoke", "x"),
)


@pytest.mark.parametrize("arguments", WRITERS, ids=" ".join)
def test_a_command_refuses_to_write_into_the_directory_of_another_user(
    home: Installation, arguments: tuple[str, ...]
) -> None:
    directory = configure(home)
    picture(home)
    (home.home / "a file.jpg").write_bytes((home.pictures / "a.jpg").read_bytes())
    assert as_owner(home, "resync").code == 0
    assert as_owner(home, "keys", "add", "x", "--data", str(directory)).code == 0
    before = snapshot(directory)
    if arguments[0] in ("serve", "keys"):
        arguments += ("--data", str(directory))
    done = home.run_process(*arguments)
    assert snapshot(directory) == before
    assert is_refused(done, *arguments)


def test_listings_by_root_are_read_from_a_copy(home: Installation) -> None:
    directory = configure(home)
    picture(home)
    assert as_owner(home, "resync").code == 0
    before = snapshot(directory)
    assert [each["path"] for each in home.json("list", "--json")] == ["a.jpg"]
    assert home.json("duplicates", "--json") == []
    checked = {each["check"]: each for each in home.json("check", "--json", code=1)}
    assert f"user {OTHER}" in checked["state directory"]["message"]
    assert snapshot(directory) == before


@pytest.mark.parametrize("what", ["a link", "a fifo", "a device"])
def test_only_a_regular_state_file_is_read(home: Installation, what: str) -> None:
    directory = configure(home)
    state = directory / "state.sqlite3"
    if what == "a link":
        state.symlink_to("/dev/zero")
    elif what == "a fifo":
        os.mkfifo(state)
    else:
        os.mknod(state, 0o20644, os.makedev(1, 5))
    given_away(directory)
    done = home.run("list")
    assert done.code == 1, done
    assert "state.sqlite3" in done.err
    assert "Traceback" not in done.err


def test_commands_ask_the_service_of_another_user(home: Installation) -> None:
    directory = configure(home)
    picture(home)
    with home.service("--config", str(home.config), "run", under=AS_OTHER) as service:
        service.line_with("sync complete")
        assert home.json("resync", "--json")[-1]["unchanged"] == 1
        assert home.run("approve").code == 0
        assert home.is_in_sync()
        assert [each["path"] for each in home.json("list", "--json")] == ["a.jpg"]
        assert home.run("check").code == 0
        assert {path.lstat().st_uid for path in directory.rglob("*")} == {OTHER}
        assert service.end() == 0


def test_an_impostor_is_not_asked(home: Installation) -> None:
    """The socket of another service is no service of the directory's owner."""
    directory = configure(home)
    path = home.home / "other.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(1)
        listener.setblocking(False)
        with lock_held(directory / "state.sqlite3", under=AS_OTHER):
            (directory / "state.sqlite3.sock").symlink_to(path)
            done = home.run("approve")
            assert done.code == 7, done
        with listener.accept()[0] as connection:
            assert connection.recv(1) == b""


def test_the_log_file_of_another_users_directory_is_not_opened(home: Installation) -> None:
    directory = configure(home)
    target = home.home / "shadow"
    (directory / "log").symlink_to(target)
    config = home.config
    config.write_text(config.read_text() + f"log: {{file: {directory}/log, level: debug}}\n")
    assert is_refused(home.run("resync"), "resync")
    assert not target.exists()


@pytest.mark.parametrize("name", ["config.yaml", "a new directory/config.yaml"])
def test_no_configuration_is_written_into_the_directory_of_another_user(
    home: Installation, name: str
) -> None:
    directory = given_away(home.home.parent / "theirs")
    before = snapshot(directory)
    arguments = ("init", "--no-input", "--output", f"{directory}/{name}", str(home.pictures))
    done = home.run(*arguments)
    assert snapshot(directory) == before
    assert is_refused(done, *arguments)


def test_a_service_of_root_does_not_log_into_the_directory_of_another_user(
    home: Installation,
) -> None:
    directory = given_away(home.home.parent / "theirs")
    target = home.home / "shadow"
    (directory / "log").symlink_to(target)
    home.configure(f"log: {{file: {directory}/log}}\n")
    done = home.run("resync")
    assert done.code == 78, done
    assert f"{directory} belongs to user {OTHER}" in done.err
    assert not target.exists()


def test_no_alert_is_written_into_the_directory_of_another_user(home: Installation) -> None:
    directory = given_away(home.home.parent / "theirs")
    target = home.home / "shadow"
    (directory / "alerts").symlink_to(target)
    home.configure(f"duplicates: {{log: {directory}/alerts}}\n")
    for name in ("a.jpg", "b.jpg"):
        (home.pictures / name).write_bytes(pictures.encode(pictures.photo(1)))
    done = home.run("resync")
    assert done.code == 0, done
    assert f"{directory}/alerts can't be written" in done.err
    assert f"{directory} belongs to user {OTHER}" in done.err
    assert not target.exists()


def test_the_command_names_the_configuration_that_was_found(home: Installation) -> None:
    """Of root, that the other user would not find."""
    configure(home)
    assert f" --config {home.config} resync " in home.run("resync").err


def test_a_user_with_an_account_is_named(home: Installation) -> None:
    directory = configure(home)
    account = pwd.getpwnam("nobody")
    os.chown(directory, account.pw_uid, account.pw_gid)
    err = home.run("resync").err
    assert "sudo -u nobody " in err
    assert f"--user {account.pw_uid}:{account.pw_gid}" in err


def as_owner(home: Installation, *arguments: str) -> Done:
    return home.run_process("--config", home.config, *arguments, under=AS_OTHER)
