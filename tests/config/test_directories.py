"""The user's own directories, and users without a home directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from snoopsync.config.directories import (
    config_directory,
    home_directory,
    no_home,
    state_directory,
)

FUNCTIONS = [home_directory, config_directory, state_directory]


@pytest.fixture
def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    """This user has neither ``$HOME`` nor an account."""
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("os.getuid", lambda: 2**31 - 7)


def test_the_environment_names_the_directories(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CONFIG_HOME", "/somewhere/config")
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere/state")
    assert home_directory() == Path("/home/me")
    assert config_directory() == Path("/somewhere/config/snoopsync")
    assert config_directory("systemd/user") == Path("/somewhere/config/systemd/user")
    assert state_directory() == Path("/somewhere/state/snoopsync")


@pytest.mark.usefixtures("homeless")
@pytest.mark.parametrize("find", FUNCTIONS)
def test_a_user_without_a_home_directory_has_no_directories(
    find: Callable[[], Path | None],
) -> None:
    assert find() is None


@pytest.mark.usefixtures("homeless")
def test_a_variable_replaces_a_missing_home_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/somewhere/state")
    assert state_directory() == Path("/somewhere/state/snoopsync")


def test_the_error_names_everything_that_can_be_set_instead() -> None:
    error = no_home("state", "XDG_STATE_HOME")
    assert [problem.key for problem in error.problems] == ["state"]
    assert "set state, or $HOME, or $XDG_STATE_HOME" in str(error)
