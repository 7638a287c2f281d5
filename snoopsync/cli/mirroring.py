"""The commands that mirror: ``run``, ``resync``, ``approve``."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import click

from snoopsync.assembly import (
    COMMAND_PATIENCE_SECONDS,
    Assembly,
    assembled,
    open_state,
    opened_collection,
    set_aside,
)
from snoopsync.cli import results
from snoopsync.cli.context import (
    Context,
    answer,
    answers,
    complete_folder,
    json_option,
    mirrored_argument,
    names_of,
    new_folders,
    reading,
)
from snoopsync.cli.progress import progress
from snoopsync.config.durations import parse_duration
from snoopsync.config.settings import Config, FolderConfig
from snoopsync.configured import identity_of
from snoopsync.control import Message
from snoopsync.daemon import run_service
from snoopsync.errors import (
    CollectionError,
    ConfigError,
    FolderMissing,
    NotFound,
    Problem,
    ServiceFailed,
    ServiceUnavailable,
    StateDamaged,
    StateLocked,
)
from snoopsync.events import Event, happened
from snoopsync.exits import Exit
from snoopsync.model import FolderState
from snoopsync.planner import Action
from snoopsync.protocol import ImageCollection
from snoopsync.resync import Progress, Report, Show, resync
from snoopsync.service import Reload
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.state.reading import scratch
from snoopsync.supervisor import Supervisor

log = logging.getLogger("snoopsync")


@click.command()
@mirrored_argument
@click.pass_obj
def run(context: Context, folders: tuple[Path, ...]) -> Exit:
    """Mirror the folders, and go on with it until stopped.

    Compares folders, state and collection, and then watches the folders. FOLDERs are some of the
    configuration's, by name or by path. Without a configuration any folders are mirrored, into the
    embedded collection.

    SIGTERM and SIGINT (Ctrl-C) end it in order, with exit code 0. SIGHUP takes a changed
    configuration, or leaves the old one if that has mistakes; on a terminal it ends the service.
    Exit code 7: another snoopsync holds the state file. 78: the configuration is wrong.
    """
    config = _configured(context, folders)
    if config is not None:
        reload: Reload = partial(_configuration_anew, context, folders)
    elif folders:
        config = context.installation()
        paths = {os.path.realpath(path) for path in folders}
        known = [each for each in config.folders if os.path.realpath(each.path) in paths]
        given = replace(config, folders=(*known, *new_folders(config.folders, folders)))
        config, reload = given, lambda: given
    else:
        raise click.UsageError(
            "there is no configuration: name a folder (snoopsync run ~/Pictures), or write a"
            " configuration (snoopsync init ~/Pictures)"
        )
    showing = partial(progress, context.err, wanted=context.verbosity >= 0)
    run_service(config, showing, reload, Supervisor(os.environ))
    return Exit.OK


def _configured(context: Context, folders: Sequence[Path]) -> Config | None:
    """The configuration, of these of its folders, if there is one."""
    config = context.configuration()
    if config is None:
        return None
    names = names_of(config, folders)
    return replace(config, folders=tuple(f for f in config.folders if f.name in names))


def _configuration_anew(context: Context, folders: Sequence[Path]) -> Config:
    """The same, while the service runs. Raises ``ConfigError``."""
    try:
        config = _configured(context, folders)
    except click.UsageError as error:
        raise ConfigError("command line", (Problem("FOLDER", error.message),)) from None
    if config is None:
        raise ConfigError("configuration", (Problem("file", "is not there any more"),))
    return config


@dataclass(frozen=True, slots=True)
class _Resync:
    """What to resync. ``names``: of folders."""

    config: Config
    names: frozenset[str]
    prune: bool
    patience_seconds: float

    @contextmanager
    def assembled(
        self, database: Database, collection: ImageCollection, *, rehearsal: bool = False
    ) -> Iterator[Assembly]:
        """The parts for it."""
        with assembled(
            self.config,
            database,
            collection,
            stop=threading.Event(),
            patience_seconds=self.patience_seconds,
            only=self.names,
            rehearsal=rehearsal,
        ) as assembly:
            yield assembly

    def run(self, assembly: Assembly, show: Show = lambda progress: None) -> Report:
        """Do it."""
        return resync(
            assembly,
            folders=self.names,
            prune=self.prune,
            stop=threading.Event(),
            patience_seconds=self.patience_seconds,
            show=show,
        )


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(name="resync")
@mirrored_argument
@click.option("--dry-run", is_flag=True, help="Print what would be done, change nothing.")
@click.option(
    "--prune",
    is_flag=True,
    help="Also delete the images of files that the configuration does not name any more.",
)
@click.option(
    "--wait",
    "patience_seconds",
    default=f"{COMMAND_PATIENCE_SECONDS:.0f}s",
    show_default=True,
    callback=_seconds,
    metavar="DURATION",
    help="How long to wait for a collection that does not answer.",
)
@json_option
@click.pass_obj
def resync_command(
    context: Context,
    folders: tuple[Path, ...],
    dry_run: bool,
    prune: bool,
    patience_seconds: float,
    as_json: bool,
) -> Exit:
    """Compare folders, state and collection, and make them equal.

    Works beside a running service, which then does it. FOLDERs are some of the configuration's, by
    name or by path. Without a configuration any folders are mirrored, into the embedded collection.

    Exit codes: 0 all is mirrored; 3 some images failed; 4 deletions are held (see approve), or a
    folder is missing; 5 the collection could not be reached; 6 it refused the credentials; 7
    another snoopsync holds the state file, and is no service that could do it.
    """
    config = _config_with(context, folders)
    wanted = _Resync(config, frozenset(names_of(config, folders)), prune, patience_seconds)
    planned: list[Action] = []
    with progress(context.err, wanted=context.verbosity >= 0 and not as_json) as show:
        report = _rehearse(wanted, planned) if dry_run else _resync(wanted, show)
    if dry_run:
        results.plan(context.out, planned, as_json=as_json)
    if as_json:
        results.json_lines([report.summary_message()])
        if report.trouble is not None:
            trouble = report.trouble
            happened(log, logging.ERROR, Event.COMPARISON_FAILED, "%s", trouble, error=trouble)
        return report.exit_code
    failed = []
    if report.summary.failed and not dry_run:
        with reading(config) as database:
            failed = results.some_failed(State(database), wanted.names)
    results.report(context.out, report, failed, dry_run=dry_run)
    return report.exit_code


def _config_with(context: Context, folders: Sequence[Path]) -> Config:
    config = context.configuration()
    if config is None:
        config = context.installation()
        new = new_folders(config.folders, folders)
        names = {folder.name for folder in new}
        known = tuple(folder for folder in config.folders if folder.name not in names)
        config = replace(config, folders=known + new)
    if not config.folders:
        raise click.UsageError("there is no configuration: name a folder")
    return config


def _resync(wanted: _Resync, show: Show) -> Report:
    config = wanted.config
    try:
        with locked(config.state):
            try:
                return _resync_alone(wanted, show)
            except StateDamaged as error:
                # Damage that was not seen when it was opened. A second time it is not the file.
                set_aside(config.state, error)
                return _resync_alone(wanted, show)
    except StateLocked as error:
        return _ask_for_resync(wanted, show, error)


def _resync_alone(wanted: _Resync, show: Show) -> Report:
    with (
        closing(open_state(wanted.config.state)) as database,
        opened_collection(wanted.config) as collection,
        wanted.assembled(database, collection) as assembly,
    ):
        try:
            report = wanted.run(assembly, show)
        finally:
            assembly.mirror.close(wanted.patience_seconds)
        if report.trouble is None:
            _search_for_duplicates(assembly)
            _renew(assembly)
        database.require_in_place()
        return report


def _search_for_duplicates(assembly: Assembly) -> None:
    try:
        assembly.alerter.work_off(lambda: False)
    except CollectionError as error:
        message = "the search for duplicates goes on with the next run: %s"
        happened(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _renew(assembly: Assembly) -> None:
    """Have the pictures described again that an older version of the collection has described."""
    try:
        if assembly.renewal.work_off(lambda _seconds: True):
            _search_for_duplicates(assembly)
    except NotFound:
        pass  # it does not tell of any
    except CollectionError as error:
        message = "the rest of the pictures is sent again with the next run: %s"
        happened(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _ask_for_resync(wanted: _Resync, show: Show, lock_error: StateLocked) -> Report:
    question = {
        "command": "resync",
        "folders": sorted(wanted.names),
        "prune": wanted.prune,
        "patience_seconds": wanted.patience_seconds,
    }
    begun = False
    try:
        for message in answers(wanted.config, question):
            begun = True
            if "progress" in message:
                show(Progress(**message["progress"]))
            else:
                return Report.from_message(message["result"])
    except ServiceUnavailable as error:
        raise error if begun else lock_error from None
    raise ServiceFailed("the service ended before the resync did", Exit.LOCKED)


def _rehearse(wanted: _Resync, planned: list[Action]) -> Report:
    with (
        closing(scratch(wanted.config.state, proven=True)) as database,
        opened_collection(wanted.config, make=False) as collection,
        wanted.assembled(database, collection, rehearsal=True) as assembly,
    ):
        assembly.mirror.on_done = planned.extend
        report = wanted.run(assembly)
        assembly.mirror.close(1.0)
    return report


@click.command()
@click.argument("folder", required=False, shell_complete=complete_folder)
@click.option(
    "--discard", is_flag=True, help="Forget these images instead: they stay in the collection."
)
@click.pass_obj
def approve(context: Context, folder: str | None, discard: bool) -> Exit:
    """Let held deletions go out, of one FOLDER or of all.

    Deletions are held when they are many, or would empty a folder. See which with: snoopsync list
    --state held.

    A FOLDER that is missing because another directory is in its place: take that directory.
    """
    config = context.installation()
    name = next(iter(names_of(config, [folder]))) if folder is not None else None
    if holder(config.state) is not None:
        question = {"command": "approve", "folder": name, "discard": discard}
        done, when = answer(config, question), "now"
    else:
        with locked(config.state), closing(open_state(config.state)) as database:
            done, when = _approve(State(database), config, name, discard), "by the next run"
    count, taken = done["images"], done["taken"]
    images = "1 image" if count == 1 else f"{count} images"
    if taken:
        context.out.print(f"folder {name} is the directory that is there now", highlight=False)
    if not count:
        if not taken:
            context.out.print("no deletion is held")
    elif discard:
        context.out.print(f"{images} forgotten; in the collection they stay", highlight=False)
    else:
        context.out.print(f"{images} to be deleted {when}", highlight=False)
    return Exit.OK


def _approve(state: State, config: Config, name: str | None, discard: bool) -> Message:
    """What a service answers, without one. Raises ``FolderMissing``."""
    folders = [folder for folder in config.folders if name in (None, folder.name)]
    with state.transaction():
        if discard:
            images = sum(state.deletions.discard(folder.name) for folder in folders)
            return {"images": images, "taken": False}
        taken = name is not None and _take(state, folders[0])
        images = sum(state.deletions.approve(folder.name) for folder in folders)
        return {"images": images, "taken": taken}


def _take(state: State, folder: FolderConfig) -> bool:
    """Take the directory that is there now for the folder. Was it another one?"""
    try:
        identity = identity_of(folder)
    except FolderMissing as error:
        raise FolderMissing(f"folder {folder.name} is missing: {error}") from None
    for row in state.folders.rows():
        if row.name == folder.name and not row.was(identity):
            state.folders.save(row.taken(identity))
            return row.state is FolderState.MISSING
    return False
