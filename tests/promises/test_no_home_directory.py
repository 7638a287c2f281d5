"""Commands of a user without a home directory."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.process import Done, Installation, unconfigured

pytestmark = pytest.mark.integration

#: A user without an entry in the list of users, who may do what this one may.
STRANGER = ("unshare", "--user", "--map-user=12345", "--map-group=12345")
NO_HOME = ("env", "-u", "HOME", "-u", "XDG_CONFIG_HOME", "-u", "XDG_STATE_HOME")


@pytest.fixture
def home(tmp_path: Path) -> Installation:
    return unconfigured(tmp_path)


def homeless(home: Installation, *arguments: str | Path) -> Done:
    under = (*STRANGER, *NO_HOME)
    if subprocess.run([*under, "true"], check=False, capture_output=True).returncode:
        pytest.skip("user namespaces are not allowed here")
    return home.run_process(*arguments, under=under)


@pytest.mark.parametrize("command", ["check", "resync", "status"])
def test_without_a_home_directory_a_configuration_with_a_state_file_works(
    home: Installation, command: str
) -> None:
    config = home.configure(f"state: {home.state}\nsync: {{settle: 50ms}}\n")
    home.ok("resync")
    done = homeless(home, "--config", config, command)
    assert done.code == 0, done


@pytest.mark.parametrize(
    ("command", "setting"),
    [
        ("resync pictures", "state"),
        ("--config config/snoopsync/config.yaml check", "state"),
        ("--config config/snoopsync/config.yaml run", "state"),
        ("status", "state"),
        ("init", "--config"),
        ("serve --listen 127.0.0.1:0", "--data"),
        ("keys list", "--data"),
    ],
)
def test_the_error_without_a_home_directory_names_the_setting(
    home: Installation, command: str, setting: str
) -> None:
    home.configure()
    done = homeless(home, *command.split())
    assert done.code == 78, done
    assert f"this user has no home directory: set {setting}, or $HOME" in done.out + done.err
    assert "Traceback" not in done.err


# A locale that is not UTF-8.
