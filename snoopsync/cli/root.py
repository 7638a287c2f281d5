"""The program itself: the options before the command, and how it ends."""

from __future__ import annotations

import importlib
import itertools
import os
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

import click
from click.shell_completion import CompletionItem

from snoopsync.cli.completion import COMPLETE_VARIABLE
from snoopsync.cli.startup import prepare
from snoopsync.core.errors import SnoopsyncError, StateDamaged, UnsafeDirectory
from snoopsync.core.exits import Exit, exit_code
from snoopsync.log.formats import LogFormat
from snoopsync.log.writer import is_stuck
from snoopsync.version import __version__

#: What a shell says of a program that was ended by Ctrl-C.
_INTERRUPTED = 130


#: The commands, as they are listed: where each is, and what it is for.
_COMMANDS = {
    "run": ("sync:run", "Mirror the folders, and go on with it until stopped."),
    "resync": ("sync:resync_command", "Compare everything once, and make it equal."),
    "status": ("queries:status", "Is everything mirrored, and if not, what and why?"),
    "check": ("queries:check", "Is everything as it should be? Say how to mend what is not."),
    "list": ("queries:list_command", "List every known image."),
    "duplicates": ("queries:duplicates", "List the pictures that are there twice."),
    "search": ("queries:search", "Find pictures like this file."),
    "approve": ("approve:approve", "Let held deletions go out, or drop them."),
    "notify": ("notify:notify", "Try the notifications."),
    "init": ("init:init", "Write a commented configuration."),
    "service": ("service:service", "Have systemd run snoopsync."),
    "serve": ("serve:serve", "Host collections for many machines."),
    "keys": ("serve:keys", "Make, list and revoke keys to hosted collections."),
    "completion": ("completion:completion", "Print what a shell needs to complete commands."),
}


#: The commands that read no configuration, and ask no running service.
_WITHOUT_SERVICE = frozenset({"serve", "keys", "service"})

#: Where a context keeps the arguments that it was made of.
_ARGUMENTS = "snoopsync.arguments"

#: What a command is for is said in so many characters: two lines of a terminal.
_LONGEST_PURPOSE = 120


class _Commands(Mapping[str, click.Command]):
    """The commands by name. One is loaded when it is asked for: all of them take 0.3 s, and most
    of that is for what only one of them does."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            where, purpose = _COMMANDS[name]
            module, _, attribute = where.partition(":")
            command = getattr(importlib.import_module(f"snoopsync.cli.{module}"), attribute)
            command.short_help = purpose
            if isinstance(command, click.Group):
                for part in command.commands.values():
                    # Else it is cut in the middle, in a list of commands and in a manual page.
                    part.short_help = part.get_short_help_str(limit=_LONGEST_PURPOSE)
            self._loaded[name] = command
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _Program(click.Group):
    """A group whose commands return their exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they are needed, not in that of the alphabet."""
        return list(self.commands)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """What a shell offers before there is a command: no command is loaded for that."""
        commands = [
            CompletionItem(name, help=purpose)
            for name, (_, purpose) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Read the options."""
        with _readers_may_leave():
            given = list(arguments[1])
            context = super().make_context(*arguments, **options)
            context.meta[_ARGUMENTS] = given
            return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _readers_may_leave():
            try:
                code = super().invoke(ctx)
            except UnsafeDirectory as error:
                from snoopsync.cli.owner import with_command

                asks = ctx.invoked_subcommand not in _WITHOUT_SERVICE
                raise with_command(error, _found_by_all(ctx), asks_service=asks) from None
            sys.stdout.flush()
            return code


def _found_by_all(context: click.Context) -> list[str]:
    """The arguments, with the configuration's path where only this user would find it."""
    from snoopsync.config.file import SYSTEM_PATH, find_config

    arguments: list[str] = context.meta[_ARGUMENTS]
    given: Path | None = context.params["config_path"]
    if given is None and context.invoked_subcommand not in _WITHOUT_SERVICE:
        found = find_config(None, os.environ)
        if found is not None and found != SYSTEM_PATH:
            return ["--config", str(found.absolute()), *arguments]
    return arguments


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


@click.group(
    cls=_Program,
    commands=_Commands(),
    short_help="mirror folders into an image collection, and be told of duplicates",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)
@click.option("-v", "--verbose", count=True, help="Log more, also single steps.")
@click.option(
    "-q", "--quiet", count=True, help="Log less: -q no news, only warnings; -qq only errors."
)
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
    """Keep an image collection mirrored from folders, and be told of duplicates.

    The configuration is looked for in --config, $SNOOPSYNC_CONFIG,
    ~/.config/snoopsync/config.yaml and /etc/snoopsync/config.yaml. Results go to standard output,
    the log to standard error.

    Exit codes: 0 all is mirrored; 1 the state file can't be used, or a bug; 2 the command was not
    understood; 3 some images failed, or are not sent yet; 4 deletions are held, or a folder is
    missing; 5 the collection could not be reached; 6 it refused the credentials; 7 another
    snoopsync holds the state file; 78 the configuration is wrong.
    """
    # Late, as the commands are: completing does without it.
    from snoopsync.cli.context import Context

    context.obj = Context(
        config_path, verbose - quiet, LogFormat(log_format) if log_format else None
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    prepare()
    code = run_program(arguments)
    if is_stuck():
        # Python would wait for the stream that takes no more of the log.
        sys.stdout.flush()
        os._exit(code)
    sys.exit(code)


def run_program(arguments: Sequence[str] | None) -> int:
    """Run a command; its exit code. What went wrong is told on standard error, as a JSON object if
    the command was asked for JSON."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = itertools.takewhile(lambda argument: argument != "--", arguments)
    tell = _tell_json if "--json" in options else _tell
    try:
        code = program.main(
            args=arguments,
            prog_name="snoopsync",
            complete_var=COMPLETE_VARIABLE,
            standalone_mode=False,
        )
    except click.ClickException as error:
        if tell is _tell:
            error.show()
            return Exit.USAGE
        return tell(error.format_message(), Exit.USAGE)
    except click.Abort:
        return _INTERRUPTED
    except StateDamaged as error:
        return tell(
            f"{error}; `snoopsync resync` moves it aside, and rebuilds it from the folders (name"
            " them, if there is no configuration) and the collection",
            exit_code(error),
        )
    except SnoopsyncError as error:
        return tell(str(error), exit_code(error))
    except OSError as error:
        # The system's own refusal, such as a full disk behind standard output.
        return tell(str(error), Exit.BUG)
    except Exception:
        traceback.print_exc()
        return tell("this is a bug in snoopsync, please report it", Exit.BUG)
    return int(code or Exit.OK)


def _tell(message: str, code: Exit) -> int:
    click.echo(f"snoopsync: {message}", err=True)
    return code


def _tell_json(message: str, code: Exit) -> int:
    from snoopsync.cli.output import json_error

    json_error(message, code)
    return code
