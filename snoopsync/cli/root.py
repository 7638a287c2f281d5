"""The program itself: the options before the command, and how it ends."""

from __future__ import annotations

import io
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from snoopsync.cli.beginning import init
from snoopsync.cli.context import Context
from snoopsync.cli.installing import service
from snoopsync.cli.looking import check, duplicates, list_command, search, status
from snoopsync.cli.mirroring import approve, resync_command, run
from snoopsync.cli.notifying import notify
from snoopsync.config.settings import LogFormat
from snoopsync.errors import SnoopsyncError, StateDamaged
from snoopsync.exits import Exit, exit_code
from snoopsync.version import __version__

#: What a shell says of a program that was ended by Ctrl-C.
_INTERRUPTED = 130


class _Program(click.Group):
    """A group whose commands return their exit codes."""

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the options."""
        with _readers_may_leave():
            return super().make_context(*arguments, **options)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _readers_may_leave():
            code = super().invoke(ctx)
            sys.stdout.flush()
            return code


@contextmanager
def _readers_may_leave() -> Iterator[None]:
    """Whoever reads our output may leave before its end (``| head``): that is no failure, and click
    would call it one."""
    try:
        yield
    except BrokenPipeError:
        # What is left must not be flushed to them at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(Exit.OK) from None


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the program, where rich would exit."""
        raise BrokenPipeError


@click.group(cls=_Program, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)
@click.option("-v", "--verbose", count=True, help="Log more.")
@click.option("-q", "--quiet", count=True, help="Log less.")
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    help="How a line of the log is written.",
)
@click.version_option(__version__, prog_name="snoopsync")
@click.pass_context
def program(
    context: click.Context,
    config_path: Path | None,
    verbose: int,
    quiet: int,
    log_format: str | None,
) -> None:
    """Keep an image collection mirrored from folders, and be told of duplicates."""
    context.obj = Context(
        config_path,
        verbose - quiet,
        LogFormat(log_format) if log_format else None,
        _Console(),
        Console(stderr=True),
    )


_COMMANDS = (
    run,
    resync_command,
    status,
    check,
    list_command,
    duplicates,
    search,
    approve,
    notify,
    init,
    service,
)
for _command in _COMMANDS:
    program.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the terminal's encoding does not have must not end the listing of all.
        sys.stdout.reconfigure(errors="backslashreplace")
    sys.exit(run_program(arguments))


def run_program(arguments: Sequence[str] | None) -> int:
    """Run a command; its exit code. What went wrong is told on standard error."""
    try:
        code = program.main(args=arguments, prog_name="snoopsync", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return Exit.USAGE
    except click.Abort:
        return _INTERRUPTED
    except StateDamaged as error:
        click.echo(
            f"snoopsync: {error}; `snoopsync resync` moves it aside, and rebuilds it from the"
            " folders and the collection",
            err=True,
        )
        return exit_code(error)
    except SnoopsyncError as error:
        click.echo(f"snoopsync: {error}", err=True)
        return exit_code(error)
    except OSError as error:
        # The system's own refusal, such as a full disk behind standard output.
        click.echo(f"snoopsync: {error}", err=True)
        return Exit.BUG
    except Exception:
        traceback.print_exc()
        click.echo("snoopsync: this is a bug in snoopsync, please report it", err=True)
        return Exit.BUG
    return int(code or Exit.OK)
