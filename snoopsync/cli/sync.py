"""The commands that mirror: ``run`` and ``resync``."""

from __future__ import annotations

import logging
import os
import shlex
import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from snoopsync.cli import output as results
from snoopsync.cli.context import (
    Context,
    answers,
    json_option,
    mirrored_argument,
    names_of,
    new_folders,
)
from snoopsync.cli.progress import progress
from snoopsync.cli.prune_prompt import ask_to_prune
from snoopsync.config.settings import Config
from snoopsync.core.durations import parse_duration
from snoopsync.core.errors import (
    CollectionError,
    ConfigError,
    NotFound,
    Problem,
    ServiceFailed,
    ServiceUnavailable,
    StateDamaged,
    StateLocked,
)
from snoopsync.core.events import Event, log_event
from snoopsync.core.exits import Exit
from snoopsync.core.model import printable
from snoopsync.core.planner import Action
from snoopsync.core.protocol import ImageCollection
from snoopsync.log import setup as logs
from snoopsync.runtime.systemd import SystemdNotifier
from snoopsync.state.database import Database
from snoopsync.state.lock import locked
from snoopsync.state.reading import scratch
from snoopsync.sync.components import (
    COMMAND_PATIENCE_SECONDS,
    Components,
    open_components,
    open_state,
    opened_collection,
    set_aside,
)
from snoopsync.sync.pruning import Approve
from snoopsync.sync.resync import Progress, Report, Show, resync

if TYPE_CHECKING:
    from snoopsync.service.service import Reload

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
    config = _chosen(context.configuration(), folders)
    if config is not None:
        reload: Reload = partial(_configuration_anew, context, folders)
    elif folders:
        config = context.installation_with(folders)
        paths = {os.path.realpath(path) for path in folders}
        known = [each for each in config.folders if os.path.realpath(each.path) in paths]
        given = replace(config, folders=(*known, *new_folders(config.folders, folders)))
        _tell_dropped(config, given)
        config, reload = given, lambda: given
    else:
        raise click.UsageError(
            "there is no configuration: name a folder (snoopsync run ~/Pictures), or write a"
            " configuration (snoopsync init ~/Pictures)"
        )
    # Late, because a resync does not need what the service is made of.
    from snoopsync.service.daemon import run_service

    showing = partial(progress, context.err, wanted=context.verbosity >= 0)
    with logs.in_background():
        run_service(config, showing, reload, context.ready, SystemdNotifier(os.environ))
    return Exit.OK


def _tell_dropped(before: Config, given: Config) -> None:
    """An earlier run may have had other folders: say that they are left, and how to keep them."""
    names = {folder.name for folder in given.folders}
    dropped = [folder for folder in before.folders if folder.name not in names]
    if not dropped:
        return
    paths = (shlex.quote(printable(str(folder.path))) for folder in (*dropped, *given.folders))
    log_event(
        log,
        logging.WARNING,
        Event.FOLDERS_DROPPED,
        "not mirrored any more: %s; the images stay in the collection. To mirror all of them:"
        " snoopsync run %s",
        ", ".join(printable(str(folder.path)) for folder in dropped),
        " ".join(paths),
        folders=[folder.name for folder in dropped],
    )


def _chosen(config: Config | None, folders: Sequence[Path]) -> Config | None:
    """The configuration, if there is one, with only these of its folders; with all, if none is
    given."""
    if config is None:
        return None
    names = names_of(config, folders)
    return replace(config, folders=tuple(f for f in config.folders if f.name in names))


def _configuration_anew(context: Context, folders: Sequence[Path]) -> Config:
    """The same, while the service runs. Raises ``ConfigError``."""
    try:
        config = _chosen(context.read(), folders)
    except click.UsageError as error:
        raise ConfigError("command line", (Problem("FOLDER", error.message),)) from None
    if config is None:
        raise ConfigError("configuration", (Problem("file", "is not there any more"),))
    return config


@dataclass(frozen=True, slots=True)
class _Resync:
    """What to resync. ``names``: of folders. ``approved``: the digest of the plan of a prune that
    may be done though it is more than the guard's limit."""

    config: Config
    names: frozenset[str]
    prune: bool
    patience_seconds: float
    approved: str | None = None

    @contextmanager
    def open_components(
        self, database: Database, collection: ImageCollection, *, rehearsal: bool = False
    ) -> Iterator[Components]:
        """The parts for it."""
        with open_components(
            self.config,
            database,
            collection,
            stop=threading.Event(),
            patience_seconds=self.patience_seconds,
            only=self.names,
            rehearsal=rehearsal,
        ) as components:
            yield components

    def run(
        self,
        components: Components,
        show: Show = lambda progress: None,
        approve: Approve | None = None,
    ) -> Report:
        """Do it. ``approve`` decides about a prune instead of ``approved``."""
        approve = approve or (lambda plan: plan.digest == self.approved)
        return resync(
            components,
            folders=self.names,
            prune=approve if self.prune else None,
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
@click.option("--prune", is_flag=True, help="Also delete what the configuration leaves out.")
@click.option("--yes", is_flag=True, help="Confirm what --prune prints, however many they are.")
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
    yes: bool,
    patience_seconds: float,
    as_json: bool,
) -> Exit:
    """Compare folders, state and collection, and make them equal.

    Works beside a running service, which then does it. FOLDERs are some of the configuration's, by
    name or by path. Without a configuration any folders are mirrored, into the embedded collection.

    --prune deletes nothing unless every folder is there and was scanned to the end. Of some FOLDERs
    it deletes only images of files that were left out of these. More deletions than
    sync.hold_deletes_over are printed, and need a confirmation, or --yes.

    Exit codes: 0 all is mirrored; 3 some images failed; 4 deletions are held (see approve, --yes),
    or a folder is missing; 5 the collection could not be reached; 6 it refused the credentials; 7
    another snoopsync holds the state file, and is no service that could do it.
    """
    if yes and not prune:
        raise click.UsageError("--yes goes with --prune")
    config = _config_with(context, folders)
    wanted = _Resync(config, frozenset(names_of(config, folders)), prune, patience_seconds)
    planned: list[Action] = []

    def attempt(approved: str | None = None) -> Report:
        with progress(context.err, wanted=context.verbosity >= 0 and not as_json) as show:
            if dry_run:
                return _rehearse(wanted, planned, yes=yes)
            return _resync(replace(wanted, approved=approved), show)

    report = attempt()
    if report.pruning is not None and report.pruning.waits:
        planned += report.pruning.deletes
    if planned:
        results.plan(context.out, planned, as_json=as_json)
    if not dry_run:
        out, all_folders = context.out, config.folders
        report = ask_to_prune(report, attempt, all_folders, out, yes=yes, as_json=as_json)
    level = logging.ERROR if report.exit_code else logging.WARNING
    if as_json:
        results.json_lines([report.summary_message()])
        for line in (*report.unsent, *report.unreadable):
            click.echo(f"snoopsync: {printable(line)}", err=True)
        for event, message in results.left_undone(report):
            log_event(log, level, event, "%s", message, error=message)
        if report.trouble is not None:
            results.json_error(f"the collection: {report.trouble}", report.exit_code)
    else:
        results.report(context.out, report, dry_run=dry_run)
    return report.exit_code


def _config_with(context: Context, folders: Sequence[Path]) -> Config:
    config = context.configuration()
    if config is None:
        config = context.installation_with(folders)
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
        with locked(config.state), logs.in_background():
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
        wanted.open_components(database, collection) as components,
    ):
        try:
            report = wanted.run(components, show)
        finally:
            components.mirror.close(wanted.patience_seconds)
        if report.trouble is None:
            _search_for_duplicates(components)
            _renew(components)
        database.require_in_place()
        return report


def _search_for_duplicates(components: Components) -> None:
    try:
        components.duplicate_search.work_off(lambda: False)
    except CollectionError as error:
        message = "the search for duplicates goes on with the next run: %s"
        log_event(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _renew(components: Components) -> None:
    """Have the pictures described again that an older version of the collection has described."""
    try:
        if components.renewal.work_off(lambda _seconds: True):
            _search_for_duplicates(components)
    except NotFound:
        pass  # it does not tell of any
    except CollectionError as error:
        message = "the rest of the pictures is sent again with the next run: %s"
        log_event(log, logging.WARNING, Event.SEARCH_FAILED, message, error, error=str(error))


def _ask_for_resync(wanted: _Resync, show: Show, lock_error: StateLocked) -> Report:
    question = {
        "command": "resync",
        "folders": sorted(wanted.names),
        "prune": wanted.prune,
        "approved": wanted.approved,
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


def _rehearse(wanted: _Resync, planned: list[Action], *, yes: bool) -> Report:
    with (
        closing(scratch(wanted.config.state, proven=True)) as database,
        opened_collection(wanted.config, make=False) as collection,
        wanted.open_components(database, collection, rehearsal=True) as components,
    ):
        components.mirror.on_done = planned.extend
        report = wanted.run(components, approve=lambda _plan: yes)
        components.mirror.close(1.0)
    return report
