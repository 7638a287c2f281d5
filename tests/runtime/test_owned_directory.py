"""Which directories snoopsync writes in: those of its user alone."""

from __future__ import annotations

import grp
import os
import pwd
import struct
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from snoopsync.config.document import Value
from snoopsync.config.readers import state as read_state_path
from snoopsync.config.secrets import SecretError, secret_from_file
from snoopsync.core.errors import StateError, UnsafeDirectory
from snoopsync.runtime import owned_directory
from snoopsync.runtime.owned_directory import (
    is_another_users,
    own_directory,
    require_guarded,
    require_own,
    require_own_files,
    resolve,
)
from snoopsync.server.backup import back_up
from snoopsync.server.master_key import load_master_key
from snoopsync.server.tenants import Tenants
from snoopsync.state.database import Database
from snoopsync.state.lock import locked
from snoopsync.state.reading import scratch
from snoopsync.storage.sqlite.registry import SqliteHosting
from tests.support.process import Installation
from tests.support.users import OTHER, THIRD, needs_root


@pytest.fixture
def top() -> Iterator[Path]:
    with TemporaryDirectory() as directory:
        yield Path(directory)


def give_away(path: Path, user: int = OTHER) -> None:
    os.chown(path, user, user, follow_symlinks=False)


def test_a_new_directory_and_its_new_parents_are_private(top: Path) -> None:
    umask = os.umask(0)
    try:
        made = own_directory(top / "a" / "b")
    finally:
        os.umask(umask)
    assert made == top / "a" / "b"
    assert {path.stat().st_mode & 0o777 for path in (made, made.parent)} == {0o700}


@pytest.mark.parametrize("mode", [0o700, 0o750, 0o755, 0o511])
def test_a_directory_that_only_its_owner_can_write_is_accepted(top: Path, mode: int) -> None:
    top.chmod(mode)
    assert own_directory(top) == top


@pytest.mark.parametrize(
    ("mode", "mend"),
    [(0o777, "chmod go-w"), (0o757, "chmod o-w"), (0o770, "chmod g-w"), (0o1777, "chmod go-w")],
)
def test_a_directory_that_others_can_write_is_refused_with_the_fix(
    top: Path, mode: int, mend: str
) -> None:
    directory = top / "a directory"
    directory.mkdir()
    directory.chmod(mode)
    with pytest.raises(UnsafeDirectory, match=f"{mend} '{directory}'"):
        own_directory(directory)


def test_a_refusal_has_the_fix(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    home.configure()
    home.ok("resync")
    home.state.parent.chmod(0o777)
    for command in ("resync", "approve", "status"):
        done = home.run(command)
        assert done.code == 1, done
        assert f"chmod go-w {home.state.parent}" in done.err
    findings = home.json("check", "--json", code=1)
    (found,) = [each for each in findings if each["state"] == "error"]
    assert found["check"] == "state directory"
    assert f"chmod go-w {home.state.parent}" in found["mend"]
    assert home.run("list").code == 0
    home.state.parent.chmod(0o755)
    home.ok("resync")


@pytest.mark.parametrize("mode", [0o777, 0o757])
def test_a_parent_directory_that_others_can_write_is_refused(top: Path, mode: int) -> None:
    """They could put another directory into the place of that one."""
    parent = top / "parent"
    parent.mkdir()
    parent.chmod(mode)
    (parent / "own").mkdir(mode=0o700)
    with pytest.raises(UnsafeDirectory, match=f"{parent} can be written by everybody"):
        own_directory(parent / "own")
    with pytest.raises(UnsafeDirectory, match=f"{parent} can be written by everybody"):
        own_directory(parent / "new" / "own")
    assert not (parent / "new").exists()


def test_a_sticky_parent_directory_is_accepted(top: Path) -> None:
    """Nobody can rename there what belongs to somebody else."""
    top.chmod(0o1777)
    own_directory(top / "own")
    require_guarded(top)


@needs_root
def test_a_parent_directory_may_be_writable_by_a_group_without_others(top: Path) -> None:
    (top / "own").mkdir(mode=0o700)
    top.chmod(0o775)
    own_directory(top / "own")
    others = next(each.pw_gid for each in pwd.getpwall() if each.pw_uid != 0)
    os.chown(top, 0, others)
    with pytest.raises(UnsafeDirectory, match=f"group {grp.getgrgid(others).gr_name}"):
        own_directory(top / "own")


@needs_root
@pytest.mark.parametrize("which", ["own", "parent"])
def test_a_directory_of_another_user_or_below_one_is_refused(top: Path, which: str) -> None:
    own = top / "parent" / "own"
    own.mkdir(parents=True, mode=0o700)
    give_away(own if which == "own" else own.parent)
    with pytest.raises(UnsafeDirectory, match=f"user {OTHER}") as caught:
        own_directory(own)
    assert caught.value.owner == OTHER
    if which == "parent":
        with pytest.raises(UnsafeDirectory):
            own_directory(own.parent / "new")
        assert not (own.parent / "new").exists()


@needs_root
def test_a_directory_below_one_of_another_user_counts_as_another_users(top: Path) -> None:
    theirs, ours = top / "theirs", top / "theirs" / "ours"
    ours.mkdir(parents=True)
    (top / "link").symlink_to(ours)
    assert not is_another_users(ours)
    give_away(theirs)
    for path in (ours, ours / "new", top / "link"):
        assert is_another_users(path)


@pytest.mark.parametrize("what", ["a link", pytest.param("a directory", marks=needs_root)])
def test_nothing_is_created_in_a_directory_that_another_user_puts_in_place(
    top: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """In /tmp anybody can take a name that is free, after the check and before the directory."""
    elsewhere, new = top / "elsewhere", top / "new"
    elsewhere.mkdir(mode=0o755)
    top.chmod(0o1777)

    def check(directory: Path) -> None:
        require_own(directory)
        if what == "a link":
            new.symlink_to(elsewhere)
        else:
            new.mkdir(mode=0o755)
            give_away(new)
        monkeypatch.undo()

    monkeypatch.setattr(owned_directory, "require_own", check)
    with pytest.raises(UnsafeDirectory, match=str(new)):
        own_directory(new / "own")
    assert list(elsewhere.iterdir()) == []
    assert list(new.iterdir()) == []


# Access control lists.

USER_OBJ, USER, GROUP_OBJ, MASK, OTHERS = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF


def let_in(path: Path, user: int, rights: int, kind: str = "access") -> None:
    """What ``setfacl -m u:USER:RIGHTS`` does, for a file that only its owner may use."""
    entries = [(USER_OBJ, 7, NOBODY), (USER, rights, user), (GROUP_OBJ, 0, NOBODY)]
    entries += [(MASK, rights, NOBODY), (OTHERS, 0, NOBODY)]
    value = struct.pack("<I", 2) + b"".join(struct.pack("<HHI", *entry) for entry in entries)
    try:
        os.setxattr(path, f"system.posix_acl_{kind}", value)
    except OSError as error:
        pytest.skip(f"no access control lists here: {error.strerror}")


def test_a_directory_that_a_user_in_its_access_list_can_write_is_refused(top: Path) -> None:
    let_in(top, OTHER, 7)
    with pytest.raises(UnsafeDirectory, match=r"access control list.*chmod g-w"):
        own_directory(top)
    top.chmod(0o700)
    own_directory(top)


def test_a_directory_that_a_user_in_its_access_list_can_only_read_is_fine(top: Path) -> None:
    let_in(top, OTHER, 5)
    own_directory(top)


def test_a_directory_above_that_a_user_in_its_access_list_can_write_is_refused(top: Path) -> None:
    """The group may have no other member: it is not the group that can write."""
    (top / "own").mkdir(mode=0o700)
    let_in(top, OTHER, 7)
    with pytest.raises(UnsafeDirectory, match=r"access control list.*chmod g-w"):
        own_directory(top / "own")


def test_a_new_directory_inherits_no_access_list_that_counts(top: Path) -> None:
    let_in(top, OTHER, 7, "default")
    assert own_directory(top / "new").stat().st_mode & 0o777 == 0o700


def test_a_secret_that_a_user_in_its_access_list_can_read_is_refused(top: Path) -> None:
    secret = top / "secret"
    secret.write_text("xyz")
    secret.chmod(0o600)
    let_in(secret, OTHER, 4)
    with pytest.raises(SecretError, match="others can read"):
        secret_from_file(secret)


# User namespaces.


@needs_root
def test_unmapped_users_count_as_root_only_in_a_namespace_of_root(
    top: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They have one number there, which is also that of root outside."""
    monkeypatch.setattr(owned_directory, "_unknown_users", lambda: OTHER)
    home = top / "home"
    (home / "own").mkdir(parents=True, mode=0o700)
    home.chmod(0o755)
    give_away(home)
    # As in /tmp: anybody may have made this one.
    with pytest.raises(UnsafeDirectory, match=str(home)):
        own_directory(home / "own")
    assert is_another_users(home)
    monkeypatch.setattr(owned_directory, "_are_closed", lambda _above: True)
    own_directory(home / "own")
    assert not is_another_users(home)
    # Also then it is not this user's own.
    with pytest.raises(UnsafeDirectory, match=str(home)):
        own_directory(home)


IN_NAMESPACE = """
import ctypes, os, sys
from pathlib import Path
from snoopsync.core.errors import UnsafeDirectory
from snoopsync.runtime.owned_directory import own_directory

libc, user = ctypes.CDLL(None), int(sys.argv[1])
os.setgroups([])
os.setresgid(user, user, user)
os.setresuid(user, user, user)
libc.prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE, or /proc/self is root's
if libc.unshare(0x10000000):  # CLONE_NEWUSER
    sys.exit(1)
Path("/proc/self/uid_map").write_text(f"0 {user} 1")
for each in sys.argv[2:]:
    try:
        own_directory(Path(each))
    except UnsafeDirectory as error:
        print(error)
    else:
        print("fine")
"""


@needs_root
def test_in_a_user_namespace_the_root_directory_is_trusted_and_a_strangers_directory_is_not(
    top: Path,
) -> None:
    """This user is root there. Root outside, who owns the root directory, has the stranger's
    number."""
    top.chmod(0o1777)
    own, strange = top / "own", top / "strange"
    (strange / "own").mkdir(parents=True)
    own.mkdir()
    give_away(own)
    give_away(strange / "own")
    give_away(strange, THIRD)
    # Of root's, in a directory that anybody can write, it looks like that of a stranger.
    give_away(top)
    done = subprocess.run(
        [sys.executable, "-c", IN_NAMESPACE, str(OTHER), str(own), str(strange / "own")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode == 1 and not done.stderr:
        pytest.skip("other users can't make user namespaces")
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "fine"
    assert f"{strange} belongs to" in second


# Links.


def test_a_link_that_only_this_user_can_have_made_is_followed(top: Path) -> None:
    """As systemd's own, from /var/lib/NAME to private/NAME."""
    (top / "private" / "name").mkdir(parents=True, mode=0o700)
    (top / "name").symlink_to("private/name")
    (top / "again").symlink_to(top / "elsewhere" / ".." / "name")
    (top / "elsewhere").mkdir()
    real = top / "private" / "name"
    assert resolve(top / "again" / "new") == real / "new"
    assert own_directory(top / "again") == real
    assert read_state_path(Value.of_text(str(top / "name" / "state"))) == real / "state"


def test_a_loop_of_links_is_an_error(top: Path) -> None:
    (top / "loop").symlink_to("loop")
    with pytest.raises(StateError, match="loop"):
        own_directory(top / "loop" / "x")


@needs_root
def test_a_link_of_another_user_is_not_followed(top: Path) -> None:
    """Root's own directories are as good a target as any."""
    (top / "roots").mkdir(mode=0o700)
    (top / "link").symlink_to("roots")
    give_away(top / "link")
    assert read_state_path(Value.of_text(str(top / "link" / "x"))) == top / "link" / "x"
    with pytest.raises(UnsafeDirectory, match=f"{top}/link belongs to user {OTHER}"):
        own_directory(top / "link")


@needs_root
def test_a_link_in_a_directory_of_another_user_is_not_followed(top: Path) -> None:
    """Also one of root's: it was put there."""
    (top / "theirs").mkdir()
    (top / "theirs" / "link").symlink_to(top)
    give_away(top / "theirs")
    assert resolve(top / "theirs" / "link" / "x") == top / "theirs" / "link" / "x"


# Files.


def test_a_file_that_is_a_link_is_refused(top: Path) -> None:
    (top / "link").symlink_to("nowhere")
    with pytest.raises(UnsafeDirectory, match="is a link"):
        require_own_files([top / "nothing", top / "link"])


@needs_root
def test_a_file_of_another_user_is_refused(top: Path) -> None:
    (top / "file").touch()
    give_away(top / "file")
    with pytest.raises(UnsafeDirectory, match=f"belongs to user {OTHER}"):
        require_own_files([top / "file"])


@pytest.mark.parametrize(
    "name",
    ["", "-wal", "-shm", "-journal", ".lock", ".sock", ".checked", ".inflight", "collection"],
)
def test_no_file_of_a_state_directory_may_be_a_link(top: Path, name: str) -> None:
    target = top / "target"
    target.write_text("precious")
    link = top / "collection" if name == "collection" else top / f"state.sqlite3{name}"
    link.symlink_to(target)
    with pytest.raises(UnsafeDirectory, match="is a link"), locked(top / "state.sqlite3"):
        pass
    assert target.read_text() == "precious"


@pytest.mark.parametrize("ending", ["", "-wal", "-shm"])
def test_no_file_of_the_embedded_collection_may_be_a_link(tmp_path: Path, ending: str) -> None:
    home = Installation(tmp_path)
    home.configure()
    collection = home.state.parent / "collection"
    collection.mkdir(parents=True, mode=0o700)
    target = tmp_path / "target"
    target.write_text("precious")
    (collection / f"collection.sqlite3{ending}").symlink_to(target)
    done = home.run("resync")
    assert (done.code, "is a link" in done.err) == (1, True), done
    assert target.read_text() == "precious"


@pytest.mark.parametrize("name", ["keys.sqlite3", "keys.sqlite3-wal", "master.key", "incoming"])
def test_no_file_of_a_data_directory_may_be_a_link(top: Path, name: str) -> None:
    target = top / "target"
    (target if name == "incoming" else top).mkdir(exist_ok=True)
    data = own_directory(top / "data")
    if name == "incoming":
        (target / "precious").touch()
    else:
        target.write_text("00" * 32)
        target.chmod(0o600)
    (data / name).symlink_to(target)
    with pytest.raises(UnsafeDirectory):
        if name == "master.key":
            load_master_key(data, {})
        elif name == "incoming":
            Tenants(data / "incoming", None, None, None, lambda: 0.0)  # type: ignore[arg-type]
        else:
            SqliteHosting(data, 0.0)
    assert (target / "precious").exists() if name == "incoming" else target.read_text() == "00" * 32


def test_reading_in_a_directory_that_others_can_write_creates_no_file(top: Path) -> None:
    path = own_directory(top / "own") / "state.sqlite3"
    database = Database(path)
    path.parent.chmod(0o777)
    before = sorted(path.parent.iterdir())
    scratch(path, proven=True).close()
    assert sorted(path.parent.iterdir()) == before
    database.close()


# serve backup.


@needs_root
@pytest.mark.parametrize("what", ["data", "target"])
def test_a_backup_of_or_into_a_directory_of_another_user_is_refused(top: Path, what: str) -> None:
    data, rel_path = own_directory(top / "data"), own_directory(top / "place")
    SqliteHosting(data, 0.0).close()
    load_master_key(data, {})
    give_away(data if what == "data" else rel_path)
    with pytest.raises(UnsafeDirectory, match=f"{top}/{'data' if what == 'data' else 'place'}"):
        back_up(data, rel_path / "copy")
    assert list(rel_path.iterdir()) == []


@pytest.mark.parametrize("name", ["master.key", "collections"])
def test_a_backup_follows_no_link_of_the_data_directory(top: Path, name: str) -> None:
    data = own_directory(top / "data")
    SqliteHosting(data, 0.0).close()
    (data / name).symlink_to("/etc")
    with pytest.raises(UnsafeDirectory, match="is a link"):
        back_up(data, top / "copy")
    assert not (top / "copy").exists()


# service install.


@pytest.mark.parametrize("which", ["etc", "etc/systemd", "etc/systemd/system"])
@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_no_link_leads_out_of_the_system_that_root_names(
    tmp_path: Path, which: str, command: str
) -> None:
    """A system's image may have a link to /etc, which means that of the image."""
    home = Installation(tmp_path)
    image, outside = tmp_path / "image", tmp_path / "outside"
    (outside / "systemd" / "system").mkdir(parents=True)
    (image / which).parent.mkdir(parents=True)
    (image / which).symlink_to(outside)
    done = home.run("service", command, "--root", image)
    assert (done.code, "is a link" in done.err) == (1, True), done
    assert [path for path in outside.rglob("*") if path.is_file()] == []


@needs_root
def test_units_are_not_written_into_a_directory_of_another_user(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    directory = tmp_path / "config" / "systemd"
    directory.mkdir(parents=True)
    give_away(directory)
    done = home.run("service", "install", "--user")
    assert done.code == 1, done
    assert f"sudo -u '#{OTHER}' " in done.err
    assert list(directory.iterdir()) == []


def test_a_link_in_the_place_of_a_new_unit_is_not_written_through(tmp_path: Path) -> None:
    home = Installation(tmp_path)
    directory = tmp_path / "image" / "etc/systemd/system"
    directory.mkdir(parents=True)
    target = tmp_path / "target"
    target.write_text("precious")
    (directory / ".snoopsync.service.new").symlink_to(target)
    assert home.run("service", "install", "--root", tmp_path / "image").code == 0
    assert target.read_text() == "precious"
