"""The commands that only read: ``status``, ``check``, ``list``, ``search``."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import replace
from pathlib import Path

import click

from snoopsync.checks import examine
from snoopsync.cli import exit_codes
from snoopsync.cli import output as results
from snoopsync.cli.context import Context, json_option, reading
from snoopsync.cli.json_lines import print_json
from snoopsync.cli.named import Named, file_links
from snoopsync.cli.status_view import print_status
from snoopsync.cli.watch import watch_status
from snoopsync.client.circuit_breaker import CircuitBreaker, RetryPolicy
from snoopsync.client.retrying import RetryingCollection
from snoopsync.config.settings import Config
from snoopsync.core.duplicates import facts_of
from snoopsync.core.errors import Refused
from snoopsync.core.exits import Exit
from snoopsync.core.keep import IDENTICAL, CandidateFile, KeepCandidate, which_to_keep
from snoopsync.core.model import ImageState, Record, printable
from snoopsync.core.protocol import Match
from snoopsync.state.images import State
from snoopsync.state.sides import Side
from snoopsync.status.reading import read_status
from snoopsync.sync.components import opened_collection
from snoopsync.sync.resync import COMMAND_PATIENCE_SECONDS


@click.command()
@click.option("--watch", is_flag=True, help="Show every change until Ctrl-C.")
@json_option
@click.pass_obj
def status(context: Context, watch: bool, as_json: bool) -> Exit:
    """Show whether everything is mirrored, and what is not mirrored and why.

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
            results.print_images(context.out, rows, file_links(database))
    return Exit.OK


#: Older scripts use it.
details_option = click.option(
    "--details",
    is_flag=True,
    expose_value=False,
    hidden=True,
    help="Ignored: --json shows everything.",
)


@click.command()
@click.argument("image", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@details_option
@click.pass_obj
def search(context: Context, image: Path, as_json: bool) -> Exit:
    """Find pictures in the collection that are similar to a file.

    The most similar come first: rank 0 is the same picture, and larger ranks are less similar. The
    kind describes how one differs from the other. The file need not be in a mirrored folder. IMAGE
    may also be FOLDER/PATH, as in a list.
    """
    config = context.installation()
    with reading(config) as database:
        file = Named(config, database).file(str(image))
    with opened_collection(config, make=False) as inner:
        breaker = CircuitBreaker(RetryPolicy(max_outage_seconds=COMMAND_PATIENCE_SECONDS))
        try:
            matches = RetryingCollection(inner, breaker).search_images(file)["results"]
        except OSError as error:
            raise click.ClickException(f"{printable(str(image))}: {error.strerror}") from None
        except Refused as error:
            raise click.ClickException(f"{printable(str(image))}: {error.message}") from None
    with reading(config) as database:
        record = Named(config, database).record(str(file))
        # No image has the empty ID, which stands for a file that is not mirrored.
        searched = KeepCandidate("") if record is None else _candidate(config, record)
        found = [_search_result(config, State(database), searched, match) for match in matches]
        links = file_links(database)
    if as_json:
        print_json([{"results": [*map(results.match_json, found)]}])
    else:
        results.print_matches(context.out, found, links)
    return Exit.OK


def _search_result(
    config: Config, state: State, searched: KeepCandidate, match: Match
) -> results.SearchResult:
    record = state.record(match["id"])
    rel_path = record.rel_path if record else None
    side = Side(match["id"], rel_path, label=None if rel_path else match.get("label"))
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
