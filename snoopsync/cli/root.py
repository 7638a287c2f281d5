"""The program: its global options, its commands, and the exit code for each error."""

from __future__ import annotations

import gc
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

#: The exit code of a program that Ctrl-C ended, by convention.
_INTERRUPTED = 130


#: The commands in the order of the help: the module and attribute of each, and its short help.
_COMMANDS = {
    "run": ("sync:run", "Run the service: mirror the folders until stopped."),
    "resync": ("sync:resync_command", "Mirror the folders once."),
    "status": (
        "queries:status",
        "Show whether everything is mirrored, and what is not mirrored and why.",
    ),
    "check": ("queries:check", "Find problems and show how to fix them."),
    "list": ("queries:list_command", "List all known images."),
    "duplicates": ("duplicates:duplicates", "List duplicate pictures."),
    "review": ("review:review", "Compare duplicates on a page in the browser, and decide."),
    "search": ("queries:search", "Find pictures similar to a file."),
    "approve": ("approve:approve", "Approve held deletions, or discard them."),
    "notify": ("notify:notify", "Test the notifications."),
    "init": ("init:init", "Write a configuration file."),
    "service": ("service:service", "Install snoopsync as a systemd service."),
    "serve": ("serve:serve", "Host collections for other machines."),
    "keys": ("serve:keys", "Manage the keys for hosted collections."),
    "completion": ("completion:completion", "Print a shell completion script."),
}


#: The commands that neither read the configuration nor send requests to a running service.
_WITHOUT_SERVICE = frozenset({"serve", "keys", "service", "init"})

#: The key of the command-line arguments in a context's ``meta``.
_ARGUMENTS = "snoopsync.arguments"

#: A scan makes and drops a few objects for each file. Fewer collections save a tenth of its time.
_OBJECTS_BETWEEN_COLLECTIONS = 10_000

#: The longest short help of a subcommand: two lines of a terminal.
_MAX_SHORT_HELP = 120


class _Commands(Mapping[str, click.Command]):
    """The commands by name. Each is loaded on first use, because loading all takes 0.3 s."""

    def __init__(self) -> None:
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            location, short_help = _COMMANDS[name]
            module, _, attribute = location.partition(":")
            command = getattr(importlib.import_module(f"snoopsync.cli.{module}"), attribute)
            gc.freeze()  # what is loaded now stays
            gc.set_threshold(_OBJECTS_BETWEEN_COLLECTIONS)
            gc.enable()
            command.short_help = short_help
            if isinstance(command, click.Group):
                for subcommand in command.commands.values():
                    # click would cut the short help to 45 characters in lists and manual pages.
                    subcommand.short_help = subcommand.get_short_help_str(limit=_MAX_SHORT_HELP)
            self._loaded[name] = command
        return self._loaded[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_COMMANDS)

    def __len__(self) -> int:
        return len(_COMMANDS)


class _RootGroup(click.Group):
    """The group of all commands. Each command returns its exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of ``_COMMANDS``, not in alphabetical order."""
        return list(self.commands)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The completions of a command's name, without loading any command."""
        commands = [
            CompletionItem(name, help=short_help)
            for name, (_, short_help) in _COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return [*commands, *click.Command.shell_complete(self, ctx, incomplete)]

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse the arguments, and keep them in the context."""
        with _ignoring_broken_pipe():
            given = list(arguments[1])
            context = super().make_context(*arguments, **options)
            context.meta[_ARGUMENTS] = given
            return context

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command and return its exit code."""
        with _ignoring_broken_pipe():
            try:
                code = super().invoke(ctx)
            except UnsafeDirectory as error:
                from snoopsync.cli.owner_command import with_command

                uses_service = ctx.invoked_subcommand not in _WITHOUT_SERVICE
                arguments = _arguments_for_any_user(ctx)
                raise with_command(error, arguments, uses_service=uses_service) from None
            sys.stdout.flush()
            return code


def _arguments_for_any_user(context: click.Context) -> list[str]:
    """The arguments, with ``--config`` if other users would not find the same configuration."""
    from snoopsync.config.file import SYSTEM_PATH, find_config

    arguments: list[str] = context.meta[_ARGUMENTS]
    given: Path | None = context.params["config_path"]
    if given is None and context.invoked_subcommand not in _WITHOUT_SERVICE:
        found = find_config(None, os.environ)
        if found is not None and found != SYSTEM_PATH:
            return ["--config", str(found.absolute()), *arguments]
    return arguments


@contextmanager
def _ignoring_broken_pipe() -> Iterator[None]:
    """Exit with code 0 if the reader of the output stops early (``| head``). click would exit with
    an error."""
    try:
        yield
    except BrokenPipeError:
        # Python would fail again when it flushes the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(Exit.OK) from None


@click.group(
    cls=_RootGroup,
    commands=_Commands(),
    short_help="mirror folders into an image collection and find duplicates",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The configuration file.",
)
@click.option("-v", "--verbose", count=True, help="Log more, including debug messages.")
@click.option("-q", "--quiet", count=True, help="Log less: -q only warnings; -qq only errors.")
@click.option(
    "--log-format",
    type=click.Choice([each.value for each in LogFormat]),
    help="The format of the log.",
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
    """Mirror folders of pictures into an image collection, and find duplicates.

    snoopsync reads the first configuration that is given or exists: --config, $SNOOPSYNC_CONFIG,
    ~/.config/snoopsync/config.yaml, /etc/snoopsync/config.yaml. Results go to standard output, the
    log to standard error.

    Exit codes: 0 everything is mirrored; 1 the state file can't be used, or snoopsync has a bug; 2
    wrong usage; 3 some images failed or are not sent yet; 4 deletions are held or a folder is
    missing; 5 the collection can't be reached; 6 the collection refused the credentials; 7 another
    snoopsync is using the state file; 8 duplicates are open (duplicates --exit-code); 78 the
    configuration is invalid.
    """
    # Imported late, like the commands, because completion does not need it.
    from snoopsync.cli.context import Context

    context.obj = Context(
        config_path, verbose - quiet, LogFormat(log_format) if log_format else None
    )


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    prepare()
    gc.disable()  # until the command is loaded: that makes no garbage
    code = run_program(arguments)
    if is_stuck():
        # At exit Python would wait for the stream that no longer accepts log lines.
        sys.stdout.flush()
        os._exit(code)
    gc.freeze()  # at exit Python would search all objects for garbage
    sys.exit(code)


def run_program(arguments: Sequence[str] | None) -> int:
    """Run a command and return its exit code. Prints an error on standard error, as a JSON object
    with ``--json``."""
    arguments = sys.argv[1:] if arguments is None else arguments
    options = itertools.takewhile(lambda argument: argument != "--", arguments)
    fail = _fail_with_json if "--json" in options else _fail
    try:
        code = program.main(
            args=arguments,
            prog_name="snoopsync",
            complete_var=COMPLETE_VARIABLE,
            standalone_mode=False,
        )
    except click.ClickException as error:
        if fail is _fail:
            error.show()
            return Exit.USAGE
        return fail(error.format_message(), Exit.USAGE)
    except click.Abort:
        return _INTERRUPTED
    except StateDamaged as error:
        fix = (
            "run snoopsync resync (without a configuration: with the folders as arguments) to"
            " rebuild it from the folders and the collection; the damaged file is kept"
        )
        return fail(f"{error}; {fix}", exit_code(error))
    except SnoopsyncError as error:
        return fail(str(error), exit_code(error))
    except OSError as error:
        # An error of the system, such as a full disk behind standard output.
        return fail(str(error), Exit.BUG)
    except Exception:
        traceback.print_exc()
        return fail("this is a bug in snoopsync, please report it", Exit.BUG)
    return int(code or Exit.OK)


def _fail(message: str, code: Exit) -> int:
    click.echo(f"snoopsync: {message}", err=True)
    return code


def _fail_with_json(message: str, code: Exit) -> int:
    from snoopsync.cli.json_lines import print_json_error

    print_json_error(message, code)
    return code
