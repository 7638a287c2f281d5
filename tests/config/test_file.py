"""The configuration file: where snoopsync finds and reads it, and the state file of a service."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from snoopsync.config.file import find_config, load_config, parse_config, service_state_path
from snoopsync.config.settings import SyncConfig
from snoopsync.core.errors import ConfigError
from tests.config.helpers import FOLDERS, Home
from tests.support.process import UNPRIVILEGED, command


def test_valid_parts_of_an_invalid_configuration_are_read(home: Home) -> None:
    home.config.write_text("sync: {workers: many, settle: 1s}\nfolders: [{path: a}, {name: b}]\n")
    parsed = parse_config(home.config, {})
    assert [problem.key for problem in parsed.problems] == ["sync.workers", "folders[1]"]
    assert parsed.config.sync == SyncConfig(settle_seconds=1.0)
    assert [folder.path for folder in parsed.config.folders] == [home.path / "a"]


def test_the_source_of_the_secret_key_is_named(home: Home) -> None:
    service = f"{FOLDERS}collection: {{endpoint: https://host, public_key: a, secret_key: b}}\n"
    home.config.write_text(service)
    home.config.chmod(0o600)
    assert parse_config(home.config, {}).secret_from == "collection.secret_key"
    environ = {"SNOOPSYNC_SECRET_KEY": "c"}
    assert parse_config(home.config, environ).secret_from == "$SNOOPSYNC_SECRET_KEY"
    home.config.chmod(0o640)
    [problem] = parse_config(home.config, environ).problems
    assert problem.fix == f"chmod 600 {home.config}"
    assert str(problem).endswith(f": others can read {home.config}: {problem.fix}")


@pytest.mark.parametrize(("name", "reason"), [("none", "No such file"), (".", "Is a directory")])
def test_a_file_that_cannot_be_read_is_reported_with_the_reason(
    tmp_path: Path, name: str, reason: str
) -> None:
    with pytest.raises(ConfigError, match=f"file: can't be read: {reason}"):
        load_config(tmp_path / name, {})


def test_the_first_place_with_a_configuration_is_used(tmp_path: Path) -> None:
    explicit, variable, system = (tmp_path / name for name in ("explicit", "variable", "system"))
    user_dir = tmp_path / "user"
    user_dir.mkdir()
    user = user_dir / "config.yaml"
    for path in (explicit, variable, user, system):
        path.touch()
    environ = {"SNOOPSYNC_CONFIG": str(variable)}

    def find(explicit: Path | None, environ: dict[str, str]) -> Path | None:
        return find_config(explicit, environ, user_dir=user_dir, system_path=system)

    assert find(explicit, environ) == explicit
    assert find(None, environ) == variable
    assert find(None, {}) == find(None, {"SNOOPSYNC_CONFIG": ""}) == user
    user.unlink()
    assert find(None, {}) == system
    system.unlink()
    assert find(None, {}) is None


def test_a_named_configuration_must_exist(tmp_path: Path) -> None:
    missing = tmp_path / "missing"
    with pytest.raises(ConfigError, match="missing: --config: file not found"):
        find_config(missing, {}, user_dir=tmp_path, system_path=missing)
    with pytest.raises(ConfigError, match=r"missing: \$SNOOPSYNC_CONFIG: file not found"):
        find_config(None, {"SNOOPSYNC_CONFIG": str(missing)}, user_dir=tmp_path)


def test_a_configuration_in_an_unreadable_directory_is_not_missing(
    tmp_path: Path,
) -> None:
    """The error names the reason."""
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "config.yaml").touch()
    closed.chmod(0)
    done = subprocess.run(
        [*UNPRIVILEGED, *command("status")],
        env={**os.environ, "SNOOPSYNC_CONFIG": str(closed / "config.yaml")},
        capture_output=True,
        check=False,
        text=True,
    )
    assert done.returncode == 78
    assert "config.yaml: file: can't be read: Permission denied" in done.stderr


def test_the_users_configuration_is_in_the_users_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    path = tmp_path / "snoopsync/config.yaml"
    path.parent.mkdir()
    path.touch()
    assert find_config(None, {}) == path


def test_the_state_of_a_service_is_in_its_systemd_directory(home: Home) -> None:
    environ = {"STATE_DIRECTORY": f"{home.path}/first:{home.path}/second"}
    home.config.write_text(FOLDERS)
    assert load_config(home.config, environ).state == home.path / "first/state.sqlite3"
    home.config.write_text(FOLDERS + "state: x.sqlite3\n")
    assert load_config(home.config, environ).state == home.path / "x.sqlite3"


def test_commands_find_the_state_of_the_systems_service(
    tmp_path: Path,
) -> None:
    system, own, directory = (tmp_path / name for name in ("system", "own", "lib"))

    def state(source: Path) -> Path | None:
        return service_state_path(source, {}, system_path=system, system_directory=directory)

    assert state(system) is None
    directory.symlink_to("private/of-its-own-user")  # as systemd has it, closed to others
    assert state(system) == tmp_path / "private/of-its-own-user/state.sqlite3"
    assert state(own) is None


def test_an_environment_variable_that_names_an_unknown_home_is_a_configuration_error() -> None:
    with pytest.raises(ConfigError, match="SNOOPSYNC_CONFIG: begins with ~, but that home"):
        find_config(None, {"SNOOPSYNC_CONFIG": "~nosuchuser/config.yaml"})
