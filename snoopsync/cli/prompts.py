"""The questions of ``init`` on a terminal. Each answer is checked at once. After an invalid answer,
the question is repeated."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import click
from rich.console import Console

from snoopsync.checks.collection import address_finding, ask_service, service_findings
from snoopsync.checks.folders import SURVEY_SECONDS, folder_finding, missing_finding, survey
from snoopsync.cli import output as results
from snoopsync.config import readers
from snoopsync.config.directories import home_directory
from snoopsync.config.document import SettingError, Value
from snoopsync.config.readers import EMBEDDED
from snoopsync.config.secrets import Secret, SecretError, secret_from_file
from snoopsync.config.settings import CollectionConfig, default_owner, name_folders
from snoopsync.core.errors import ConfigError, FolderMissing, Unauthorized
from snoopsync.folders.configured import folder_of

Answered = TypeVar("Answered")


@dataclass(frozen=True, slots=True)
class InitSettings:
    """The settings to write. ``None``: not given yet. ``secret_key`` was typed, and goes into a
    file of its own; ``secret_key_file`` is an existing file."""

    folders: tuple[Path, ...] = ()
    endpoint: str | None = None
    public_key: str | None = None
    secret_key: Secret | None = None
    secret_key_file: Path | None = None
    owner: str | None = None


def ask_for_missing(console: Console, given: InitSettings, secret_target: Path) -> InitSettings:
    """Ask for the settings that were not given. ``secret_target``: the file that a typed secret key
    will be written to."""
    settings = replace(given, folders=_ask_for_folders(console, given.folders))
    settings = _ask_for_collection(console, settings, secret_target)
    if settings.owner is None:
        click.echo("All image IDs begin with the owner. snoopsync changes no other images.")
        settings = replace(settings, owner=_ask("Owner", readers.owner, default_owner()))
    return settings


def _ask_for_folders(console: Console, given: tuple[Path, ...]) -> tuple[Path, ...]:
    folders: tuple[Path, ...] = ()
    for path in given:
        folders = _with_folder(console, folders, path)
    home = home_directory()
    pictures = None if home is None else home / "Pictures"
    suggestion = str(pictures) if pictures is not None and pictures.is_dir() else None
    while not folders:
        folders = _with_folder(console, (), _ask("Folder to mirror", readers.path, suggestion))
    if folders == given:
        return folders
    question = "Another folder (empty for none)"
    while (more := _ask(question, _optional_path, "", show_default=False)) is not None:
        folders = _with_folder(console, folders, more)
    return folders


def _optional_path(value: Value) -> Path | None:
    return readers.path(value) if value.raw.strip() else None


def _with_folder(console: Console, others: tuple[Path, ...], path: Path) -> tuple[Path, ...]:
    """Check a folder and print the finding. Returns ``others``, plus this folder if it is
    usable."""
    if path in others:
        click.echo("this folder is already in the list")
        return others
    try:
        config = name_folders((*others, path))[-1]
    except ConfigError as error:
        click.echo("\n".join(str(problem) for problem in error.problems))
        return others
    folder = folder_of(config)
    try:
        folder.identify()
    except FolderMissing:
        results.print_finding(console, missing_finding(config, folder))
        return others
    found = survey(folder, time.monotonic() + SURVEY_SECONDS)
    results.print_finding(console, folder_finding(config, found))
    return (*others, path)


def _ask_for_collection(console: Console, given: InitSettings, secret_target: Path) -> InitSettings:
    endpoint, settings = given.endpoint, given
    if endpoint is None:
        click.echo(f'The collection is "{EMBEDDED}" or the URL of a service.')
        endpoint = _ask("Collection", readers.endpoint, EMBEDDED)
    while endpoint != EMBEDDED:
        results.print_finding(console, address_finding(endpoint))
        settings = _with_keys(replace(settings, endpoint=endpoint), secret_target)
        reply = ask_service(CollectionConfig(endpoint, settings.public_key), _secret_of(settings))
        for finding in service_findings(reply):
            results.print_finding(console, finding)
        if reply.session is not None or click.confirm("Use it anyway?"):
            return settings
        if isinstance(reply.error, Unauthorized):
            settings = replace(settings, public_key=None, secret_key=None, secret_key_file=None)
        else:
            endpoint = _ask("Collection", readers.endpoint, endpoint)
    return replace(given, endpoint=endpoint, public_key=None, secret_key_file=None)


def _with_keys(settings: InitSettings, secret_target: Path) -> InitSettings:
    if settings.public_key is None:
        settings = replace(settings, public_key=_ask("Public key", readers.public_key))
    if settings.secret_key is None and settings.secret_key_file is None:
        if os.path.lexists(secret_target):
            raise click.ClickException(
                f"{secret_target} already exists: move it away, or use it with --secret-key-file"
            )
        secret = _ask("Secret key (hidden)", readers.secret, hide_input=True)
        settings = replace(settings, secret_key=secret)
    return settings


def _secret_of(settings: InitSettings) -> str:
    if settings.secret_key is not None:
        return settings.secret_key.reveal()
    try:
        return secret_from_file(settings.secret_key_file or Path()).reveal()
    except SecretError as error:
        raise click.ClickException(str(error)) from None


def _ask(
    question: str,
    read: Callable[[Value], Answered],
    default: str | None = None,
    *,
    show_default: bool = True,
    hide_input: bool = False,
) -> Answered:
    """Ask until the answer is valid. ``read``: a reader of the configuration."""
    while True:
        given = click.prompt(
            question, default=default, show_default=show_default, hide_input=hide_input
        )
        # Not click's value_proc: for hidden input it would not print the reason.
        try:
            return read(Value.of_text(given))
        except (SettingError, SecretError) as error:
            click.echo(f"invalid: {error}")
