"""Findings about the configuration, the secret key and the owner."""

from __future__ import annotations

from pathlib import Path

import pytest

from snoopsync.checks.configuration import (
    CheckedConfig,
    check_config,
    configuration_findings,
    owner_findings,
)
from snoopsync.checks.finding import Severity
from snoopsync.config.settings import CollectionConfig, default_owner
from snoopsync.core.errors import ConfigError


def checked(path: Path, text: str, environ: dict[str, str] | None = None) -> CheckedConfig:
    path.write_text(text)
    path.chmod(0o600)
    return check_config(path, environ or {})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "config.yaml"


def test_a_valid_configuration_names_its_folders_and_collection(path: Path) -> None:
    [finding] = configuration_findings(checked(path, "folders: [{path: a}]\n"), 1)
    assert finding.severity is Severity.OK
    assert finding.message == f"{path}: 1 folder mirrored into the embedded collection"


def test_each_problem_is_a_finding_with_the_line_to_correct(path: Path) -> None:
    found = checked(path, "folders: [{path: a}]\nsync: {workers: 0}\nlog: {level: loud}\n")
    workers, level = configuration_findings(found, 1)
    assert workers.message.startswith("sync.workers: must be a whole number")
    assert (workers.fix, level.fix) == (f"correct {path}, line 2", f"correct {path}, line 3")
    assert workers.cause is level.cause is ConfigError
    assert not found.is_valid("sync")
    assert found.is_valid("state")


def test_the_source_of_the_secret_key_is_named(path: Path) -> None:
    text = (
        "folders: [{path: a}]\ncollection: {endpoint: https://host, public_key: k,"
        " secret_key: the-secret}\n"
    )
    _, secret = configuration_findings(checked(path, text), 1)
    assert secret.message == "in the configuration, readable only by its owner"
    assert "the-secret" not in secret.message
    environ = {"SNOOPSYNC_SECRET_KEY": "other"}
    _, secret = configuration_findings(checked(path, text, environ), 1)
    assert secret.message == "in $SNOOPSYNC_SECRET_KEY"


def test_a_secret_that_others_can_read_is_a_finding_of_its_own(path: Path) -> None:
    checked(
        path,
        "folders: [{path: a}]\n"
        "collection: {endpoint: https://host, public_key: k, secret_key: the-secret}\n",
    )
    path.chmod(0o644)
    found = check_config(path, {})
    config, secret, *_ = configuration_findings(found, 1)
    assert config.severity is Severity.OK
    assert (secret.check, secret.fix) == ("secret key", f"chmod 600 {path}")
    assert not found.is_valid("collection")


def test_a_missing_file_that_was_named_has_the_command_that_writes_one(path: Path) -> None:
    [finding] = configuration_findings(check_config(path, {}), 0)
    assert finding.fix == "correct --config, or write a configuration: snoopsync init"


def test_without_a_file_the_folders_of_an_earlier_run_count() -> None:
    nothing = CheckedConfig(None, None)
    [none], [two] = (configuration_findings(nothing, folders) for folders in (0, 2))
    assert (none.severity, none.fix) == (Severity.ERROR, "snoopsync init")
    assert two.message.startswith("no file, 2 folders from an earlier run")


def test_a_changed_owner_is_a_warning_with_the_key_that_prevents_it() -> None:
    [changed] = owner_findings(CollectionConfig(owner="new"), "old")
    assert "changes from old to new" in changed.message
    assert changed.fix is not None and changed.fix.endswith("set collection.owner: old")
    [kept] = owner_findings(CollectionConfig(), "old")
    assert f"still old, but the host is now called {default_owner()}" in kept.message


@pytest.mark.parametrize(
    ("configured", "known"), [("a", None), ("a", "a"), (None, None), (None, default_owner())]
)
def test_an_owner_that_stays_is_not_a_finding(configured: str | None, known: str | None) -> None:
    assert list(owner_findings(CollectionConfig(owner=configured), known)) == []
