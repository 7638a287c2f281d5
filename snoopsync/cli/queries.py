"""The commands that only read (``status``, ``check``, ``list``, ``duplicates``, ``search``), and
``duplicates dismiss``."""

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
from snoopsync.cli import exit_codes
from snoopsync.cli import output as results
from snoopsync.cli.completion import complete_file
from snoopsync.cli.context import Context, json_option, reading, result_from_service
from snoopsync.cli.json_lines import print_json
from snoopsync.cli.status_view import print_status
from snoopsync.cli.tables import FileLinks
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
from snoopsync.status.reading import read_status
from snoopsync.sync.components import open_state, opened_collection
from snoopsync.sync.resync import COMMAND_PATIENCE_SECONDS


@click.command()
@click.option("--watch", is_flag=True, help="Show every change until Ctrl-C.")
@json_option
@click.pass_obj
def status(context: Context, watch: bool, as_json: bool) -> Exit:
    """Show whether everything is mirrored, and if not, what is not and why.

    Reads the state of a running service. Without a service, this command scans the folders and
    contacts the collection, so that the answer is current.

    Exit codes: 0 everything is mirrored, and that is proven; 3 images failed or are not sent yet; 4
    deletions are held or a folder is missing; 5 the collection can't be reached; 6 the collection
    refused the credentials. With --watch the exit code is 0.
    """
    config = context.installation()
    # The status contains what scanning the folders would log.
    logging.getLogger("snoopsync").setLevel(logging.ERROR)
    if watch:
        return watch_status(context.out, config, as_json=as_json)
    current = read_status(config)
    if as_json:
        print_json([current.as_message()])
    else:
        print_status(context.out, current)
    return exit_codes.of_status(current)


@click.command()
@json_option
@click.pass_obj
def check(context: Context, as_json: bool) -> Exit:
    """Find problems, and show how to fix them. Changes nothing.

    Checks the configuration, folders, permissions, limits, state file, collection, clock, keys and
    service. The exit code is that of the first error, or 0.
    """
    # The findings contain what the checked parts would log.
    logging.getLogger("snoopsync").addHandler(logging.NullHandler())
    code = Exit.OK
    for finding in examine(context.config_path, os.environ):
        if as_json:
            print_json([results.finding_json(finding)])
        else:
            results.print_finding(context.out, finding)
        sys.stdout.flush()  # the next check may wait for a disk or the network
        code = code or exit_codes.of_finding(finding)
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
    """List all known images.

    States: synced; pending (will be sent); failed (refused, with the reason; will be retried later,
    and when the file changes); held (the file is gone, and the deletion waits for approve).
    """
    with reading(context.installation()) as database:
        rows = State(database).images(ImageState(state) if state else None)
        if as_json:
            print_json(map(results.image_json, rows))
        else:
            results.print_images(context.out, rows, _file_links(database))
    return Exit.OK


details_option = click.option(
    "--details", is_flag=True, expose_value=False, help="Ignored: --json shows everything."
)


@click.group(invoke_without_command=True)
@json_option
@click.option(
    "--all",
    "everything",
    is_flag=True,
    help="Also list pairs that were dismissed or no longer exist.",
)
# Pairs are the only list for now.
@click.option("--pairs", is_flag=True, expose_value=False, help="List pairs of pictures.")
@details_option
@click.pass_context
def duplicates(click_context: click.Context, as_json: bool, everything: bool) -> Exit:
    """List duplicate pictures, in pairs.

    The rank measures similarity: 0 is the same picture, and larger ranks are less similar. The kind
    describes how one differs from the other. If there is evidence, the list shows which picture to
    keep, and why. This command changes nothing.
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
            print_json(map(results.pair_json, pairs))
        else:
            results.print_duplicates(context.out, pairs, _file_links(database))
    return Exit.OK


@duplicates.command()
@click.argument("a", shell_complete=complete_file)
@click.argument("b", shell_complete=complete_file)
@click.pass_obj
def dismiss(context: Context, a: str, b: str) -> Exit:
    """Mark two images as not duplicates of each other, and never alert about them again.

    A and B are the images: each an ID, a file, or FOLDER/PATH as in the list.
    """
    config = context.installation()
    with reading(config) as database:
        ids = [_image_named(config, State(database), Pairs(database), name) for name in (a, b)]
    if not _dismiss(config, Pair.of(*ids)):
        raise click.ClickException("these images are not known as duplicates of each other")
    context.out.print("dismissed")
    return Exit.OK


def _dismiss(config: Config, pair: Pair) -> bool:
    if holder(config.state) is not None:
        request = {"command": "dismiss", "a": pair.a, "b": pair.b}
        return result_from_service(config, request)["known"] is True
    with locked(config.state), closing(open_state(config.state)) as database:
        return Pairs(database).dismiss(pair)


def _image_named(config: Config, state: State, pairs: Pairs, name: str) -> str:
    """The ID of an image that is named by its ID, its file, or ``FOLDER/PATH`` as in the list."""
    with suppress(UnicodeEncodeError):  # a file name that is not UTF-8 is not an ID
        if pairs.knows(name) or state.is_taken(name):
            return name
    record = _record_named(config, state, name)
    if record is None:
        raise click.ClickException(f"{printable(name)} is neither an image ID nor a mirrored file")
    return record.image_id


def _record_named(config: Config, state: State, name: str) -> Record | None:
    records = map(state.record_at, _rel_paths_named(config, name))
    return next((record for record in records if record is not None), None)


def _rel_paths_named(config: Config, name: str) -> Iterator[RelPath]:
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
    """Find pictures in the collection that are similar to a file.

    The most similar come first: rank 0 is the same picture, and larger ranks are less similar. The
    kind describes how one differs from the other. The file need not be in a mirrored folder.
    """
    config = context.installation()
    with opened_collection(config, make=False) as inner:
        breaker = CircuitBreaker(RetryPolicy(max_outage_seconds=COMMAND_PATIENCE_SECONDS))
        try:
            matches = RetryingCollection(inner, breaker).search_images(image)["results"]
        except OSError as error:
            raise click.ClickException(f"{printable(str(image))}: {error.strerror}") from None
        except Refused as error:
            raise click.ClickException(f"{printable(str(image))}: {error.message}") from None
    with reading(config) as database:
        record = _record_named(config, State(database), str(image))
        # No image has the empty ID, which stands for a file that is not mirrored.
        searched = KeepCandidate("") if record is None else _candidate(config, record)
        found = [_search_result(config, State(database), searched, match) for match in matches]
        links = _file_links(database)
    if as_json:
        print_json([{"results": [*map(results.match_json, found)]}])
    else:
        results.print_matches(context.out, found, links)
    return Exit.OK


def _file_links(database: Database) -> FileLinks:
    return FileLinks({row.name: row.path for row in State(database).folders.rows()})


def _search_result(
    config: Config, state: State, searched: KeepCandidate, match: Match
) -> results.SearchResult:
    record = state.record(match["id"])
    side = Side(match["id"], record.rel_path if record else None)
    if searched.image_id == match["id"]:
        return results.SearchResult(side, match, None)  # the searched file itself
    matched = KeepCandidate(match["id"]) if record is None else _candidate(config, record)
    keep = which_to_keep(
        replace(searched, facts=match.get("asked", {})),
        replace(matched, facts=facts_of(match)),
        match.get("kind"),
        time.time_ns(),
        identical=match.get("kind") == IDENTICAL,
    )
    return results.SearchResult(side, match, keep)


def _candidate(config: Config, record: Record) -> KeepCandidate:
    rel_path, folders = record.rel_path, config.folder_order
    if record.marked_for_deletion or rel_path.folder not in folders:
        return KeepCandidate(record.image_id)
    file = CandidateFile(rel_path, record.seen.mtime_ns, *folders[rel_path.folder])
    return KeepCandidate(record.image_id, file=file)
