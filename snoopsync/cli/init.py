"""The command ``init``, which writes a configuration file."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path

import click

from snoopsync.cli.context import Context, folders_argument
from snoopsync.cli.prompts import InitSettings, ask_for_missing
from snoopsync.config import readers
from snoopsync.config.directories import home_directory
from snoopsync.config.document import SettingError, Value
from snoopsync.config.file import SYSTEM_PATH, load_config, user_config_file
from snoopsync.config.readers import EMBEDDED
from snoopsync.config.template import render_config
from snoopsync.core.errors import ConfigError
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.runtime.owned_directory import require_no_other_owner

#: The name of the file for a typed secret key, next to the configuration.
_SECRET_FILE = "secret-key"


def _read_by(
    read: Callable[[Value], str],
) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """A callback that reads an option with a reader of the configuration."""

    def callback(_context: click.Context, _option: click.Parameter, text: str | None) -> str | None:
        try:
            return None if text is None else read(Value.of_text(text))
        except SettingError as error:
            raise click.BadParameter(str(error)) from None

    return callback


@click.command()
@folders_argument
@click.option(
    "--endpoint",
    callback=_read_by(readers.endpoint),
    help=f'The URL of a service, or "{EMBEDDED}".',
)
@click.option(
    "--public-key", callback=_read_by(readers.public_key), help="The service's public key."
)
@click.option(
    "--secret-key-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file with the service's secret key.",
)
@click.option("--owner", callback=_read_by(readers.owner), help="The prefix of all image IDs.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write, instead of the usual one.",
)
@click.option("--no-input", is_flag=True, help="Never ask, even on a terminal.")
@click.pass_obj
def init(
    context: Context,
    folders: tuple[Path, ...],
    endpoint: str | None,
    public_key: str | None,
    secret_key_file: Path | None,
    owner: str | None,
    output: Path | None,
    no_input: bool,
) -> Exit:
    """Write a configuration file with comments for these folders.

    On a terminal, this command asks for what is not given, and checks each answer at once.
    """
    named = output or context.config_path
    target = (named or user_config_file()).absolute()
    secret_target = target.with_name(_SECRET_FILE)
    if os.geteuid() == 0:
        require_no_other_owner(target.parent)
    if os.path.lexists(target):
        raise _already_exists(target)
    settings = InitSettings(
        tuple(dict.fromkeys(readers.absolute_path(path) for path in folders)),
        endpoint,
        public_key,
        secret_key_file=None if secret_key_file is None else secret_key_file.absolute(),
        owner=owner,
    )
    if not no_input and sys.stdin.isatty() and sys.stdout.isatty():
        settings = ask_for_missing(context.out, settings, secret_target)
    elif not settings.folders:
        home = home_directory()
        if home is None:
            raise click.UsageError("this user has no home directory: name a folder to mirror")
        settings = replace(settings, folders=(home / "Pictures",))
    for path in _write(settings, target, secret_target):
        click.echo(f"wrote {path}")
    for problem in _problems(settings, target):
        click.echo(f"to do first: {problem}")
    command = "snoopsync" if named is None else f"snoopsync --config {shlex.quote(str(named))}"
    click.echo(
        f"next: {command} check\n"
        f"then: {command} run\n"
        f"or, to run it permanently: {command} service install"
    )
    return Exit.OK


def _write(settings: InitSettings, target: Path, secret_target: Path) -> list[Path]:
    """Write the configuration, and a typed secret key to its own file: both or neither. Returns the
    written files."""
    contents = {}
    secret_key_file = settings.secret_key_file
    if settings.secret_key is not None:
        secret_key_file = secret_target
        contents[secret_target] = settings.secret_key.reveal() + "\n"
    contents[target] = render_config(
        settings.folders,
        settings.endpoint or EMBEDDED,
        settings.public_key,
        settings.owner,
        secret_key_file,
    )
    with ExitStack() as undo:
        _make_directories(target.parent, undo)
        for path, text in contents.items():
            _write_new(path, text, undo)
        undo.pop_all()
    return list(reversed(contents))


def _make_directories(directory: Path, undo: ExitStack) -> None:
    missing = [each for each in (directory, *directory.parents) if not os.path.lexists(each)]
    try:
        for each in reversed(missing):
            # The service's user must be able to enter the system's directory.
            each.mkdir(mode=0o755 if each == SYSTEM_PATH.parent else 0o700)
            undo.callback(_remove, each.rmdir)
    except OSError as error:
        raise click.ClickException(f"{directory}: {error.strerror}") from None


def _write_new(path: Path, text: str, undo: ExitStack) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        undo.callback(_remove, path.unlink)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise _already_exists(path) from None
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None


def _remove(remove: Callable[[], None]) -> None:
    with suppress(OSError):
        remove()


def _already_exists(path: Path) -> click.ClickException:
    return click.ClickException(f"{path} already exists and was not changed")


def _problems(settings: InitSettings, target: Path) -> Iterator[str]:
    try:
        load_config(target, os.environ)
    except ConfigError as error:
        yield from map(str, error.problems)
    for folder in settings.folders:
        if not os.path.isdir(folder):  # noqa: PTH112 - Path.is_dir raises without permission
            yield f"{printable(str(folder))}: folder not found"
