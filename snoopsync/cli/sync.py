"""The commands ``run`` and ``resync``, which mirror the folders."""

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

from snoopsync.cli import exit_codes
from snoopsync.cli.after_resync import finish
from snoopsync.cli.context import (
    Context,
    ask_service,
    json_option,
    mirrored_argument,
    names_of,
    new_folders,
)
from snoopsync.cli.json_lines import print_json, print_json_error
from snoopsync.cli.progress import progress
from snoopsync.cli.prune_prompt import ask_to_prune
from snoopsync.cli.resync_text import orphans_text, print_report, unpruned_reasons
from snoopsync.config.settings import Config
from snoopsync.core.durations import parse_duration
from snoopsync.core.errors import (
    ConfigError,
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
    Components,
    open_components,
    open_state,
    opened_collection,
    set_aside,
)
from snoopsync.sync.pruning import Approve
from snoopsync.sync.resync import (
    COMMAND_PATIENCE_SECONDS,
    ResyncProgress,
    ResyncRequest,
    Show,
    run_resync,
)
from snoopsync.sync.resync_report import ResyncReport

if TYPE_CHECKING:
    from snoopsync.service.environment import Reload

log = logging.getLogger("snoopsync")


@click.command()
@mirrored_argument
@click.pass_obj
def run(context: Context, folders: tuple[Path, ...]) -> Exit:
    """Run the service: mirror the folders until stopped.

    Runs a full resync, then watches the folders. FOLDERs are configured folders, by name or by
    path. Without a configuration they are any folders, which are mirrored into the embedded
    collection; without FOLDERs, those that were mirrored before.

    SIGTERM and SIGINT (Ctrl-C) stop the service in order, with exit code 0. SIGHUP reloads the
    configuration, or keeps the old one if the new one is invalid; on a terminal it stops the
    service. Exit code 7: another snoopsync holds the state file. 78: the configuration is invalid.
    """
    config = _chosen(context.configuration(), folders)
    if config is not None:
        reload: Reload = partial(_reloaded, context, folders)
    else:
        before = context.installation_with(folders)
        given = _given(before, folders) if folders else _as_before(before)
        config, reload = given, lambda: given
    # Imported late, because a resync does not need it.
    from snoopsync.service.daemon import run_service

    showing = partial(progress, context, wanted=context.verbosity >= 0)
    with logs.in_background():
        run_service(config, showing, reload, context.start_logging, SystemdNotifier(os.environ))
    return Exit.OK


def _given(before: Config, folders: Sequence[Path]) -> Config:
    """The configuration with the named folders. Logs the folders of the last run that are no longer
    mirrored."""
    paths = {os.path.realpath(path) for path in folders}
    known = [each for each in before.folders if os.path.realpath(each.path) in paths]
    given = replace(before, folders=(*known, *new_folders(before.folders, folders)))
    _log_dropped(before, given)
    return given


def _as_before(before: Config) -> Config:
    """The configuration with the folders that were mirrored before. Logs which ones these are."""
    if not before.folders:
        raise click.UsageError(
            "there is no configuration: name a folder (snoopsync run ~/Pictures) or write a"
            " configuration (snoopsync init ~/Pictures)"
        )
    log_event(
        log,
        logging.INFO,
        Event.FOLDERS_REMEMBERED,
        "no configuration: mirroring the same folders as before: %s",
        ", ".join(printable(str(folder.path)) for folder in before.folders),
        folders=[folder.name for folder in before.folders],
    )
    return before


def _log_dropped(before: Config, given: Config) -> None:
    """Log the folders of an earlier run that are no longer mirrored, and how to keep them."""
    names = {folder.name for folder in given.folders}
    dropped = [folder for folder in before.folders if folder.name not in names]
    if not dropped:
        return
    paths = (shlex.quote(printable(str(folder.path))) for folder in (*dropped, *given.folders))
    log_event(
        log,
        logging.WARNING,
        Event.FOLDERS_DROPPED,
        "no longer mirrored: %s; the images stay in the collection. To mirror all folders:"
        " snoopsync run %s",
        ", ".join(printable(str(folder.path)) for folder in dropped),
        " ".join(paths),
        folders=[folder.name for folder in dropped],
    )


def _chosen(config: Config | None, folders: Sequence[Path]) -> Config | None:
    """The configuration with only these folders, or with all if none is given."""
    if config is None:
        return None
    names = names_of(config, folders)
    return replace(config, folders=tuple(f for f in config.folders if f.name in names))


def _reloaded(context: Context, folders: Sequence[Path]) -> Config:
    """The configuration for a reload of the running service. Raises ``ConfigError``."""
    try:
        config = _chosen(context.load(), folders)
    except click.UsageError as error:
        raise ConfigError("command line", (Problem("FOLDER", error.message),)) from None
    if config is None:
        raise ConfigError("configuration", (Problem("file", "no longer exists"),))
    return config


@dataclass(frozen=True, slots=True)
class _Resync:
    """What to resync. ``names``: the names of the folders. ``approved``: the digest of an approved
    prune plan that exceeds the guard's limit."""

    config: Config
    names: frozenset[str]
    prune: bool
    patience_seconds: float
    approved: str | None = None

    @contextmanager
    def open_components(
        self, database: Database, collection: ImageCollection, *, rehearsal: bool = False
    ) -> Iterator[Components]:
        """The components for this resync."""
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
    ) -> ResyncReport:
        """Run the resync. If ``approve`` is given, it decides about a prune instead of
        ``approved``."""
        approve = approve or (lambda plan: plan.digest == self.approved)
        request = ResyncRequest(
            self.names,
            prune=approve if self.prune else None,
            patience_seconds=self.patience_seconds,
        )
        return run_resync(components.engine, request, show)


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command(name="resync")
@mirrored_argument
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option("--prune", is_flag=True, help="Also delete images without a file in the folders.")
@click.option("--yes", is_flag=True, help="Confirm the deletions of --prune without asking.")
@click.option(
    "--wait",
    "patience_seconds",
    default=f"{COMMAND_PATIENCE_SECONDS:.0f}s",
    show_default=True,
    callback=_seconds,
    metavar="DURATION",
    help="How long to wait for a collection that does not respond.",
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
    """Mirror the folders once: compare folders, state and collection, and make them equal.

    If the service is running, it does the resync. FOLDERs are configured folders, by name or by
    path. Without a configuration they are any folders, which are mirrored into the embedded
    collection.

    --prune deletes nothing unless every configured folder is present and was scanned completely.
    With FOLDERs it deletes only images of files that are excluded from these folders. Deletions
    beyond sync.hold_deletes_over are printed first, and need a confirmation or --yes.

    Exit codes: 0 everything is mirrored; 3 some images failed; 4 deletions are held (see approve
    and --yes) or a folder is missing; 5 the collection can't be reached; 6 the collection refused
    the credentials; 7 another command of snoopsync holds the state file.
    """
    if yes and not prune:
        raise click.UsageError("--yes needs --prune")
    config = _config_with(context, folders, upgrade=not dry_run)
    wanted = _Resync(config, frozenset(names_of(config, folders)), prune, patience_seconds)
    planned: list[Action] = []

    def attempt(approved: str | None = None) -> ResyncReport:
        with progress(context, wanted=context.verbosity >= 0 and not as_json) as show:
            if dry_run:
                return _rehearse(wanted, planned, yes=yes)
            return _resync(replace(wanted, approved=approved), show)

    report = attempt()
    if report.pruning is not None and report.pruning.waits:
        planned += report.pruning.deletes
    if planned:
        # Imported late: most resyncs plan nothing to be printed.
        from snoopsync.cli.output import print_plan

        print_plan(context.out, planned, as_json=as_json)
    if not dry_run:
        report = ask_to_prune(report, attempt, config.folders, context, yes=yes, as_json=as_json)
    if as_json:
        _print_json_report(report, folders)
    else:
        print_report(report, folders, dry_run=dry_run)
    return exit_codes.of_resync(report)


def _print_json_report(report: ResyncReport, folders: Sequence[Path]) -> None:
    """Print the summary as JSON, and what was not done on standard error."""
    code = exit_codes.of_resync(report)
    level = logging.ERROR if code else logging.WARNING
    print_json([report.summary_message()])
    orphans = orphans_text(report)
    for line in (*report.unsent, *report.unreadable, *([] if orphans is None else [orphans])):
        click.echo(f"snoopsync: {printable(line)}", err=True)
    for message in unpruned_reasons(report, folders):
        log_event(log, level, Event.NOT_PRUNED, "%s", message, error=message)
    if report.trouble is not None:
        print_json_error(f"the collection: {report.trouble}", code)


def _config_with(context: Context, folders: Sequence[Path], *, upgrade: bool) -> Config:
    config = context.configuration()
    if config is None:
        config = context.installation_with(folders, upgrade=upgrade)
        new = new_folders(config.folders, folders)
        names = {folder.name for folder in new}
        known = tuple(folder for folder in config.folders if folder.name not in names)
        config = replace(config, folders=known + new)
    if not config.folders:
        raise click.UsageError("there is no configuration: name a folder")
    return config


def _resync(wanted: _Resync, show: Show) -> ResyncReport:
    config = wanted.config
    try:
        with locked(config.state), logs.in_background():
            try:
                return _resync_alone(wanted, show)
            except StateDamaged as error:
                # The damage was not found when the file was opened. A second error has another
                # cause.
                set_aside(config.state, error)
                return _resync_alone(wanted, show)
    except StateLocked as error:
        return _ask_for_resync(wanted, show, error)


def _resync_alone(wanted: _Resync, show: Show) -> ResyncReport:
    with (
        closing(open_state(wanted.config.state)) as database,
        opened_collection(wanted.config) as collection,
        wanted.open_components(database, collection) as components,
    ):
        try:
            report = wanted.run(components, show)
        finally:
            components.engine.close(wanted.patience_seconds)
        if report.trouble is None:
            finish(components)
        database.require_in_place()
        return report


def _ask_for_resync(wanted: _Resync, show: Show, lock_error: StateLocked) -> ResyncReport:
    request = {
        "command": "resync",
        "folders": sorted(wanted.names),
        "prune": wanted.prune,
        "approved": wanted.approved,
        "patience_seconds": wanted.patience_seconds,
    }
    begun = False
    try:
        for message in ask_service(wanted.config, request):
            begun = True
            if "progress" in message:
                show(ResyncProgress(**message["progress"]))
            else:
                return ResyncReport.from_message(message["result"])
    except ServiceUnavailable as error:
        raise error if begun else lock_error from None
    raise ServiceFailed("the service stopped before the resync ended", Exit.LOCKED)


def _rehearse(wanted: _Resync, planned: list[Action], *, yes: bool) -> ResyncReport:
    with (
        closing(scratch(wanted.config.state, proven=True)) as database,
        opened_collection(wanted.config, make=False) as collection,
        wanted.open_components(database, collection, rehearsal=True) as components,
    ):
        components.engine.on_done = planned.extend
        try:
            return wanted.run(components, approve=lambda _plan: yes)
        finally:
            components.engine.close(1.0)
