"""What all commands share: the global options, the configuration, folders by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

from snoopsync.cli.completion import offer_folders
from snoopsync.config.file import find_config, load_config
from snoopsync.config.settings import Config, FolderConfig, default_config, name_folders
from snoopsync.control import client
from snoopsync.control.channel import Message
from snoopsync.core.errors import FolderMissing, SnoopsyncError, StateDamaged, StateTooOld
from snoopsync.core.model import printable
from snoopsync.folders.configured import remembered_folders
from snoopsync.log import setup as logs
from snoopsync.log.formats import LogFormat
from snoopsync.runtime.owned_directory import is_another_users
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import locked
from snoopsync.state.reading import readable

if TYPE_CHECKING:
    # rich is imported late: a resync without a terminal does not need it.
    from rich.console import Console

folders_argument = click.argument(
    "folders", nargs=-1, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]..."
)


def complete_folder(
    context: click.Context, _parameter: click.Parameter, incomplete: str
) -> list[CompletionItem[str]]:
    """The completions for a mirrored folder, by name or by path."""
    names: list[str] = []
    with suppress(SnoopsyncError, OSError):
        config_path = context.find_root().params.get("config_path")
        path = find_config(config_path, os.environ)
        config = _remembered(default_config(())) if path is None else load_config(path, os.environ)
        names = [folder.name for folder in config.folders]
    return offer_folders(names, incomplete)


#: Folders of the configuration, or new folders if there is no configuration.
mirrored_argument = click.argument(
    "folders",
    nargs=-1,
    type=click.Path(file_okay=False, path_type=Path),
    metavar="[FOLDER]...",
    shell_complete=complete_folder,
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@dataclass(frozen=True, slots=True)
class Context:
    """The global options."""

    config_path: Path | None
    verbosity: int
    log_format: LogFormat | None

    @property
    def out(self) -> Console:
        """The console for results."""
        from snoopsync.cli.tables import OutputConsole

        return OutputConsole()

    @property
    def err(self) -> Console:
        """The console for progress."""
        from rich.console import Console

        return Console(stderr=True)

    def configuration(self) -> Config | None:
        """Load the configuration and set up logging. Returns ``None`` if there is no configuration
        file. Raises ``ConfigError``."""
        config = self.load()
        return None if config is None else self.start_logging(config)

    def load(self) -> Config | None:
        """Load the configuration without setting up logging, otherwise as ``configuration``."""
        path = find_config(self.config_path, os.environ)
        return None if path is None else load_config(path, os.environ)

    def start_logging(self, config: Config) -> Config:
        """Set up logging. Returns the configuration with the global options applied."""
        if self.log_format is not None:
            config = replace(config, log=replace(config.log, format=self.log_format))
        log = config.log
        if log.file is not None and os.geteuid() == 0 and is_another_users(config.state.parent):
            log = replace(log, file=None)  # the file of another user's service
        logs.configure(log, verbosity=self.verbosity, environ=os.environ)
        return config

    def installation(self) -> Config:
        """The configuration. Without a configuration file it has the folders that an earlier ``run
        FOLDER`` stored in the state file."""
        config = self.configuration()
        return config or self.start_logging(_remembered(default_config(())))

    def installation_with(self, folders: Sequence[Path], *, upgrade: bool = True) -> Config:
        """As ``installation``, for a command that mirrors folders. If it names them, it rebuilds a
        damaged state file, so a damaged file counts as empty. ``upgrade``: whether to upgrade a
        state file of an older format, whose folders cannot be read otherwise."""
        try:
            return self.installation()
        except StateTooOld:
            if not upgrade:
                raise
            config = self.start_logging(default_config(()))
            with locked(config.state):
                Database(config.state).close()
            return _remembered(config)
        except StateDamaged:
            if not folders:
                raise
            return self.start_logging(default_config(()))


def _remembered(config: Config) -> Config:
    with reading(config) as database:
        return replace(config, folders=remembered_folders(State(database)))


def reading(config: Config) -> AbstractContextManager[Database]:
    """Open the state file for reading, even while a service uses it."""
    return readable(config.state)


def new_folders(known: Sequence[FolderConfig], given: Sequence[Path]) -> tuple[FolderConfig, ...]:
    """The given folders that are not known yet, with names. Raises ``FolderMissing`` for a folder
    that does not exist, because a typing error must not be stored as a missing folder."""
    known_paths = {os.path.realpath(folder.path) for folder in known}
    new = name_folders([path for path in given if os.path.realpath(path) not in known_paths])
    for folder in new:
        if not os.path.isdir(folder.path):  # noqa: PTH112 - Path.is_dir raises without permission
            raise FolderMissing(f"{printable(str(folder.path))}: folder not found")
        for other in known:
            # If the other folder no longer exists, it may have moved to this path.
            if other.name == folder.name and os.path.isdir(other.path):  # noqa: PTH112
                raise click.UsageError(
                    f"{printable(str(other.path))} is already named {folder.name}: write a"
                    " configuration (snoopsync init) with a unique name for each folder"
                )
    return new


def names_of(config: Config, given: Sequence[Path | str]) -> set[str]:
    """The names of configured folders, given by name or by path. Returns all names if none is
    given. Raises ``UsageError`` for an unknown folder."""
    names = {folder.name for folder in config.folders}
    return {_name_of(config, str(each)) for each in given} if given else names


def _name_of(config: Config, given: str) -> str:
    """The name of one folder. A name comes before a path: another folder may be at that path."""
    paths = {os.path.realpath(folder.path): folder.name for folder in config.folders}
    if any(folder.name == given for folder in config.folders):
        return given
    name = paths.get(os.path.realpath(given))
    if name is None:
        raise click.UsageError(f"{printable(given)} is not a configured folder")
    return name


def ask_service(config: Config, request: Message) -> Iterator[Message]:
    """Send a request to the running service. Yields the messages of its response. Raises
    ``ServiceUnavailable`` and ``ServiceFailed``."""
    return client.ask_service(config.state, request)


def result_from_service(config: Config, request: Message) -> Message:
    """Send a request to the running service and return the result. Raises as ``ask_service``."""
    return client.result_from_service(config.state, request)
