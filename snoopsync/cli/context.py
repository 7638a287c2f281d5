"""What all commands share: the options before the command, the configuration, folders by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from snoopsync.cli.completion import offer_folders
from snoopsync.config.file import find_config, load_config
from snoopsync.config.settings import Config, FolderConfig, default_config, name_folders
from snoopsync.control.channel import Message, ask
from snoopsync.core.errors import FolderMissing, ServiceFailed, SnoopsyncError, StateDamaged
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.folders.configured import remembered_folders
from snoopsync.log import setup as logs
from snoopsync.log.formats import LogFormat
from snoopsync.runtime.owned_directory import is_another_users
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.reading import readable

folders_argument = click.argument(
    "folders", nargs=-1, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]..."
)


def complete_folder(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """What a shell offers for a folder that is mirrored, by name or by path."""
    names: list[str] = []
    with suppress(SnoopsyncError, OSError):
        config_path = context.find_root().params.get("config_path")
        path = find_config(config_path, os.environ)
        config = _remembered(default_config(())) if path is None else load_config(path, os.environ)
        names = [folder.name for folder in config.folders]
    return offer_folders(names, incomplete)


#: Folders of the configuration, or new ones where there is none.
mirrored_argument = click.argument(
    "folders",
    nargs=-1,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="[FOLDER]...",
    shell_complete=complete_folder,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave it to the program, where rich would exit."""
        raise BrokenPipeError


@dataclass(frozen=True, slots=True)
class Context:
    """What the options before the command say."""

    config_path: Path | None
    verbosity: int
    log_format: LogFormat | None
    out: Console = field(default_factory=_Console)
    err: Console = field(default_factory=lambda: Console(stderr=True))

    def configuration(self) -> Config | None:
        """The configuration file's, if there is a file. Raises ``ConfigError``."""
        config = self.read()
        return None if config is None else self.ready(config)

    def read(self) -> Config | None:
        """As ``configuration``, and the log is as it was."""
        path = find_config(self.config_path, os.environ)
        return None if path is None else load_config(path, os.environ)

    def ready(self, config: Config) -> Config:
        """Apply the options, and begin to log."""
        if self.log_format is not None:
            config = replace(config, log=replace(config.log, format=self.log_format))
        log = config.log
        if log.file is not None and os.geteuid() == 0 and is_another_users(log.file.parent):
            # The file is its owner's, who could put a link there.
            log = replace(log, file=None)
        logs.configure(log, verbosity=self.verbosity, environ=os.environ)
        return config

    def installation(self) -> Config:
        """The configuration, or what an earlier ``run FOLDER`` has left in the state file."""
        config = self.configuration()
        return config or self.ready(_remembered(default_config(())))

    def installation_with(self, folders: Sequence[Path]) -> Config:
        """The same, for a command that names the folders to be mirrored: a damaged state file,
        which such a command rebuilds, remembers none."""
        try:
            return self.installation()
        except StateDamaged:
            if not folders:
                raise
            return self.ready(default_config(()))


def _remembered(config: Config) -> Config:
    with reading(config) as database:
        return replace(config, folders=remembered_folders(State(database)))


def reading(config: Config) -> AbstractContextManager[Database]:
    """The state file to be read, whoever else uses it."""
    return readable(config.state)


def new_folders(known: Sequence[FolderConfig], given: Sequence[Path]) -> tuple[FolderConfig, ...]:
    """Those of the given folders that are not known, named. Raises ``FolderMissing`` for one that
    is not there: a typing mistake must not be remembered as a folder that is missing."""
    there = {os.path.realpath(folder.path) for folder in known}
    new = name_folders([path for path in given if os.path.realpath(path) not in there])
    for folder in new:
        if not folder.path.is_dir():
            raise FolderMissing(f"{printable(str(folder.path))}: there is no such folder")
        for other in known:
            # If that one is not there any more, this may be it, at another place.
            if other.name == folder.name and other.path.is_dir():
                raise click.UsageError(
                    f"{printable(str(other.path))} has the name {folder.name} already: give each"
                    " a name of its own, in a configuration (snoopsync init)"
                )
    return new


def names_of(config: Config, given: Sequence[Path | str]) -> set[str]:
    """The names of configured folders, given by path or by name; of all, if none is given."""
    if not given:
        return {folder.name for folder in config.folders}
    names = set()
    for each in given:
        found = {
            folder.name
            for folder in config.folders
            if folder.name == str(each) or os.path.realpath(folder.path) == os.path.realpath(each)
        }
        if not found:
            raise click.UsageError(f"{printable(str(each))} is not a folder of the configuration")
        names |= found
    return names


def answers(config: Config, question: Message) -> Iterator[Message]:
    """What the running service answers. Raises ``ServiceUnavailable`` and ``ServiceFailed``."""
    for message in ask(config.state, question):
        if "error" in message:
            # It may be the service of another user, who is asked by root.
            given = message.get("exit_code")
            code = given if isinstance(given, int) and given in tuple(Exit) else Exit.BUG
            raise ServiceFailed(printable(str(message["error"])), code)
        yield message


def answer(config: Config, question: Message) -> Message:
    """The result of what the running service was asked. Raises as ``answers``."""
    for message in answers(config, question):
        if "result" in message:
            result: Message = message["result"]
            return result
    raise ServiceFailed("the service ended before it had an answer", Exit.LOCKED)
