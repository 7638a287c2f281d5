"""What ``init`` asks a person at a terminal. Each answer is tried at once, and asked for again when
it won't do."""

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
from snoopsync.checks.folders import LOOK_SECONDS, folder_finding, look_through, missing_finding
from snoopsync.cli import output as results
from snoopsync.config import readers
from snoopsync.config.directories import home_directory
from snoopsync.config.document import SettingError, Value
from snoopsync.config.readers import EMBEDDED
from snoopsync.config.secrets import Secret, SecretError, secret_from_file
from snoopsync.config.settings import CollectionConfig, default_owner, name_folders
from snoopsync.core.errors import ConfigError, FolderMissing, Unauthorized
from snoopsync.folders.configured import folder_of

Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class Wishes:
    """What is to be written: ``None`` is what was not said yet. ``secret_key`` is one that was
    typed, and goes into a file of its own; ``secret_key_file`` one that is there already."""

    folders: tuple[Path, ...] = ()
    endpoint: str | None = None
    public_key: str | None = None
    secret_key: Secret | None = None
    secret_key_file: Path | None = None
    owner: str | None = None


def ask_for_the_rest(console: Console, given: Wishes, secret_target: Path) -> Wishes:
    """Ask for what was not given; a typed secret key is to be written to ``secret_target``."""
    wishes = replace(given, folders=_ask_for_folders(console, given.folders))
    wishes = _ask_for_collection(console, wishes, secret_target)
    if wishes.owner is None:
        click.echo("The ID of each image begins with an owner, and only these images are touched.")
        wishes = replace(wishes, owner=_asked("Owner", readers.owner, default_owner()))
    return wishes


def _ask_for_folders(console: Console, given: tuple[Path, ...]) -> tuple[Path, ...]:
    folders: tuple[Path, ...] = ()
    for path in given:
        folders = _tried(console, folders, path)
    home = home_directory()
    pictures = None if home is None else home / "Pictures"
    suggestion = str(pictures) if pictures is not None and pictures.is_dir() else None
    while not folders:
        folders = _tried(console, (), _asked("Folder to mirror", readers.path, suggestion))
    if folders == given:
        return folders
    question = "Another one (or nothing)"
    while (more := _asked(question, _path_or_nothing, "", show_default=False)) is not None:
        folders = _tried(console, folders, more)
    return folders


def _path_or_nothing(value: Value) -> Path | None:
    return readers.path(value) if value.raw.strip() else None


def _tried(console: Console, others: tuple[Path, ...], path: Path) -> tuple[Path, ...]:
    """Look at a folder, and say how it is. The others, with it if it can be mirrored too."""
    if path in others:
        click.echo("that one you have named already")
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
        results.finding(console, missing_finding(config, folder))
        return others
    look = look_through(folder, time.monotonic() + LOOK_SECONDS)
    results.finding(console, folder_finding(config, look))
    return (*others, path)


def _ask_for_collection(console: Console, given: Wishes, secret_target: Path) -> Wishes:
    endpoint, wishes = given.endpoint, given
    if endpoint is None:
        click.echo(f'The collection is "{EMBEDDED}", or the address of a service.')
        endpoint = _asked("Collection", readers.endpoint, EMBEDDED)
    while endpoint != EMBEDDED:
        results.finding(console, address_finding(endpoint))
        wishes = _with_keys(replace(wishes, endpoint=endpoint), secret_target)
        reply = ask_service(CollectionConfig(endpoint, wishes.public_key), _secret_of(wishes))
        for finding in service_findings(reply):
            results.finding(console, finding)
        if reply.session is not None or click.confirm("Keep it all the same?"):
            return wishes
        if isinstance(reply.error, Unauthorized):
            wishes = replace(wishes, public_key=None, secret_key=None, secret_key_file=None)
        else:
            endpoint = _asked("Collection", readers.endpoint, endpoint)
    return replace(given, endpoint=endpoint, public_key=None, secret_key_file=None)


def _with_keys(wishes: Wishes, secret_target: Path) -> Wishes:
    if wishes.public_key is None:
        wishes = replace(wishes, public_key=_asked("Public key", readers.public_key))
    if wishes.secret_key is None and wishes.secret_key_file is None:
        if os.path.lexists(secret_target):
            raise click.ClickException(
                f"{secret_target} is there already, and is left as it is: move it away, or name it"
                " with --secret-key-file"
            )
        secret = _asked("Secret key (does not show)", readers.secret, hide_input=True)
        wishes = replace(wishes, secret_key=secret)
    return wishes


def _secret_of(wishes: Wishes) -> str:
    if wishes.secret_key is not None:
        return wishes.secret_key.reveal()
    try:
        return secret_from_file(wishes.secret_key_file or Path()).reveal()
    except SecretError as error:
        raise click.ClickException(str(error)) from None


def _asked(
    question: str,
    read: Callable[[Value], Answer],
    default: str | None = None,
    *,
    show_default: bool = True,
    hide_input: bool = False,
) -> Answer:
    """The answer, read as the configuration reads it, once it is one that will do."""
    while True:
        given = click.prompt(
            question, default=default, show_default=show_default, hide_input=hide_input
        )
        try:
            return read(Value.of_text(given))
        except (SettingError, SecretError) as error:
            click.echo(f"it {error}")
