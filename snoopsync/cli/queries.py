"""The commands that look: ``status``, ``check``, ``list``, ``duplicates``, ``search``."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path

import click

from snoopsync.checks import examine
from snoopsync.cli import output as results
from snoopsync.cli import overview
from snoopsync.cli.completion import complete_file
from snoopsync.cli.context import Context, answer, json_option, reading
from snoopsync.cli.tables import Targets
from snoopsync.cli.watch import watch_status
from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import Config
from snoopsync.core.duplicates import Pair, facts_of
from snoopsync.core.errors import Refused
from snoopsync.core.exits import Exit
from snoopsync.core.keep import IDENTICAL, CandidateFile, KeepCandidate, which_to_keep
from snoopsync.core.model import ImageState, Record, RelPath, printable
from snoopsync.core.protocol import Match
from snoopsync.state.database import Database
from snoopsync.state.images import State
from snoopsync.state.lock import holder, locked
from snoopsync.state.pairs import Pairs, Side
from snoopsync.status.status import read_status
from snoopsync.sync.components import COMMAND_PATIENCE_SECONDS, open_state, opened_collection


@click.command()
@click.option("--watch", is_flag=True, help="Show it anew whenever it changes, until Ctrl-C.")
@json_option
@click.pass_obj
def status(context: Context, watch: bool, as_json: bool) -> Exit:
    """Is everything mirrored, and if not, what and why?

    A running service is asked. Without one the folders and the collection are looked at, so that
    the answer is true now.

    Exit codes: 0 all is mirrored, and that is proven; 3 images failed, or are not sent yet; 4
    deletions are held, or a folder is missing; 5 the collection could not be reached; 6 it refused
    the credentials. With --watch it is 0.
    """
    config = context.installation()
    # What is found out by looking is in the status, and said once.
    logging.getLogger("snoopsync").setLevel(logging.ERROR)
    if watch:
        return watch_status(context.out, config, as_json=as_json)
    found = read_status(config)
    if as_json:
        results.json_lines([found.as_message()])
    else:
        overview.show(context.out, found)
    return found.exit_code


@click.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> Exit:
    """Is everything as it should be, and if not, how is it mended? Changes nothing."""
    # What the parts have to say, the findings have.
    logging.getLogger("snoopsync").addHandler(logging.NullHandler())
    code = Exit.OK
    for finding in examine(context.config_path, os.environ):
        if as_json:
            results.json_lines([results.finding_message(finding)])
        else:
            results.finding(context.out, finding)
        sys.stdout.flush()  # the next one may wait for a disk or a network
        code = code or finding.exit_code
    return code


@click.command(name="list")
@json_option
@click.option(
    "--state",
    type=click.Choice([each.value for each in ImageState]),
    help="Only images in this state.",
)
@click.pass_obj
def list_command(context: Context, as_json: bool, state: str | None) -> Exit:
    """List every known image.

    pending: to be sent. failed: refused, with the reason; it is tried again later, and when the
    file changes. held: the file is gone, and the deletion waits for approve.
    """
    with reading(context.installation()) as database:
        rows = State(database).images(ImageState(state) if state else None)
        if as_json:
            results.json_lines(map(results.image_message, rows))
        else:
            results.image_list(context.out, rows, _targets(database))
    return Exit.OK


details_option = click.option(
    "--details", is_flag=True, expose_value=False, help="Does nothing: --json shows everything."
)


@click.group(invoke_without_command=True)
@json_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also pairs that were dismissed, or are none any more.",
)
# The only list that there is.
@click.option("--pairs", is_flag=True, expose_value=False, help="List pairs of pictures.")
@details_option
@click.pass_context
def duplicates(click_context: click.Context, as_json: bool, everything: bool) -> Exit:
    """List duplicate pictures, in pairs.

    The rank says how alike two are: 0 is the same picture, and the larger, the less alike. The kind
    says what one is to the other. Which one to keep is shown where there is evidence, with the
    reason. Nothing is done about it.
    """
    if click_context.invoked_subcommand is not None:
        return Exit.OK
    context: Context = click_context.obj
    config = context.installation()
    order, now = config.folder_order, time.time()
    with reading(config) as database:
        pairs = (
            results.ListedPair(pair, pair.keep(order, now))
            for pair in Pairs(database).listed(everything=everything)
        )
        if as_json:
            results.json_lines(map(results.duplicate_message, pairs))
        else:
            results.duplicates(context.out, pairs, _targets(database))
    return Exit.OK


@duplicates.command()
@click.argument("a", shell_complete=complete_file)
@click.argument("b", shell_complete=complete_file)
@click.pass_obj
def dismiss(context: Context, a: str, b: str) -> Exit:
    """Never alert about a pair again.

    A and B are its images: each by ID, by its file, or as FOLDER/PATH, as it is listed.
    """
    config = context.installation()
    with reading(config) as database:
        ids = [_image_named(config, State(database), Pairs(database), name) for name in (a, b)]
    if not _dismiss(config, Pair.of(*ids)):
        raise click.ClickException("these two are not known as duplicates of each other")
    context.out.print("dismissed")
    return Exit.OK


def _dismiss(config: Config, pair: Pair) -> bool:
    if holder(config.state) is not None:
        return answer(config, {"command": "dismiss", "a": pair.a, "b": pair.b})["known"] is True
    with locked(config.state), closing(open_state(config.state)) as database:
        return Pairs(database).dismiss(pair)


def _image_named(config: Config, state: State, pairs: Pairs, name: str) -> str:
    """The ID of an image that is given by its ID, its file, or ``FOLDER/PATH`` as it is listed."""
    with suppress(UnicodeEncodeError):  # of a file's name; an ID is a text
        if pairs.knows(name) or state.is_taken(name):
            return name
    for rel_path in _places_named(config, name):
        record = state.record_at(rel_path)
        if record is not None:
            return record.image_id
    raise click.ClickException(f"{printable(name)} is neither an image's ID nor a mirrored file")


def _places_named(config: Config, name: str) -> Iterator[RelPath]:
    path = os.path.realpath(name)
    for folder in config.folders:
        root = os.path.realpath(folder.path).rstrip("/") + "/"
        if path.startswith(root):
            yield RelPath(folder.name, os.fsencode(path.removeprefix(root)))
        if name.startswith(folder.name + "/"):
            yield RelPath(folder.name, os.fsencode(name.removeprefix(folder.name + "/")))


@click.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@details_option
@click.pass_obj
def search(context: Context, image: Path, as_json: bool) -> Exit:
    """Find pictures like this file.

    The best first: rank 0 is the same picture, and the larger, the less alike. The kind says what
    the one is to the other. The file need not be in a folder.
    """
    config = context.installation()
    with opened_collection(config, make=False) as inner:
        policy = RetryPolicy(max_outage_seconds=COMMAND_PATIENCE_SECONDS)
        try:
            matches = RetryingCollection(inner, CircuitBreaker(policy)).search_images(image)[
                "results"
            ]
        except OSError as error:
            raise click.ClickException(f"{printable(str(image))}: {error.strerror}") from None
        except Refused as error:
            raise click.ClickException(f"{printable(str(image))}: {error.message}") from None
    with reading(config) as database:
        searched = _searched(config, State(database), image)
        found = [_found(config, State(database), searched, match) for match in matches]
        targets = _targets(database)
    if as_json:
        results.json_lines([{"results": [*map(results.match_message, found)]}])
    else:
        results.matches(context.out, found, targets)
    return Exit.OK


def _targets(database: Database) -> Targets:
    return Targets({row.name: row.path for row in State(database).folders.rows()})


def _searched(config: Config, state: State, image: Path) -> KeepCandidate:
    """The file that is searched for: an image that is mirrored, or none."""
    records = (state.record_at(rel_path) for rel_path in _places_named(config, str(image)))
    record = next((record for record in records if record is not None), None)
    # No image has an empty ID.
    return KeepCandidate("") if record is None else _candidate(config, record)


def _found(config: Config, state: State, searched: KeepCandidate, match: Match) -> results.Result:
    record = state.record(match["id"])
    side = Side(match["id"], record.rel_path if record else None)
    if searched.image_id == match["id"]:
        return results.Result(side, match, None)  # the very file
    matched = KeepCandidate(match["id"]) if record is None else _candidate(config, record)
    keep = which_to_keep(
        replace(searched, facts=match.get("asked", {})),
        replace(matched, facts=facts_of(match)),
        match.get("kind"),
        time.time_ns(),
        identical=match.get("kind") == IDENTICAL,
    )
    return results.Result(side, match, keep)


def _candidate(config: Config, record: Record) -> KeepCandidate:
    rel_path, folders = record.rel_path, config.folder_order
    if record.marked_for_deletion or rel_path.folder not in folders:
        return KeepCandidate(record.image_id)
    file = CandidateFile(rel_path, record.seen.mtime_ns, *folders[rel_path.folder])
    return KeepCandidate(record.image_id, file=file)
