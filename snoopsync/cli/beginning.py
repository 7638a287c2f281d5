"""The command that writes a configuration: ``init``."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

import click

from snoopsync.cli.context import Context, folders_argument
from snoopsync.config.file import SYSTEM_PATH, load_config, render_config, user_directory
from snoopsync.errors import ConfigError, Problem
from snoopsync.exits import Exit


@click.command()
@folders_argument
@click.option("--endpoint", default="embedded", show_default=True, help="The collection's URL.")
@click.option("--public-key", help="The collection's public key.")
@click.option("--owner", help="The first part of the IDs of all images.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Where to write it instead of the usual place.",
)
@click.pass_obj
def init(
    context: Context,
    folders: tuple[Path, ...],
    endpoint: str,
    public_key: str | None,
    owner: str | None,
    output: Path | None,
) -> Exit:
    """Write a commented configuration for these folders."""
    named = output or context.config_path
    target = named or user_directory() / "config.yaml"
    paths = [path.absolute() for path in folders or (Path.home() / "Pictures",)]
    _write_new(target, render_config(paths, endpoint, public_key, owner))
    click.echo(f"wrote {target}")
    problems = _problems(target)
    for problem in problems:
        click.echo(f"still to do: {problem}")
    command = "snoopsync" if named is None else f"snoopsync --config {shlex.quote(str(named))}"
    click.echo(f"{'then' if problems else 'look through it, then'}: {command} run")
    return Exit.OK


def _write_new(target: Path, text: str) -> None:
    try:
        # The system's is for a service of another user. It is the file that is closed at first.
        mode = 0o755 if target.parent == SYSTEM_PATH.parent else 0o700
        target.parent.mkdir(mode=mode, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise click.ClickException(f"{target} is there already, and is left as it is") from None
    except OSError as error:
        raise click.ClickException(f"{target}: {error.strerror}") from None


def _problems(target: Path) -> tuple[Problem, ...]:
    try:
        load_config(target, os.environ)
    except ConfigError as error:
        return error.problems
    return ()
