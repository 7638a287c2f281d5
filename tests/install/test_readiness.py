"""What keeps the system's service from running, and how to fix it."""

from __future__ import annotations

import grp
import os
import pwd
from pathlib import Path

from snoopsync.install.readiness import system_readiness
from tests.install.helpers import folder_of


def configured(folder: Path, text: str, mode: int = 0o644) -> Path:
    config = folder / "config.yaml"
    config.write_text(text)
    config.chmod(mode)
    return config


def of_a_service(secret: str) -> str:
    """A configuration for a service, with this key for the secret."""
    keys = f"endpoint: 'https://host/api/v1', public_key: a, {secret}"
    return f"collection: {{{keys}}}\nfolders: [{{path: /srv}}]\n"


def test_groups_that_can_read_the_folders_are_found(
    open_folder: Path, program: tuple[Path]
) -> None:
    folder = folder_of(open_folder, 0o755, 0o750)
    ready = system_readiness(
        configured(open_folder, f"folders: [{{path: {folder}}}]"), program, None
    )
    assert ready.groups == {grp.getgrgid(folder.stat().st_gid).gr_name: folder}


def test_missing_access_is_reported_with_the_fix(open_folder: Path, program: tuple[Path]) -> None:
    folder = folder_of(open_folder, 0o700, 0o755)
    config = configured(open_folder, f"folders: [{{path: {folder}}}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {config}: chmod 644 {config}" in problems
    assert f"the service has no access to {folder.parent}, which contains {folder}: " in problems
    me = pwd.getpwuid(os.geteuid())
    problems = "\n".join(system_readiness(config, program, me).problems)
    assert "no access" not in problems


def test_the_configurations_directory_is_opened_first(
    open_folder: Path, program: tuple[Path]
) -> None:
    directory = folder_of(open_folder, 0o700)
    config = configured(directory, "folders: [{path: /srv}]", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: chmod 755 {directory} && chmod 644 {config}" in problems
    open_folder.chmod(0o700)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"{config}: move the configuration to /etc/snoopsync" in problems


def test_a_configuration_with_the_secret_stays_private(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, of_a_service("secret_key: b"), 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {config}: move the secret key to a separate" in problems


FOLDERS = "folders: [{path: photos}]\n"


def test_a_configuration_with_addresses_stays_private(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls: ['json://host']}}\n", 0o600)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "move notify.urls to a separate file and name that file in notify" in problems


def test_the_configured_file_of_addresses_is_used(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, f"{FOLDERS}notify: {{urls_file: urls}}\n")
    urls = open_folder / "urls"
    urls.write_text("json://host\n")
    urls.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.notify_urls == urls
    assert "no access" not in "\n".join(ready.problems)


def test_the_configured_file_of_the_secret_is_used(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, of_a_service("secret_key_file: key"))
    secret = open_folder / "key"
    secret.write_text("secret")
    secret.chmod(0o600)
    ready = system_readiness(config, program, None)
    assert ready.secret == secret
    assert "no access" not in "\n".join(ready.problems)


def test_paths_outside_the_service_are_reported(open_folder: Path, program: tuple[Path]) -> None:
    text = (
        "folders: [{path: /srv}, {path: /tmp/photos}]\n"
        "state: /srv/state.sqlite3\n"
        "log: {file: /var/log/snoopsync.log}\n"
        "duplicates: {log: /var/lib/snoopsync/duplicates.jsonl}\n"
    )
    config = configured(open_folder, text)
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "state: the service can write only below /var/lib/snoopsync" in problems
    assert "log.file: the service can write only below /var/lib/snoopsync" in problems
    assert "duplicates.log" not in problems
    assert "/tmp/photos: the service has a private /tmp" in problems
    assert f"{config}: the service has a private /var/tmp" in problems


def test_the_state_must_be_set_for_commands(open_folder: Path, program: tuple[Path]) -> None:
    config = configured(open_folder, "folders: [{path: /srv}]")
    (hint,) = [each for each in system_readiness(config, program, None).problems if "state" in each]
    assert "set `state: /var/lib/snoopsync/state.sqlite3`" in hint


def test_an_inaccessible_program_is_reported(open_folder: Path, program: tuple[Path]) -> None:
    program[0].chmod(0o700)
    config = configured(open_folder, "folders: [{path: /srv}]")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert f"the service has no access to {program[0]}: install snoopsync where all" in problems


def test_every_problem_of_the_configuration_is_reported(
    open_folder: Path, program: tuple[Path]
) -> None:
    config = configured(open_folder, "folders: []\nsync: {workers: 0}\n")
    problems = "\n".join(system_readiness(config, program, None).problems)
    assert "line 1: folders: is empty" in problems
    assert "line 2: sync.workers" in problems
