"""The command that runs snoopsync as the owner of a directory."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from snoopsync.cli.owner_command import program_words, with_command
from snoopsync.core.errors import UnsafeDirectory


def test_the_program_is_found_by_the_path_that_it_was_started_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = tmp_path / "snoopsync"
    program.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["snoopsync", "status"])
    assert program_words() == (str(program),)
    program.chmod(0o644)
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    assert program_words() == ("/nowhere/python", "-m", "snoopsync")


def test_an_error_that_does_not_concern_another_user_stays_unchanged() -> None:
    error = UnsafeDirectory("others can write there", directory=Path("/srv"))
    assert with_command(error, ["status"], uses_service=True) is error


def test_the_command_for_a_user_is_one_of_sudo() -> None:
    error = UnsafeDirectory("no", directory=Path("/srv/the state"), owner=0)
    text = str(with_command(error, ["list", "a b"], uses_service=False))
    assert text.startswith("no. Run this command as the owner: sudo -u root ")
    assert " list 'a b' (in a container: start the container with --user 0:0," in text
    assert f"chown -R {os.geteuid()}:{os.getegid()} '/srv/the state')" in text


def test_a_user_without_an_account_is_named_by_number() -> None:
    error = UnsafeDirectory("no", directory=Path("/srv/state"), owner=2**31 - 9)
    text = str(with_command(error, ["list"], uses_service=False))
    assert f"sudo -u '#{2**31 - 9}' " in text


def test_the_command_for_a_dynamic_user_is_one_of_systemd() -> None:
    path = Path("/var/lib/private/snoopsync-collection")
    unsafe = UnsafeDirectory("no", directory=path, owner=61234)
    text = str(with_command(unsafe, ["keys", "add", "a b"], uses_service=False))
    assert "systemd-run --pipe --wait --collect --property=DynamicUser=yes" in text
    assert "--property=User=snoopsync-collection" in text
    assert "--property=StateDirectory=snoopsync-collection" in text
    assert text.endswith("keys add 'a b'")
    assert "systemctl start" not in text
    asked = str(with_command(unsafe, ["resync"], uses_service=True))
    assert "systemctl start snoopsync-collection" in asked
