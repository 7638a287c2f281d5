"""The commands. Only here something is printed, and only here an error becomes an exit code."""

from __future__ import annotations

import logging
import os
import sys
import threading
import traceback
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NoReturn

import click
from rich.console import Console

from snoopsync import logs, show
from snoopsync.alerts import Pair
from snoopsync.assembly import (
    COMMAND_PATIENCE_SECONDS,
    assembled,
    open_state,
    opened_collection,
)
from snoopsync.client.outage import RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.file import find_config, load_config, render_config, user_directory
from snoopsync.config.settings import Config, FolderConfig, LogFormat, default_config, name_folders
from snoopsync.control import Message, ask
from snoopsync.errors import (
    CollectionError,
    ConfigError,
    FolderMissing,
    ServiceUnavailable,
    SnoopsyncError,
    StateLocked,
    Unauthorized,
)
from snoopsync.model import ImageState, Place
from snoopsync.planner import Action, Verb
from snoopsync.protocol import Match
from snoopsync.resync import Exit, Progress, Report, resync
from snoopsync.service import run_service
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.state.pairs import Pairs
from snoopsync.status import read_status
from snoopsync.version import __version__

log = logging.getLogger("snoopsync")

_FOLDERS = click.argument(
    "folders", nargs=-1, type=click.Path(file_okay=False, path_type=Path), metavar="[FOLDER]..."
)
_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


@dataclass(frozen=True, slots=True)
class Context:
    """What the options before the command say."""

    config_path: Path | None
    verbosity: int
    log_format: LogFormat | None
    out: Console
    err: Console

    def configuration(self) -> Config | None:
        """The configuration file's, if there is a file. Raises ``ConfigError``."""
        path = find_config(self.config_path, os.environ)
        return None if path is None else self.ready(load_config(path, os.environ))

    def ready(self, config: Config) -> Config:
        """Apply the options, and begin to log."""
        if self.log_format is not None:
            config = replace(config, log=replace(config.log, format=self.log_format))
        logs.configure(config.log, verbosity=self.verbosity, environ=os.environ)
        return config

    def installation(self) -> Config:
        """The configuration, or what an earlier ``run FOLDER`` has left in the state file."""
        config = self.configuration()
        return config or self.ready(_remembered(default_config(())))


def _remembered(config: Config) -> Config:
    with closing(Database.scratch(config.state)) as database:
        folders = tuple(
            FolderConfig(row.name, Path(row.path_text))
            for row in State(database).folders()
            if row.configured
        )
    return replace(config, folders=folders)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
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
def cli(
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
        Console(soft_wrap=not sys.stdout.isatty()),
        Console(stderr=True),
    )


@cli.command()
@_FOLDERS
@click.pass_obj
def run(context: Context, folders: tuple[Path, ...]) -> None:
    """Mirror the folders, and go on with it until stopped.

    Without a configuration, mirrors the FOLDERs into the embedded collection.
    """
    config = context.configuration()
    if config is None:
        config = context.ready(default_config(folders))
        if not folders:
            raise click.UsageError(
                "there is no configuration: name a folder (snoopsync run ~/Pictures), or write a"
                " configuration (snoopsync init ~/Pictures)"
            )
    elif folders:
        names = _names_of(config, folders)
        config = replace(config, folders=tuple(f for f in config.folders if f.name in names))
    with show.progress(context.err, wanted=context.verbosity >= 0) as shown:
        run_service(config, shown)


def _names_of(config: Config, folders: Sequence[Path]) -> set[str]:
    """The names of configured folders, given by path or by name."""
    names = set()
    for given in folders:
        found = [
            folder.name
            for folder in config.folders
            if folder.name == str(given) or os.path.realpath(folder.path) == os.path.realpath(given)
        ]
        if not found:
            raise click.UsageError(f"{given} is not a folder of the configuration")
        names.update(found)
    return names


@cli.command(name="resync")
@_FOLDERS
@click.option("--dry-run", is_flag=True, help="Print the plan, change nothing.")
@click.option(
    "--prune",
    is_flag=True,
    help="Also delete the images of files that the configuration does not name any more.",
)
@_JSON
@click.pass_obj
def resync_command(
    context: Context, folders: tuple[Path, ...], dry_run: bool, prune: bool, as_json: bool
) -> None:
    """Compare folders, state and collection, and make them equal.

    Works beside a running service, which then does it. Without a configuration, for the FOLDERs and
    the embedded collection.
    """
    config = context.configuration()
    if config is None:
        config = context.installation()
        known = {os.path.realpath(folder.path) for folder in config.folders}
        new = [path for path in folders if os.path.realpath(path) not in known]
        config = replace(config, folders=config.folders + name_folders(new))
    if not config.folders:
        raise click.UsageError("there is no configuration: name a folder")
    names = _names_of(config, folders) if folders else {f.name for f in config.folders}
    wanted = context.verbosity >= 0 and not as_json
    with show.progress(context.err, wanted=wanted) as shown:
        if dry_run:
            report = _rehearse(context, config, names, prune=prune, as_json=as_json)
        else:
            report = _resync(config, names, prune, shown)
    if as_json:
        show.json_line(report.summary_message())
        if report.trouble is not None:
            log.error("%s", report.trouble)
    else:
        show.report(context.out, report)
    sys.exit(report.exit_code)


def _resync(config: Config, names: set[str], prune: bool, shown: show.Show) -> Report:
    stop = threading.Event()
    try:
        with (
            locked(config.state),
            closing(open_state(config.state)) as database,
            opened_collection(config) as collection,
            assembled(
                config,
                database,
                collection,
                stop=stop,
                patience_seconds=COMMAND_PATIENCE_SECONDS,
                only=names,
            ) as assembly,
        ):
            report = resync(assembly, folders=names, prune=prune, stop=stop, show=shown)
            assembly.mirror.close(COMMAND_PATIENCE_SECONDS)
            if report.trouble is None:
                try:
                    assembly.alerter.work_off(stop.is_set)
                except CollectionError as error:
                    log.warning("the search for duplicates goes on with the next run: %s", error)
            return report
    except StateLocked as error:
        return _ask_for_resync(config, names, prune, shown, error)


def _ask_for_resync(
    config: Config, names: set[str], prune: bool, shown: show.Show, locked: StateLocked
) -> Report:
    question = {"command": "resync", "folders": sorted(names), "prune": prune}
    try:
        for message in _answers(config, question):
            if "progress" in message:
                shown(Progress(**message["progress"]))
            else:
                return Report.from_message(message["result"])
    except ServiceUnavailable:
        raise locked from None
    raise SnoopsyncError("the service ended before the resync did")


def _answers(config: Config, question: Message) -> Iterator[Message]:
    for message in ask(config.state, question):
        if "error" in message:
            raise SnoopsyncError(message["error"])
        yield message


def _rehearse(
    context: Context, config: Config, names: set[str], *, prune: bool, as_json: bool
) -> Report:
    planned: list[Action] = []
    with (
        closing(Database.scratch(config.state)) as database,
        opened_collection(config, make=False) as collection,
        assembled(
            config,
            database,
            collection,
            stop=threading.Event(),
            patience_seconds=COMMAND_PATIENCE_SECONDS,
            only=names,
            rehearsal=True,
        ) as assembly,
    ):
        assembly.mirror.on_plan = planned.extend
        report = resync(assembly, folders=names, prune=prune, stop=threading.Event())
        assembly.mirror.close(1.0)
    for action in planned:
        if action.verb is Verb.REFRESH:
            continue
        if as_json:
            show.json_line(_action_message(action))
        else:
            place = action.place or "(no file)"
            context.out.print(
                f"{action.verb:8} {place} {action.image_id}", markup=False, highlight=False
            )
    return report


def _action_message(action: Action) -> dict[str, Any]:
    place: Place | None = action.place
    return {
        "action": action.verb,
        "folder": place.folder if place else None,
        "path": place.text if place else None,
        "image_id": action.image_id,
    }


@cli.command()
@_JSON
@click.pass_obj
def status(context: Context, as_json: bool) -> None:
    """Is everything mirrored, and if not, what and why?"""
    found = read_status(context.installation())
    if as_json:
        show.json_line(found.as_message())
    else:
        show.status(context.out, found)
    sys.exit(found.exit_code)


@cli.command(name="list")
@_JSON
@click.option(
    "--state",
    type=click.Choice([each.value for each in ImageState]),
    help="Only images that are so.",
)
@click.pass_obj
def list_command(context: Context, as_json: bool, state: str | None) -> None:
    """List every known image."""
    with _reading(context.installation()) as database:
        rows = State(database).images(ImageState(state) if state else None)
        if as_json:
            for row in rows:
                show.json_line(show.image_message(row))
        else:
            show.images(context.out, rows)


@cli.group(invoke_without_command=True)
@_JSON
@click.option("--all", "everything", is_flag=True, help="Also those dismissed, and those gone.")
@click.pass_context
def duplicates(click_context: click.Context, as_json: bool, everything: bool) -> None:
    """List the pictures that are there twice."""
    if click_context.invoked_subcommand is not None:
        return
    context: Context = click_context.obj
    with _reading(context.installation()) as database:
        pairs = Pairs(database).listed(everything=everything)
    if as_json:
        for pair in pairs:
            show.json_line(show.duplicate_message(pair))
    else:
        show.duplicates(context.out, pairs)


@duplicates.command()
@click.argument("a")
@click.argument("b")
@click.pass_obj
def dismiss(context: Context, a: str, b: str) -> None:
    """Never alert about the pair of A and B again: two images, by ID or by path."""
    config = context.installation()
    with closing(open_state(config.state)) as database:
        state, pairs = State(database), Pairs(database)
        ids = [name if pairs.knows(name) else _image_named(config, state, name) for name in (a, b)]
        if not pairs.dismiss(Pair.of(*ids)):
            raise click.UsageError("these two are not known as duplicates of each other")
    context.out.print("dismissed")


def _image_named(config: Config, state: State, name: str) -> str:
    if state.is_taken(name):
        return name
    path = os.path.realpath(name)
    for folder in config.folders:
        for place in (
            _place_below(folder.name, os.path.realpath(folder.path), path),
            _place_below(folder.name, folder.name, name),
        ):
            record = state.record_at(place) if place is not None else None
            if record is not None:
                return record.image_id
    raise click.UsageError(f"{name} is neither an image's ID nor a mirrored file")


def _place_below(folder: str, prefix: str, path: str) -> Place | None:
    if not path.startswith(prefix + "/"):
        return None
    return Place(folder, os.fsencode(path[len(prefix) + 1 :]))


@cli.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@_JSON
@click.pass_obj
def search(context: Context, image: Path, as_json: bool) -> None:
    """Find pictures like this file."""
    config = context.installation()
    try:
        with (
            _reading(config) as database,
            opened_collection(config, make=False) as inner,
        ):
            policy = RetryPolicy(patience_seconds=COMMAND_PATIENCE_SECONDS)
            results = RetryingCollection(inner, policy=policy).search_images(image)["results"]
            found = [_match_message(State(database), match) for match in results]
    except OSError as error:
        raise click.UsageError(f"{image}: {error.strerror}") from None
    if as_json:
        show.json_line({"results": found})
    else:
        show.matches(context.out, found)


def _match_message(state: State, match: Match) -> dict[str, Any]:
    record = state.record(match["id"])
    return {
        "image_id": match["id"],
        "rank": match["rank"],
        "folder": record.place.folder if record else None,
        "path": record.place.text if record else None,
    }


@cli.command()
@click.argument("folder", required=False)
@click.option("--discard", is_flag=True, help="Forget these images instead; they stay remote.")
@click.pass_obj
def approve(context: Context, folder: str | None, discard: bool) -> None:
    """Let held deletions go out, of one FOLDER or of all.

    For a folder that is missing because another directory is in its place: take that directory.
    """
    config = context.installation()
    if folder is not None and folder not in {each.name for each in config.folders}:
        raise click.UsageError(f"{folder} is not the name of a configured folder")
    question = {"command": "approve", "folder": folder, "discard": discard}
    later = ""
    if holder(config.state) is not None:
        *_, last = _answers(config, question)
        count = last["result"]["images"]
    else:
        later = " with the next run or resync"
        with locked(config.state), closing(open_state(config.state)) as database:
            count = _approve(State(database), config, folder, discard)
    if discard:
        context.out.print(f"{count} images are forgotten and stay in the collection")
    else:
        context.out.print(f"{count} deletions will be sent{later}")


def _approve(state: State, config: Config, folder: str | None, discard: bool) -> int:
    names = [folder] if folder is not None else [each.name for each in config.folders]
    with state.transaction():
        if discard:
            return sum(state.discard(name) for name in names)
        if folder is not None:
            state.reset_identity(folder)
        return sum(state.approve(name) for name in names)


@cli.command()
@_FOLDERS
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
) -> None:
    """Write a commented configuration for these folders."""
    target = output or context.config_path or user_directory() / "config.yaml"
    paths = [path.absolute() for path in folders or (Path.home() / "Pictures",)]
    text = render_config(paths, endpoint, public_key, owner)
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise click.UsageError(f"{target} is there already, and is never overwritten") from None
    except OSError as error:
        raise click.UsageError(f"{target}: {error.strerror}") from None
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
    context.out.print(f"wrote {target}", highlight=False, soft_wrap=True)
    command = "snoopsync" if output is None else f"snoopsync --config {target}"
    context.out.print(f"look through it, then: {command} run", highlight=False, soft_wrap=True)


@contextmanager
def _reading(config: Config) -> Iterator[Database]:
    with closing(Database.scratch(config.state)) as database:
        yield database


_EXIT_CODES: tuple[tuple[type[SnoopsyncError], Exit], ...] = (
    (ConfigError, Exit.CONFIG),
    (StateLocked, Exit.LOCKED),
    (Unauthorized, Exit.UNAUTHORIZED),
    (CollectionError, Exit.UNREACHABLE),
    (FolderMissing, Exit.HELD_OR_MISSING),
)


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run a command and exit with its code."""
    try:
        cli.main(args=arguments, prog_name="snoopsync", standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(Exit.USAGE)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read our output has seen enough. Nothing may be flushed to them at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(Exit.OK)
    except SnoopsyncError as error:
        click.echo(f"snoopsync: {error}", err=True)
        codes = (code for kind, code in _EXIT_CODES if isinstance(error, kind))
        sys.exit(next(codes, Exit.BUG))
    except Exception:
        traceback.print_exc()
        click.echo("snoopsync: this is a bug in snoopsync, please report it", err=True)
        sys.exit(Exit.BUG)
    sys.exit(Exit.OK)
